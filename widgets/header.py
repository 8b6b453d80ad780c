"""The top row: product, profile, run, access, heartbeat and clock. It never moves."""

from __future__ import annotations

from msgspec import Struct
from textual.reactive import reactive

from widgets.glyphs import Look, Role, Tone
from widgets.line import Line, Piece, spread, width_of
from widgets.painted import Painted


class HeaderText(Struct, frozen=True):
    """`run`: the running operation for other screens, or empty. `core`: heartbeat in words."""

    product: str
    profile: str
    run: str
    flags: tuple[str, ...]
    core_role: Role
    core: str
    clock: str


class Header(Painted):
    DEFAULT_CSS = """
    Header { height: 1; width: 1fr; dock: none; }
    """

    value: reactive[HeaderText | None] = reactive(None, repaint=False)

    def painted(self, width: int, height: int) -> list[Line]:
        return [] if self.value is None else [paint(self.value, width, self.look)]


def paint(value: HeaderText, width: int, look: Look) -> Line:
    glyphs = look.glyphs
    right: Line = (
        Piece("  ".join(value.flags), Tone.STRONG),
        Piece("   core ", Tone.MUTED),
        Piece(f"{glyphs.roles[value.core_role]} ", Tone(value.core_role.value)),
        Piece(f"{value.core}   {value.clock} "),
    )
    left: Line = (Piece(f" {value.product}", Tone.STRONG), Piece(f"   {value.profile}"))
    run: Line = (Piece(f"   {glyphs.roles[Role.RUNNING]} ", Tone.RUNNING), Piece(value.run)) if value.run else ()
    if width_of(left) + width_of(run) + width_of(right) >= width:
        run = ()
    return spread((*left, *run), (Piece(" "), *right), width, glyphs)
