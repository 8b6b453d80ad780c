"""The real Prometheus (Debian's package) on a free loopback port, scraping what it is told to."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.sqld import free_port

LIMIT_S = 120.0
"""Twice the time in which a held cache is compared with the primary at most once."""


def program(name: str) -> str:
    """RuntimeError where it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"no {name}: run `make alerts`, or apt-get install prometheus")
    return found


def promtool(*words: str | Path, folder: Path) -> str:
    """Its output; AssertionError with it when it does not exit 0."""
    done = subprocess.run([program("promtool"), *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Prometheus:
    """A server that asks `target` (host:port) twice a second, and judges `rules` as often."""

    def __init__(self, folder: Path, rules: str, target: str) -> None:
        folder.mkdir()
        (folder / "rules.yml").write_text(rules)
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 500ms}\n"
            "rule_files: [rules.yml]\n"
            f"scrape_configs: [{{job_name: storage-sync, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        self._folder = folder
        self._port = free_port()

    def __enter__(self) -> Self:
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=log,
            )
        self.until(lambda: self._ask("/-/ready") is not None, "ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)

    def _ask(self, path: str) -> bytes | None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self._port}{path}", timeout=10) as response:
                data: bytes = response.read()
                return data
        except OSError:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            return None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples now."""
        answer = self._ask("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        assert answer is not None, expression
        document = json.loads(answer)
        assert document["status"] == "success", document
        result: list[dict[str, Any]] = document["data"]["result"]
        return result

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        return {sample["metric"]["alertname"] for sample in self.query('ALERTS{alertstate="firing"}')}

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Asks again until it holds; AssertionError after LIMIT_S."""
        deadline = time.monotonic() + LIMIT_S
        while not holds():
            assert time.monotonic() < deadline, what
            # Prometheus tells nobody of what it finds; ten questions a second
            time.sleep(0.1)

    def fires(self, *names: str) -> None:
        """Waits until all of them do."""
        self.until(lambda: set(names) <= self.firing(), f"{names} did not fire")

    def quiet(self, *names: str) -> None:
        """Waits until none of them does."""
        self.until(lambda: not set(names) & self.firing(), f"{names} went on firing")
