"""`watch`: the core without a screen, for systemd and for people who read logs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from console.cli.invocation import Answer, Invocation
from console.cli.running import run_core

if TYPE_CHECKING:
    from storage_sync.values.outcome import Outcome
    from storage_sync.values.snapshot import Run


def watch(invocation: Invocation, *, listen: str | None) -> Answer:
    """Until a signal; exit 130 or 143 after it, or the code of what stopped it."""
    from console.launch.configuration import configuration_of
    from storage_sync.watch.metrics_server import Address
    from storage_sync.watch.systemd import Systemd

    address = Address.parse(listen) if listen is not None else None
    request = invocation.request()
    configuration = configuration_of(request.settings, invocation.loaded(), invocation.env)
    systemd = Systemd.of(invocation.env)

    async def work(progress: Any, cancel: Any) -> Outcome:
        from storage_sync.watch import watch as headless

        for oddity in invocation.oddities():
            logging.getLogger("storage_sync.config.settings").warning(oddity)
        told = progress if invocation.jsonl else _unwatched
        return await headless.watch(
            configuration, request.token, listen=address, systemd=systemd, progress=told, cancel=cancel
        )

    # the log has said it all
    return Answer(run_core(invocation, work, tells=True), "", raw=True)


def _unwatched(run: Run) -> None:
    """Progress goes to programs only: a redrawn line and a log do not share a terminal."""
