"""A panel: a hairline with a title, and lines below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from textual.reactive import reactive

from widgets.glyphs import Look
from widgets.line import Line, fit, rule
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

    def __init__(self, look: Look, *, id: str | None = None, focusable: bool = True) -> None:  # noqa: A002
        super().__init__(look, id=id)
        self.can_focus = focusable

    def painted(self, width: int, height: int) -> list[Line]:
        """The panel's lines at a size; exactly `height` of `width` cells."""
        if self.value is None or width <= 0 or height <= 0:
            return []
        head = rule(self.value.title, self.value.right, width, self.look, focused=self.has_focus)
        body = [fit(line, width, self.look.glyphs) for line in self.value.lines(width, height - 1, self.look)]
        return [head, *body[: height - 1]]
