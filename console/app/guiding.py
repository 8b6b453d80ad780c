"""The demo's guide on the screen: one row of its own, above the keys or under a dialog."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from textual.screen import Screen

from console.dialogs.dialog import Dialog
from console.dialogs.plan import PlanDialog, Step
from console.dialogs.quarantine import QuarantineDialog
from console.dialogs.vector import VectorDialog
from console.flows import guide as places
from console.flows.guide import Guide, OpenPlan, Place, Result
from console.flows.lessons import Troubles, told
from console.keys.table import QUARANTINE, Key
from console.screens.base import BaseScreen
from storage_sync.values.snapshot import Snapshot
from widgets.glyphs import Look
from widgets.guide_line import GuideLine, GuideText

_STEPS = {Step.WAITING: places.PLANNING, Step.RUN: places.RUNNING}


class Say(Protocol):
    """A toast."""

    def __call__(self, text: str, *, failed: bool = False) -> None: ...


class Guiding:
    """`since`: epoch seconds at which the demo began."""

    def __init__(self, look: Look, table: tuple[Key, ...], since: float, troubles: Troubles) -> None:
        self._look = look
        self._troubles = troubles
        self._guide = Guide(since)
        self._shown: tuple[Snapshot, float] | None = None
        self._key = next(key.shown for key in table if key.id == "guide")

    def turn(self, screen: Screen[object]) -> None:
        """Hide the line, or show it again."""
        self._guide.hidden = not self._guide.hidden
        self._draw(screen)

    @property
    def hidden(self) -> bool:
        return self._guide.hidden

    async def cause(self, name: str, say: Say, draw: Callable[[], None], *, ends: bool) -> None:
        """Make a trouble happen, or end it; what came of it is said, unless the line says it, which is drawn then."""
        caused = await self._troubles.cause(name, ends=ends)
        if caused.prevented:
            say(f"Demo: nothing was done: {caused.prevented}", failed=True)
        elif caused.ended or not self._guide.leads(name):
            say(told(name, caused))
        draw()

    def show(self, screen: Screen[object], snapshot: Snapshot, key_at: float) -> None:
        """Note what was done, and draw the line on what is on top. `key_at`: when the last key was pressed."""
        self._shown = (snapshot, key_at)
        self._guide.look(snapshot, place_of(screen), key_at, self._troubles.stands)
        self._draw(screen)

    def _again(self, screen: Screen[object]) -> None:
        """The same snapshot, with another step of a dialog."""
        if self._shown is not None:
            self.show(screen, *self._shown)

    def _draw(self, screen: Screen[object]) -> None:
        if not isinstance(screen, BaseScreen | Dialog) or not screen.is_mounted:
            return
        line, again = next(iter(screen.query(GuideLine)), None), partial(self._again, screen)
        if line is None:
            line = GuideLine(self._look)
            if isinstance(screen, BaseScreen):
                screen.mount(line, before=screen.key_bar)
            else:
                screen.mount(line)
            if isinstance(screen, PlanDialog):
                # the next picture may be half a second away
                screen.watch(screen, "step", again, init=False)
        line.display = not self._guide.hidden
        if isinstance(screen, Dialog):
            screen.guided = line.display
        line.value = GuideText(self._guide.progress, self._guide.says(place_of(screen)), f"{self._key} hides")


def place_of(screen: Screen[object]) -> Place:
    """Where somebody is; '' for a place that is not ours, such as the palette."""
    if isinstance(screen, BaseScreen):
        return screen.name_id
    if isinstance(screen, PlanDialog):
        if screen.step is Step.PLAN:
            return OpenPlan(screen.operation, screen.asked)
        if screen.step is Step.RESULT:
            return Result(screen.operation, screen.did_something)
        return _STEPS.get(screen.step, places.OTHER)
    if isinstance(screen, QuarantineDialog):
        return QUARANTINE
    if isinstance(screen, VectorDialog):
        return places.VECTOR
    return places.OTHER if isinstance(screen, Dialog) else ""
