"""An operation in three steps: the plan with the safe button in focus, the run with live progress, the result."""

from __future__ import annotations

from enum import Enum
from typing import ClassVar, Protocol

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Key
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from console.dialogs.scrolled import ScrolledDialog
from console.views import plan as words
from console.views import result as end_words
from console.views.entry import Entry
from console.views.frame import Frame
from console.views.log_buffer import LEVELS, Journal, Part, draw
from console.views.run import cancel_label, run_lines
from console.views.states import generation_now
from console.views.text import clean_text
from storage_sync.reports import sentences
from storage_sync.values.events import Refused
from storage_sync.values.outcome import Outcome, Plan
from storage_sync.values.planned import is_empty
from storage_sync.values.snapshot import Snapshot
from widgets.choice_row import ChoiceRow, Choices
from widgets.glyphs import Look, Tone
from widgets.line import Line, Piece, fit, plain, to_content

DONE, UNDO, QUARANTINE = "done", "undo", "quarantine"
"""Results of the dialog: closed or hidden; undo the run; show what was rejected."""
LOG_LINES = 3
PHRASE_ROWS = 3
"""A blank, what must be typed, the box for it."""


LATE = "That was so when the plan was made. Primary or cache has changed since: close this and plan again."
OUTDATED = "The cache has changed since this plan was made, so it would be refused: close this and plan again."


def _has_changed(first: Snapshot, now: Snapshot) -> bool:
    """Whether primary or cache is another one than in the first picture, as far as the core has seen."""
    moved = now.freshness.moved_at
    return (moved is not None and moved != first.freshness.moved_at) or generation_now(first) != generation_now(now)


class Driver(Protocol):
    """Who does what the dialog's buttons say."""

    def choose(self, index: int) -> None: ...

    def save(self, plan: Plan) -> None: ...

    def execute(self, plan: Plan, phrase: str) -> None: ...

    def stop(self) -> None: ...


class Step(Enum):
    """Buttons of each step; the first one is the safe one and gets the focus."""

    WAITING = ("cancel",)
    PLAN = ("cancel", "save", "run")
    RUN = ("hide", "stop")
    RESULT = ("close", "undo", "refused")
    NOTHING = ("close",)
    """The core would not do it, or there is nothing to do."""


_HINTS = {
    Step.WAITING: "esc close",
    Step.PLAN: "←→ choose   enter press   ctrl+s save   ? help   esc close",
    Step.RUN: "x cancel   esc hide   L log   ? help",
    Step.RESULT: "←→ choose   enter press   U undo   L log   ? help   esc close",
    Step.NOTHING: "L log   esc close",
}


_PLANS = frozenset({Step.PLAN, Step.NOTHING})
_CHOOSES = _PLANS | {Step.WAITING}
"""Steps in which another way to do it may be chosen."""


