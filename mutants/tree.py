"""A copy of the tree, in which mutants live and die."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import NoReturn

import psutil  # type: ignore[import-untyped]
import pytest
from coverage import CoverageData

from mutants.population import Mutant

AT_ONCE_S = 0.3
"""A test that takes less starts no server."""
ORIGINAL = ".original"
REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Reach:
    """Which tests run which lines, and what each costs in seconds. A line with no test ran at import."""

    tests: dict[str, dict[int, frozenset[str]]]
    seconds: dict[str, float]

    def of(self, mutant: Mutant, budget_s: float) -> list[str] | None:
        """Tests that run the changed lines, within a budget of seconds; None where no test runs them. Of a line that
        runs at import those of its file, and of a file that only declares all."""
        lines = self.tests.get(mutant.path, {})
        if not lines.keys() & mutant.lines:
            return None
        around = frozenset().union(*(lines.get(line, frozenset()) for line in mutant.lines))
        chosen: list[str] = []
        spent = 0.0
        for test in self._in_turn(mutant.path, around or frozenset().union(*lines.values()) or self.seconds):
            if not chosen or spent + self.seconds[test] <= budget_s:
                spent += self.seconds[test]
                chosen.append(test)
        return chosen

    def _in_turn(self, path: str, tests: Iterable[str]) -> Iterator[str]:
        """Tests of a part by itself, then those that need a server, by what they add.

        Such a test counts by the lines of the file that it runs and none before it did, for each second that it takes:
        what a change breaks shows in a branch that follows it. Those of the file's own tests count double. When all
        lines were run, the rest begin again.
        """
        left = sorted(tests, key=lambda test: (self.seconds[test], test))
        yield from (test for test in left if self.seconds[test] < AT_ONCE_S)
        left = [test for test in left if self.seconds[test] >= AT_ONCE_S]
        runs: defaultdict[str, set[int]] = defaultdict(set)
        for line, these in self.tests[path].items():
            for test in these:
                runs[test].add(line)
        own = f"test_{Path(path).stem}.py"
        seen: set[int] = set()
        while left:
            best = max(left, key=lambda test: len(runs[test] - seen) / self.seconds[test] * (1 + (own in test)))
            if not runs[best] - seen and seen:
                seen.clear()
                continue
            seen |= runs[best]
            left.remove(best)
            yield best


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

    def judged(self, tests: list[str], timeout_s: float) -> int | None:
        """The exit code of pytest up to the first failure; None when it was stopped after `timeout_s`.

        It runs in a fork of this process, which has imported what the tests need of others.
        """
        pid = os.fork()
        if pid == 0:
            self._become_pytest(["--exitfirst", *tests])
        try:
            code: int | None = psutil.Process(pid).wait(timeout_s)
        except psutil.TimeoutExpired:
            code = None
        for one in psutil.Process(pid).children(recursive=True) if code is None else ():
            with suppress(psutil.NoSuchProcess):
                one.kill()
        if code is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return code

    def failed(self) -> list[str]:
        """The tests that the last `judged` saw fail; none where the fault could not even be imported."""
        known = json.loads(self._failures.read_text(encoding="utf-8")) if self._failures.exists() else []
        return [str(test) for test in known]

    @property
    def _failures(self) -> Path:
        return self.folder / "failed.json"

    def _become_pytest(self, arguments: list[str]) -> NoReturn:
        code = int(pytest.ExitCode.INTERNAL_ERROR)
        try:
            log = os.open(self.folder / "pytest.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(self.folder)
            os.environ["PYTHONPATH"] = str(self.folder)
            sys.path.insert(0, str(self.folder))
            sys.dont_write_bytecode = True
            self._failures.unlink(missing_ok=True)
            os.environ["MUTANTS_FAILED"] = str(self._failures)
            code = int(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "mutants.timing", *arguments]))
        except BaseException:  # noqa: BLE001 (a fork must never go on as its parent)
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    @contextmanager
    def holding(self, mutant: Mutant) -> Iterator[None]:
        """The copy with this one fault in it, read from its text and from no compiled file."""
        path = self.folder / mutant.path
        Path(cache_from_source(str(path))).unlink(missing_ok=True)
        path.rename(self._original(path))
        path.write_text(mutant.after, encoding="utf-8")
        try:
            yield
        finally:
            self._original(path).replace(path)

    def mended(self) -> Tree:
        """Itself, without a fault that an earlier run left in it because it was killed."""
        for left in self.folder.glob(f"storage_sync/*/*{ORIGINAL}"):
            left.replace(left.with_suffix(""))
        return self

    @staticmethod
    def _original(path: Path) -> Path:
        return path.with_name(path.name + ORIGINAL)

    def reach(self, tests: list[str], jobs: int) -> Reach:
        """Run the tests once, as they are, and learn which lines each of them runs; one that fails judges no mutant."""
        data, times = self.folder / "reach.coverage", self.folder / "times.json"
        arguments = [
            "--numprocesses", str(jobs), "--cov", "storage_sync", "--cov-context", "test", "--cov-report", "",
            "-p", "mutants.timing",
        ]  # fmt: skip
        told = {"PYTHONPATH": str(self.folder), "MUTANTS_TIMES": str(times), "COVERAGE_FILE": str(data)}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, *tests]
        # what this run compiles, no fork need compile again
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run(command, cwd=self.folder, env={**inherited, **told}, check=False)
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
