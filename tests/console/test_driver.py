"""The thread that reads the keys sleeps while nobody types."""

from __future__ import annotations

import os
import selectors
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.events import Key
from textual.message import Message

from console.app.app import Console
from console.app.driver import ESCAPE_S, SteadyDriver
from console.views.ui_settings import UiSettings
from tests.support.scenes import snapshots
from tests.support.scripted_bridge import ScriptedBridge


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The standard input is a pipe; what is written to this end is typed."""
    reader, writer = os.pipe()
    with Path(os.devnull).open("w") as nowhere, os.fdopen(reader) as told:
        monkeypatch.setattr("sys.__stdin__", told)
        monkeypatch.setattr("sys.__stderr__", nowhere)
        yield writer
    os.close(writer)


async def test_it_is_woken_by_keys_and_by_the_end_and_not_by_time(
    terminal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = SteadyDriver(Console(ScriptedBridge([snapshots.scene("in_sync").snapshot]), UiSettings(), environment={}))
    waits: list[float | None] = []
    asleep, select = threading.Semaphore(0), selectors.SelectSelector.select

    def watched(
        self: selectors.SelectSelector, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        waits.append(timeout)
        if timeout is None:
            asleep.release()
        return select(self, timeout)

    keys: list[str] = []

    def heard(message: Message) -> None:
        if isinstance(message, Key):
            keys.append(message.key)

    monkeypatch.setattr(selectors.SelectSelector, "select", watched)
    monkeypatch.setattr(driver, "process_message", heard)
    reading = threading.Thread(target=driver.run_input_thread, daemon=True)
    driver._key_thread = reading
    reading.start()
    for typed in (b"a", b"\x1b"):
        assert asleep.acquire(timeout=20)
        os.write(terminal, typed)
    assert asleep.acquire(timeout=20)
    driver.disable_input()
    reading.join()
    assert keys == ["a", "escape"]
    assert waits == [None, ESCAPE_S, None, ESCAPE_S, None]
