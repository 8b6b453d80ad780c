"""A loopback relay in front of a server that can hold large answers halfway, so that a run can be looked at."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

PIECE = 1 << 14
LARGE = 1 << 15
"""Bodies above this are held; a manifest of a small primary is below."""


class Relay:
    """Relays to 127.0.0.1:`port`. While `hold()` is on, a large body stops after its first piece until `release()`."""

    def __init__(self, port: int) -> None:
        self._free = threading.Event()
        self._free.set()
        self._held = threading.Event()
        free, held = self._free, self._held

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _relay(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                onward = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
                onward.request(self.command, self.path, body, {"Content-Type": "application/json"})
                answer = onward.getresponse()
                whole = answer.read()
                onward.close()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type") or "application/json")
                self.send_header("Content-Length", str(len(whole)))
                self.end_headers()
                try:
                    self.wfile.write(whole[:PIECE])
                    self.wfile.flush()
                    if len(whole) > LARGE and not free.is_set():
                        held.set()
                        free.wait(120)
                    self.wfile.write(whole[PIECE:])
                except ConnectionError:
                    self.close_connection = True

            do_GET = do_POST = _relay  # noqa: N815 (http.server's names)

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def hold(self) -> None:
        self._held.clear()
        self._free.clear()

    def wait_until_held(self, seconds: float) -> bool:
        return self._held.wait(seconds)

    def release(self) -> None:
        self._free.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
