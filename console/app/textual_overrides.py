"""What of Textual's application is other here: changes of screens, keys on their way meanwhile, unexpected errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import monotonic

from rich.console import RenderableType
from textual.app import App
from textual.driver import Driver
from textual.events import Event, Key
from textual.screen import Screen

from console.app.memory import collect_when_calm, forget_drawings, forget_gone_widgets, keep_for_good
from console.app.palette import Palette

CALM_S = 0.3
"""After so long without a key, nobody is typing."""
FORGET_S = 5.0
"""What is forgotten is worked out again at the next picture."""


class TextualApp(App[int]):
    """`owns_process`: nothing else runs in it, so an unexpected error is kept in `failure` for who opened it."""

    def __init__(self, *, owns_process: bool = False) -> None:
        super().__init__()
        self._owns_process = owns_process
        self._styled_with: dict[str, str] = {}
        self.laying_out = False
        """Another screen than the one on the terminal is current for a moment."""
        self._held_back: Sequence[str] = ()
        """Modes whose screens are laid out once no dialog is open."""
        self.failure: Exception | None = None
        self._key_at = 0.0
        """When the last key came, as the event has it (monotonic seconds)."""
        self._forgot_at = 0.0
        self._settled = False
        self._laid_out: set[str] = set()

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key):
            self._key_at = event.time
        await super().on_event(event)

    async def on_key(self, event: Key) -> None:
        """What was on its way to another screen or list when its place went belongs to what is there now.

        A letter belongs to a prompt that has opened, and the key of a prompt opens that of the new screen.
        """
        focused = self.focused
        if focused is not None and focused.check_consume_key(event.key, event.character):
            event.prevent_default()
            focused.post_message(Key(event.key, event.character))
            return
        found = self.screen.active_bindings.get(event.key)
        if found is not None and found.binding.priority:
            event.prevent_default()
            await self.run_action(found.binding.action, found.node)

    def tidy(self, *, settled: bool) -> None:
        """Once a tick: let go of memory. `settled`: the core has imported what it needs."""
        if self._held_back and len(self.screen_stack) == 1:
            modes, self._held_back = self._held_back, ()
            self.lay_out_behind(modes)
        moment = monotonic()
        if moment - self._forgot_at >= FORGET_S:
            self._forgot_at = moment
            forget_gone_widgets()
        if not self._owns_process:
            return
        if settled and not self._settled:
            self._settled = True
            keep_for_good()
        elif self._settled and collect_when_calm(moment - self._key_at > CALM_S):
            forget_drawings(self._unseen())

    def _unseen(self) -> Iterator[Screen[object]]:
        """The screens of the other modes."""
        for mode in self._laid_out:
            if mode != self.current_mode:
                yield from self.get_screen_stack(mode)

    def begin_with(self, theme: str) -> None:
        """The first theme: the stylesheet is read once, with its colours, and not also before with Textual's."""
        self.theme = theme
        self._styled_with = self.get_css_variables()
        self.stylesheet.set_variables(self._styled_with)

    def refresh_css(self, animate: bool = True) -> None:
        """Textual asks at each visit of a screen too, and styles it anyway when it resumes: only a theme is news."""
        variables = self.get_css_variables()
        if variables != self._styled_with:
            super().refresh_css(animate)
            self._styled_with = variables

    def delay_update(self, delay: float = 0.0) -> None:
        """Textual would hold back the picture of each other screen for 50 ms; `visit` waits until it is complete."""

    async def visit(self, mode: str, draw: Callable[[], None]) -> None:
        """Another mode's screen, drawn once it is complete."""
        with self.batch_update():
            await self.switch_mode(mode)
            draw()
        # what it would have drawn meanwhile was not drawn
        self.screen.refresh()

    def lay_out_behind(self, modes: Sequence[str]) -> None:
        """These modes' screens one after the other, with keys in between: a first visit costs no more than others."""
        if modes:
            self.call_later(self._lay_out, modes)

    async def _lay_out(self, modes: Sequence[str]) -> None:
        here = self.current_mode
        if len(self.screen_stack) > 1:
            # a dialog that closes meanwhile would take away the screen behind it instead of itself
            self._held_back = modes
            return
        self.laying_out = True
        try:
            with self.batch_update():
                await self.switch_mode(modes[0])
                await self.switch_mode(here)
        finally:
            self.laying_out = False
        self._laid_out.update((modes[0], here))
        self.screen.refresh()
        self.lay_out_behind(modes[1:])

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def get_driver_class(self) -> type[Driver]:
        found = super().get_driver_class()
        if found.__name__ != "LinuxDriver":
            return found
        from console.app.driver import SteadyDriver

        return SteadyDriver

    def title_terminal(self, title: str) -> None:
        """The title of the terminal's window; nothing where there is none. `title` is clean."""
        self._command_terminal("0", title)

    def notify_desktop(self, text: str) -> None:
        """A notification by the terminal (OSC 9), where it knows them. `text` is clean and begins with no digit."""
        self._command_terminal("9", text)

    def _command_terminal(self, number: str, text: str) -> None:
        if self._owns_process and self._driver is not None and not self.is_headless:
            self._driver.write(f"\x1b]{number};{text}\x07")

    def panic(self, *renderables: RenderableType) -> None:
        """Textual would print them and end as if nothing had happened."""
        if not self._owns_process:
            super().panic(*renderables)
        else:
            self._handle_exception(RuntimeError("the screen gave up"))

    def _handle_exception(self, error: Exception) -> None:
        """Textual would print all local variables, and with them what nobody may see."""
        if not self._owns_process:
            super()._handle_exception(error)
        elif self.failure is None:
            self.failure = error
            self.exit()
