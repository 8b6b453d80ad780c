"""From settings to a bridge and a look, and the console in lines of text."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from console import scenes
from console.bridge import ScriptedBridge, ThreadBridge
from console.cli import screen
from console.plain import news, state_lines
from console.start import is_configured, make_bridge, ui_settings
from console.verdict import verdict
from storage_sync.config import Settings, Ui
from storage_sync.model import CoreDied, LogLine


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
        found = verdict(bridge.latest(), now=scenes.NOW, beat_age=0)
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
    snapshot = scenes.scene("running").snapshot
    first = state_lines(snapshot, scenes.NOW, scenes.BEAT)
    assert "verdict: STALE" in first
    assert "running: sync 60 %" in first
    assert any("latest_episodes" in text for text in first)
    assert state_lines(replace(snapshot, taken_at=scenes.NOW + 1), scenes.NOW + 1, scenes.BEAT + 1) == first
    assert state_lines(None, 0, 0) == ("the sync core is starting",)


def test_news_are_the_log_and_the_end_of_the_core() -> None:
    bridge = ScriptedBridge(events=[LogLine(scenes.NOW, "warn", "sync", "one"), CoreDied("boom")])
    lines, died = news(bridge)
    assert lines == ["14:32:07Z warn sync: one", "the sync core has ended: boom"]
    assert died


@pytest.mark.parametrize("elsewhere", ["stdin", "stdout", "stderr"])
def test_the_console_needs_a_terminal_on_each_side(monkeypatch: pytest.MonkeyPatch, elsewhere: str) -> None:
    """It reads standard input and draws on standard error; `status` is what is printed on standard output."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, SimpleNamespace(isatty=lambda name=name: name != elsewhere))
    assert not screen.on_terminal()
    monkeypatch.setattr(sys, elsewhere, SimpleNamespace(isatty=lambda: True))
    assert screen.on_terminal()
