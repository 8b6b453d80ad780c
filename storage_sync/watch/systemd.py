"""The service manager's side of `watch`: ready, status, watchdog, stopping (sd_notify(3)), as datagrams."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from msgspec import Struct


class Systemd(Struct, frozen=True):
    """`address`: of the manager's socket, '' when nobody listens. `watchdog_s`: how often it wants a sign of life."""

    address: str = ""
    watchdog_s: float | None = None

    @staticmethod
    def of(environment: Mapping[str, str]) -> Systemd:
        """What the manager said in the environment; a watchdog that is meant for another process is none of ours."""
        address = environment.get("NOTIFY_SOCKET", "")
        wanted, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        ours = wanted.isdigit() and int(wanted) > 0 and pid in ("", str(os.getpid()))
        return Systemd(address, int(wanted) / 1_000_000 if address and ours else None)

    def tell(self, *lines: str) -> None:
        """Send `READY=1` and the like; a manager that does not listen any more is no error."""
        if not self.address:
            return
        path = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            try:
                out.setblocking(False)
                out.sendto("\n".join(lines).encode(), path)
            except OSError:
                return
