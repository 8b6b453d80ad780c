"""Keys are data: one table feeds bindings, footers, help, palette and README."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding

from console.dialogs.dialog import Dialog
from console.dialogs.help import BEFORE, help_lines
from console.keys.bindings import bindings
from console.keys.table import EVERYWHERE, IN_DIALOGS, KEYS, LISTS, QUARANTINE, REPLAY, SCREENS, footer, help_groups
from console.views.labels import LABELS
from console.views.top import keys as footer_value
from console.views.verdict import verdict
from tests.console.app import console, live, screen_text, settle
from widgets.chart import Chart
from widgets.check_list import CheckList
from widgets.freshness import Freshness
from widgets.glyphs import ASCII, Look
from widgets.key_bar import paint
from widgets.line import text_of
from widgets.panel import Panel
from widgets.store_card import StoreCard
from widgets.sync_meter import SyncMeter

NAMES = [name for name, _, _ in SCREENS]


def test_ids_are_unique_and_every_bound_key_has_an_action() -> None:
    ids = [key.id for key in KEYS]
    assert len(ids) == len(set(ids))
    assert all(key.action for key in KEYS if key.bound)
    assert all(key.label and key.tooltip for key in KEYS)


@pytest.mark.parametrize("screen", NAMES)
def test_no_key_means_two_things_on_one_screen(screen: str) -> None:
    used = [name for key in KEYS if key.bound and key.where in {EVERYWHERE, screen} for name in key.keys.split(",")]
    assert len(used) == len(set(used))


def test_a_key_means_one_thing_wherever_it_is_pressed() -> None:
    """On every screen, in the quarantine, in a replay and in dialogs; what a dialog closes itself with is its own."""
    meanings: dict[str, set[str]] = {}
    for key in KEYS:
        if key.bound:
            for name in key.keys.split(","):
                meanings.setdefault(name, set()).add(key.label.rstrip("…"))
    for dialog in subclasses(Dialog):
        for binding in Binding.make_bindings(dialog.BINDINGS):
            if binding.action not in CLOSE and binding.key in meanings and len(binding.key) == 1:
                meanings[binding.key].add(binding.description.rstrip("…"))
    assert {name: said for name, said in meanings.items() if len(said) > 1} == {}


CLOSE = ("close", "hide", "safe")


def subclasses(of: type[Dialog[Any]]) -> list[type[Dialog[Any]]]:
    return [one for direct in of.__subclasses__() for one in (direct, *subclasses(direct))]


@pytest.mark.parametrize("screen", NAMES)
@pytest.mark.parametrize(("width", "most"), [(80, 7), (100, 8)])
@pytest.mark.parametrize("look", [Look(), Look(ASCII)], ids=["unicode", "ascii"])
def test_footers_fit(screen: str, width: int, most: int, look: Look) -> None:
    value = footer_value(screen, frozenset())
    text = text_of(paint(value, width, look))
    assert "? Help" in text
    assert "^p palette" in text
    assert 1 < len(footer(screen)) <= most
    if look.glyphs.is_ascii:
        assert text.isascii()
    else:
        assert all(entry.label in text for entry in value.entries)


@pytest.mark.parametrize("screen", NAMES)
def test_help_lists_every_key_of_the_screen(screen: str) -> None:
    text = "\n".join(text_of(line) for line in help_lines(screen, (), "", Look()))
    for _, keys in help_groups(screen):
        for key in keys:
            assert key.tooltip in text


def test_help_of_a_dialog_lists_no_key_of_the_screen_below() -> None:
    kept = {key.id for heading, keys in help_groups("vector") for key in keys if heading != "IN LISTS"}
    assert kept == IN_DIALOGS
    own = {key.id for heading, keys in help_groups(QUARANTINE) for key in keys if heading == "ITS KEYS"}
    assert own == {key.id for key in KEYS if key.where == QUARANTINE}


@pytest.mark.parametrize("screen", NAMES)
def test_help_is_whole_on_a_small_terminal(screen: str) -> None:
    lines = [text_of(line) for line in help_lines(screen, ("n" * 9 + " word" * 30,), "", Look(), room=56)]
    assert max(len(line) for line in lines) <= 56 + BEFORE
    told = " ".join(" ".join(line.split()) for line in lines)
    for _, keys in help_groups(screen):
        for key in keys:
            assert key.tooltip in told
    assert " word" * 30 in told


def test_help_is_searched() -> None:
    found = [text_of(line) for line in help_lines("overview", (), "heartbeat xyz", Look())]
    assert found == []
    assert any("staging" in text_of(line) for line in help_lines("overview", (), "fetched rows wait", Look()))


async def test_every_action_exists() -> None:
    app, _ = console()
    async with live(app) as pilot:
        for name, key, _ in SCREENS:
            await pilot.press(key)
            await settle(app, pilot)
            for declared in KEYS:
                if not declared.bound or declared.where not in {EVERYWHERE, name}:
                    continue
                target = app.screen if declared.action.startswith("screen.") else app
                action = declared.action.removeprefix("screen.").split("(")[0]
                assert callable(getattr(target, f"action_{action}"))


def test_bindings_carry_their_ids_for_a_keymap() -> None:
    ids = {binding.id for binding in bindings(EVERYWHERE) if not isinstance(binding, tuple)}
    assert {"sync", "quit", "help"} <= ids


def markdown_table() -> str:
    """The table of keys in docs/console.md."""
    names = {
        EVERYWHERE: "everywhere",
        LISTS: "in lists",
        REPLAY: "in a replay",
        QUARANTINE: "Quarantine",
        **{name: title for name, _, title in SCREENS},
    }
    rows = [f"| `{key.shown}` | {key.label.rstrip('…')} | {key.tooltip} | {names[key.where]} |" for key in KEYS]
    return "\n".join(("| Key | Name | What it does | Where |", "|---|---|---|---|", *rows)) + "\n"


def test_the_documents_have_the_table_of_keys() -> None:
    table = markdown_table()
    assert len(table.splitlines()) == len(KEYS) + 2
    assert table in (Path(__file__).parents[2] / "docs" / "console.md").read_text(encoding="utf-8")


def test_keys_that_the_verdict_names_exist() -> None:
    from tests.support.scenes import snapshots

    shown = {name for key in KEYS for name in (key.shown, *key.keys.split(","))}
    for name in snapshots.NAMES:
        scene = snapshots.scene(name)
        named = verdict(scene.snapshot, now=snapshots.NOW, beat_age=scene.beat_age).key
        assert not named or named in shown


async def test_help_explains_each_label_of_the_panel_in_focus() -> None:
    from tests.support.scenes import snapshots

    # the checks of `hostile` are named by somebody else
    for name in set(snapshots.NAMES) - {"hostile"}:
        app, _ = console(name)
        async with live(app, size=(120, 40)):
            for panel in app.screen.query(Panel):
                if not panel.can_focus:
                    continue
                explained = {label for label, _ in LABELS[panel.id or ""]}
                assert labels_of(panel.value) <= explained, (name, panel.id)


def labels_of(value: object) -> set[str]:
    if isinstance(value, CheckList):
        return {row.label for row in value.rows}
    if isinstance(value, StoreCard | SyncMeter):
        return {fact.label for fact in value.facts}
    if isinstance(value, Chart):
        return {value.title}
    assert isinstance(value, Freshness)
    return {fact.label for fact in (value.proof, value.next, *value.notes)} | {"behind"}


async def test_the_labels_of_the_panel_come_first_in_the_help() -> None:
    app, _ = console("stale")
    async with live(app, size=(100, 30)) as pilot:
        app.screen.query_one("#cache").focus()
        await pilot.press("question_mark")
        await settle(app, pilot)
        text = screen_text(app)
        assert "THIS PANEL" in text
        assert "the result of redb's own check of the whole file" in text


async def test_the_first_escape_leaves_the_search_and_the_second_the_help() -> None:
    app, _ = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("question_mark")
        await settle(app, pilot)
        everything = screen_text(app)
        await pilot.press("slash", *"witness")
        await settle(app, pilot)
        assert screen_text(app) != everything
        await pilot.press("escape")
        await settle(app, pilot)
        assert screen_text(app) == everything
        await pilot.press("escape")
        await settle(app, pilot)
        assert "Help · Overview" not in screen_text(app)
