"""A widget that draws lines: only those that changed are styled and sent to the terminal again."""

from __future__ import annotations

from itertools import zip_longest

from textual.content import Content
from textual.geometry import Region, Size
from textual.strip import Strip

from widgets.glyphs import Look
from widgets.kept import Kept
from widgets.line import Line, to_content
from widgets.tones import Tones


class Painted(Kept):
    """A subclass says in `painted` what is drawn of its reactive `value`, which need not ask for a repaint."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.look = look
        self._drawn: list[Line] = []
        self._drawn_at = Size(0, 0)
        self._tones = Tones(self, look)

    def painted(self, width: int, height: int) -> list[Line]:
        """At most `height` lines of `width` cells; none while there is nothing to draw."""
        raise NotImplementedError

    def repaint(self) -> None:
        """Draw the lines that are other than those on the screen."""
        before, before_at = self._drawn, self._drawn_at
        self._paint()
        if before_at != self._drawn_at:
            self.refresh()
        elif rows := [row for row, (old, new) in enumerate(zip_longest(before, self._drawn)) if old != new]:
            self.refresh(*(Region(0, row, self.size.width, 1) for row in rows))

    def watch_value(self) -> None:
        self.repaint()

    def watch_has_focus(self, focused: bool) -> None:
        super().watch_has_focus(focused)
        self.repaint()

    def notify_style_update(self) -> None:
        self._tones.forget()
        super().notify_style_update()

    def render(self) -> Content:
        """All of it as content: what a selection is taken from."""
        return to_content(self.painted(*self.size), self.look)

    def render_line(self, y: int) -> Strip:
        if self.text_selection is not None:
            return super().render_line(y)
        if self._drawn_at != self.size:
            self._paint()
        if y >= len(self._drawn):
            return Strip.blank(self.size.width, self.visual_style.rich_style)
        return Strip(self._tones.segments(self._drawn[y])).apply_offsets(0, y)

    def _paint(self) -> None:
        self._drawn_at = self.size
        self._drawn = self.painted(*self.size)
