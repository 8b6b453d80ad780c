"""The bottom row: keys that work here. Whole entries only: what does not fit is left to help and palette."""

from __future__ import annotations

from msgspec import Struct
from rich.cells import cell_len
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive

from widgets.glyphs import Look, Tone
from widgets.line import Line, Piece, spread
from widgets.painted import Painted
from widgets.spans import Span, under

GAP = 2


class KeyEntry(Struct, frozen=True):
    """`action` is given back when the entry is clicked; a disabled one is greyed and answers nothing."""

    key: str
    label: str
    action: str
    enabled: bool = True


class Keys(Struct, frozen=True):
    """`hint` is the entry at the right end (the palette)."""

    entries: tuple[KeyEntry, ...]
    hint: KeyEntry | None = None


class KeyBar(Painted):
    DEFAULT_CSS = """
    KeyBar { height: 1; width: 1fr; }
    """

    value: reactive[Keys | None] = reactive(None, repaint=False)

    class Pressed(Message):
        """An entry was clicked."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def painted(self, width: int, height: int) -> list[Line]:
        return [] if self.value is None else [paint(self.value, width, self.look)]

    def on_click(self, event: Click) -> None:
        if self.value is None:
            return
        entry = under(spans(self.value, self.size.width, self.look), event.x)
        if entry is not None and entry.enabled:
            self.post_message(self.Pressed(entry.action))


def _width(entry: KeyEntry, look: Look) -> int:
    return cell_len(entry.key) + 1 + cell_len(look.glyphs.plain(entry.label))


def _hint_width(value: Keys, look: Look) -> int:
    return 0 if value.hint is None else _width(value.hint, look) + cell_len(look.glyphs.edge) + 1


def _that_fit(entries: tuple[KeyEntry, ...], room: int, look: Look) -> tuple[KeyEntry, ...]:
    """Entries from the left while they fit; the last one (help) stays, others give way to it."""
    for kept in range(len(entries), 0, -1):
        shown = (*entries[: kept - 1], entries[-1])
        if 1 + sum(_width(entry, look) for entry in shown) + GAP * (len(shown) - 1) <= room:
            return shown
    return ()


def spans(value: Keys, width: int, look: Look) -> list[Span[KeyEntry]]:
    """What is drawn where: (entry, first cell, cell after the last)."""
    room = width - _hint_width(value, look) - 1
    places: list[Span[KeyEntry]] = []
    at = 1
    for entry in _that_fit(value.entries, room, look):
        places.append((entry, at, at + _width(entry, look)))
        at += _width(entry, look) + GAP
    if value.hint is not None:
        places.append((value.hint, width - _width(value.hint, look) - 1, width - 1))
    return places


def paint(value: Keys, width: int, look: Look) -> Line:
    left: list[Piece] = []
    for entry, _, _ in spans(value, width, look):
        if entry is value.hint:
            continue
        left.append(Piece("  " if left else " "))
        key_tone, label_tone = (Tone.ACCENT, Tone.PLAIN) if entry.enabled else (Tone.MUTED, Tone.MUTED)
        left.extend((Piece(f"{entry.key} ", key_tone), Piece(look.glyphs.plain(entry.label), label_tone)))
    hint = value.hint
    right: Line = ()
    if hint is not None:
        right = (Piece(look.glyphs.edge, Tone.MUTED), Piece(f"{hint.key} ", Tone.ACCENT), Piece(f"{hint.label} "))
    return spread(tuple(left), right, width, look.glyphs)
