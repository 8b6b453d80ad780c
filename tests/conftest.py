"""Settings of the whole test suite."""

from __future__ import annotations

import signal

import pytest

# a shell starts what runs behind it with SIGINT ignored, and the commands under test keep what they find
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--interop", action="store_true", help="run the tests against the real do-memory crates")


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.getoption("--interop"):
        return None
    return (
        "interop tests are deselected: `make interop` and `make interop-server` build the real do-memory and run them"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--interop"):
        return
    chosen = [item for item in items if not _real(item)]
    left = [item for item in items if _real(item)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = chosen


def _real(item: pytest.Item) -> bool:
    """Whether it needs a program made of the real do-memory crates."""
    return any(item.get_closest_marker(name) is not None for name in ("interop", "server"))
