"""The demo's guide: one line that knows what was done, and says the next step.

The steps are data: what shows that one is done, and what is said until then, where it is other in a dialog.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from console.keys.table import EVERYWHERE, HISTORY, ORPHANS, QUARANTINE
from console.views.states import is_held
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import RunSummary, Snapshot

Wordings = tuple[str, ...]
"""Longest first; the first that fits is drawn."""
PLANNING, RUNNING, VECTOR, OTHER = "planning", "run", "vector", "dialog"
"""Where somebody may be, beside the screens and the quarantine: steps of a plan's dialog, a vector, another dialog."""
DONE_WELL = (0, 1, 7)
"""Exit codes of a run that did what it was asked for."""


class OpenPlan(Struct, frozen=True):
    """A plan that waits for consent. `name`: of what it would do; `typed`: what must be typed, '' for nothing."""

    name: str
    typed: str = ""


class Result(Struct, frozen=True):
    """How a plan's run ended. `name`: of what it did; `well`: it did something, and met no error."""

    name: str
    well: bool


Place = str | OpenPlan | Result
"""A screen, a dialog, a plan, or its result."""


class Seen(Struct, frozen=True):
    """What a step is judged by. `since`: epoch seconds at which the guide began."""

    snapshot: Snapshot
    since: float
    place: Place

    def ran(self, word: str, fits: Callable[[RunSummary], bool] = lambda _: True) -> bool:
        """Whether a run of this name did well since the beginning."""
        return any(
            run.word == word and run.started_at >= self.since and run.exit_code in DONE_WELL and fits(run)
            for run in self.snapshot.history.last
        )


class Step(Struct, frozen=True):
    """`done` is asked at each picture, and once it was true the step stays done. `says`: by place, `EVERYWHERE` for
    those that are not named. `plan`: what is agreed to in it; `trouble`: what it makes happen, '' for none;
    `caused`: what is said once it has. `after`: of a step that ends by itself, what is said then, until somebody who
    has looked presses a key."""

    id: str
    done: Callable[[Seen], bool]
    says: Mapping[str, Wordings]
    plan: str = ""
    trouble: str = ""
    caused: Wordings = ()
    after: Wordings = ()


def _agree(plan: OpenPlan) -> Wordings:
    """How to agree to it: the safe button has the focus, and what is typed goes to its box by itself."""
    if plan.typed:
        return (
            f"Read what it would do. Type {plan.typed}, press enter, and enter again on {plan.name}.",
            f"Read it; type {plan.typed}, then press enter twice.",
        )
    return (
        f"Read what it would do; then move to {plan.name} with the right arrow, and press enter.",
        f"Read it; then right arrow to {plan.name}, and enter.",
    )


FIRST_ARRIVAL = 300
"""Rows that tell the demo's many episodes from those that arrive all the time."""

