"""The metrics endpoint of `watch --listen`: `/metrics` on one address, nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from storage_sync.values.errors import LocalIO, UsageError

_FORM = re.compile(r"^(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[^:\[\]\s]+)):(?P<port>\d{1,5})$")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Address:
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

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@asynccontextmanager
async def exposing(address: Address, render: Callable[[], Awaitable[bytes]]) -> AsyncIterator[Address]:
    """Answer scrapes for as long as the block lasts; gives the address with its real port. LocalIO when it is taken."""
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=await render(), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.router.add_get("/metrics", answer)
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address.host, address.port, shutdown_timeout=0.5).start()
        except OSError as error:
            why = error.strerror or str(error)
            raise LocalIO(f"cannot listen on {address}: {why}", hint="give another --listen HOST:PORT") from None
        yield Address(address.host, int(runner.addresses[0][1]))
    finally:
        await runner.cleanup()
