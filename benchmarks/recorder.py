"""A loopback relay that remembers what a client asked, so that the same bytes can be fetched again without decoding."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.loopback import Loopback

PIECE = 1 << 18


@dataclass(frozen=True)
class Asked:
    """One request of the client."""

    path: str
    body: bytes
    received: int
    """Bytes of the response's body."""

    @property
    def repeatable(self) -> bool:
        """It does not go on with a stream that has ended since."""
        return b'"baton":null' in self.body.replace(b" ", b"") or b'"baton"' not in self.body


class Recorder(Loopback):
    """Relays to 127.0.0.1:`port` and keeps each request in `asked`."""

    def __init__(self, port: int) -> None:
        asked: list[Asked] = []
        self.asked = asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _relay(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                onward = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
                onward.request(self.command, self.path, body, {"Content-Type": "application/json"})
                answer = onward.getresponse()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type") or "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                received = 0
                while piece := answer.read1(PIECE):
                    received += len(piece)
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")
                onward.close()
                asked.append(Asked(self.path, body, received))

            do_GET = do_POST = _relay  # noqa: N815 (http.server's names)

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), Handler))


def fetch(port: int, asked: list[Asked]) -> tuple[float, int]:
    """Seconds and bytes for the same requests, one after another on one connection, bodies read and dropped."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    total = 0
    started = time.perf_counter()
    for one in asked:
        connection.request("POST", one.path, one.body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        while piece := answer.read(PIECE):
            total += len(piece)
    seconds = time.perf_counter() - started
    connection.close()
    return seconds, total