STEPS: tuple[Step, ...] = (
    Step(
        "watch",
        lambda seen: seen.ran("sync", lambda run: run.new >= FIRST_ARRIVAL),
        {
            EVERYWHERE: (
                "Watch a sync: press : and type many, then enter. Episodes arrive, and a sync starts by itself.",
                "Watch a sync: press : and type many, then enter; it starts by itself.",
                "Press : and type many, enter; a sync starts by itself.",
            )
        },
        trouble="many",
        caused=(
            "3,000 episodes arrive, and a sync starts by itself: watch the panel Sync.",
            "Episodes arrive; a sync starts by itself: watch Sync.",
        ),
        after=(
            "The sync is done; 4 shows what it changed. Press any key for the next step of this guide.",
            "The sync is done. Press any key for the next step.",
        ),
    ),
    Step(
        "damage",
        lambda seen: seen.snapshot.verdict is Word.DAMAGED or seen.ran("repair"),
        {
            EVERYWHERE: (
                "Damage the cache: press : and type damage, then enter; wait for DAMAGED.",
                "Damage the cache: press : and type damage, then enter.",
            )
        },
        trouble="damage",
        caused=(
            "The file is damaged. The next sync finds it, or press V to find it now. Wait for DAMAGED.",
            "It is damaged; press V to find it now. Wait for DAMAGED.",
        ),
    ),
    Step(
        "repair",
        lambda seen: seen.ran("repair") or seen.ran("rebuild"),
        {
            EVERYWHERE: (
                "Repair it: r shows a plan first. Nothing changes before you agree.",
                "Repair it: r shows a plan first.",
            ),
        },
        plan="Repair",
    ),
    Step(
        "find",
        lambda seen: seen.place == ORPHANS,
        {
            EVERYWHERE: (
                "Find what is broken in the cache: 3 lists the embeddings that have a problem.",
                "3 lists the embeddings that have a problem.",
            )
        },
    ),
    Step(
        "inspect",
        lambda seen: seen.place == VECTOR,
        {
            EVERYWHERE: (
                "Inspect one: its panel says what is wrong with it; then press enter to see its vector too.",
                "Read in its panel what is wrong; enter shows its vector.",
            )
        },
    ),
    Step(
        "quarantine",
        lambda seen: seen.ran("quarantine", lambda run: run.gone > 0),
        {
            EVERYWHERE: (
                "Quarantine it: on 3, space marks rows, and d plans to take them out of the cache.",
                "Quarantine it: on 3, space marks rows, d plans it.",
            ),
        },
        plan="Quarantine",
    ),
    Step(
        "restore",
        lambda seen: seen.ran("restore", lambda run: run.new > 0),
        {
            EVERYWHERE: (
                "Restore it: u lists what is rejected and quarantined, and what can be undone.",
                "Restore it: u lists what was quarantined.",
            ),
            QUARANTINE: (
                "Move to the row that you quarantined; enter plans to restore it.",
                "Move to the row you quarantined; enter restores it.",
            ),
        },
        plan="Restore",
    ),
    Step(
        "undo",
        lambda seen: seen.ran("undo"),
        {
            EVERYWHERE: ("Undo a run: 4 lists the runs.",),
            HISTORY: (
                "Move to a sync that changed rows; enter shows them, U plans to undo it.",
                "Move to a sync that changed rows; U undoes it.",
            ),
        },
        plan="Undo",
    ),
)
BEGIN: Wordings = (
    "A rejected row and broken embeddings are part of this demo. Press any key to begin.",
    "Rejected row, orphans: part of the demo. Press any key.",
)
"""Until the first key."""
END: Wordings = (
    "That is all: you watched, repaired, restored and undid. Press : and type demo for more; q quits.",
    "That is all. Press : and type demo for more; q quits.",
)
IN_THE_WAY: tuple[tuple[Callable[[Snapshot], bool], str, Wordings], ...] = (
    (
        is_held,
        "hold",
        (
            "The cache is locked: press : and type release, then enter; or wait, it ends within a minute.",
            "It is locked: press : and type release, enter; or wait.",
        ),
    ),
    (
        lambda snapshot: snapshot.primary.status.lost,
        "stop_primary",
        (
            "The primary is stopped: press : and type start, then enter, to start it again.",
            "The primary is stopped: press : and type start, enter.",
        ),
    ),
    (
        lambda snapshot: snapshot.verdict is Word.REFUSED,
        "delete_most",
        (
            "A guard stopped the sync, and s shows why. Press : and type bring, then enter: episodes come back.",
            "A guard stopped it. Press : and type bring, then enter.",
        ),
    ),
    (
        lambda snapshot: snapshot.verdict is Word.DAMAGED,
        "",
        ("The cache is damaged: r plans a repair.",),
    ),
)
"""What keeps every step from being done while it lasts, the first that is there; the trouble that it comes of, '' where
the core alone knows its end; and what ends it."""
_RUNNING: Wordings = ("It runs: watch the steps.",)
_PLANNING: Wordings = ("The plan is being made; this changes nothing.",)
_OTHER_PLAN: Wordings = ("This plan is not part of the guide; esc closes it.",)
_ENDS_DAMAGE = "repair"
"""The step that comes first while the cache is damaged: no other can be done."""


