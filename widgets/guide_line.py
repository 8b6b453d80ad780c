"""One line that says the next step to somebody who learns."""

from __future__ import annotations

from msgspec import Struct
from rich.cells import cell_len
from textual.reactive import reactive

from widgets.glyphs import Look, Tone
from widgets.line import Line, Piece, first_that_fits, spread
from widgets.painted import Painted


class GuideText(Struct, frozen=True):
    """`progress`: which step of how many. `says`: wordings, longest first. `leave`: what hides the line."""

    progress: str
    says: tuple[str, ...]
    leave: str


class GuideLine(Painted):
    DEFAULT_CSS = """
    GuideLine { height: 1; width: 1fr; background: $background; }
    """

    value: reactive[GuideText | None] = reactive(None, repaint=False)

    def painted(self, width: int, height: int) -> list[Line]:
        return [] if self.value is None else [paint(self.value, width, self.look)]


def paint(value: GuideText, width: int, look: Look) -> Line:
    label, leave = f" guide {value.progress} ", f"  {value.leave} "
    said = first_that_fits(value.says, width - cell_len(label) - cell_len(leave) - 1)
    left = (Piece(label, Tone.BAR_QUIET), Piece(f" {look.glyphs.plain(said)}", Tone.STRONG))
    return spread(left, (Piece(leave, Tone.MUTED),), width, look.glyphs)
