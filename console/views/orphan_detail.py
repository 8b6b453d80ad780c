"""Facts about one embedding as a picture (docs/console.md#orphans). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.views.frame import Frame
from console.views.orphans import role_of
from storage_sync.embeddings.reason import ORPHANED
from widgets import fmt
from widgets.facts import Fact
from widgets.glyphs import Tone
from widgets.line import Line, Piece, cell, muted, plain, toned
from widgets.vector_view import VectorView

if TYPE_CHECKING:
    from storage_sync.embeddings.detail import Detail, Neighbour, Neighbours
    from storage_sync.embeddings.index import Row

_YES = {True: "yes", False: "no", None: fmt.UNKNOWN}


def nothing(said: str) -> VectorView:
    """No row is chosen, or its facts are on their way."""
    return VectorView("Embedding", said, (), (), ())


def picture(frame: Frame, detail: Detail, near: Neighbours | None, days: str) -> VectorView:
    """`near` None: still being computed. `days`: how long quarantined rows are kept, '' when that is not known."""
    row, vector = detail.row, detail.vector
    means = tuple(None if mean != mean else mean for mean in vector.means) if vector is not None else ()
    return VectorView(
        title=frame.clean(row.key),
        right=_reason(frame, row),
        facts=(
            Fact("found in", plain(_found(row))),
            _owner(frame, detail),
            *_filed(frame, row),
            Fact("why", plain(frame.clean(detail.why)), whole=True),
            Fact("vector", plain(_vector(detail))),
        ),
        short=(
            Fact("found in", plain(_found_short(row))),
            _owner(frame, detail),
            Fact("why", plain(frame.clean(detail.why)), whole=True),
            Fact("vector", plain(_vector_short(detail))),
        ),
        tail=(*_nearest(frame, near), *_twins(frame, detail)),
        means=means,
        count=vector.count if vector is not None else 0,
        histogram=vector.histogram if vector is not None else (),
        bound=vector.bound if vector is not None else 0.0,
        last=(
            Fact(
                "actions",
                plain(_actions(frame, detail, days)),
                short=tuple(plain(_actions_short(frame, detail, why=why)) for why in (True, False)),
            ),
        ),
    )


def _reason(frame: Frame, row: Row) -> str:
    """With the word that the counts above the list have for it."""
    return frame.clean(f"orphaned: {row.reason.value}" if row.reason in ORPHANED else row.reason.value)


def _found(row: Row) -> str:
    return (
        f"cache embeddings: {_YES[row.in_cache]}   primary embeddings: {_YES[row.in_primary]}"
        f"   owner in cache: {_owner_in(row, row.owner_in_cache)}   in primary: {_owner_in(row, row.owner_in_primary)}"
    )


def _found_short(row: Row) -> str:
    owner = f"owner: cache {_owner_in(row, row.owner_in_cache)}, primary {_owner_in(row, row.owner_in_primary)}"
    return f"cache {_YES[row.in_cache]}, primary {_YES[row.in_primary]}   {owner}"


def _owner_in(row: Row, there: bool | None) -> str:
    return _YES[there] if row.owner_id else "none"


def _owner(frame: Frame, detail: Detail) -> Fact:
    row = detail.row
    if not row.owner_id:
        return Fact("owner", muted("none by design: the key names no episode and no pattern"))
    if row.title is None:
        return Fact("owner", plain(f"{row.owner_kind} {frame.clean(row.owner_id)}"), extra=muted("title unknown"))
    title = plain(f"{row.owner_kind} '{frame.clean(row.title)}'")
    return Fact("owner", title, extra=muted(f"({frame.clean(detail.title_from)})"))


def _filed(frame: Frame, row: Row) -> tuple[Fact, ...]:
    """Domain and tags of the owner, where they are known."""
    if row.label is None:
        return ()
    domain, tags = row.label
    return (Fact("domain", plain(frame.clean(domain or "none")), extra=muted(frame.clean(", ".join(tags)))),)


def _vector(detail: Detail) -> str:
    vector = detail.vector
    if vector is None:
        if not detail.row.in_cache:
            return "none in the cache"
        return f"{len(detail.values):,} B that do not decode"
    broken = f"   NaN {vector.nans}" + (f"   infinite {vector.infinities}" if vector.infinities else "")
    ends = f"   min {_number(vector.low)}   max {_number(vector.high)}"
    size = f"{vector.count:,} x f32, {len(detail.values):,} B"
    return f"{size}   norm {_number(detail.row.norm)}{ends}{broken}   model unknown"


def _vector_short(detail: Detail) -> str:
    vector = detail.vector
    if vector is None:
        return _vector(detail)
    return f"{vector.count:,} x f32   norm {_number(detail.row.norm)}   NaN {vector.nans}"


def _number(value: float | None) -> str:
    return fmt.UNKNOWN if value is None else f"{value:.3f}" if abs(value) < 1e4 else f"{value:.3g}"


def _nearest(frame: Frame, near: Neighbours | None) -> tuple[Fact, ...]:
    if near is None:
        return (Fact("nearest", muted(frame.label("computing…"))),)
    if not near.nearest:
        return (Fact("nearest", muted("none: no other vector of this dimension, or this one has no direction")),)
    return tuple(
        Fact("nearest" if place == 0 else "", _neighbour(frame, one)) for place, one in enumerate(near.nearest)
    )


def _neighbour(frame: Frame, one: Neighbour) -> Line:
    glyphs = frame.look.glyphs
    key = fmt.short_key(frame.clean(one.key), glyphs)
    text = "title unknown" if one.title is None else frame.clean(one.title)
    head = (Piece(f"cosine {one.cosine:.3f}  "), *cell(key, 24, glyphs), Piece("  "))
    mark = toned(role_of(one.reason), frame.clean(one.reason.value), glyphs=glyphs)
    return (*head, *mark, Piece(f"  {text}", Tone.MUTED if one.title is None else Tone.PLAIN))


def _twins(frame: Frame, detail: Detail) -> tuple[Fact, ...]:
    if not detail.twins:
        return ()
    keys = ", ".join(fmt.short_key(frame.clean(key), frame.look.glyphs) for key in detail.twins)
    return (Fact("same as", plain(keys)),)


def _actions(frame: Frame, detail: Detail, days: str) -> str:
    kept = f" for {days} days" if days else ""
    aside = f"d quarantines it, undo with u{kept}" if detail.row.in_cache else "nothing to quarantine"
    return f"{aside}    {_reattach(frame, detail)}    {_expected(frame, detail)}"


def _actions_short(frame: Frame, detail: Detail, *, why: bool) -> str:
    """`why`: with the reason for which it cannot be attached again."""
    aside = "d quarantine" if detail.row.in_cache else "nothing to quarantine"
    marked = _expected(frame, detail, mark="i mark expected")
    return f"{aside}   {_reattach(frame, detail, why=why, attach='re-attach')}   {marked}"


def _reattach(frame: Frame, detail: Detail, *, why: bool = True, attach: str = "re-attaches it") -> str:
    key = next(key.shown for key in frame.table if key.id == "orphans.reattach")
    reason = f": {frame.clean(detail.reattach)}" if why else ""
    return f"{key} not possible{reason}" if detail.reattach else f"{key} {attach}"


def _expected(frame: Frame, detail: Detail, mark: str = "i marks it as expected") -> str:
    note = detail.row.expected
    if note is None:
        return mark
    return f"expected: {frame.clean(note)}" if note else "expected; i removes the mark"
