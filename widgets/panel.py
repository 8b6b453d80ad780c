"""A panel: a hairline with a title, and lines below it; a border in its colour where something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from textual.reactive import reactive

from widgets.glyphs import Look, Role, Tone
from widgets.line import Line, Piece, fit, rule
from widgets.painted import Painted


class Paintable(Protocol):
    """What a panel draws: pure, at a given size in cells."""

    @property
    def title(self) -> str: ...

    @property
    def right(self) -> str: ...

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        """Lines below the hairline; more than `height` are cut."""
        ...


class Panel(Painted, can_focus=True):
    """Draws any `Paintable` at the panel's own size."""

    DEFAULT_CSS = """
    Panel { height: auto; width: 1fr; }
    """

    value: reactive[Paintable | None] = reactive(None, repaint=False)
    trouble: reactive[Role] = reactive(Role.NONE, repaint=False)
    """Of what the panel shows: `NONE` where all is well."""

    def __init__(self, look: Look, *, id: str | None = None, focusable: bool = True) -> None:  # noqa: A002
        super().__init__(look, id=id)
        self.can_focus = focusable

    def painted(self, width: int, height: int) -> list[Line]:
        """The panel's lines at a size; exactly `height` of `width` cells."""
        if self.value is None or width <= 0 or height <= 0:
            return []
        glyphs = self.look.glyphs
        head = rule(self.value.title, self.value.right, width, self.look, focused=self.has_focus, trouble=self.trouble)
        troubled = self.trouble is not Role.NONE
        room = width - 1 if troubled else width
        body = [fit(line, room, glyphs) for line in self.value.lines(room, height - 1, self.look)][: height - 1]
        if not troubled:
            return [head, *body]
        side = Piece(glyphs.side, Tone(self.trouble.value))
        return [head, *((side, *line) for line in (*body, *blank(height - 1 - len(body), room)))]

    def watch_trouble(self) -> None:
        self.repaint()


def blank(rows: int, width: int) -> list[Line]:
    """Rows of blanks."""
    return [(Piece(" " * width),)] * max(0, rows)
