"""A loopback server that answers every request in one wrong way."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from tests.support.loopback import Loopback

Answer = Callable[[socketserver.StreamRequestHandler], None]


def _read_request(handler: socketserver.StreamRequestHandler) -> bytes:
    """Head and body of one request; the first line of the head."""
    first = handler.rfile.readline()
    length = 0
    while (line := handler.rfile.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    handler.rfile.read(length)
    return first


def reply(status: str, content_type: str, body: bytes, *, length: int | None = None) -> Answer:
    """One whole response, or one that promises more bytes than it sends."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length or len(body)}\r\n"
    return lambda handler: void(handler.wfile.write(head.encode() + b"Connection: close\r\n\r\n" + body))


def void(_: object) -> None:
    """Take a result that nobody needs."""


class Faulty(Loopback):
    """The server; `url` while it is entered. A hanging answer ends when the server does."""

    def __init__(self, answer: Answer | None, *, tls: ssl.SSLContext | None = None) -> None:
        ended = self._ended = threading.Event()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                if not _read_request(self):
                    return
                if answer is None:
                    ended.wait(60)
                else:
                    answer(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

            def finish_request(self, request: Any, client_address: Any) -> None:
                # the handshake in the thread of the connection, so that one that fails holds up nobody
                if tls is None:
                    super().finish_request(request, client_address)
                    return
                with tls.wrap_socket(request, server_side=True) as secured:
                    super().finish_request(secured, client_address)

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that left early is what these tests are about."""

        super().__init__(Server(("127.0.0.1", 0), Handler), scheme="http" if tls is None else "https")

    @property
    def url(self) -> str:
        return self.address

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        super().__exit__(kind, value, trace)
