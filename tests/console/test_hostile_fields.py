"""Every text of every value that the core gives, made hostile: shown as it is, and nothing on the screen breaks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import fields, replace
from rich.cells import cell_len
from textual.events import Paste
from textual.widgets import Input
from textual.widgets._toast import Toast

from console.app.app import Console
from storage_sync.service.commands import (
    CompareRows,
    Execute,
    ExportQuarantine,
    ExportRows,
    FindNeighbours,
    ListChangedRows,
    ListCheckRuns,
    ListQuarantine,
    ListRuns,
    MakePlan,
    PreviewSettings,
    SaveSettings,
    ScanOrphans,
    ShowOrphan,
    ShowRun,
    TryPrimary,
    TrySettings,
    WriteSettings,
)
from storage_sync.values import visible
from storage_sync.values.answers import (
    Exported,
    PrimaryTried,
    SettingsPreview,
    SettingsWritten,
    SetupFinding,
    SetupTried,
)
from storage_sync.values.events import CoreDied, LogLine, Refused, RunEnded
from storage_sync.values.outcome import ErrorValue, Outcome, Word
from storage_sync.values.snapshot import Advice
from tests.console.app import FakeClock, console
from tests.console.paths import Here, No, Path, opened, plan_for
from tests.console.test_flows import outcome_of
from tests.console.test_setup import unconfigured
from tests.support import size
from tests.support.scenes import answers as scene_answers
from tests.support.scenes import orphans, snapshots
from tests.support.scenes.snapshots import Scene
from tests.support.scripted_bridge import ScriptedBridge
from widgets.glyphs import ASCII, UNICODE, GlyphSet

BASE = "\x1b[31m\x00\x9b2J\u202e\u200b[/b][red]x"
JOINED = "e\u0301\u200d\u2066\U0001f469\u200d\U0001f680\u3164\ufeff\ud800\u034f\U000e0041"
CASES = {
    "short, on a large terminal": (BASE, UNICODE, (140, 45)),
    "long, in ASCII": (f"{BASE} {'w' * 100_000}", ASCII, (80, 24)),
    "wide and joined": (JOINED + BASE + "名前" * 500, UNICODE, (100, 30)),
}
OURS = frozenset(
    {
        "Snapshot.access",
        "Snapshot.states",
        "CheckResult.name",
        "CheckResult.subject",
        "LogLine.level",
        "PlanRow.step",
        "SetupFinding.entry",
        "SetupFinding.role",
        "Row.owner_kind",
        "Check.name",
        "Setting.key",
        "SettingEdit.key",
    }
)
"""Texts that are words of this tool, and that its code compares."""
RAW = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


@dataclass(slots=True)
class Stain:
    """Makes texts hostile, each with the number of its field in front: `[f7]`, which markup would swallow."""

    tail: str
    numbers: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def text(self, place: str) -> str:
        return f"[f{self.numbers.setdefault(place, len(self.numbers))}]{self.tail}"

    def on(self, value: Any, place: str = "") -> Any:
        """The same value with every text in it replaced."""
        if isinstance(value, Enum) or place in OURS:
            return value
        if isinstance(value, str):
            return self.text(place) if value else value
        if isinstance(value, Struct):
            name = type(value).__name__
            made = {one.name: self.on(getattr(value, one.name), f"{name}.{one.name}") for one in fields(value)}
            return replace(value, **made)
        if isinstance(value, tuple | list):
            return type(value)(self.on(one, place) for one in value)
        if isinstance(value, Mapping):
            return {key: self.on(one, place) for key, one in value.items()}
        return value

    def look(self, here: Here) -> None:
        """Nothing raw, every row exactly as wide as the screen; which fields are seen is remembered."""
        screen = here.app.screen
        width, height = here.app.size
        rows = [strip.text for strip in screen._compositor.render_strips()]
        assert len(rows) == height
        for row in rows:
            assert RAW.search(row) is None, ascii(row)
            assert cell_len(row) == width, ascii(row)
        toasts = (str(toast.render()) for toast in screen.query(Toast))
        text = "\n".join((*rows, *toasts))
        by_number = {number: place for place, number in self.numbers.items()}
        self.seen |= {by_number[int(number)] for number in re.findall(r"\[f(\d+)\]", text)}


def scenes_of(stain: Stain) -> Iterator[Scene]:
    """States whose panels differ."""
    error = ErrorValue("internal", "message", "hint", False, 70)
    advice = (Advice("setting", 1, 2, 3.0, 4, "text"),)
    for name in ("running", "locked", "primary_down", "damaged", "refused", "auth", "quarantined"):
        scene = snapshots.scene(name)
        lines = tuple(event for event in scene.events if isinstance(event, LogLine))
        yield Scene(stain.on(replace(scene.snapshot, error=error)), tuple(stain.on(line) for line in lines))
    calm = snapshots.scene("in_sync").snapshot
    yield Scene(stain.on(replace(calm, advice=advice, config=replace(calm.config, error="broken"))))


def answers(stain: Stain) -> dict[type[object], object]:
    """What each question is answered with, as bad as it can be."""
    listed = (ListRuns(), ListChangedRows("", 1), ListCheckRuns(), CompareRows())
    made: dict[type[object], object] = {type(one): stain.on(scene_answers.answer(one)) for one in listed}
    page = scene_answers.quarantine()
    made[ListQuarantine] = replace(stain.on(page), matching=page.matching)
    made[TryPrimary] = stain.on(PrimaryTried("url", 1.0, "server", "digest", "generation", "token"))
    made[PreviewSettings] = stain.on(SettingsPreview("file", ("-a", "+b"), "base", ("note",)))
    made[WriteSettings] = stain.on(SettingsWritten("file", ("key",)))
    made[ExportRows] = made[ExportQuarantine] = stain.on(Exported("path", 1, 2))
    made[MakePlan] = replace(stain.on(plan_for(lost=("a",))), phrase=None)
    made[Execute] = stain.on(outcome_of(run_id="s"))
    finding = (SetupFinding("cache", "failed", "text"),)
    made[TrySettings] = lambda given: SetupTried(given.form, stain.on(finding))
    made[SaveSettings] = stain.on(No("reason", "hint"))
    made[ShowRun] = lambda given: replace(stain.on(scene_answers.run_detail("s-4117")), id=given.run_id)
    for kind in (ShowOrphan, FindNeighbours):
        made[kind] = lambda command: stain.on(orphans.answer(command))
    made[ScanOrphans] = lambda _: bad_index(stain)
    return made


def bad_index(stain: Stain) -> object:
    return orphans.index(keys=(stain.text("OrphanIndex.keys"),), title=stain.text("OrphanIndex.titles"))


WALKS = (
    ("2", "j", "enter", "j", "enter", "enter"),
    ("3", "slash", "words nowhere", "enter", "G", "k", "enter", "escape", "e"),
    ("4", "j", "enter", "j", "enter", "escape", "escape", "J", "escape", "e"),
    ("5", "c", "G", "enter", "ctrl+u", "words calm-light", "enter", "w", "right", "enter"),
    ("u", *"jjjjjjjjj", "e"),
    ("s", "right", "enter"),
    ("L",),
)
NOT_DRAWN = {
    *("CheckRun.run_id", "CoreBeat.doing", "Differences.tables", "ErrorValue.code", "LockHolder.user"),
    *("Plan.kind", "Plan.root", "Proof.digest", "Proof.source_id", "RunDetail.id"),
    *("PrimaryHealth.digest_function", "PrimaryHealth.generation", "PrimaryHealth.source_id", "Runs.file"),
    *("PrimaryHealth.auth", "PrimaryHealth.token_origin", "SettingsPreview.base"),
    *("No.hint", "No.reason", "PrimaryStand.source_id", "PrimaryStand.token", "Run.spent"),
    *("Outcome.extra", "PrimaryTried.generation", "PrimaryTried.token", "Run.path"),
}
"""Fields that no screen shows, that another test shows, or whose place is taken by hostile neighbours."""


@pytest.mark.parametrize("case", size.of(tuple(CASES)[:1], tuple(CASES)[:1], tuple(CASES)))
async def test_every_text_is_shown_as_it_is(case: str) -> None:
    tail, glyphs, size = CASES[case]
    stain = Stain(tail)
    failed = Outcome("sync", Word.DRIFT, 1, error=ErrorValue("code", "message", "hint", False, 1))
    for scene in scenes_of(stain):
        async with opened(Path("", "state", (), make=on(scene, glyphs), size=size)) as here:
            stain.look(here)
    stale = snapshots.scene("stale").snapshot
    config = stain.on(replace(stale.config, error="broken"))
    # one that can be edited, or there is nothing to write
    config = replace(config, settings=(*config.settings[:-1], stale.config.settings[-1]))
    calm = Scene(replace(stain.on(stale), config=config))
    async with opened(Path("", "events", (), make=on(calm, glyphs), size=size)) as here:
        for event in (RunEnded("s", stain.on(failed)), stain.on(Refused(0, "a", "b")), stain.on(CoreDied("report"))):
            here.bridge.post(event)
            await here.answer()
            stain.look(here)
    for keys in WALKS:
        async with opened(Path("", "walk", (), make=on(calm, glyphs), answers=answers(stain), size=size)) as here:
            for key in keys:
                await here.press(key)
                stain.look(here)
    if size == (140, 45):
        assert set(stain.numbers) - stain.seen == NOT_DRAWN


async def test_a_form_with_hostile_findings_stays_a_form() -> None:
    stain = Stain(BASE)
    async with opened(Path("", "form", (), make=lambda _: unconfigured(), answers=answers(stain))) as here:
        await here.press("enter")
        stain.look(here)
        await here.press("ctrl+s")
        stain.look(here)
    assert {"SetupFinding.text", "No.reason"} <= stain.seen


@pytest.mark.parametrize("go", [("3", "slash"), ("5", *"jjjjjj", "enter"), ("u", "slash"), ("question_mark", "slash")])
async def test_what_is_pasted_is_seen_or_is_not_there(go: tuple[str, ...]) -> None:
    async with opened(Path("", "paste", (), go=go)) as here:
        box = here.app.focused
        assert isinstance(box, Input)
        box.post_message(Paste(f"{BASE}{JOINED}"))
        await here.answer()
        assert "[/b][red]x" in box.value
        assert visible.clean(box.value) == box.value
        Stain("").look(here)


def on(scene: Scene, glyphs: GlyphSet) -> Callable[[FakeClock], tuple[Console, ScriptedBridge]]:
    return lambda clock: console(scene, clock=clock, glyphs=glyphs)
