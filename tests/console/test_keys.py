"""Keys are data: one table feeds bindings, footers, help, palette and README."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.dialogs.help import help_lines
from console.keys.bindings import bindings
from console.keys.table import EVERYWHERE, KEYS, LISTS, QUARANTINE, REPLAY, SCREENS, footer, help_groups
from console.views.top import keys as footer_value
from console.views.verdict import verdict
from tests.console.app import console
from widgets.glyphs import ASCII, Look
from widgets.key_bar import paint
from widgets.line import text_of

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


@pytest.mark.parametrize("screen", NAMES)
def test_help_is_whole_on_a_small_terminal(screen: str) -> None:
    lines = [text_of(line) for line in help_lines(screen, ("n" * 9 + " word" * 30,), "", Look(), room=56)]
    assert max(len(line) for line in lines) <= 56 + 15
    told = " ".join(" ".join(line.split()) for line in lines)
    for _, keys in help_groups(screen):
        for key in keys:
            assert key.tooltip in told
    assert " word" * 30 in told


def test_help_is_searched() -> None:
    found = [text_of(line) for line in help_lines("overview", (), "heartbeat xyz", Look())]
    assert found == []
    assert any("cancelled" in text_of(line) for line in help_lines("overview", (), "cancel", Look()))


async def test_every_action_exists() -> None:
    app, _ = console()
    async with app.run_test() as pilot:
        for name, key, _ in SCREENS:
            await pilot.press(key)
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
