"""Validation, History and Config in a real terminal on a real core: what differs, what ran, what is written."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from storage_sync.config.load import load_settings
from storage_sync.demo.demo import generate
from tests.support.command import Tool, fingerprint
from tests.support.terminal import Terminal


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    generate(tmp_path / "primary.db", 3, 40)
    return Tool.at(tmp_path / "tool", f"file:{tmp_path / 'primary.db'}")


def console(tool: Tool, *words: str) -> Terminal:
    return Terminal([sys.executable, "-m", "console", "tui", *words, *tool.arguments], tool.variables, columns=120)


def test_from_a_stale_cache_to_the_field_that_moved(tool: Tool, tmp_path: Path) -> None:
    tool.sync()
    proven = fingerprint(tool.cache)
    with closing(sqlite3.connect(tmp_path / "primary.db")) as db:
        (key,) = db.execute("SELECT episode_id FROM episodes ORDER BY start_time DESC LIMIT 1").fetchone()
        db.execute("UPDATE episodes SET task_description = '[/b]moved' WHERE episode_id = ?", (key,))
        db.commit()
    with console(tool, "--read-only") as terminal:
        terminal.wait_for("STALE")
        terminal.press("2")
        terminal.wait_for("File and identity")
        terminal.press("jjjj")
        terminal.wait_for("name content_digests")
        terminal.press("\r")
        terminal.wait(lambda screen: "Rows that differ · 1" in screen and key[:8] in screen)
        terminal.press("\r")
        terminal.wait(lambda screen: "task_description" in screen and "[/b]moved" in screen)
        terminal.press("4")
        terminal.wait(lambda screen: "verify" in screen and "Proof age" in screen and "1/2" in screen)
        terminal.press("j")
        terminal.wait(lambda screen: "2/2" in screen and "episodes +40" in screen)
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.left_clean()
    assert fingerprint(tool.cache) == proven


def test_a_setting_is_edited_written_and_in_effect(tool: Tool) -> None:
    file = tool.folder / "mine.toml"
    file.write_text("# mine\nbatch_size = 50 # small\n")
    with console(tool, "--config", str(file)) as terminal:
        terminal.wait_for("IN SYNC")
        terminal.press("5")
        terminal.wait_for("batch_size")
        # in one piece, as a fast hand or a paste sends it: no letter of it is a command
        terminal.press("/key:batch_size")
        terminal.wait_for("1/1")
        terminal.press("\r")
        terminal.wait_for("an integer from 1 to 100000")
        terminal.press("\r")
        terminal.wait(lambda screen: any(line.strip() == "50" for line in screen.splitlines()))
        terminal.press("75")
        terminal.wait(lambda screen: any(line.strip() == "75" for line in screen.splitlines()))
        terminal.press("\r")
        terminal.wait_for("1 unsaved")
        terminal.press("w")
        terminal.wait_for("+batch_size = 75 # small")
        assert file.read_text() == "# mine\nbatch_size = 50 # small\n", "a preview writes nothing"
        terminal.press("\x1b[C\r")
        terminal.wait(lambda screen: "unsaved" not in screen and "file, line 2" in screen and "75" in screen)
        terminal.press("q")
        assert terminal.end() == 0
    assert file.read_text() == "# mine\nbatch_size = 75 # small\n"
    assert load_settings(file, None, {}, {}).settings.batch_size == 75
