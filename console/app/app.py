"""The application: one timer that draws what the bridge holds, and the actions behind the keys."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from msgspec.structs import replace
from textual.binding import BindingType
from textual.screen import Screen

from console.app.attention import Attention, Failures, Window
from console.app.ends import DEMO_ASKED, LEAVE_S, REPLAY_ASKED, SET_UP
from console.app.guiding import Guiding
from console.app.palette import ConsoleCommands
from console.app.signals import catch_signals
from console.app.textual_overrides import TextualApp
from console.dialogs.dialog import Dialog
from console.dialogs.help import HelpDialog
from console.dialogs.log import LogDialog
from console.dialogs.plan import PlanDialog
from console.flows.adopt import adopt
from console.flows.first_run import FirstRun
from console.flows.lessons import Troubles
from console.flows.plans import MANUAL, Plans, Wish, live_part, undo_of
from console.flows.quarantine import Quarantine
from console.flows.questions import ask_after_death, ask_for_writes, ask_to_leave
from console.flows.sync import peek, rebuild, sync
from console.keys.bindings import bindings
from console.keys.keymap import keymap
from console.keys.table import CONFIG, EVERYWHERE, HISTORY, ORPHANS, OVERVIEW, SCREENS, VALIDATION
from console.link.bridge import Bridge
from console.link.requests import Desk
from console.screens.base import BaseScreen
from console.screens.history import HistoryScreen
from console.screens.orphans import OrphansScreen
from console.screens.overview import OverviewScreen
from console.screens.settings import ConfigScreen
from console.screens.validation import ValidationScreen
from console.views.access import why_only_looking
from console.views.disabled import off
from console.views.frame import Frame, lasting
from console.views.hints import reason_and_hint
from console.views.log_buffer import Journal
from console.views.text import clean_text
from console.views.themes import Colors, after, themes
from console.views.toast import failed_words, is_locked
from console.views.top import turned
from console.views.ui_settings import Clock, UiSettings, next_refresh, ui_in_effect
from console.views.verdict import verdict
from console.views.zoom import toggle_zoom
from storage_sync.service.commands import Cancel, Do, Pause, Reload, SetAccess, TryNow
from storage_sync.service.operations import Repair, Verify
from storage_sync.values import visible
from storage_sync.values.events import ConfigChanged, CoreDied, Event, LogLine, Refused, RunEnded
from storage_sync.values.snapshot import CoreBeat, Run, Snapshot
from widgets import fmt
from widgets.glyphs import GlyphSet, Look, choose
from widgets.key_bar import KeyBar
from widgets.tab_row import TabRow

if TYPE_CHECKING:
    from console.flows.first_run import Setup

T = TypeVar("T")
TICK_S = 0.25
IDLE_TICK_S = 0.5
LATE_S = 1.0
AGES_S = 5.0
"""While the core rests only ages and what it measures are new: they go on in these steps, all together."""
TOAST_MOST = 200
"""Characters of a toast: a long message must not hide the screen behind it."""


Facts = tuple[Snapshot, frozenset[str], bool]
"""A snapshot without what is new in each one, the keys that are off, whether the core stands still."""


class Console(TextualApp):
    """Draws a bridge. `glyphs`: a set to use whatever the terminal says (pictures, tests).

    `owns_process`: nothing else runs in it, so its signals are caught and its collections of garbage are tuned.
    `colors`: what the terminal can show, whatever it says. `trouble`: only in the demo, makes something go wrong.
    """

    PLACES: ClassVar[tuple[str, ...]] = (EVERYWHERE,)
    """Places of the key table whose keys work on every screen."""
    CSS_PATH = Path(__file__).with_name("console.tcss")
    TITLE = "Storage Sync"
    COMMANDS = {ConsoleCommands}  # noqa: RUF012 -- the type is Textual's
    BINDINGS: ClassVar[list[BindingType]] = bindings(EVERYWHERE)
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-tiny"),
        (60, "-w60"),
        (100, "-w100"),
        (140, "-w140"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-short"),
        (18, "-h24"),
        (30, "-h30"),
        (38, "-h38"),
        (45, "-h45"),
    ]

    def __init__(
        self,
        bridge: Bridge,
        ui: UiSettings,
        *,
        clock: Clock | None = None,
        glyphs: GlyphSet | None = None,
        environment: Mapping[str, str] | None = None,
        owns_process: bool = False,
        colors: Colors | None = None,
        trouble: Troubles | None = None,
        setup: Setup | None = None,
    ) -> None:
        super().__init__(owns_process=owns_process)
        environment = os.environ if environment is None else environment
        encoding = getattr(sys.stdout, "encoding", None) or "ascii"
        if colors is None:
            # pictures and tests are drawn in all colours, whatever terminal they are made in
            colors = Colors.named(self.console.color_system) if owns_process else Colors.TRUE
        for theme in themes(colors):
            self.register_theme(theme)
        self.begin_with(ui.theme)
        moved = keymap(ui.keymap)
        self.set_keymap(dict(moved.keys))
        self.key_table = moved.table
        self.look = Look(
            glyphs or choose(ui.glyphs, environment, encoding),
            no_color=self.no_color or colors is Colors.NONE,
            few_colors=colors.few,
        )
        self.ui = ui
        self.trouble = trouble
        self._guiding: Guiding | None = None
        self.bridge = bridge
        self.clock = clock or Clock()
        self.journal = Journal()
        for said in moved.problems:
            self.journal.add(LogLine(self.clock.now(), "warn", "config", f"ui.keymap: {said}"))
        self._moved_keys = moved.moved
        self.desk = Desk(bridge, self._refused)
        self.plans = Plans(self, self.action_quarantine)
        self.quarantine = Quarantine(self, self.open_plan)
        self.first_run = FirstRun(self, setup, self._set_up, self.action_demo) if setup is not None else None
        self._placeholder = Snapshot(0, self.clock.now(), CoreBeat(self.clock.monotonic()), profile=ui.profile)
        self._live: Frame | None = None
        self._frozen: Snapshot | None = None
        self._attention = Attention(self.look.glyphs, Window(self.title_terminal, self.bell, self.notify_desktop))
        self._started_at = self.clock.monotonic()
        self._ticked_at: float | None = None
        self._drawn_at: float | None = None
        self._drawn: Facts | None = None
        self._topped: Facts | None = None
        self._said: tuple[str, bool] | None = None
        self._leaving_after_run = False
        self._failures = Failures()
        """Why the last run failed; a timer's run that fails again says nothing new."""
        self._ended_runs: deque[str] = deque(maxlen=8)
        self.replay_file = ""

    def on_mount(self) -> None:
        self.set_class(self.look.glyphs.is_ascii, "-ascii")
        self.set_class(self.look.no_color, "-no-color")
        self.set_class(self.look.few_colors, "-few-colors")
        self.set_class(self.trouble is not None, "-guided")
        for name, screen in self._screens_by_mode().items():
            self.add_mode(name, lambda screen=screen: screen)  # type: ignore[misc]
        self.switch_mode(OVERVIEW)
        # whoever had the terminal meanwhile has drawn over all of it
        self.app_resume_signal.subscribe(self, lambda _: self.refresh())
        if self._owns_process:
            catch_signals(
                end=self._terminate,
                read_again=lambda: self.desk.ask(Reload()),
                let_go=lambda: self.bridge.stop(LEAVE_S),
            )
        self.set_interval(TICK_S, self._on_timer)
        self.call_after_refresh(self._first)

    def _screens_by_mode(self) -> Mapping[str, BaseScreen]:
        return {
            OVERVIEW: OverviewScreen(self.look, self.journal, self.open_run),
            VALIDATION: ValidationScreen(self.look, self.desk),
            ORPHANS: OrphansScreen(self.look, self, self.open_plan),
            HISTORY: HistoryScreen(self.look, self.desk, self.replay, lambda run_id: self.open_plan(undo_of(run_id))),
            CONFIG: ConfigScreen(self.look, self.desk),
        }

    def _first(self) -> None:
        """After the first paint: only now the core is imported, in its own thread."""
        self.bridge.start(lambda: self.call_later(self._listen))
        self.tick()
        if self.first_run is not None:
            self.first_run.open()
        self.lay_out_behind([name for name, _, _ in SCREENS if name != OVERVIEW])

    def _terminate(self, exit_code: int) -> None:
        self.desk.ask(Cancel())
        self.exit(exit_code)

    def _on_timer(self) -> None:
        if self.laying_out:
            return
        moment = self.clock.monotonic()
        last = self._ticked_at
        if last is not None and not self.running and moment - last < IDLE_TICK_S - TICK_S / 2:
            return
        if last is not None and moment - last > IDLE_TICK_S + LATE_S:
            said = f"{self.current_mode} stood still for {fmt.took(moment - last)}"
            self.journal.add(LogLine(self.clock.now(), "info", "screen", said))
        self.tick()

    def tick(self) -> None:
        """Hear what the core said and draw what it shows."""
        self._ticked_at = self.clock.monotonic()
        snapshot = self.bridge.latest()
        self._live = self._frame(snapshot)
        self._attention.tell(self._live.verdict, self.snapshot.profile, ring=self.ui.bell, notify=self.ui.notify)
        self._listen()
        self.paint()
        self.tidy(settled=self.running)

    def _listen(self) -> None:
        """Hear what the core said: at each tick, and as soon as it has answered."""
        for event in self.bridge.drain():
            self._hear(event)
        self._guide()

    def _frame(self, snapshot: Snapshot | None) -> Frame:
        moment = self.clock.monotonic()
        now = self.clock.now()
        beat_age = moment - (self._started_at if snapshot is None else snapshot.beat.at)
        return Frame(
            snapshot=snapshot or replace(self._placeholder, taken_at=now),
            verdict=verdict(snapshot, now=now, beat_age=beat_age),
            now=now,
            beat_age=None if snapshot is None and beat_age < IDLE_TICK_S * 3 else beat_age,
            look=self.look,
            frozen=self._frozen is not None,
            demo=self.trouble is not None,
            table=self.key_table,
        )

    def paint(self, *, panels: bool | None = None) -> None:
        """Draw the active screen's panels as often as `ui.refresh` says, or now when `panels` is true.

        Its top does not wait when something has happened, nor when the core stands still; panels never contradict it.
        """
        live = self._live
        screen = self._base_screen()
        if live is None or screen is None:
            return
        shown = live if self._frozen is None else replace(live, snapshot=self._frozen, now=self._frozen.taken_at)
        disabled = frozenset(self.off)
        drawn = (lasting(live.snapshot), disabled, live.stalled)
        moment = self.clock.monotonic()
        panels = panels or (live.verdict.word, self.running) != self._said
        due = panels or self._drawn_at is None or moment - self._drawn_at >= self._rest(drawn) - TICK_S / 2
        # what only goes on shares the clock's picture of each second
        due = due and (panels or self.running or drawn != self._drawn or screen.clock_goes_on(live))
        if due or live.stalled or drawn != self._topped:
            self._topped = drawn
            screen.show_top(shown, live, disabled)
        else:
            screen.show_clock(live)
        if panels or self._drawn_at is None or (due and not live.stalled):
            self._drawn_at, self._drawn = moment, drawn
            self._said = (live.verdict.word, self.running)
            screen.show_body(shown)
        if isinstance(self.screen, LogDialog):
            self.screen.refresh_lines()
        live_part(self.screen, live)
        self._guide()

    def _rest(self, facts: Facts) -> float:
        """Seconds between two pictures: less during a run, more while only ages change."""
        wanted = self.ui.refresh_s
        if self.running:
            return TICK_S if wanted <= IDLE_TICK_S else wanted
        return wanted if facts != self._drawn else max(wanted, AGES_S)

    def _base_screen(self) -> BaseScreen | None:
        stack = self.screen_stack
        bottom: Screen[object] | None = stack[0] if stack else None
        return bottom if isinstance(bottom, BaseScreen) else None

    def _hear(self, event: Event) -> None:
        if self.desk.hear(event):
            return
        if isinstance(event, LogLine):
            self.journal.add(event)
        elif isinstance(event, RunEnded):
            self._run_ended(event)
        elif isinstance(event, ConfigChanged):
            self.say(f"configuration changed: {', '.join(event.keys)}")
            if "ui" in event.keys:
                self._apply_ui()
        elif isinstance(event, CoreDied):
            self._core_died(event)

    def _apply_ui(self) -> None:
        """What the configuration says of the screen, as far as it can change while the screen is there."""
        self.ui = ui_in_effect(self.ui, self.snapshot.config)
        self.theme = self.ui.theme

    def _run_ended(self, event: RunEnded) -> None:
        self._ended_runs.append(event.run_id)
        # the dialog of a plan shows how the run ends, or what stops it
        if self._failures.is_new(event.outcome) and not isinstance(self.screen, PlanDialog):
            self.say(
                failed_words(event.outcome, f"{self.look.glyphs.ellipsis} (L)"), failed=not is_locked(event.outcome)
            )
        if self._leaving_after_run:
            self.exit(0)

    def _core_died(self, event: CoreDied) -> None:
        self.journal.add(LogLine(self.clock.now(), "fail", "core", f"the sync core has ended: {event.report}"))
        if self.run_now is not None:
            self._ended_runs.append(self.run_now.id)
        self.desk.give_up()
        ask_after_death(self, event.report, lambda: self.exit(70))

    def _refused(self, refused: Refused) -> None:
        self.say(reason_and_hint(refused), failed=True)

    def say(self, text: str, *, failed: bool = False) -> None:
        """A toast: the answer to a key just pressed. Its text may come from outside."""
        safe = clean_text(visible.without_place(text), self.look)
        if len(safe) > TOAST_MOST:
            safe = f"{safe[:TOAST_MOST]}{self.look.glyphs.ellipsis}"
        self.notify(safe, severity="error" if failed else "information", markup=False)

    @property
    def snapshot(self) -> Snapshot:
        """The newest picture of the core, frozen screen or not."""
        return self._placeholder if self._live is None else self._live.snapshot

    @property
    def run_now(self) -> Run | None:
        """The running operation; the picture may still show one whose end was heard already."""
        run = self.snapshot.run
        return run if run is not None and run.ended_at is None and run.id not in self._ended_runs else None

    @property
    def running(self) -> bool:
        return self.run_now is not None

    @property
    def off(self) -> Mapping[str, str]:
        """Keys that do nothing now, by their id, and why."""
        return off(self.snapshot, self.run_now, demo=self.trouble is not None)

    @property
    def turned(self) -> frozenset[str]:
        """Ids of the keys that end what they made before."""
        hidden = {"guide"} if self.guiding is not None and self.guiding.hidden else set()
        return turned(self._live) | hidden if self._live is not None else frozenset()

    def _is_off(self, key_id: str) -> bool:
        """Whether a key does nothing now; it is said why."""
        why = self.off.get(key_id)
        if why is not None:
            self.say(why)
        return why is not None

    async def on_tab_row_chosen(self, event: TabRow.Chosen) -> None:
        await self.action_go(event.tab)

    async def on_key_bar_pressed(self, event: KeyBar.Pressed) -> None:
        await self.run_action(event.action)

    async def action_go(self, screen: str) -> None:
        """Another screen, drawn once it is complete."""
        await self.visit(screen, lambda: self.paint(panels=True))

    def show(self, dialog: Dialog[T], answered: Callable[[T | None], None] | None = None) -> None:
        """Open a dialog of a flow."""
        self.push_screen(dialog, answered)

    def open_plan(self, wish: Wish) -> None:
        """Plan, consent, run, result: everything that changes the cache goes this way."""
        self.plans.open(wish)

    def action_sync(self) -> None:
        if self.first_run is not None:
            self.first_run.open()
        else:
            sync(self, self.plans)

    def _set_up(self) -> None:
        """There is a configuration now: start again with it."""
        self.exit(SET_UP)

    def action_repair(self) -> None:
        self.open_plan(Wish(Repair(), "Repair"))

    def action_rebuild(self) -> None:
        rebuild(self, self.plans)

    def action_adopt(self) -> None:
        adopt(self, self.plans)

    def action_quarantine(self) -> None:
        """Rejected rows, quarantined rows, and the runs that can be undone."""
        self.quarantine.open()

    def action_cancel(self) -> None:
        """Stop the running operation. Nothing is lost by it: proven rows stay staged."""
        if not self._is_off("cancel"):
            self.desk.ask(Cancel())

    def action_validate(self) -> None:
        self.desk.ask(Do(Verify()))

    def action_validate_deep(self) -> None:
        self.desk.ask(Do(Verify(deep=True)))

    def action_peek(self) -> None:
        peek(self)

    def action_try_now(self) -> None:
        self.desk.ask(TryNow())

    def action_pause(self) -> None:
        """Pause or resume the scheduled syncs."""
        if self._is_off("pause"):
            return
        paused = not self.snapshot.paused
        self.desk.ask(Pause(paused))
        self.say("scheduled syncs are paused; P resumes them" if paused else "scheduled syncs are resumed")

    def action_access(self) -> None:
        """Read-only at once; allowing writes again is a question."""
        if self._is_off("access"):
            return
        if self.snapshot.access == "rw":
            self.desk.ask(SetAccess("ro"))
        else:
            ask_for_writes(self)

    def action_freeze(self) -> None:
        """Freeze the picture, not the core; heartbeat, clock and verdict go on."""
        self._frozen = None if self._frozen is not None else self.snapshot
        self.tick()
        self.paint(panels=True)

    def action_refresh(self, step: int) -> None:
        """Another interval between pictures."""
        self.ui = replace(self.ui, refresh_s=next_refresh(self.ui.refresh_s, step))
        self.say(f"panels are drawn every {self.ui.refresh_s:g} s")

    def action_zoom(self) -> None:
        """The panel in focus alone; a second time brings the others back."""
        if isinstance(self.screen, BaseScreen):
            toggle_zoom(self.screen.query_one("#body"), self.focused)

    def action_theme(self) -> None:
        self.action_set_theme(after(self.theme))

    def action_set_theme(self, name: str) -> None:
        self.theme = name

    def action_help(self) -> None:
        why = why_only_looking(self.snapshot.access)
        notes = (*((f"read-only: {why}",) if why else ()), *(f"ui.keymap: {said}" for said in self._moved_keys))
        focus = self.focused.id if self.focused is not None else None
        place, panel = (self.screen.topic, "") if isinstance(self.screen, Dialog) else (self.current_mode, focus or "")
        self.push_screen(HelpDialog(self.look, place, notes, self.key_table, panel))

    def action_log(self) -> None:
        self.push_screen(LogDialog(self.look, self.journal), self.open_run)

    def open_run(self, run_id: str | None) -> None:
        """History, at this run."""
        if run_id:
            self.call_later(self._open_run, run_id)

    async def _open_run(self, run_id: str) -> None:
        await self.action_go(HISTORY)
        screen = self._base_screen()
        if isinstance(screen, HistoryScreen):
            screen.seek(run_id)

    def replay(self, file: str) -> None:
        """Leave, and open the recording instead."""
        if self._is_off("history.replay"):
            return
        self.replay_file = file
        self.exit(REPLAY_ASKED)

    def action_demo(self) -> None:
        """Leave, and start the demo instead."""
        if not self._is_off("demo"):
            self.exit(DEMO_ASKED)

    def action_trouble(self, name: str, ends: bool) -> None:
        """Only in the demo: something goes wrong, or ends, and it is said what to try."""
        if self.guiding is not None:
            self.run_worker(self.guiding.cause(name, self.say, self._guide, ends=ends))

    @property
    def guiding(self) -> Guiding | None:
        """The line that says the next step: only in the demo."""
        if self._guiding is None and self.trouble is not None:
            self._guiding = Guiding(self.look, self.key_table, self.clock.now(), self.trouble)
        return self._guiding

    def _guide(self) -> None:
        """Draw its line by what is on top now."""
        if self.guiding is not None:
            self.guiding.show(self.screen, self.snapshot, self._key_at)

    def action_guide(self) -> None:
        """Hide the line that says the next step, or show it again."""
        if not self._is_off("guide") and self.guiding is not None:
            self.guiding.turn(self.screen)

    def action_help_quit(self) -> None:
        """`ctrl+c` where nothing is selected."""
        self.say("q quits; to copy, select with the mouse first")

    def action_leave(self) -> None:
        """Quit; asks only during a run that an operator started."""
        run = self.run_now
        if run is None:
            self.exit(0)
        elif run.trigger != MANUAL:
            self.desk.ask(Cancel())
            self.exit(0)
        else:
            ask_to_leave(self, run, lambda: self.exit(0), self._wait_for_the_end)

    def _wait_for_the_end(self) -> None:
        """Leave with the run; at once where it ended while the question was open."""
        self._leaving_after_run = True
        if not self.running:
            self.exit(0)
