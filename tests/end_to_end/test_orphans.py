"""The flow of an operator with an orphan, in a real terminal on a real server: find, look around, quarantine, undo."""

from __future__ import annotations

import time
from pathlib import Path

from storage_sync import _native
from tests.independent.projection_check import check
from tests.support import stores
from tests.support.command import Tool
from tests.support.sqld import Sqld
from tests.support.terminal import Terminal

LOST = "episode_7c1e02aa-41d3-4b5e-9c77-d1f00e5a90bd"
SHORT = "episode_7c1e02aa…90bd"


def embeddings(cache: Path) -> dict[str, bytes]:
    file = _native.CacheFile.open(str(cache), "read")
    try:
        return dict(file.page("embeddings", None, 100_000))
    finally:
        file.close()


def orphaned(cache: Path, *more: str) -> dict[str, bytes]:
    """An embedding under the key of an episode that is nowhere, with the numbers of another one; all rows then.

    `more`: the same under other keys.
    """
    value = next(iter(embeddings(cache).values()))
    file = _native.CacheFile.open(str(cache), "read")
    generation = int(file.meta()["generation"])
    file.close()
    rows = [("embeddings", key, None, value) for key in (LOST, *more)]
    _native.edit(str(cache), rows, {}, generation, int(time.time() * 1000))
    return embeddings(cache)


def test_find_an_orphan_see_its_neighbours_set_it_aside_and_undo(tmp_path: Path) -> None:
    with Sqld(stores.primary("v47-small", tmp_path)) as server:
        tool = Tool.at(tmp_path / "tool", server.url)
        tool.sync()
        before = orphaned(tool.cache)
        with Terminal(tool.line("tui"), tool.variables, columns=110, lines=40) as terminal:
            terminal.wait_for("IN SYNC")
            terminal.press("3")
            terminal.wait_for(SHORT)
            terminal.press("/")
            terminal.wait_for("! inverts")
            terminal.press("reason:nowhere")
            terminal.wait_for("1-1 of 1 ")
            terminal.press("\r")
            facts = ("nearest   cosine 1.000", "do-memory probably", "attached", "same as")
            terminal.wait(lambda screen: all(text in screen for text in facts) and "! inverts" not in screen)

            terminal.press("d")
            terminal.wait(lambda screen: "quarantine each orphan" in screen and "never written" in screen)
            assert embeddings(tool.cache) == before, "a plan changes nothing"
            terminal.press("\t")
            terminal.press("\r")
            terminal.wait_for("Undo…")
            assert embeddings(tool.cache) == {key: value for key, value in before.items() if key != LOST}
            terminal.press("\x1b")
            # a key right behind escape would be one with alt
            terminal.wait(lambda screen: "nothing matches the filter" in screen and "step 3 of 3" not in screen)

            terminal.press("u")
            terminal.wait(lambda screen: "runs that can be undone" in screen and "enter plans" in screen)
            terminal.press("jj")
            terminal.wait_for("enter plans it")
            terminal.press("\r")
            terminal.wait_for("never written")
            terminal.press("\t")
            terminal.press("\r")
            # before that it may still commit, and nobody else can open the file
            terminal.wait_for("step 3 of 3")
            assert embeddings(tool.cache) == before, "the same bytes are back"
            terminal.press("\x1b")
            terminal.wait(lambda screen: "step 3 of 3" not in screen and "Quarantine" in screen)
            terminal.press("\x1b")
            terminal.wait(lambda screen: "3 Orphans" in screen and SHORT in screen)
            terminal.press("q")
            assert terminal.end() == 0
            assert terminal.left_clean()
        report = check(stores.quiet_copy(server.database, tmp_path / "after"), tool.cache)
    assert report.holds(), report.text()


def test_a_tab_and_its_screen_count_the_same_orphans(tmp_path: Path) -> None:
    """A vector that only the primary does not have is another case, and is counted by itself."""
    with Sqld(stores.primary("v47-small", tmp_path)) as server:
        tool = Tool.at(tmp_path / "tool", server.url)
        tool.sync()
        orphaned(tool.cache, "a-note-of-an-application", "another-note")
        with Terminal(tool.line("tui"), tool.variables, columns=110, lines=40) as terminal:
            terminal.wait(lambda screen: "IN SYNC" in screen and "3 Orphans ✗1" in screen)
            terminal.press("3")
            screen = terminal.wait_for("✗ not upstream 2")
            assert "✗ orphaned 1 " in screen
            assert "3 Orphans ✗1" in screen
            terminal.press("q")
            assert terminal.end() == 0
