"""The command palette: every key as a sentence, and the themes. A command closes the dialogs that are open first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.message import Message
from textual.widgets import Input, OptionList

from console.dialogs.dialog import Dialog
from console.flows.lessons import LESSONS, Troubles
from console.keys.table import EVERYWHERE, KEYS, REPLAY, SCREENS
from console.views.disabled import IS_DEMO
from console.views.themes import PALETTES


class Palette(CommandPalette):
    """Left once: keys that were pressed before it was gone choose nothing more."""

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._only_while_open(event)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self._only_while_open(event)

    def _only_while_open(self, event: Message) -> None:
        if not self.is_active:
            event.prevent_default()
            event.stop()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # a list that is not laid out has no lines in Textual yet, and nothing to move in
        if action == "command_list" and not all(found.scrollable_content_region for found in self.query(OptionList)):
            return False
        return super().check_action(action, parameters)

    def dismiss(self, result: None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_active else AwaitComplete()


class ConsoleCommands(Provider):
    """Keys of this screen and of every screen; typed text is matched against name and explanation."""

    def _entries(self) -> Iterator[tuple[str, str, str]]:
        """(what is shown, explanation or why it does nothing now, action)."""
        here = getattr(self.app.screen_stack[0], "name_id", "")
        places = getattr(self.app, "PLACES", (EVERYWHERE,))
        off: Mapping[str, str] = getattr(self.app, "off", {})
        turned: frozenset[str] = getattr(self.app, "turned", frozenset())
        titles = {REPLAY: "Replay: ", **{name: f"{title}: " for name, _, title in SCREENS}}
        for key in getattr(self.app, "key_table", KEYS):
            if not key.action or key.where not in {*places, here} or key.id == "palette" or off.get(key.id) == IS_DEMO:
                continue
            prefix = "Go to: " if key.id.startswith("screen.") else titles.get(key.where, "")
            said = f"not available: {off[key.id]}" if key.id in off else key.tooltip
            yield f"{prefix}{key.named(turned).rstrip('…')}", f"{key.shown}   {said}", key.action
        troubles: Troubles | None = getattr(self.app, "trouble", None)
        if troubles is not None:
            for one in LESSONS:
                ends = troubles.stands(one.id)
                choice = one.end if ends and one.end is not None else one.make
                yield f"Demo: {choice.name}", choice.tooltip, f"trouble('{one.id}', {ends})"
        for palette in PALETTES:
            yield f"Theme: {palette.name}", "colours", f"set_theme('{palette.name}')"

    async def discover(self) -> Hits:
        for name, said, action in self._entries():
            yield DiscoveryHit(name, self._run(action), help=said)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, said, action in self._entries():
            score = max(matcher.match(name), matcher.match(said) * 0.8)
            if score > 0:
                yield Hit(score, matcher.highlight(name), self._run(action), help=said)

    def _run(self, action: str) -> _Action:
        return _Action(self, action)


class _Action:
    """What the palette calls when an entry is chosen."""

    def __init__(self, provider: Provider, action: str) -> None:
        self._provider = provider
        self._action = action

    async def __call__(self) -> None:
        app = self._provider.app
        while isinstance(app.screen, Dialog):
            # the same as its key that closes it: nothing that is not agreed to happens
            await app.screen.dismiss(None)
        await app.run_action(self._action)
