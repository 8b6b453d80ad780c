"""Config: each value, its origin, when a change takes effect; edited, previewed, written (docs/console.md#screens)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from console.dialogs.ask import AskDialog, Choice
from console.keys.bindings import bindings
from console.keys.table import CONFIG
from console.link.requests import Desk
from console.screens.rows import RowList, RowsScreen
from console.views import settings as words
from console.views.columns import Column
from console.views.entry import Entry
from console.views.frame import Frame
from storage_sync.service.commands import PreviewSettings, Reload, TryPrimary, WriteSettings
from storage_sync.values.answers import PrimaryTried, SettingEdit, SettingsPreview, SettingsWritten
from storage_sync.values.events import Refused
from storage_sync.values.snapshot import Setting
from widgets import fmt
from widgets.glyphs import Look
from widgets.panel import Panel
from widgets.virtual_table import VirtualTable

_COLUMNS = (Column(" key", 27), Column("value", 0), Column("from", 24), Column("applies", 15, wide=90))
WIDE = 100
"""Cells from which there is room for the whole path of the file."""


class ConfigScreen(RowsScreen):
    """Edits wait here until `w` has shown what they would do to the file. The core reads the file again by itself."""

    name_id = CONFIG
    BINDINGS: ClassVar[list[BindingType]] = bindings(CONFIG)

    def __init__(self, look: Look, desk: Desk) -> None:
        super().__init__(look, desk)
        self.detail = Panel(look, id="setting", focusable=False)
        self.entry = Entry(compact=True, id="setting-entry")
        self.entry.display = False
        self._list: RowList[Setting] = RowList(words.row_of, words.FIELDS, lambda setting: setting.key)
        self._edits: dict[str, str] = {}
        self._editing: str | None = None
        self._wrong = ""
        self._tried = ""

    def compose_body(self) -> ComposeResult:
        yield self.list_title
        yield self.table.add_class("first")
        yield self.box
        yield self.entry
        yield self.detail

    def rows(self) -> RowList[Any]:
        return self._list

    def as_row(self, item: Setting) -> Mapping[str, object]:
        return words.as_row(item)

    def export_name(self) -> str:
        return "settings"

    def draw(self, frame: Frame) -> None:
        config = frame.snapshot.config
        self._list.put(config.settings)
        number = len(self._edits)
        unsaved = f" · {number} unsaved" if number else ""
        loaded = f" · loaded {fmt.clock(config.loaded_at)}" if config.loaded_at is not None else ""
        known = bool(self._list.items)
        file = frame.clean(config.file) or "no file"
        right = f"{file}{loaded}" if self.table.size.width >= WIDE else file.rpartition("/")[2]
        self.draw_list(
            self.table,
            self.list_title,
            (f"Configuration{unsaved}{words.waiting_words(config.settings)}", right),
            _COLUMNS,
            self._list,
            lambda setting: words.row(frame, setting, self._edits.get(setting.key)),
            empty="nothing matches the filter; esc clears it" if known else "no setting is known yet",
            revision=tuple(self._edits.items()),
        )
        setting = self._list.at(self.table.cursor)
        edit = self._edits.get(setting.key) if setting is not None else None
        self.detail.value = words.detail(frame, setting, edit, wrong=self._wrong, tried=self._tried)

    # editing

    def action_open(self) -> None:
        """Edit the chosen setting."""
        setting = self._list.at(self.table.cursor)
        if setting is None:
            return
        why = words.not_editable(setting)
        if why:
            self.tell(why)
            return
        self._editing = setting.key
        self._wrong = ""
        self.entry.value = self._edits.get(setting.key, words.entry_text(setting))
        self.entry.display = True
        self.entry.focus()
        self.redraw()

    def on_virtual_table_chosen(self, _event: VirtualTable.Chosen) -> None:
        self.action_open()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input is not self.entry:
            super().on_input_submitted(event)
        elif self._editing is not None:
            self._take(self._editing, event.value.strip())

    def _take(self, key: str, text: str) -> None:
        """Keep what was typed when it fits; else say what is allowed, and stay."""
        self._wrong = words.wrong(key, text)
        if not self._wrong:
            setting = next((one for one in self._list.items if one.key == key), None)
            if setting is not None and text == words.entry_text(setting):
                self._edits.pop(key, None)
            else:
                self._edits[key] = text
            self._end_entry()
        self.redraw()

    def _end_entry(self) -> None:
        self._editing = None
        self._wrong = ""
        self.entry.display = False
        self.table.focus()

    def key_escape(self) -> None:
        if self._editing is not None:
            self._end_entry()
            self.redraw()
        else:
            self.clear_filter()

    def action_reset(self) -> None:
        """Back to the value that is in effect."""
        setting = self._list.at(self.table.cursor)
        if setting is not None and self._edits.pop(setting.key, None) is not None:
            self.redraw()
        else:
            self.tell("this setting was not edited")

    # writing

    def _as_edits(self) -> tuple[SettingEdit, ...]:
        return tuple(SettingEdit(key, text or None) for key, text in self._edits.items())

    def action_write(self) -> None:
        """Ask what the file would say, and show it before anything is written."""
        if not self._edits:
            self.tell("nothing was edited; enter edits a setting")
            return
        edits = self._as_edits()
        self.desk.ask(PreviewSettings(edits), lambda preview: self._previewed(edits, preview))

    def _previewed(self, edits: tuple[SettingEdit, ...], value: SettingsPreview) -> None:
        if self.frame is None:
            return
        lines = words.preview(self.frame, value)
        choices = (Choice("cancel", "Cancel"), Choice("write", f"Write {fmt.plural(len(edits), 'setting')}"))

        def answered(choice: str | None) -> None:
            if choice == "write":
                self.desk.ask(WriteSettings(edits, value.base), self._written)

        self.app.push_screen(AskDialog(self.look, "Write the configuration", lines, choices), answered)

    def _written(self, value: SettingsWritten) -> None:
        for key in value.keys:
            self._edits.pop(key, None)
        self.desk.ask(Reload(), refused=self._not_reloaded)
        self.tell(f"wrote {', '.join(value.keys)} to {value.file}")
        self.redraw()

    def _not_reloaded(self, _refused: Refused) -> None:
        """The core watches the file and reads it when it sees the change."""

    # the connection

    def action_connect(self) -> None:
        """Whether the primary answers with what is in effect, unsaved edits included."""
        self._tried = "asking the primary…"
        self.desk.ask(TryPrimary(self._as_edits()), self._connected, self._unconnected)
        self.redraw()

    def _connected(self, value: PrimaryTried) -> None:
        self._tried = words.tried(value)
        self.redraw()

    def _unconnected(self, refused: Refused) -> None:
        self._tried = f"no: {refused.reason}"
        self.redraw()

    def copied(self) -> str:
        setting = self._list.at(self.table.cursor)
        return f"{setting.key} = {setting.value}" if setting is not None else ""
