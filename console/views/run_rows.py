"""Rows that one run changed, and the fields of one of them before and after. Pure."""

from __future__ import annotations

from console.views.columns import Column
from console.views.text import clean_text
from storage_sync.values.answers import ChangedRow, ChangedRows, ColumnDifference
from widgets import fmt
from widgets.glyphs import Look, Role, Tone
from widgets.line import Line, Piece, muted, plain

ROW_COLUMNS = (Column("change", 10), Column("table", 16), Column("key", 0), Column("fields", 24, wide=90))
"""The fields of the chosen row stand below."""
FIELD_COLUMNS = (Column("field", 26), Column("before", 0), Column("after", 0))
_SIGNS = {"added": ("+", Tone.OK), "changed": ("~", Tone.ATTENTION), "removed": ("-", Tone.FAILED)}
ABSENT = "-"


def row(changed: ChangedRow, look: Look) -> tuple[Line, ...]:
    """One line of the list: what happened to the row, where it is, and which of its fields are others."""
    sign, tone = _SIGNS.get(changed.kind, (look.glyphs.roles[Role.FAILED], Tone.FAILED))
    names = ", ".join(column.name for column in changed.columns if not column.equal)
    said = changed.reason or (names if changed.kind == "changed" else "")
    return (
        (Piece(f"{sign} ", tone), *plain(clean_text(changed.kind, look))),
        plain(clean_text(changed.table, look)),
        plain(clean_text(changed.key, look)),
        muted(clean_text(said, look)),
    )


def field(column: ColumnDifference, cut: bool, look: Look) -> tuple[Line, ...]:
    """One field: those that are equal on both sides are quiet."""
    draw = muted if column.equal else plain
    after = "not kept" if cut else column.cache
    return (
        draw(clean_text(column.name, look)),
        draw(clean_text(ABSENT if column.primary is None else column.primary, look)),
        draw(clean_text(ABSENT if after is None else after, look)),
    )


def heading(found: ChangedRows) -> str:
    """How many rows, how many of them are listed, and what is not kept."""
    if not found.total:
        return found.said or "no row was changed"
    listed = len(found.rows)
    changed = found.total - found.rejected
    parts = (f"{fmt.plural(changed, 'row')} changed" if changed else "", _rejected(found, changed))
    told = ", ".join(filter(None, parts))
    told += f"; the first {listed:,} are listed" if listed < found.total else ""
    cut = f"; for {fmt.plural(found.cut, 'row')} the fields after the run are not kept" if found.cut else ""
    return f"{told}{cut}{f'; {found.said}' if found.said else ''}"


def _rejected(found: ChangedRows, changed: int) -> str:
    if not found.rejected:
        return ""
    return f"{found.rejected:,} rejected" if changed else f"{fmt.plural(found.rejected, 'row')} rejected"


def cannot_be_undone(why: str, look: Look) -> str:
    """The answer to `U` where it does nothing."""
    return clean_text(f"this run cannot be undone: {why}", look)


def field_note(changed: ChangedRow, look: Look) -> str:
    """What is said of a row without fields."""
    return clean_text(changed.reason or "no field of it is kept", look)
