"""A loopback relay that counts what a server sends, and does something once it has sent so much."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

PIECE = 1 << 14
UNSENT = 1 << 15
"""Bytes that may wait on this side of the socket: what is counted has nearly all arrived."""


class CountingRelay:
    """Relays connections to 127.0.0.1:`port` byte by byte; `received` counts what went back, headers included."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._received = 0
        self._then: tuple[int, Callable[[], None]] | None = None
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def received(self) -> int:
        """Bytes that were handed to clients since the start."""
        with self._lock:
            return self._received

    def when(self, more: int, then: Callable[[], None]) -> None:
        """Call `then`, once and on a thread of the relay, when so many more bytes have gone back."""
        with self._lock:
            self._then = (self._received + more, then)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT)
            try:
                server = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for source, sink, counted in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass_on, args=(source, sink, counted), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(PIECE):
                sink.sendall(data)
                if counted:
                    self._count(len(data))
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        with self._lock:
            self._open -= {source, sink}

    def _count(self, sent: int) -> None:
        with self._lock:
            self._received += sent
            then = self._then
            if then is None or self._received < then[0]:
                return
            self._then = None
        then[1]()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            left = list(self._open)
        for end in left:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
