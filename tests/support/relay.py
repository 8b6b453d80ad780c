"""A loopback relay in front of a server: holds large answers halfway, or does to each request what a script says.

    with Sqld(path) as server, Relay(server.port) as relay:
        relay.play(lambda number, path: network.reset if number == 2 else None)
        sync(relay.url)

Nothing is pretended: an answer that is not a fault is the server's own, byte for byte.
"""

from __future__ import annotations

import errno
import http.client
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Self

from msgspec import Struct, field

PIECE = 1 << 14
LARGE = 1 << 15
"""Bodies above this are held; a manifest of a small primary is below."""
BACKLOG = 64
LONGEST_S = 120.0
_PASSED_ON = ("Content-Type", "Accept-Encoding", "Authorization")


class Reply(Struct, frozen=True):
    """A whole response. `headers` without its length, which is that of `body`."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


class Exchange:
    """One request on its way: what a fault has in its hands. `number` counts from 1 since the script began."""

    def __init__(self, relay: Relay, handler: BaseHTTPRequestHandler, number: int, over: threading.Event) -> None:
        self.relay = relay
        self.number = number
        self.over = over
        """Set when the script is replaced or the relay ends: nothing is to hang any longer."""
        self.left_alone = False
        """Set by a fault that had nothing to change in this answer."""
        self._handler = handler
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))

    @property
    def path(self) -> str:
        return self._handler.path

    def header(self, name: str) -> str:
        return self._handler.headers.get(name) or ""

    def ask(self, path: str | None = None) -> Reply:
        """The server's own answer to this request; `path`: asked for instead of the one that came."""
        onward = http.client.HTTPConnection("127.0.0.1", self.relay.port, timeout=LONGEST_S)
        try:
            headers = {name: value for name in _PASSED_ON if (value := self._handler.headers.get(name)) is not None}
            onward.request(self._handler.command, path or self.path, self.body, headers)
            answer = onward.getresponse()
            kept = {name: answer.headers[name] for name in ("Content-Type", "Content-Encoding") if answer.headers[name]}
            return Reply(answer.status, answer.read(), kept)
        finally:
            onward.close()

    def head(self, reply: Reply, *, length: int | None = None, close: bool = False) -> bytes:
        """Status line and headers; `length`: other than the body's own. `close`: and the connection ends."""
        lines = [f"HTTP/1.1 {reply.status} x", *(f"{name}: {value}" for name, value in reply.headers.items())]
        lines.append(f"Content-Length: {len(reply.body) if length is None else length}")
        if close:
            lines.append("Connection: close")
            self._handler.close_connection = True
        return "\r\n".join([*lines, "", ""]).encode()

    def send(self, reply: Reply, *, close: bool = False) -> None:
        self.write(self.head(reply, close=close) + reply.body)

    def write(self, data: bytes) -> None:
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def hang(self) -> None:
        """Nothing more, with the connection open, until nobody waits any longer."""
        self.over.wait(LONGEST_S)
        self._handler.close_connection = True

    def end(self, *, reset: bool = False) -> None:
        """Close the connection, as it should be or by RST."""
        if reset:
            self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            with suppress(OSError):
                self._handler.connection.shutdown(socket.SHUT_RDWR)
        self._handler.close_connection = True


Fault = Callable[[Exchange], None]
"""Answers the request its own way."""
Script = Callable[[int, str], Fault | None]
"""Fault for the request of this number and path; None: it is relayed."""


class Relay:
    """Relays to 127.0.0.1:`port`. While `hold()` is on, a large body stops after its first piece until `release()`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.paths: list[str] = []
        """Of the requests since `play`, in order."""
        self._free = threading.Event()
        self._free.set()
        self._held = threading.Event()
        self._lock = threading.Lock()
        self._script: Script = lambda number, path: None
        self._over = threading.Event()
        self._listener = self._listen(BACKLOG, 0)
        self._own_port = int(self._listener.getsockname()[1])
        self._fillers: list[socket.socket] = []
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._own_port}"

    # ------------------------------------------------------------------------------ holding large answers

    def hold(self) -> None:
        self._held.clear()
        self._free.clear()

    def wait_until_held(self, seconds: float) -> bool:
        return self._held.wait(seconds)

    def release(self) -> None:
        self._free.set()

    # -------------------------------------------------------------------------------- a script of faults

    def play(self, script: Script | None = None) -> None:
        """Count requests from 1 again and do with them what the script says; what hangs is let go."""
        with self._lock:
            over, self._over = self._over, threading.Event()
            self._script = script or (lambda number, path: None)
            self.paths = []
        over.set()
        self.listen()

    def refuse(self) -> None:
        """Connections are refused from now on; open ones stay, and so does our claim to the port."""
        self._close_listener()
        self._listener = self._bind(self._own_port)

    def stall(self) -> None:
        """Connections are not made and not refused from now on: the queue of the socket is full."""
        self._close_listener()
        self._listener = self._listen(0, self._own_port)
        for _ in range(BACKLOG):
            filler = socket.socket()
            self._fillers.append(filler)
            filler.settimeout(0.05)
            try:
                filler.connect(("127.0.0.1", self._own_port))
            except TimeoutError:
                return
        raise AssertionError("the queue of a listening socket does not fill up")

    def listen(self) -> None:
        """Take connections, again if they were refused or stalled."""
        if not self._fillers and self._listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return
        self._close_listener()
        self._listener = self._listen(BACKLOG, self._own_port)
        self._start()

    # ----------------------------------------------------------------------------------------- inside

    def _bind(self, port: int) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    def _listen(self, backlog: int, port: int) -> socket.socket:
        listener = self._bind(port)
        listener.listen(backlog)
        return listener

    def _close_listener(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for filler in self._fillers:
            filler.close()
        self._fillers = []

    def _start(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, address = listener.accept()
            except OSError as error:
                if error.errno == errno.ECONNABORTED:
                    continue
                return
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection, address), daemon=True).start()

    def _serve(self, connection: socket.socket, address: object) -> None:
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _relay(self) -> None:
                relay._exchange(self)

            do_GET = do_POST = do_CONNECT = _relay  # noqa: N815 (http.server's names)

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        # a client that left early is what these tests are about
        with suppress(OSError, http.client.HTTPException):
            Handler(connection, address, None)  # type: ignore[arg-type]
        self._open.discard(connection)
        connection.close()

    def _exchange(self, handler: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.paths.append(handler.path)
            exchange = Exchange(self, handler, len(self.paths), self._over)
            fault = self._script(exchange.number, exchange.path)
        if fault is not None:
            fault(exchange)
            return
        reply = exchange.ask()
        if len(reply.body) <= LARGE:
            exchange.send(reply)
            return
        exchange.write(exchange.head(reply) + reply.body[:PIECE])
        if not self._free.is_set():
            self._held.set()
            self._free.wait(LONGEST_S)
        exchange.write(reply.body[PIECE:])

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._over.set()
        self._close_listener()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
