"""A loopback web server that remembers what it was asked."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.loopback import Loopback


class Listener(Loopback):
    """`heard`: method, path, content type and body of each request; answers 204."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str, bytes]] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                heard.append((self.command, self.path, self.headers.get("Content-Type", ""), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Nothing goes to standard error."""

        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        self.url = f"{self.address}/hook/secret"
