"""One key pressed on the real console over a scripted core: what was asked because of it, and what is visible then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets._toast import Toast

from console.app.app import Console
from console.keys.table import KEYS
from storage_sync.embeddings.index import OrphanIndex
from storage_sync.service.commands import (
    Command,
    DropPlan,
    ListBuilds,
    ListChangedRows,
    ListCheckRuns,
    ListQuarantine,
    ListRuns,
    ShowRun,
)
from storage_sync.values.events import Answer, Event, Progressed, Refused
from storage_sync.values.outcome import Plan
from tests.console.app import FakeClock, console, live, screen_text, settle
from tests.support import scripted_bridge
from tests.support.scenes import answers as scene_answers
from tests.support.scenes import orphans, snapshots
from tests.support.scenes.snapshots import Scene
from tests.support.scripted_bridge import ScriptedBridge
from widgets.key_bar import KeyBar


@dataclass(frozen=True, slots=True)
class Some:
    """Any command of a kind."""

    kind: type[object]


Asked = Command[Any] | Some


def kind_of(asked: Asked) -> type[object]:
    """What it asks for."""
    return asked.kind if isinstance(asked, Some) else scripted_bridge.kind_of(asked)


LOOKS = frozenset(
    {ListRuns, ShowRun, ListChangedRows, ListCheckRuns, ListQuarantine, ListBuilds, DropPlan, *orphans.KINDS}
)
"""Questions that a screen asks by itself; a path names those that it is about."""
SILENT = object()
"""An answer that does not come."""


class No(Struct, frozen=True):
    """The core refuses."""

    reason: str
    hint: str = "look again"


def said(number: int, value: object) -> Event:
    """What the core says to the question: how far it is, no, or the answer."""
    if isinstance(value, Progressed):
        return replace(value, command_id=number)
    return Refused(number, value.reason, value.hint) if isinstance(value, No) else Answer(number, value)


@dataclass(frozen=True, slots=True)
class Path:
    """`key`: id in the key table, '' where another thing is pressed; `go`: pressed before, and no part of it.

    `answers` of the core; `then`: those from the press on.
    What is asked of the core is exactly `asks` (beside `LOOKS` that are not named in it). `shows` is visible after it
    and was not before; `hides` the other way round; `top`: class of the screen that is on top then; `focus`: id of the
    widget that has it; `leaves`: result of the application; `greyed`: whether the footer's entry was grey before.
    `becomes`: what `look` gives after it, and did not before.
    """

    key: str
    when: str
    press: tuple[str, ...]
    go: tuple[str, ...] = ()
    scene: str | Scene = "stale"
    answers: Mapping[type[object], object] = field(default_factory=dict)
    then: Mapping[type[object], object] = field(default_factory=dict)
    asks: tuple[Asked, ...] = ()
    shows: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    top: str = ""
    focus: str = ""
    leaves: int | None = None
    greyed: bool | None = None
    look: Callable[[Console], object] | None = None
    becomes: object = None
    events: tuple[Event, ...] = ()
    size: tuple[int, int] = (100, 30)
    make: Callable[[FakeClock], tuple[Console, ScriptedBridge]] | None = None

    @property
    def name(self) -> str:
        return f"{self.key or 'beside'}: {self.when}"

    @property
    def says_something(self) -> bool:
        """Whether the path claims an effect at all."""
        claims = (self.asks, self.shows, self.hides, self.top, self.focus, self.look)
        return any(claims) or self.leaves is not None


def scene_of(name: str, **changes: object) -> Scene:
    """A scene with some facts of its snapshot changed."""
    scene = snapshots.scene(name)
    return replace(scene, snapshot=replace(scene.snapshot, **changes))


@cache
def embeddings() -> OrphanIndex:
    """The made-up list, made once."""
    return orphans.index()


@dataclass(slots=True)
class Here:
    """The console, and a core that answers from the scenes and from what the path says."""

    app: Console
    bridge: ScriptedBridge
    pilot: Pilot[int]
    clock: FakeClock
    answers: Mapping[type[object], object]
    told: int = 0

    @property
    def text(self) -> str:
        """What is visible, and under it each toast, whole and after `›`."""
        said = [f"› {toast.render()}" for toast in self.app.screen.query(Toast)]
        return "\n".join((screen_text(self.app), *said))

    @property
    def top(self) -> str:
        return type(self.app.screen).__name__

    @property
    def focus(self) -> str | None:
        return self.app.focused.id if self.app.focused is not None else None

    async def press(self, *keys: str) -> str:
        """Press, hear every answer to each, draw; what is visible then. `click #id` and `words …` are no keys."""
        for key in keys:
            if key.startswith("click "):
                await self.pilot.click(key.removeprefix("click "))
            elif key.startswith("words "):
                await self.pilot.press(*key.removeprefix("words "))
            else:
                await self.pilot.press(key)
            await self.answer()
        return self.text if self.app.is_running else ""

    async def answer(self) -> None:
        """Answer what is asked, and what is asked because of it."""
        if not self.app.is_running:
            return
        await settle(self.app, self.pilot)
        while self.told < len(self.bridge.asked):
            asked = self.bridge.asked[self.told]
            self.told += 1
            value = self.value(asked)
            if value is not SILENT:
                self.bridge.post(said(asked.id, value))
                await settle(self.app, self.pilot)

    def value(self, asked: scripted_bridge.Asked) -> object:
        if asked.kind in self.answers:
            given = self.answers[asked.kind]
            return given(asked.command) if callable(given) else given
        if asked.kind in orphans.KINDS:
            return orphans.answer(asked.command, embeddings())
        found = scene_answers.answer(asked.command)
        return SILENT if found is None else found

    def asked(self, since: int, named: Sequence[Asked] = ()) -> list[Asked]:
        """What was asked, without the looks that nobody named."""
        kinds, some = {kind_of(one) for one in named}, {one.kind for one in named if isinstance(one, Some)}
        asked = [one for one in self.bridge.asked[since:] if one.kind not in LOOKS or one.kind in kinds]
        return [Some(one.kind) if one.kind in some else one.command for one in asked]


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Here]:
    """The console where the path begins."""
    clock = FakeClock(snapshots.scene(path.scene).beat_age if isinstance(path.scene, str) else path.scene.beat_age)
    app, bridge = path.make(clock) if path.make is not None else console(path.scene, clock=clock)
    async with live(app, size=path.size, notifications=True) as pilot:
        here = Here(app, bridge, pilot, clock, path.answers)
        await here.press(*path.go)
        for event in path.events:
            bridge.post(event)
        if path.events:
            await here.answer()
        yield here


async def walk(path: Path) -> None:
    """Press it, and look."""
    async with opened(path) as here:
        app = here.app
        before, seen = here.text, path.look(app) if path.look is not None else None
        since = len(here.bridge.asked)
        if path.greyed is not None:
            assert is_grey(app, path.key) is path.greyed
        here.answers = {**path.answers, **path.then}
        after = await here.press(*path.press)
        assert here.asked(since, path.asks) == list(path.asks)
        if path.leaves is not None:
            assert not app.is_running
        else:
            assert app.is_running
            check_screen(path, before, after)
            assert path.top in ("", here.top)
            assert path.focus in ("", here.focus)
        if path.look is not None:
            assert seen != path.becomes, "it was so before"
            assert path.look(app) == path.becomes
    if path.leaves is not None:
        assert app.return_value == path.leaves


def check_screen(path: Path, before: str, after: str) -> None:
    for words in path.shows:
        assert words not in before, f"{words!r} was there before"
        assert words in after, f"{words!r} is not there:\n{after}"
    for words in path.hides:
        assert words in before, f"{words!r} was not there before"
        assert words not in after, f"{words!r} is still there"


def is_grey(app: Console, key_id: str) -> bool:
    """Whether the footer shows the key as one that does nothing now."""
    action = next(key.action for key in KEYS if key.id == key_id)
    value = app.screen.query_one(KeyBar).value
    assert value is not None
    entry = next(entry for entry in value.entries if entry.action == action)
    return not entry.enabled


def plan_for(**changes: object) -> Plan:
    """A plan that needs no phrase."""
    return replace(snapshots.plan(removed=0), **changes)
