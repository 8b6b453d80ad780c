"""One of a few: `(o) resume   ( ) start over`. The value is frozen; another choice is a message."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive

from widgets.glyphs import Tone
from widgets.line import Line, Piece, fit, muted, width_of
from widgets.painted import Painted

GAP = 3


class Choices(Struct, frozen=True):
    """`labels` are clean; `chosen` is the index of the one in effect."""

    label: str
    labels: tuple[str, ...]
    chosen: int = 0


class ChoiceRow(Painted, can_focus=True):
    """Arrow keys, space, enter and clicks choose."""

    DEFAULT_CSS = """
    ChoiceRow { height: 1; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,space,enter", "choose(1)", show=False),
        Binding("left", "choose(-1)", show=False),
    ]

    value: reactive[Choices | None] = reactive(None, repaint=False)

    class Chosen(Message):
        """Another one is in effect."""

        def __init__(self, row: ChoiceRow, index: int) -> None:
            super().__init__()
            self.row = row
            self.index = index

        @property
        def control(self) -> ChoiceRow:
            return self.row

    def painted(self, width: int, _height: int) -> list[Line]:
        return [] if self.value is None else [fit(self._line(self.value), width, self.look.glyphs)]

    def action_choose(self, step: int) -> None:
        """The next one, round and round."""
        if self.value is not None and self.value.labels:
            self._take((self.value.chosen + step) % len(self.value.labels))

    def on_click(self, event: Click) -> None:
        for index, (start, end) in enumerate(self._places()):
            if start <= event.x < end:
                self._take(index)

    def _take(self, index: int) -> None:
        if self.value is not None and index != self.value.chosen:
            self.value = Choices(self.value.label, self.value.labels, index)
            self.post_message(self.Chosen(self, index))

    def _line(self, value: Choices) -> Line:
        pieces: list[Piece] = [*muted(f" {value.label}")]
        for index, text in enumerate(value.labels):
            chosen = index == value.chosen
            tone = Tone.ACCENT if chosen and self.has_focus else Tone.PLAIN if chosen else Tone.MUTED
            pieces.extend((Piece(" " * GAP if index else ""), Piece(f"({'o' if chosen else ' '}) {text}", tone)))
        return tuple(pieces)

    def _places(self) -> list[tuple[int, int]]:
        """First and last column of each choice."""
        if self.value is None:
            return []
        places, at = [], width_of(muted(f" {self.value.label}"))
        for text in self.value.labels:
            width = width_of((Piece(f"(o) {text}"),))
            places.append((at, at + width))
            at += width + GAP
        return places
