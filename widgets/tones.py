"""Lines as styled segments: what a tone looks like on the ground of a widget."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.style import Style
from textual.widget import Widget

from widgets.glyphs import Look, Tone
from widgets.line import Line

NOTHING = RichStyle.null()


class Tones:
    """Remembers the styles of one widget until `forget`: its theme has changed."""

    def __init__(self, widget: Widget, look: Look) -> None:
        self._widget = widget
        self._look = look
        self._styles: dict[tuple[Style, Tone], RichStyle] = {}

    def forget(self) -> None:
        self._styles.clear()

    def segments(self, line: Line, over: RichStyle = NOTHING) -> Iterator[Segment]:
        """Adjacent pieces of one tone are one segment; `over` is laid over all of them."""
        base = self._widget.visual_style
        for tone, pieces in groupby(line, key=attrgetter("tone")):
            yield Segment("".join(piece.text for piece in pieces), self._style(base, tone) + over)

    def _style(self, base: Style, tone: Tone) -> RichStyle:
        key = (base, tone)
        if key not in self._styles:
            named = self._look.style(tone)
            own = Style.parse(named) if named else Style()
            self._styles[key] = (base + own).rich_style
        return self._styles[key]
