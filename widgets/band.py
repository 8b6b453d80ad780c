"""A row or two that are drawn whole from one value: header, tabs, verdict, keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from textual.content import Content
from textual.widget import Widget

from widgets.glyphs import Look
from widgets.line import Line, to_content

T = TypeVar("T")
Span = tuple[T, int, int]
"""What is drawn, its first cell, and the cell after its last."""


class Band(Widget):
    """A subclass holds the value and says what is drawn of it."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.look = look

    def painted(self) -> list[Line]:
        """The lines at the widget's own size; none while there is no value."""
        raise NotImplementedError

    def render(self) -> Content:
        return to_content(self.painted(), self.look)


def under(spans: Iterable[Span[T]], x: int) -> T | None:
    """What a click in cell `x` is on."""
    return next((drawn for drawn, first, after in spans if first <= x < after), None)
