"""The metrics endpoint of `watch --listen`: `/metrics` on one address, nothing else."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from msgspec import Struct

from storage_sync.values.errors import LocalIO, UsageError

_FORM = re.compile(r"^(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[^:\[\]\s]+)):(?P<port>\d{1,5})$")
_REQUEST = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]\r\n")
_HOST = re.compile(rb"\r\nhost:[ \t]*([!-~]*)[ \t]*\r\n", re.IGNORECASE)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PLAIN = "text/plain; charset=utf-8"
_HEAD_BYTES = 8192


class Address(Struct, frozen=True):
    """Where to listen; port 0: any that is free."""

    host: str
    port: int

    @staticmethod
    def parse(text: str) -> Address:
        """`127.0.0.1:9200` or `[::1]:9200`. UsageError."""
        found = _FORM.match(text.strip())
        if found is None or int(found["port"]) > 65_535:
            raise UsageError(f"--listen: {text!r} is not HOST:PORT", hint="--listen 127.0.0.1:9200")
        return Address(found["six"] or found["host"], int(found["port"]))

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return _is_local(self.host)

    def is_called(self, host: str) -> bool:
        """Whether a request with this `Host` is meant for it. A page in a browser here may ask by a name of its own,
        which leads to this machine: of an address that only this machine reaches, only its names count."""
        if not self.local:
            return True
        name = re.sub(r":\d*$", "", host).strip("[]").lower()
        return name in ("", self.host.lower()) or _is_local(name)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _is_local(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Limits(Struct, frozen=True):
    """How many clients are served at once, and how long one may take from its connection to the end of its answer."""

    clients: int = 16
    seconds: float = 10.0


USUAL = Limits()


@asynccontextmanager
async def exposing(
    address: Address, render: Callable[[], Awaitable[bytes]], limits: Limits = USUAL
) -> AsyncIterator[Address]:
    """Answer scrapes for as long as the block lasts; gives the address with its real port. LocalIO when it is taken."""
    clients = _Clients(address, render, limits)
    try:
        server = await asyncio.start_server(
            clients.serve, address.host, address.port, limit=_HEAD_BYTES, backlog=limits.clients
        )
    except OSError as error:
        why = error.strerror or str(error)
        raise LocalIO(f"cannot listen on {address}: {why}", hint="give another --listen HOST:PORT") from None
    try:
        yield Address(address.host, int(server.sockets[0].getsockname()[1]))
    finally:
        server.close()
        await clients.close()
        await server.wait_closed()


class _Clients:
    """Those who are connected, oldest first. One who sends nothing makes room for the next."""

    def __init__(self, address: Address, render: Callable[[], Awaitable[bytes]], limits: Limits) -> None:
        self._address = address
        self._render = render
        self._limits = limits
        self._rendering = asyncio.Lock()
        self._waiting: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        """Whose request has not come yet."""
        self._served: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer; whatever the client does, it is over within the time and nothing is logged."""
        task = asyncio.current_task()
        if task is None or not self._room():
            writer.transport.abort()
            return
        self._waiting[task] = writer
        try:
            async with asyncio.timeout(self._limits.seconds):
                head = await reader.readuntil(b"\r\n\r\n")
                del self._waiting[task]
                self._served.add(task)
                writer.write(await self._answer(head))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._waiting.pop(task, None)
            self._served.discard(task)
            writer.close()

    async def close(self) -> None:
        tasks = [*self._waiting, *self._served]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _room(self) -> bool:
        if len(self._waiting) + len(self._served) < self._limits.clients:
            return True
        oldest = next(iter(self._waiting.values()), None)
        if oldest is None:
            return False
        oldest.transport.abort()
        return True

    async def _answer(self, head: bytes) -> bytes:
        found = _REQUEST.match(head)
        if found is None:
            return _response("400 Bad Request", b"", _PLAIN)
        host = _HOST.search(head)
        if not self._address.is_called(host[1].decode("ascii", "replace") if host is not None else ""):
            return _response("421 Misdirected Request", b"", _PLAIN)
        if found[2].partition(b"?")[0] != b"/metrics":
            return _response("404 Not Found", b"", _PLAIN)
        if found[1] not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"", _PLAIN)
        async with self._rendering:
            body = await self._render()
        return _response("200 OK", body, CONTENT_TYPE, only_head=found[1] == b"HEAD")


def _response(status: str, body: bytes, kind: str, *, only_head: bool = False) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (b"" if only_head else body)
