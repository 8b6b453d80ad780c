"""One line of a panel: pieces of text with a tone, cut and padded by terminal cells. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from textual.content import Content

from widgets.glyphs import GlyphSet, Look, Role, Tone


class Piece(Struct, frozen=True):
    """Text that is already clean, and how it is drawn."""

    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Piece, ...]
EMPTY: Line = ()


def plain(text: str) -> Line:
    return (Piece(text),)


def muted(text: str) -> Line:
    return (Piece(text, Tone.MUTED),)


def toned(role: Role, text: str = "", *, glyphs: GlyphSet) -> Line:
    """Glyph of a role in its colour, then its word in the plain colour: healthy things stay quiet."""
    mark = Piece(glyphs.of(role), Tone(role.value))
    return (mark,) if not text else (mark, Piece(f" {text}"))


def text_of(line: Line) -> str:
    return "".join(piece.text for piece in line)


def width_of(line: Line) -> int:
    return sum(cell_len(piece.text) for piece in line)


def fit(line: Line, width: int, glyphs: GlyphSet) -> Line:
    """The line at exactly `width` cells: padded with blanks, or cut with an ellipsis."""
    used = width_of(line)
    if used == width:
        return line
    if used < width:
        return (*line, Piece(" " * (width - used)))
    mark = glyphs.ellipsis if width > cell_len(glyphs.ellipsis) else ""
    return (*_cut(line, width - cell_len(mark)), Piece(mark, Tone.MUTED)) if mark else _cut(line, width)


def _cut(line: Line, width: int) -> Line:
    kept: list[Piece] = []
    left = width
    for piece in line:
        length = cell_len(piece.text)
        if length <= left:
            kept.append(piece)
            left -= length
            continue
        kept.append(Piece(set_cell_size(piece.text, left), piece.tone))
        left = 0
        break
    if left:
        kept.append(Piece(" " * left))
    return tuple(kept)


def cell(text: str, width: int, glyphs: GlyphSet, *, right: bool = False, tone: Tone = Tone.PLAIN) -> Line:
    """One column of a table."""
    length = cell_len(text)
    if length <= width:
        blank = " " * (width - length)
        return (Piece(f"{blank}{text}" if right else f"{text}{blank}", tone),)
    return fit((Piece(text, tone),), width, glyphs)


def spread(left: Line, right: Line, width: int, glyphs: GlyphSet) -> Line:
    """`right` at the right edge; `left` gives way when both do not fit."""
    room = width - width_of(right)
    if room <= 0:
        return fit(right, width, glyphs)
    return (*fit(left, room, glyphs), *right)


def rule(title: str, right: str, width: int, look: Look, *, focused: bool = False, trouble: Role = Role.NONE) -> Line:
    """A panel's hairline with its title in it, and a state at its right end. Both texts are clean.

    Where there is `trouble` the line is heavy, in its colour, and its sign stands before the title.
    """
    glyphs = look.glyphs
    line_tone = Tone.ACCENT if focused else Tone.MUTED
    title_tone = Tone.ACCENT if focused else Tone.STRONG
    stroke = glyphs.rule
    if trouble is not Role.NONE:
        title = f"{glyphs.roles[trouble]} {title}"
        stroke = glyphs.rule_active
        line_tone = Tone(trouble.value)
        title_tone = Tone.ACCENT if focused else line_tone
    # the state gives way to the title, but not to more than half of the line
    spare = width - 4 - min(cell_len(title) + 2, width // 2)
    shown = text_of(fit(plain(right), spare, glyphs)) if cell_len(right) > spare > 0 else right
    end: Line = (Piece(f" {shown} ", Tone.MUTED), Piece(stroke, line_tone)) if right else EMPTY
    room = max(0, width - 1 - width_of(end))
    head = (Piece(stroke, line_tone), *_shorten((Piece(f" {title} ", title_tone),), room, glyphs))
    gap = width - width_of(head) - width_of(end)
    if gap < 0:
        return fit(head, width, glyphs)
    return (*head, Piece(stroke * gap, line_tone), *end)


def _shorten(line: Line, width: int, glyphs: GlyphSet) -> Line:
    return line if width_of(line) <= width else fit(line, width, glyphs)


def without_first_cell(line: Line) -> Line:
    """A row starts with a blank cell that a mark takes."""
    if not line:
        return line
    first = line[0]
    return (Piece(first.text[1:], first.tone), *line[1:])


def first_that_fits(texts: Sequence[str], width: int) -> str:
    """The longest wording that fits, else the last one."""
    for text in texts:
        if cell_len(text) <= width:
            return text
    return texts[-1] if texts else ""


def to_content(lines: Iterable[Line], look: Look) -> Content:
    """Lines as Textual content. Text is never read as markup."""
    parts: list[str | tuple[str, str]] = []
    for index, line in enumerate(lines):
        if index:
            parts.append("\n")
        parts.extend((piece.text, look.style(piece.tone)) if look.style(piece.tone) else piece.text for piece in line)
    return Content.assemble(*parts)
