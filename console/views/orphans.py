"""The list of embeddings as lines: rule, counts, one row, the foot (docs/console.md#screens). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from console.views.columns import Column, table_head, table_row
from console.views.frame import Frame
from storage_sync.embeddings.reason import ATTENTION, ORPHANED, Reason
from widgets import fmt
from widgets.facts import Fact, FactList
from widgets.glyphs import Role, Tone
from widgets.line import Line, Piece, first_that_fits, muted, plain, spread, text_of, width_of

if TYPE_CHECKING:
    from storage_sync.embeddings.index import OrphanIndex, Row
    from storage_sync.embeddings.query import Group, View
    from storage_sync.embeddings.wanted import Wanted

COLUMNS = (
    Column("  key", 24),
    Column("last known owner", 0),
    Column("reason", 16),
    Column("first seen", 10, right=True),
    Column("dim", 5, right=True),
    Column("norm", 6, right=True, wide=90),
    Column("bytes", 9, right=True, wide=120),
)
_SHORT = {
    Reason.DELETED_UPSTREAM: "deleted",
    Reason.NOT_UPSTREAM: "not up",
    Reason.WRONG_DIMENSION: "dim",
    Reason.BAD_VALUES: "values",
    Reason.MISSING: "missing",
    Reason.DUPLICATE: "dup",
    Reason.TEXT_NEWER: "newer",
}


def role_of(reason: Reason) -> Role:
    """Orphans and vectors that no search can use are failures."""
    if reason is Reason.ATTACHED:
        return Role.OK
    if reason is Reason.OWNER_UNKNOWN:
        return Role.UNKNOWN
    return Role.ATTENTION if reason in ATTENTION else Role.FAILED


def title(frame: Frame, index: OrphanIndex | None, wanted: Wanted, said: str, width: int) -> FactList:
    """The rule above the list, the counts, the head of the columns."""
    head = Fact("", table_head(COLUMNS, width, frame.look.glyphs))
    if index is None:
        # the list itself says why it is empty
        return FactList("Embeddings", "", (Fact("", ()), head), labels=-1)
    generation = f", g-{index.generation}" if index.generation is not None else ""
    texts = (
        f"Embeddings · {index.total:,} · scanned {frame.ago(index.scanned_at)} ago{generation}",
        f"Embeddings · {index.total:,} · scanned {frame.ago(index.scanned_at)} ago",
    )
    right = frame.clean(said) if said else _asked(frame, wanted, width)
    left = first_that_fits(texts, width - len(right) - 8)
    return FactList(frame.label(left), right, (Fact("", counts(frame, index, width)), head), labels=-1)


def _asked(frame: Frame, wanted: Wanted, width: int) -> str:
    arrow = frame.look.glyphs.down if wanted.reverse else frame.look.glyphs.up
    parts = [f"group {wanted.group}", f"sort {wanted.sort} {arrow}"]
    text = wanted.filter.strip()
    if text or width >= 100:
        parts.insert(0, f"filter {frame.clean(text) if text else 'none'}")
    return "   ".join(parts)


def counts(frame: Frame, index: OrphanIndex, width: int) -> Line:
    """How many of each kind; kinds without any are left out."""
    if not index.total:
        return muted("0 embeddings in the cache; nothing to check")
    entries: list[tuple[Role, str, str, int]] = []
    orphaned = sum(_unexpected(index, reason) for reason in ORPHANED)
    if orphaned:
        entries.append((Role.FAILED, "orphaned", "orphaned", orphaned))
    for reason, short in _SHORT.items():
        many = _unexpected(index, reason)
        if many:
            entries.append((role_of(reason), reason.value, short, many))
    if index.expected:
        entries.append((Role.OFF, "expected", "expected", len(index.expected)))
    if not entries:
        return (*_chip(frame, Role.OK, f"all {index.total:,} have their owner and valid numbers"),)
    long = [_chip(frame, role, f"{name} {many:,}") for role, name, _, many in entries]
    brief = [_chip(frame, role, f"{short} {many:,}") for role, _, short, many in entries]
    lines = [_joined(chips, gap) for chips in (long, brief) for gap in (3, 1)]
    return next((line for line in lines if width_of(line) <= width - 2), lines[-1])


def _unexpected(index: OrphanIndex, reason: Reason) -> int:
    """Rows of this reason but for those that an operator expects, which are counted by themselves."""
    there = index.counts[reason].rows if reason in index.counts else 0
    return there - sum(index.reason(row) is reason for row in index.expected)


def _chip(frame: Frame, role: Role, text: str) -> Line:
    return (Piece(frame.look.glyphs.roles[role], Tone(role.value)), Piece(f" {text}"))


def _joined(parts: Iterable[Line], gap: int = 3) -> Line:
    pieces: list[Piece] = []
    for part in parts:
        if pieces:
            pieces.append(Piece(" " * gap))
        pieces.extend(part)
    return tuple(pieces)


def row_line(frame: Frame, row: Row, marked: bool, width: int, *, dimmed: bool = False) -> Line:
    """One embedding."""
    glyphs = frame.look.glyphs
    mark = Piece(glyphs.mark if marked else " ", Tone.ACCENT)
    key = frame.clean(fmt.short_key(row.key, glyphs))
    seen = frame.ago(row.first_seen)
    reason = Piece(frame.clean(row.reason.value), Tone.PLAIN)
    cells: Sequence[Line] = (
        (mark, Piece(f" {key}")),
        owner_words(frame, row),
        (reason,),
        plain(seen),
        plain(fmt.count(row.dimension)),
        plain(fmt.UNKNOWN if row.norm is None else f"{row.norm:.3f}"),
        plain(fmt.size(row.bytes) if row.in_cache else "-"),
    )
    line = table_row(COLUMNS, cells, width, glyphs)
    return tuple(Piece(piece.text, Tone.MUTED) for piece in line) if dimmed else line


def owner_words(frame: Frame, row: Row) -> Line:
    if row.title is not None:
        return plain(frame.clean(row.title))
    if not row.owner_id:
        return muted("(raw id, no owner by design)")
    return muted(f"{frame.clean(row.owner_kind)} {frame.clean(row.owner_id[:8])}")


def group_line(frame: Frame, group: Group, folded: bool) -> Line:
    """The head of a group."""
    glyphs = frame.look.glyphs
    mark = glyphs.folded if folded else glyphs.opened
    text = frame.label(f" {group.rows:,} · {fmt.size(group.bytes)}")
    name = frame.label(f"{frame.clean(group.name)} ·")
    return (Piece(f" {mark} "), Piece(name, Tone.STRONG), Piece(text, Tone.MUTED))


def foot(frame: Frame, view: View | None, marked: int, top: int, height: int, width: int) -> Line:
    """How many are marked, and which of the listed embeddings are on the screen; heads of groups do not count."""
    left = plain(f" {marked:,} marked") if marked else muted(" nothing marked")
    if view is None or not len(view):
        return left
    last = min(len(view), top + height)
    first, shown, listed = view.rows_before(top) + 1, view.rows_before(last), view.rows_before(len(view))
    orphaned = sum(_unexpected(view.index, reason) for reason in ORPHANED)
    if orphaned and listed > orphaned and not view.wanted.filter.strip():
        # the tab and the Overview have the number of the check
        left = (*left, *muted(f"   the check counts only the {orphaned:,} orphaned"))
    right = plain(f"{first:,}-{shown:,} of {listed:,} " if shown >= first else f"0 of {listed or view.rows:,} ")
    return spread(left, right, width, frame.look.glyphs) if width > len(text_of(left)) else left