class Guide(Struct):
    """How far somebody has come. `since`: epoch seconds at which the guide began."""

    since: float
    hidden: bool = False
    _done: dict[str, float] = field(default_factory=dict)
    """When the last key before its end was pressed, by step."""
    _key_at: float = 0.0
    _opened_at: float | None = None
    """The last key before the first look."""
    _caused: str = ""
    """The step whose trouble has happened."""
    _in_the_way: Wordings = ()
    _damaged: bool = False

    def look(
        self,
        snapshot: Snapshot,
        place: Place,
        key_at: float = 0.0,
        stands: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Note which steps are done. `key_at`: when the last key was pressed, by any clock. `stands`: whether a trouble
        is there still, which is known before the core sees its end."""
        seen = Seen(snapshot, self.since, place)
        self._key_at = key_at
        self._opened_at = key_at if self._opened_at is None else self._opened_at
        # the core shows some time later what the result of a run says
        ended = place.name if isinstance(place, Result) and place.well else ""
        self._damaged = snapshot.verdict is Word.DAMAGED and not ended
        there = (one for one in IN_THE_WAY if one[0](snapshot) and not ended)
        self._in_the_way = next((said for _, name, said in there if not name or stands(name)), ())
        for step in STEPS:
            if step.id not in self._done and (step.done(seen) or (step.plan and step.plan == ended)):
                self._done[step.id] = key_at

    def _passed(self, step: Step) -> bool:
        """Whether it is done, and its end was looked at where there is something to see."""
        return step.id in self._done and not (step.after and self._done[step.id] == self._key_at)

    @property
    def step(self) -> Step | None:
        """The first that is not done and looked at, but of a damaged cache its repair; None when all are."""
        left = [step for step in STEPS if not self._passed(step)]
        return next((step for step in left if self._damaged and step.id == _ENDS_DAMAGE), left[0] if left else None)

    @property
    def progress(self) -> str:
        """`3/8`: the number of the step."""
        step = self.step
        return f"{len(STEPS) if step is None else STEPS.index(step) + 1}/{len(STEPS)}"

    def leads(self, trouble: str) -> bool:
        """A trouble has happened: whether the line is seen, and says from here on what that brings."""
        step = self.step
        if self.hidden or step is None or step.id in self._done or step.trouble != trouble:
            return False
        self._caused = step.id
        return True

    def says(self, place: Place) -> Wordings:
        """What to do now, there."""
        if isinstance(place, OpenPlan):
            return _agree(place) if any(step.plan == place.name for step in STEPS) else _OTHER_PLAN
        if isinstance(place, str) and place in _AT_WORK:
            return _AT_WORK[place]
        step = self.step
        if step is not None and isinstance(place, str) and place in step.says and not self._in_the_way:
            return step.says[place]
        wordings = self._next(step)
        if place not in _CLOSED_BY_ESC and not isinstance(place, Result):
            return wordings
        return (*(f"{_ESC} {text}" for text in wordings), _ESC)

    def _next(self, step: Step | None) -> Wordings:
        """What to do on a screen that no step names."""
        if self._in_the_way and not (step is not None and step.id == _ENDS_DAMAGE and self._damaged):
            return self._in_the_way
        if step is None:
            return END
        if self._key_at == self._opened_at and not self._done:
            return BEGIN
        if step.id in self._done:
            return step.after
        return step.caused if step.id == self._caused else step.says[EVERYWHERE]


_ESC = "esc closes this."
_AT_WORK: Mapping[str, Wordings] = {RUNNING: _RUNNING, PLANNING: _PLANNING}
_CLOSED_BY_ESC = frozenset({VECTOR, OTHER, QUARANTINE})
