"""An export that takes long: how far it is, on every screen that has one, and how it is given up."""

from __future__ import annotations

import pytest

from storage_sync.service.commands import ExportOrphans, ExportQuarantine, ExportRows, GiveUp
from storage_sync.values.answers import Exported
from storage_sync.values.events import Answer, CoreDied, Progressed, Refused
from tests.console.paths import SILENT, Here, Path, opened
from tests.support.scripted_bridge import Asked

KINDS = (ExportRows, ExportQuarantine, ExportOrphans)
FAR = "12,000 of 100,000 rows written, 12 %"


def long(*go: str) -> Path:
    return Path("", "an export", (), go=go, answers=dict.fromkeys((*KINDS, GiveUp), SILENT))


LISTS = {
    "history": long("4", "e"),
    "config": long("5", "e"),
    "validation": long("2", "enter", "e"),
    "quarantine": long("u", "e"),
    "orphans": long("3", "e", "enter", "enter", "right", "right", "enter"),
}


def command_of(here: Here) -> Asked:
    return next(one for one in reversed(here.bridge.asked) if one.kind in KINDS)


async def tell(here: Here, done: int) -> str:
    here.bridge.post(Progressed(command_of(here).id, done, 100_000))
    await here.answer()
    return here.text


@pytest.mark.parametrize("name", LISTS)
async def test_it_is_seen_how_far_it_is(name: str) -> None:
    async with opened(LISTS[name]) as here:
        under = here.top
        assert "written" not in here.text
        assert FAR in await tell(here, 12_000)
        assert "99,999 of 100,000 rows written, 99 %" in await tell(here, 99_999)
        assert here.top == "ExportDialog"
        here.bridge.post(Answer(command_of(here).id, Exported("/home/me/x.jsonl", 100_000, 2048)))
        await here.answer()
        assert here.top == under
        assert "100,000 rows, 2.0 KiB in /home/me/x.jsonl" in here.text


async def test_it_is_given_up_by_its_button() -> None:
    async with opened(LISTS["orphans"]) as here:
        await tell(here, 12_000)
        await here.press("right", "enter")
        assert here.bridge.asked[-1].command == GiveUp(command_of(here).id)
        here.bridge.post(Refused(command_of(here).id, "you cancelled it; nothing was kept", ""))
        await here.answer()
        assert "you cancelled it; nothing was kept" in here.text


async def test_what_is_hidden_stays_so_and_still_says_its_end() -> None:
    async with opened(LISTS["history"]) as here:
        await tell(here, 12_000)
        await here.press("escape")
        await tell(here, 13_000)
        assert here.top == "HistoryScreen"
        here.bridge.post(Answer(command_of(here).id, Exported("/home/me/x.jsonl", 100_000, 2048)))
        await here.answer()
        assert "in /home/me/x.jsonl" in here.text


async def test_it_covers_nothing_that_was_opened_meanwhile() -> None:
    async with opened(LISTS["history"]) as here:
        await here.press("question_mark")
        await tell(here, 12_000)
        assert here.top == "HelpDialog"
        await here.press("escape")
        assert FAR in await tell(here, 12_000)


async def test_it_leaves_with_what_is_above_it_when_it_has_ended() -> None:
    async with opened(LISTS["history"]) as here:
        await tell(here, 12_000)
        here.bridge.post(CoreDied("/var/lib/report"))
        await here.answer()
        assert here.top == "AskDialog"
        await here.press("escape")
        assert here.top == "HistoryScreen"


async def test_a_second_one_takes_the_place_of_the_first() -> None:
    async with opened(LISTS["history"]) as here:
        first = command_of(here).id
        await here.press("e")
        assert command_of(here).id != first
        here.bridge.post(Refused(first, "a newer question took its place", ""))
        await here.answer()
        assert "newer question" not in here.text
        assert FAR in await tell(here, 12_000)
