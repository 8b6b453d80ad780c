"""The first start without a configuration: a form, each entry tried before it is saved, or the demo (4.12)."""

from __future__ import annotations

import textwrap
from typing import ClassVar, Protocol

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widgets import Button, Input, Static

from console.dialogs.dialog import Dialog
from console.views.entry import Entry
from console.views.text import clean_text
from storage_sync.values.answers import SetupForm, SetupTried
from widgets.choice_row import ChoiceRow, Choices
from widgets.glyphs import Look, Role
from widgets.line import Line, muted, plain, to_content, toned

LABELS = 10
_ENTRIES = (
    ("primary", "Primary", "libsql://host, https://host, or file:path"),
    ("token", "Token", "name of the variable that holds it, never the token itself"),
    ("cache", "Cache", "path of do-memory's redb file; a missing one is created"),
    ("profile", "Profile", "a name for this pair; you type it to confirm large changes"),
)
"""(id, label, what is expected)."""
_IN_A_FILE = "path of a file that holds it and nothing else"
KEPT = "exists: only these settings are changed in it"
FRAME = 5
"""Rows of the dialog beside its fields: border, buttons and a blank row on each side of these."""


def _labelled(label: str, value: Line) -> Line:
    return (*muted(f" {label.ljust(LABELS)}"), *value)


class Driver(Protocol):
    """Who asks the core."""

    def test(self, form: SetupForm) -> None: ...

    def save(self, form: SetupForm) -> None: ...

    def demo(self) -> None: ...


