"""A dialog of text over a row of buttons: what the screen has no room for is scrolled to, and nothing below is lost."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ScreenResultType
from textual.widget import Widget
from textual.widgets import Button, Static

from console.dialogs.dialog import Dialog
from storage_sync.values import visible
from widgets.glyphs import Look

BORDER = 2


class ScrolledDialog(Dialog[ScreenResultType]):
    """`name`: before the ids of its parts. `keys`: its line of keys, before which it is said that there is more."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "scroll(-1)", show=False),
        Binding("pagedown", "scroll(1)", show=False),
    ]

    def __init__(self, look: Look, name: str, keys: str, *, classes: str = "dialog") -> None:
        super().__init__()
        self.look = look
        self._keys = keys
        # held, not looked up: answers may come while the dialog is taken down
        self.outline = Vertical(classes=classes, id=f"{name}-frame")
        self.text = Static(id=f"{name}-text", classes="dialog-text")
        self.scroller = VerticalScroll(id=f"{name}-scroll", classes="dialog-scroll", can_focus=False)
        self.row = Horizontal(classes="buttons")

    def parts(self) -> tuple[Widget, ...]:
        """What stands between the text and the buttons."""
        return ()

    def offered(self) -> tuple[Button, ...]:
        """The buttons, from left to right."""
        raise NotImplementedError

    def below(self) -> int:
        """Rows that `parts` take now."""
        return 0

    def compose(self) -> ComposeResult:
        with self.outline:
            with self.scroller:
                yield self.text
            yield from self.parts()
            with self.row:
                yield from self.offered()

    def on_mount(self) -> None:
        for name in ("show_vertical_scrollbar", "scroll_y"):
            self.watch(self.scroller, name, self.say_keys)

    def on_resize(self) -> None:
        self.call_after_refresh(self.leave_room)

    def watch_guided(self) -> None:
        if self.is_mounted:
            self.leave_room()

    def entitle(self, title: str, keys: str = "") -> None:
        """`keys`: other ones from now on."""
        glyphs = self.look.glyphs
        said = visible.clean(title, ascii_only=False)
        self.outline.border_title = Text(visible.clean(glyphs.plain(said), ascii_only=glyphs.is_ascii))
        self._keys = keys or self._keys
        self.say_keys()

    def leave_room(self) -> None:
        """The text takes what the rows below it leave."""
        below = self.below() + 1 + self.row.styles.padding.height
        self.scroller.styles.max_height = max(1, self.room - BORDER - below)

    def say_keys(self) -> None:
        scroller = self.scroller
        under = scroller.scroll_y < scroller.max_scroll_y
        more = f"{'PgDn' if under else 'PgUp'} more   " if scroller.show_vertical_scrollbar else ""
        self.outline.border_subtitle = self.look.glyphs.plain(f"{more}{self._keys}")

    def action_scroll(self, pages: int) -> None:
        if pages < 0:
            self.scroller.scroll_page_up(animate=False)
        else:
            self.scroller.scroll_page_down(animate=False)
