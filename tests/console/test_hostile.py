"""Data from outside is never markup and never raw, on any screen, in any dialog, in both glyph sets."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from storage_sync.values.events import Answer, LogLine, Refused
from storage_sync.values.outcome import Plan, PlanRow
from tests.console.app import answer_orphans, console, live, screen_text, settle
from tests.support.scenes import orphans, snapshots
from tests.support.scenes.snapshots import Scene
from widgets.glyphs import ASCII, UNICODE, GlyphSet

HOSTILE = snapshots.scene("hostile")
TEXT = HOSTILE.snapshot.primary.url
SCREENS = ("1", "2", "3", "4", "5")


def assert_harmless(text: str) -> None:
    bad = [character for character in text if ord(character) < 0x20 and character != "\n"]
    bad += [character for character in text if 0x7F <= ord(character) < 0xA0 or character in "\u202e\u202c\ud800"]
    assert bad == []


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("key", SCREENS)
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_screens_show_it_as_it_is(key: str, glyphs: GlyphSet, size: tuple[int, int]) -> None:
    app, bridge = console(HOSTILE, glyphs=glyphs)
    async with live(app, size=size) as pilot:
        await pilot.press(key)
        await settle(app, pilot)
        if key == "3":
            made = orphans.index(keys=(TEXT, "[/b]", "[red]x"), title=TEXT)
            await answer_orphans(app, bridge, pilot, made)
            await pilot.press("slash", *"reason:nowhere", "enter", "G")
            await answer_orphans(app, bridge, pilot, made)
        text = screen_text(app)
        assert_harmless(text)
        assert "[/b]" in text
        assert "\\e[31m" in text or "[red]x" in text
        if glyphs.is_ascii:
            assert text.isascii()


def hostile_plan() -> Plan:
    row = PlanRow("1", TEXT, 3, 10, TEXT)
    return replace(snapshots.plan(removed=0), id="[/b]", rows=(row,), lost=(TEXT,), base=(1, TEXT))


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
async def test_dialogs_show_it_as_it_is(glyphs: GlyphSet) -> None:
    scene = snapshots.scene("stale")
    app, bridge = console(Scene(replace(scene.snapshot, profile="[/b][red]x"), scene.events), glyphs=glyphs)
    async with live(app, size=(100, 40), notifications=True) as pilot:
        await pilot.press("s")
        await settle(app, pilot)
        bridge.post(Answer(bridge.asked[-1].id, hostile_plan()))
        await settle(app, pilot)
        assert_harmless(screen_text(app))
        assert "[/b]" in screen_text(app)
        await pilot.press("escape", "s")
        await settle(app, pilot)
        bridge.post(Refused(bridge.asked[-1].id, TEXT, TEXT))
        await settle(app, pilot)
        assert "[/b][red]x" in screen_text(app)
        await pilot.press("escape", "L")
        bridge.post(LogLine(snapshots.NOW, "[/b]", TEXT, TEXT))
        bridge.post(Refused(99, "[/b] \x1b[31m", "[red]x"))
        await settle(app, pilot)
        text = screen_text(app)
        assert_harmless(text)
        if glyphs.is_ascii:
            assert text.isascii()


async def test_a_profile_of_markup_can_be_typed() -> None:
    scene = snapshots.scene("stale")
    app, bridge = console(Scene(replace(scene.snapshot, profile="[/b]"), scene.events))
    async with live(app, size=(100, 40)) as pilot:
        await pilot.press("s")
        await settle(app, pilot)
        bridge.post(Answer(bridge.asked[-1].id, snapshots.plan(phrase="[/b]")))
        await settle(app, pilot)
        assert "type  [/b]" in screen_text(app)


async def test_a_long_answer_does_not_hide_the_screen() -> None:
    app, bridge = console("stale")
    async with live(app, notifications=True) as pilot:
        for number in (98, 99):
            bridge.post(Refused(number, f"answers 500: {TEXT}{'A' * 5000}", ""))
        await settle(app, pilot)
        text = screen_text(app)
        assert text.count("answers 500") == 2
        assert "STALE" in text
        assert sum("AAAA" in line for line in text.splitlines()) < 12
