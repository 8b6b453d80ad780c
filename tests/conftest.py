"""Settings of the whole test suite."""

from __future__ import annotations

import gc
import signal
from collections.abc import Collection

import pytest

# a shell starts what runs behind it with SIGINT ignored, and the commands under test keep what they find
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


_OPTIONAL = {
    "--interop": ("interop", "server"),
    "--wheel": ("wheel",),
    "--prometheus": ("prometheus",),
    "--systemd": ("systemd",),
    "--soak": ("soak",),
}
"""Markers by the option that asks for them; the make targets of pyproject.toml give these options."""


_LONG = tuple(f"tests/{room}/" for room in ("faults", "model", "watch", "end_to_end"))
"""The rooms with the longest tests: begun first, none of them is what the others wait for in the end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--interop", action="store_true", help="run the tests against the real do-memory crates")
    parser.addoption("--wheel", action="store_true", help="run the tests of what `make wheel sdist` made")
    parser.addoption("--prometheus", action="store_true", help="run the tests against the real Prometheus")
    parser.addoption("--systemd", action="store_true", help="run the tests of the units, as root")
    parser.addoption("--soak", action="store_true", help="run the long test of `make soak`")


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.getoption("--interop"):
        return None
    return (
        "interop tests are deselected: `make interop` and `make interop-server` build the real do-memory and run them"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = {marker for option, markers in _OPTIONAL.items() if config.getoption(option) for marker in markers}
    unasked = {marker for markers in _OPTIONAL.values() for marker in markers} - asked
    left = [item for item in items if _has(item, unasked)]
    chosen = [item for item in items if not _has(item, unasked)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = chosen
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was imported and collected stays to the end: no collection of garbage need walk it again."""
    gc.collect()
    gc.freeze()


def _has(item: pytest.Item, markers: Collection[str]) -> bool:
    return any(item.get_closest_marker(name) is not None for name in markers)