class PlanDialog(ScrolledDialog[str]):
    """Opens at once and is filled when the core has made the plan. Result: `DONE`, `UNDO` or `QUARANTINE`."""

    topic = "plan"
    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", show=False),
        Binding("ctrl+s", "save", "Save plan", show=False),
        Binding("x", "stop", "Cancel", show=False),
        Binding("U", "undo", "Undo", show=False),
        Binding("L", "app.log", "Log", show=False),
        Binding("left", "beside(-1)", show=False),
        Binding("right", "beside(1)", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]

    step: reactive[Step] = reactive(Step.WAITING, repaint=False)
    """Where it is now."""

    def __init__(self, look: Look, journal: Journal, driver: Driver, name: str, snapshot: Snapshot) -> None:
        super().__init__(look, "plan", _HINTS[Step.WAITING])
        self._journal = journal
        self._driver = driver
        self._word = name
        self._profile = snapshot.profile or "default"
        self._access = snapshot.access
        self._timed = snapshot.access == "rw" and not snapshot.paused
        """Whether syncs start by themselves."""
        self._subject = ""
        """The run that it undoes, once the plan names it."""
        self._plan: Plan | None = None
        self._outcome: Outcome | None = None
        self._refused: Refused | None = None
        self._frame: Frame | None = None
        self._said_since = ""
        self._first: Snapshot | None = None
        """The first picture after there was nothing to do."""
        self._late = False
        """Primary or cache has changed since."""
        self.options = ChoiceRow(look, id="options")
        self.label = Static(id="phrase-label")
        self.phrase = Entry(id="phrase", compact=True, select_on_focus=False)
        self.buttons = {
            name: Button(label, id=name, compact=True)
            for name, label in (
                ("refused", "Show rejected"),
                ("undo", look.glyphs.plain("Undo…")),
                ("close", "Close"),
                ("save", "Save plan"),
                ("cancel", "Cancel"),
                ("run", "Run"),
                ("hide", "Hide"),
                ("stop", "Cancel the run"),
            )
        }

    def parts(self) -> tuple[Widget, ...]:
        return self.options, self.label, self.phrase

    def offered(self) -> tuple[Button, ...]:
        return tuple(self.buttons.values())

    def below(self) -> int:
        return self.options.display + PHRASE_ROWS * self.label.display

    def on_mount(self) -> None:
        self.options.display = False
        self.show_waiting()

    # --------------------------------------------------------------------------------------------- steps

    def show_waiting(self) -> None:
        """The core makes the plan."""
        self._plan = self._refused = self._first = None
        self._late = False
        self._enter(Step.WAITING, "making the plan")

    def show_options(self, labels: tuple[str, ...], chosen: int = 0) -> None:
        """Several ways to do it, and which one is in effect."""
        clean = tuple(clean_text(label, self.look) for label in labels)
        self.options.value = Choices("way".ljust(words.LABELS), clean, chosen)
        self.options.display = len(labels) > 1 and self.step in _CHOOSES
        self.leave_room()

    def show_plan(self, plan: Plan) -> None:
        """Step 1; the only one where there is nothing to do."""
        self._plan = plan
        self._subject = f" {plan.undoes}" if plan.undoes else ""
        if is_empty(plan):
            self._enter(Step.NOTHING, "nothing to do")
            return
        self._enter(Step.PLAN, f"step 1 of 3: plan {plan.id}")
        self.buttons["run"].label = Content(words.run_label(self._word, plan))
        self._enable()

    def show_run(self) -> None:
        """Step 2."""
        self._enter(Step.RUN, "step 2 of 3: running")

    def show_result(self, outcome: Outcome) -> None:
        """Step 3."""
        self._outcome = outcome
        self._enter(Step.RESULT, "step 3 of 3: result")

    def show_refusal(self, refused: Refused, what: str) -> None:
        """The core would not make the plan, or would not run it."""
        self._refused = refused
        self._enter(Step.NOTHING, what)

    def show_frame(self, frame: Frame) -> None:
        """The newest picture, while the dialog is the top screen."""
        self._frame = frame
        if self.step is Step.NOTHING:
            self._first = self._first or frame.snapshot
        if not self._late and self._is_late(frame.snapshot):
            self._late = True
            self._paint()
        if self.step is Step.RUN or (self.step is Step.RESULT and self._proved_since != self._said_since):
            self._paint()

    def _is_late(self, now: Snapshot) -> bool:
        if self.step is Step.PLAN and self._plan is not None:
            # an older picture than the plan's says nothing
            return (generation_now(now) or 0) > self._plan.base[0]
        nothing = self.step is Step.NOTHING and self._refused is None
        return nothing and self._first is not None and _has_changed(self._first, now)

    @property
    def _proved_since(self) -> str:
        """The newest run that proved the cache after this one; '' while none did."""
        ended = self._outcome
        if ended is None or self._frame is None:
            return ""
        return end_words.proved_since(ended.run_id, self._frame.snapshot.history.last)

    def _enter(self, step: Step, title: str) -> None:
        self.step = step
        shown = self._shown(step)
        for button_id, button in self.buttons.items():
            button.display = button_id in shown
        keys = _HINTS[step] if "undo" in shown else _HINTS[step].replace("U undo   ", "")
        self.entitle(f"{self._word}{self._subject} · {self._profile} · {title}", keys)
        typed = step is Step.PLAN and bool(self._phrase)
        self.label.display = self.phrase.display = typed
        if typed and self._plan is not None:
            self.label.update(to_content([(), words.phrase_line(self._plan, self.look)], self.look))
        self.options.display = self.options.display and step in _CHOOSES
        if not self.options.has_focus:
            self.buttons[step.value[0]].focus()
        self._paint()

    def _shown(self, step: Step) -> frozenset[str]:
        shown = set(step.value)
        outcome = self._outcome
        if outcome is None or not outcome.undoable:
            shown.discard("undo")
        if outcome is None or not sentences.rejected_rows(outcome):
            shown.discard("refused")
        return frozenset(shown)

    @property
    def _phrase(self) -> str:
        """What must be typed; empty for nothing, or where typing would not help."""
        plan = self._plan
        if plan is None or words.blocked_by(plan, self._access):
            return ""
        return plan.phrase or ""

    # ------------------------------------------------------------------------------------------- drawing

    def _paint(self) -> None:
        width = self.text.size.width
        if width > 0:
            self.text.update(to_content(self._lines(width), self.look))
            self.leave_room()

    def _lines(self, width: int) -> list[Line]:
        if self.step is Step.NOTHING and self._refused is not None:
            return end_words.refusal_lines(self._refused, width, self.look)
        if self.step in _PLANS and self._plan is not None:
            drawn = words.lines(self._plan, width, self._access, self.look, timed=self._timed)
            if self._late and self.step is Step.PLAN:
                outdated = ((Piece(text, Tone.ATTENTION),) for text in words.wrapped(OUTDATED, width))
                return [*outdated, (), *drawn]
            return [*drawn, plain(LATE)] if self._late else drawn
        if self.step is Step.RESULT and self._outcome is not None:
            self._said_since = self._proved_since
            since, timed = self._said_since, self._timed
            return end_words.lines(self._outcome, width, self.look, since=since, timed=timed, plan=self._plan)
        if self.step is Step.RUN and self._frame is not None:
            return self._progress(self._frame, width)
        said = "The core is starting it." if self.step is Step.RUN else "The core is looking at cache and primary."
        return [plain(f"{said} Nothing has been changed.")]

    def _progress(self, frame: Frame, width: int) -> list[Line]:
        label, enabled = cancel_label(frame)
        stop = self.buttons["stop"]
        if str(stop.label) != label:
            stop.label = Content(label)
            stop.refresh(layout=True)
        stop.disabled = not enabled
        glyphs = self.look.glyphs
        newest = self._journal.lines(LEVELS[0])[-LOG_LINES:]
        tail = [fit(draw(Part(line, line.text), glyphs), width, glyphs) for line in newest]
        return [*run_lines(frame, width), (), *tail]

    def _enable(self) -> None:
        if self._plan is None:
            return
        shown = clean_text(self._phrase, self.look)
        right = not self._phrase or self.phrase.value in {self._phrase, shown}
        self.buttons["run"].disabled = bool(words.blocked_by(self._plan, self._access)) or not right

    def on_resize(self) -> None:
        self.call_after_refresh(self._paint)

    # ------------------------------------------------------------------------------------------- actions

    def on_key(self, event: Key) -> None:
        """A name that is typed while a button has the focus goes where it belongs."""
        if self.phrase.display and event.is_printable and event.character is not None:
            event.stop()
            event.prevent_default()
            self.phrase.focus()
            self.phrase.insert_text_at_cursor(event.character)

    def on_input_changed(self, _event: Input.Changed) -> None:
        self._enable()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        button = self.buttons["run"]
        if not button.disabled:
            button.focus()

    def on_choice_row_chosen(self, event: ChoiceRow.Chosen) -> None:
        self._driver.choose(event.index)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        match event.button.id:
            case "run":
                self._run()
            case "save":
                self.action_save()
            case "stop":
                self.action_stop()
            case "undo":
                self.action_undo()
            case "refused":
                self.dismiss(QUARANTINE)
            case _:
                self.dismiss(DONE)

    def _run(self) -> None:
        if self._plan is not None:
            self._driver.execute(self._plan, self._phrase)
            self.show_run()

    def action_save(self) -> None:
        if self.step is Step.PLAN and self._plan is not None:
            self._driver.save(self._plan)

    def action_beside(self, step: int) -> None:
        """The next button: never another way to do it, which is chosen by going there."""
        shown = [button for button in self.buttons.values() if button.display and not button.disabled]
        at = next((place for place, button in enumerate(shown) if button.has_focus), None)
        if shown:
            # at once, so that an enter that is already on its way presses this one
            self.set_focus(shown[0 if at is None else min(max(at + step, 0), len(shown) - 1)])

    def action_stop(self) -> None:
        if self.step is Step.RUN and not self.buttons["stop"].disabled:
            self._driver.stop()

    def action_undo(self) -> None:
        if self.step is Step.RESULT and self.buttons["undo"].display:
            self.dismiss(UNDO)

    def action_close(self) -> None:
        self.dismiss(DONE)

    @property
    def did_something(self) -> bool:
        """Of a result: whether it is one of a run that wrote, and met no error."""
        ended = self._outcome
        return ended is not None and ended.error is None and ended.cache_writes.commits > 0

    @property
    def operation(self) -> str:
        """What it would do, as its title and its button say it."""
        return self._word

    @property
    def asked(self) -> str:
        """What must be typed before it runs; '' for nothing."""
        return self._phrase if self.step is Step.PLAN else ""
