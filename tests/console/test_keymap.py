"""Keys that an operator moved: what holds is told everywhere, what cannot hold is said and changes nothing."""

from __future__ import annotations

import pytest

from console.keys.keymap import keymap
from console.keys.table import KEYS
from storage_sync.service.commands import Do, MakePlan
from storage_sync.service.operations import Verify
from tests.console.app import asked, console, live, screen_text, settle

HOSTILE = "[/b]\x1b[31m"


@pytest.mark.parametrize(
    ("wanted", "keys", "shown"),
    [
        ("f6", "f6", "F6"),
        ("F6", "f6", "F6"),
        ("ctrl+g", "ctrl+g", "^g"),
        ("!", "exclamation_mark", "!"),
        ("question_mark", "question_mark", "?"),
        ("h, alt+h", "h,alt+h", "h alt+h"),
        ("insert", "insert", "insert"),
        ("名", "名", "名"),
    ],
)
def test_a_key_can_be_moved(wanted: str, keys: str, shown: str) -> None:
    found = keymap({"sync": wanted, "help": "f12"})
    assert found.problems == ()
    assert found.keys["sync"] == keys
    assert next(key for key in found.table if key.id == "sync").shown == shown
    assert f"Sync is {shown}, not s" in found.moved


@pytest.mark.parametrize(
    ("entry", "wanted", "said"),
    [
        ("nothing.such", "m", "there is no such action"),
        ("copy", "m", "cannot be moved"),
        ("sync", "", "nothing is not a key"),
        ("sync", "m,", "nothing is not a key"),
        ("sync", "frob", "frob is not a key"),
        ("sync", HOSTILE, "is not a key"),
        ("sync", "enter", "enter belongs to lists and dialogs"),
        ("sync", "escape", "esc belongs to lists and dialogs"),
        ("sync", "j", "j belongs to lists and dialogs"),
        ("sync", "ctrl+c", "^c belongs to lists and dialogs"),
        ("sync", "ctrl+m", "^m belongs to lists and dialogs"),
        ("validate", "s", "s is Sync already; v stays"),
        ("validate", "space", "space is Mark already; v stays"),
        ("orphans.mark", "q", "q is Quit already; space stays"),
        ("aside.mark", "t", "t is Try again already; space stays"),
        ("replay.play", "v", "v is Validate already; ; stays"),
    ],
)
def test_what_cannot_hold_is_said_and_the_key_stays(entry: str, wanted: str, said: str) -> None:
    found = keymap({entry: wanted})
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"{entry}: ")
    assert said in found.problems[0]
    assert (found.keys, found.table, found.moved) == ({}, KEYS, ())


def test_two_keys_can_change_places_and_a_chain_gives_way() -> None:
    assert keymap({"validate": "s", "sync": "v"}).problems == ()
    chain = keymap({"validate": "s", "sync": "r"})
    assert chain.keys == {}
    assert len(chain.problems) == 2, "sync could not leave s, so validate cannot have it"


async def test_footer_help_palette_and_next_name_the_moved_key() -> None:
    app, bridge = console("stale", keymap={"sync": "f6", "palette": "ctrl+b", "aside.mark": "m"})
    async with live(app, size=(120, 40)) as pilot:
        text = screen_text(app)
        assert "F6 Sync" in text
        assert "^b palette" in text
        assert "F6 plans a sync" in text
        await pilot.press("question_mark")
        await settle(app, pilot)
        assert "F6" in screen_text(app)
        await pilot.press("slash", *"not s")
        await settle(app, pilot)
        assert "Sync is F6, not s" in screen_text(app)
        await pilot.press("escape", "escape", "s")
        await settle(app, pilot)
        assert asked(bridge) == []
        await pilot.press("ctrl+b", *"plan a sync")
        await settle(app, pilot)
        await pilot.pause()
        assert "F6   plan a sync" in screen_text(app)
        await pilot.press("escape", "f6")
        await settle(app, pilot)
        assert isinstance(asked(bridge)[-1], MakePlan)
        await pilot.press("escape", "u")
        await settle(app, pilot)
        assert "m Mark" in screen_text(app)


async def test_a_conflict_takes_no_key_away_and_is_read_on_the_first_screen() -> None:
    app, bridge = console("stale", keymap={"validate": "q", HOSTILE: "m"})
    async with live(app, size=(120, 40)) as pilot:
        text = screen_text(app)
        assert "ui.keymap: validate: q is Quit already; v stays" in text
        assert "ui.keymap: [/b]\\e[31m: there is no such action" in text
        await pilot.press("v")
        assert asked(bridge) == [Do(Verify())]
        await pilot.press("q")
        await pilot.pause()
    assert app.return_value == 0
