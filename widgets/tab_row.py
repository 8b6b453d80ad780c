"""The row of screens: number, name and a badge; a click chooses."""

from __future__ import annotations

from msgspec import Struct
from rich.cells import cell_len
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive

from widgets.glyphs import Look, Role, Tone
from widgets.line import Line, Piece, fit
from widgets.painted import Painted
from widgets.spans import Span, under

WIDE = 100


class Tab(Struct, frozen=True):
    """`badge` is a number behind the name, drawn with the glyph of `role`; empty for none."""

    id: str
    key: str
    name: str
    role: Role = Role.NONE
    badge: str = ""


class Tabs(Struct, frozen=True):
    tabs: tuple[Tab, ...]
    active: str


class TabRow(Painted):
    """One row, and a second one with a rule under the active name where the screen is high enough."""

    DEFAULT_CSS = """
    TabRow { height: 1; width: 1fr; }
    """

    value: reactive[Tabs | None] = reactive(None, repaint=False)

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, tab: str) -> None:
            super().__init__()
            self.tab = tab

    def painted(self, width: int, height: int) -> list[Line]:
        return [] if self.value is None else paint(self.value, width, height, self.look)

    def on_click(self, event: Click) -> None:
        if self.value is None:
            return
        tab = under(spans(self.value, self.size.width, self.look), event.x)
        if tab is not None:
            self.post_message(self.Chosen(tab))


def _label(tab: Tab, look: Look) -> str:
    badge = f" {look.glyphs.roles[tab.role]}{tab.badge}" if tab.badge else ""
    return f"{tab.key} {tab.name}{badge}"


def spans(value: Tabs, width: int, look: Look) -> list[Span[str]]:
    """Where each tab is drawn: (id, first cell, cell after the last)."""
    gap = 4 if width >= WIDE else 2
    places: list[Span[str]] = []
    at = 1
    for tab in value.tabs:
        end = at + cell_len(_label(tab, look))
        places.append((tab.id, at, end))
        at = end + gap
    return places


def paint(value: Tabs, width: int, height: int, look: Look) -> list[Line]:
    glyphs = look.glyphs
    row: list[Piece] = []
    under: list[Piece] = []
    at = 0
    for tab, (_, start, end) in zip(value.tabs, spans(value, width, look), strict=True):
        active = tab.id == value.active
        row.append(Piece(" " * (start - at)))
        row.append(Piece(f"{tab.key} {tab.name}", Tone.ACCENT if active else Tone.PLAIN))
        if tab.badge:
            row.append(Piece(f" {glyphs.roles[tab.role]}{tab.badge}", Tone(tab.role.value)))
        under.append(Piece(glyphs.rule * (start - at), Tone.MUTED))
        mark = glyphs.rule_active if active else glyphs.rule
        under.append(Piece(mark * (end - start), Tone.ACCENT if active else Tone.MUTED))
        at = end
    under.append(Piece(glyphs.rule * max(0, width - at), Tone.MUTED))
    lines = [fit(tuple(row), width, glyphs), fit(tuple(under), width, glyphs)]
    return lines[: max(1, height)]
