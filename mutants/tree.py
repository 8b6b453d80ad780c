"""A copy of the tree, in which mutants live and die."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil  # type: ignore[import-untyped]
from coverage import CoverageData

from mutants.population import Mutant

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Reach:
    """Which tests run which lines, and what each costs in seconds. A line with no test ran at import."""

    tests: dict[str, dict[int, frozenset[str]]]
    seconds: dict[str, float]

    def of(self, mutant: Mutant, budget_s: float) -> list[str] | None:
        """The cheapest tests that run the changed lines, within a budget; None where no test runs them."""
        lines = self.tests.get(mutant.path, {})
        if not lines.keys() & mutant.lines:
            return None
        around = frozenset().union(*(lines.get(line, frozenset()) for line in mutant.lines))
        chosen: list[str] = []
        spent = 0.0
        for test in sorted(around or frozenset().union(*lines.values()), key=lambda test: (self.seconds[test], test)):
            spent += self.seconds[test]
            if chosen and spent > budget_s:
                break
            chosen.append(test)
        return chosen


@dataclass(frozen=True)
class Tree:
    """The copy in `folder`; nothing is written to the original."""

    folder: Path

    @classmethod
    def copied(cls, folder: Path) -> Tree:
        """What git knows or would add, with the compiled module; the environment and the tools are the original's."""
        shutil.rmtree(folder, ignore_errors=True)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=REPOSITORY, check=True, capture_output=True, text=True,
        ).stdout.split("\0")  # fmt: skip
        modules = [str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("storage_sync/*.so")]
        for name in filter(None, [*listed, *modules]):
            if (REPOSITORY / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, folder / name)
        for name in (".venv", ".tools"):
            (folder / name).symlink_to(REPOSITORY / name)
        return cls(folder)

    def pytest(
        self, *arguments: str, timeout_s: float | None = None, told: Mapping[str, str] = MappingProxyType({})
    ) -> int | None:
        """The exit code of pytest in the copy; None when it was stopped after `timeout_s`."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1", **told}
        with (self.folder / "pytest.log").open("wb") as log:
            process = psutil.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
            try:
                code: int = process.wait(timeout_s)
            except psutil.TimeoutExpired:
                for one in (*process.children(recursive=True), process):
                    with suppress(psutil.NoSuchProcess):
                        one.kill()
                process.wait()
                return None
            return code

    @contextmanager
    def holding(self, mutant: Mutant) -> Iterator[None]:
        """The copy with this one fault in it, read from its text and from no compiled file."""
        path = self.folder / mutant.path
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
        path.write_text(mutant.after, encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(mutant.before, encoding="utf-8")

    def reach(self, tests: list[str], jobs: int) -> Reach:
        """Run the tests once, as they are, and learn which lines each of them runs; one that fails judges no mutant."""
        data, times = self.folder / "reach.coverage", self.folder / "times.json"
        arguments = [
            "--numprocesses", str(jobs), "--cov", "storage_sync", "--cov-context", "test", "--cov-report", "",
            "-p", "mutants.timing",
        ]  # fmt: skip
        if self.pytest(*arguments, *tests, told={"MUTANTS_TIMES": str(times), "COVERAGE_FILE": str(data)}):
            print((self.folder / "pytest.log").read_text(encoding="utf-8"))
        return self._recorded(data, json.loads(times.read_text(encoding="utf-8")))

    def _recorded(self, data: Path, seconds: dict[str, float]) -> Reach:
        recorded = CoverageData(str(data))
        recorded.read()
        found: dict[str, dict[int, frozenset[str]]] = {}
        for file in recorded.measured_files():
            found[str(Path(file).relative_to(self.folder))] = {
                line: frozenset(seconds.keys() & {context.split("|")[0] for context in contexts})
                for line, contexts in recorded.contexts_by_lineno(file).items()
            }
        return Reach(found, seconds)
