"""A loopback server that answers each request as a test says: whole, cut, slow, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

TLS_HANDSHAKE = b"\x16"


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """One response. `body` in pieces; `pause`: seconds before each piece; `end`: how it ends."""

    status: int = 200
    body: Sequence[bytes] = ()
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    end: str = "clean"
    """`clean`; `cut`: no last chunk; `reset`: RST; `hang`: nothing more, connection open."""
    length: bool = False
    """Content-Length instead of chunks."""


Script = Callable[[Request], Answer | Awaitable[Answer] | None]


class Scripted:
    """`script` gives the answer to each request; None closes the connection without one."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.requests: list[Request] = []

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        start = await reader.readexactly(1)
        if start == TLS_HANDSHAKE:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return False
        head = (start + await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(first.split()[1], headers, body)
        self.requests.append(request)
        answer = self._script(request)
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer is None:
            return False
        await self._send(writer, answer)
        return answer.end == "clean"

    async def _send(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        size = sum(map(len, answer.body))
        framing = {"Content-Length": str(size)} if answer.length else {"Transfer-Encoding": "chunked"}
        fields = {"Content-Type": "application/json", **framing, **answer.headers}
        writer.write(f"HTTP/1.1 {answer.status} Word\r\n".encode())
        writer.write("".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n")
        await writer.drain()
        for piece in answer.body:
            if answer.pause:
                await asyncio.sleep(answer.pause)
            writer.write(piece if answer.length else b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        if answer.end == "clean" and not answer.length:
            writer.write(b"0\r\n\r\n")
        if answer.end == "reset":
            writer.transport.abort()
        if answer.end == "hang":
            await asyncio.Event().wait()
        await writer.drain()
