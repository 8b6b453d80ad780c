"""From settings to a bridge and a look, and the console in lines of text."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from console.cli import screen
from console.launch.plain import news, speak, state_lines
from console.launch.start import is_configured, make_bridge, ui_settings
from console.link.bridge import ThreadBridge
from console.views.verdict import verdict
from storage_sync.config.settings import Settings, Ui
from storage_sync.values.events import CoreDied, LogLine
from tests.support.scenes import snapshots
from tests.support.scripted_bridge import ScriptedBridge


def test_without_a_primary_nothing_is_opened() -> None:
    for settings in (Settings(), Settings(primary="file:x.db"), Settings(cache=Path("cache.redb"))):
        assert not is_configured(settings)
        bridge = make_bridge(settings, None, {})
        bridge.start()
        try:
            while bridge.latest() is None:
                assert bridge.drain() == []
        finally:
            assert bridge.stop(30)
        found = verdict(bridge.latest(), now=snapshots.NOW, beat_age=0)
        assert (found.word, found.key) == ("NO CONFIG", "s")


def test_with_both_the_core_gets_a_thread() -> None:
    bridge = make_bridge(Settings(primary="file:x.db", cache=Path("cache.redb")), None, {})
    assert isinstance(bridge, ThreadBridge)
    assert bridge.latest() is None


def test_the_look_comes_from_the_settings() -> None:
    ui = ui_settings(Settings(profile="prod", ui=Ui(theme="calm-cvd", refresh=2.0, glyphs="ascii")))
    assert (ui.theme, ui.refresh_s, ui.glyphs, ui.profile) == ("calm-cvd", 2.0, "ascii", "prod")
    assert ui_settings(Settings()).theme == "calm-dark"
    assert ui_settings(Settings(ui=Ui(theme="textual-ansi"))).theme == "textual-ansi"


def test_lines_say_what_stands_without_what_changes_each_second() -> None:
    snapshot = snapshots.scene("running").snapshot
    first = state_lines(snapshot, snapshots.NOW, snapshots.BEAT)
    assert "verdict: STALE" in first
    assert "running: sync, fetch 60 %" in first
    assert any("latest_episodes" in text for text in first)
    later = state_lines(replace(snapshot, taken_at=snapshots.NOW + 1), snapshots.NOW + 1, snapshots.BEAT + 1)
    assert later.keys() == first.keys()
    assert list(state_lines(None, 0, 0).values()) == ["the sync core is starting"]


@pytest.mark.parametrize("name", snapshots.NAMES)
def test_every_state_is_a_sentence_with_a_command_and_no_key(name: str) -> None:
    scene = snapshots.scene(name)
    found = verdict(scene.snapshot, now=snapshots.NOW, beat_age=0)
    said = state_lines(scene.snapshot, snapshots.NOW, scene.snapshot.beat.at)[f"verdict: {found.word}"]
    assert said.startswith(f"verdict: {found.word}. {found.sentence[0]}")
    assert ("Next: storage-sync " in said) == (found.key not in {"", "L"})


def test_lines_fit_the_encoding_of_their_reader() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="latin-1")
    bridge = ScriptedBridge(events=[LogLine(snapshots.NOW, "warn", "sync", "名前\x1b[31m [/b] …"), CoreDied("boom")])
    assert speak(bridge, out) == 70
    assert raw.getvalue().decode("ascii").splitlines() == [
        "14:32:07Z warn sync: \\u540d\\u524d\\e[31m [/b] ...",
        "the sync core has ended: boom",
        "the sync core is starting",
    ]


def test_news_are_the_log_and_the_end_of_the_core() -> None:
    bridge = ScriptedBridge(events=[LogLine(snapshots.NOW, "warn", "sync", "one"), CoreDied("boom")])
    lines, died = news(bridge)
    assert lines == ["14:32:07Z warn sync: one", "the sync core has ended: boom"]
    assert died


@pytest.mark.parametrize("elsewhere", ["stdin", "stdout", "stderr"])
def test_the_console_needs_a_terminal_on_each_side(monkeypatch: pytest.MonkeyPatch, elsewhere: str) -> None:
    """It reads standard input and draws on standard error; `status` is what is printed on standard output."""
    monkeypatch.setenv("TERM", "xterm")
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, SimpleNamespace(isatty=lambda name=name: name != elsewhere))
    assert not screen.on_terminal()
    monkeypatch.setattr(sys, elsewhere, SimpleNamespace(isatty=lambda: True))
    assert screen.on_terminal()
    monkeypatch.setenv("TERM", "dumb")
    assert not screen.on_terminal()


def test_lines_end_when_their_reader_has_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as out:
        assert speak(ScriptedBridge(events=[LogLine(snapshots.NOW, "info", "sync", "one")]), out) == 0
