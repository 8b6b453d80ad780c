"""The first start without a configuration, in a real terminal: the form, its tests, and the sync that follows."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from tests.independent.projection_check import check
from tests.support import stores
from tests.support.command import Tool
from tests.support.terminal import Terminal


def test_a_form_leads_to_a_proven_cache(tmp_path: Path) -> None:
    primary = stores.primary("small", tmp_path / "stores")
    tool = Tool.at(tmp_path / "home", f"file:{primary}")
    with Terminal([sys.executable, "-m", "console"], tool.variables, columns=100, lines=30) as terminal:
        terminal.wait(lambda screen: "Set up" in screen and "Save and start" in screen)
        terminal.press(tool.primary)
        for _ in range(3):
            terminal.press("\t")
        terminal.press(str(tool.cache))
        terminal.press("\r")
        terminal.wait(
            lambda screen: "does not exist yet; the first sync creates it" in screen and "answers in" in screen
        )
        terminal.press("\r")
        terminal.wait(lambda screen: "IN SYNC" in screen and "g-1" in screen)
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.left_clean()
    (file,) = (tmp_path / "home").rglob("config.toml")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    report = check(primary, tool.cache)
    assert report.holds(exact=True), report.text()
