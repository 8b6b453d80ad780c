"""A plugin of pytest: the seconds of each test that passed, as JSON in the file that MUTANTS_TIMES names, and the tests
that failed, in that of MUTANTS_FAILED."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

_seconds: defaultdict[str, float] = defaultdict(float)
_failed: set[str] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] += report.duration
    if report.failed:
        _failed.add(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return
    passed = {test: seconds for test, seconds in _seconds.items() if test not in _failed}
    for name, found in (("MUTANTS_TIMES", passed), ("MUTANTS_FAILED", sorted(_failed))):
        if name in os.environ:
            Path(os.environ[name]).write_text(json.dumps(found), encoding="utf-8")
