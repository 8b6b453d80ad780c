"""Settings of the whole test suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--interop", action="store_true", help="run the tests against the real do-memory crates")


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.getoption("--interop"):
        return None
    return "interop tests are deselected: `make interop` builds the real do-memory crates and runs them"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--interop"):
        return
    chosen = [item for item in items if item.get_closest_marker("interop") is None]
    left = [item for item in items if item.get_closest_marker("interop") is not None]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = chosen