class SetupDialog(Dialog[None]):
    """Saving needs a test of exactly what is typed; a primary that is down may be saved anyway, and says so."""

    topic = "set up"
    AUTO_FOCUS = "#primary"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", show=False),
        Binding("f2", "demo", "Demo", show=False),
        Binding("ctrl+s", "save", "Save", show=False),
        Binding("ctrl+q", "app.leave", "Quit", show=False),
        # first of all, so that what is typed right behind them does not still reach the entry before
        Binding("up,shift+tab", "app.focus_previous", show=False, priority=True),
        Binding("down,tab", "app.focus_next", show=False, priority=True),
    ]

    def __init__(self, look: Look, driver: Driver, form: SetupForm, place: str, *, there: bool = False) -> None:
        super().__init__()
        self.look = look
        self._driver = driver
        self._tried: SetupTried | None = None
        self._said = ""
        self._testing = False
        self._place = place
        self._how = KEPT if there else "mode 0600, token not stored"
        token = form.token_file or form.token_env
        values = {"primary": form.primary, "token": token, "cache": form.cache, "profile": form.profile}
        self.inputs = {
            name: Entry(values[name], id=name, compact=True, select_on_focus=False) for name, _, _ in _ENTRIES
        }
        self.source = ChoiceRow(look, id="token-source")
        self.source.value = Choices(" " * LABELS, ("environment variable", "file"), 1 if form.token_file else 0)
        self.access = ChoiceRow(look, id="access")
        labels = ("sync automatically", "read-only (W switches later)")
        self.access.value = Choices("Access".ljust(LABELS), labels, int(form.look_only))
        self.said = {name: Static(id=f"{name}-said", classes="entry-said") for name, _, _ in _ENTRIES}
        self.findings = Static(id="findings")
        self.fields = VerticalScroll(id="setup-fields", can_focus=False)
        self.buttons = {
            name: Button(label, id=name, compact=True)
            for name, label in (("demo", "Try the demo"), ("test", "Test"), ("save", "Save and start"))
        }

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="setup-frame") as frame:
            frame.border_title = "Set up"
            frame.border_subtitle = "enter test   F2 demo   F1 help   ^q quit"
            with self.fields:
                for name, label, _ in _ENTRIES:
                    with Horizontal(classes="entry"):
                        yield Static(Content(f" {label}"), classes="entry-label")
                        yield self.inputs[name]
                    if name == "token":
                        yield self.source
                    yield self.said[name]
                yield self.access
                yield self.findings
            with Horizontal(classes="buttons"):
                yield from self.buttons.values()

    def on_mount(self) -> None:
        self._paint()

    def on_resize(self, event: Resize) -> None:
        self.fields.styles.max_height = max(1, event.size.height - FRAME)
        self.call_after_refresh(self._paint)

    # ----------------------------------------------------------------------------------------- answers

    def show_tried(self, tried: SetupTried) -> None:
        """How the entries fared, and the first that failed has the focus; of an earlier form it says nothing."""
        if tried.form == self.form:
            self._tried, self._said, self._testing = tried, "", False
            self._paint()
            failed = {finding.entry for finding in tried.findings if finding.role == Role.FAILED.value}
            wrong = next((box for name, box in self.inputs.items() if name in failed), None)
            (wrong or self.buttons["save" if tried.usable else "test"]).focus()

    def show_refusal(self, said: str) -> None:
        self._said, self._testing = said, False
        self._paint()

    @property
    def form(self) -> SetupForm:
        """What is typed now."""
        values = {name: box.value.strip() for name, box in self.inputs.items()}
        return SetupForm(
            primary=values["primary"],
            token_env="" if self._from_file else values["token"],
            token_file=values["token"] if self._from_file else "",
            cache=values["cache"],
            profile=values["profile"] or "default",
            look_only=self.access.value is not None and self.access.value.chosen == 1,
        )

    @property
    def _savable(self) -> SetupTried | None:
        """The test of what is typed, where that can be saved."""
        return self._tried if self._tried is not None and self._tried.savable else None

    @property
    def _from_file(self) -> bool:
        """Whether the token is to be read from a file."""
        return self.source.value is not None and self.source.value.chosen == 1

    def _paint(self) -> None:
        for name, _, expected in _ENTRIES:
            self.said[name].update(to_content(self._beside(name, expected), self.look))
        self.findings.update(to_content(self._below(), self.look))
        tried = self._savable
        save = self.buttons["save"]
        save.disabled = tried is None
        save.label = "Save and start" if tried is None or tried.usable else "Save anyway"
        save.refresh(layout=True)

    def _beside(self, name: str, expected: str) -> list[Line]:
        """Under a field: how it fared, or what is expected there."""
        found = self._found(name)
        if found:
            return found
        if name == "token" and self._from_file:
            expected = _IN_A_FILE
        return [_labelled("", muted(text)) for text in self._wrapped(self.look.glyphs.plain(expected))]

    def _found(self, entry: str) -> list[Line]:
        lines: list[Line] = []
        for finding in self._tried.findings if self._tried is not None else ():
            if finding.entry == entry:
                first, *rest = self._wrapped(finding.text)
                lines.append(_labelled("", toned(Role(finding.role), first, glyphs=self.look.glyphs)))
                lines.extend(_labelled("", plain(f"{' ' * self._mark}{text}")) for text in rest)
        return lines

    def _below(self) -> list[Line]:
        """Under all fields: what goes on, where it is saved, and why it could not be."""
        lines: list[Line] = []
        if self._testing:
            text = self.look.glyphs.plain("testing… a primary that does not answer takes a while")
            lines.append((*muted(" "), *toned(Role.RUNNING, text, glyphs=self.look.glyphs)))
        elif self._tried is None and not self._said:
            lines.append(muted(" Nothing is opened until you test. Nothing is saved before a test."))
        place = self._clean(self._place)
        saved, how = _labelled("saves to", plain(place)), self._how
        if cell_len(place) + 3 + len(how) <= self._room:
            lines.append((*saved, *muted(f"   {how}")))
        else:
            lines.extend((saved, _labelled("", muted(how))))
        if self._said:
            first, *rest = self._wrapped(self._said)
            lines.append(_labelled("", toned(Role.FAILED, first, glyphs=self.look.glyphs)))
            lines.extend(_labelled("", plain(f"{' ' * self._mark}{text}")) for text in rest)
        return [*lines, *self._found("file")]

    @property
    def _mark(self) -> int:
        """Cells of a glyph and the blank behind it."""
        return self.look.glyphs.role_width + 1

    def _wrapped(self, text: str) -> list[str]:
        return textwrap.wrap(self._clean(text), self._room - self._mark, break_on_hyphens=False) or [""]

    @property
    def _room(self) -> int:
        """Cells right of the labels."""
        return max(self.fields.size.width - LABELS - 2, 3 * LABELS)

    def _clean(self, text: str) -> str:
        return clean_text(text, self.look)

    # ----------------------------------------------------------------------------------------- actions

    def on_input_changed(self, _event: Input.Changed) -> None:
        self._changed()

    def on_choice_row_chosen(self, _event: ChoiceRow.Chosen) -> None:
        self._changed()
        self._paint()

    def _changed(self) -> None:
        """A test is of what was typed then."""
        if self._testing or (self._tried is not None and self._tried.form != self.form):
            self._tried, self._testing = None, False
            self._paint()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self._test()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        match event.button.id:
            case "demo":
                self._driver.demo()
            case "test":
                self._test()
            case "save":
                self.action_save()

    def _test(self) -> None:
        self._said, self._testing = "", True
        self._tried = None
        self._paint()
        self._driver.test(self.form)

    def action_save(self) -> None:
        if self._savable is not None:
            self._driver.save(self._savable.form)

    def action_demo(self) -> None:
        self._driver.demo()

    def action_close(self) -> None:
        self.dismiss(None)
