"""The quarantine in words: one row, the details of one, and what there is in all (docs/console.md#screens)."""

from __future__ import annotations

from pathlib import PurePath

from console.views.columns import Column, table_head, table_row
from console.views.text import clean_text
from storage_sync.values.answers import QuarantineEntry, QuarantineKind, QuarantinePage
from widgets import fmt
from widgets.facts import Fact, FactList
from widgets.glyphs import Look, Role, Tone
from widgets.line import Line, Piece, fit, muted, plain, toned

COLUMNS = (
    Column("  table", 12),
    Column("key", 0),
    Column("kind", 11),
    Column("reason", 24, wide=96),
    Column("age", 7, right=True),
    Column("bytes", 10, right=True),
)
_HEADS = {
    QuarantineKind.RUN: "runs that can be undone",
    QuarantineKind.ASIDE: "quarantined by",
    QuarantineKind.REFUSED: "rejected, from the primary",
    QuarantineKind.FILE: "old files beside the cache",
}

_MEANINGS = {
    QuarantineKind.RUN: "enter on a run plans its undo",
    QuarantineKind.ASIDE: "rows that a run took out of the cache; enter plans to restore all of them",
    QuarantineKind.REFUSED: "rows that do-memory could not read; they stay in the primary; t fetches all again",
    QuarantineKind.FILE: "files that a rebuild or a repair replaced; the newest of each kind are kept",
}


def head(width: int, look: Look) -> Line:
    return table_head(COLUMNS, width, look.glyphs)


def row(entry: QuarantineEntry | None, *, marked: bool, now: float, width: int, look: Look) -> Line:
    """One line of the list; None: its page is on the way."""
    if entry is None:
        return muted(f"   {look.glyphs.ellipsis}")
    if entry.kind is QuarantineKind.HEAD:
        return _head_row(entry, look)
    mark = Piece(f"{look.glyphs.mark if marked else ' '} ", Tone.ACCENT)
    cells = (
        (mark, Piece(clean_text(_table(entry), look))),
        plain(_name(entry, look)),
        muted(str(entry.kind)),
        plain(clean_text(_why(entry), look)),
        muted(fmt.age(now - entry.at) if entry.at is not None else ""),
        plain(_amount(entry)),
    )
    return table_row(COLUMNS, cells, width, look.glyphs)


def _name(entry: QuarantineEntry, look: Look) -> str:
    if entry.kind is QuarantineKind.RUN:
        return clean_text(entry.id, look)
    if entry.kind is QuarantineKind.FILE:
        return clean_text(PurePath(entry.id).name, look)
    return fmt.short_key(clean_text(entry.key, look), look.glyphs)


def _table(entry: QuarantineEntry) -> str:
    """A row's table; what a run did."""
    return entry.reason.partition(", ")[0] if entry.kind is QuarantineKind.RUN else entry.table


def _why(entry: QuarantineEntry) -> str:
    """Why a row is here; of a run what there is to undo beside its rows."""
    return entry.reason.partition(", ")[2] if entry.kind is QuarantineKind.RUN else entry.reason


def _amount(entry: QuarantineEntry) -> str:
    """Bytes of what is kept; of a run its rows, where it has any."""
    if entry.kind is QuarantineKind.RUN:
        return fmt.plural(entry.rows, "row") if entry.rows else ""
    return fmt.count(entry.bytes) if entry.bytes is not None else ""


def kind_of(entry: QuarantineEntry) -> QuarantineKind:
    """That of the rows below it, for a head."""
    return QuarantineKind(entry.reason) if entry.kind is QuarantineKind.HEAD else entry.kind


def opens(entry: QuarantineEntry | None) -> str:
    """What enter does with an entry, or with all below a head; '' for nothing."""
    if entry is None:
        return ""
    if kind_of(entry) is QuarantineKind.ASIDE:
        return "Restore…"
    return "Undo…" if entry.kind is QuarantineKind.RUN else ""


def file_back(entry: QuarantineEntry) -> str:
    """How an old file becomes the cache again, or why it does not."""
    if entry.reason == "corrupt":
        return "a damaged file is never made the cache again; it is kept for you to look at"
    return "undo the run that replaced it, if that run is listed"


def _head_row(entry: QuarantineEntry, look: Look) -> Line:
    kind = kind_of(entry)
    run = f" {entry.run_id}" if entry.run_id else ""
    dated = f" · {fmt.when(entry.at)}" if entry.run_id and entry.at is not None else ""
    size = f" · {fmt.size(entry.bytes)}" if entry.bytes else ""
    said = look.glyphs.plain(f"{_HEADS[kind]}{clean_text(run, look)}{dated} · {entry.rows or 0:,}{size}")
    return (Piece(f" {look.glyphs.opened} ", Tone.MUTED), Piece(said, Tone.STRONG))


def summary(page: QuarantinePage | None, look: Look) -> Line:
    """How much there is of each kind, filter or not."""
    if page is None:
        return muted(" asking the core")
    glyphs = look.glyphs
    refused = Role.ATTENTION if page.refused else Role.OFF
    parts: list[Line] = [
        toned(refused, f"rejected {page.refused:,}, from the primary", glyphs=glyphs),
        toned(Role.OFF, f"quarantined {page.aside:,}", glyphs=glyphs),
        toned(Role.OFF, f"old files {page.files:,}", glyphs=glyphs),
        toned(Role.OFF, f"runs {page.runs:,}", glyphs=glyphs),
    ]
    pieces: list[Piece] = []
    for part in parts:
        pieces.extend((Piece("   " if pieces else " "), *part))
    return tuple(pieces)


def title(page: QuarantinePage | None, look: Look) -> str:
    amount = f" · {fmt.plural(page.aside, 'row')} · {fmt.size(page.bytes)}" if page is not None else ""
    return look.glyphs.plain(f"Quarantine{amount}")


def detail(entry: QuarantineEntry | None, now: float, look: Look) -> FactList:
    """What one entry is, what can be done with it, and what follows from that."""
    if entry is None:
        return FactList("", "", ())
    if entry.kind is QuarantineKind.HEAD:
        kind = kind_of(entry)
        return FactList(_HEADS[kind].removesuffix(" by"), str(kind), (Fact("", muted(_MEANINGS[kind])),), labels=0)
    titles = {
        QuarantineKind.RUN: f"run {entry.id}",
        QuarantineKind.FILE: PurePath(entry.id).name,
    }
    row = look.glyphs.plain(" · ").join((clean_text(entry.table, look), clean_text(entry.key, look)))
    name = clean_text(titles[entry.kind], look) if entry.kind in titles else row
    facts = {
        QuarantineKind.RUN: _run,
        QuarantineKind.ASIDE: _aside,
        QuarantineKind.REFUSED: _refused,
        QuarantineKind.FILE: _file,
    }[entry.kind](entry, now, look)
    return FactList(look.glyphs.plain(name), str(entry.kind), facts, labels=10)


def _aside(entry: QuarantineEntry, now: float, look: Look) -> tuple[Fact, ...]:
    size, digest = fmt.count(entry.bytes), clean_text(entry.digest[:8], look)
    left = entry.expires_at - now if entry.expires_at is not None else None
    expiry = (
        "can be purged now, with D" if left is not None and left <= 0 else f"in {fmt.age(left)}; D purges what is old"
    )
    return (
        Fact(
            "was",
            plain(f"taken out for g-{entry.generation} by {clean_text(entry.run_id, look)}, {fmt.when(entry.at)}"),
        ),
        Fact("why", plain(clean_text(entry.reason, look))),
        Fact(
            "restore",
            plain(f"enter plans to restore it, the same {size} bytes; digest {digest} is checked first"),
            short=(plain(f"enter plans it: the same {size} bytes, digest checked first"),),
        ),
        Fact("after", plain("if the primary has this row, the next sync replaces it again")),
        Fact("expires", plain(expiry)),
    )


def _refused(entry: QuarantineEntry, now: float, look: Look) -> tuple[Fact, ...]:
    since = f"since {fmt.when(entry.at)}" if entry.at is not None else "time not known"
    return (
        Fact("why", plain(clean_text(entry.reason, look))),
        Fact("column", plain(clean_text(entry.column, look) or "-")),
        Fact("seen", plain(since)),
        Fact("retry", plain("t fetches and checks it again; the primary keeps it as it is")),
        Fact("counts", plain("cached rows + rejected rows = expected rows")),
    )


def _run(entry: QuarantineEntry, now: float, look: Look) -> tuple[Fact, ...]:
    kept = (
        f"{fmt.plural(entry.rows or 0, 'row')}, {fmt.size(entry.bytes)}"
        if not entry.key
        else clean_text(entry.key, look)
    )
    return (
        Fact("did", plain(f"{clean_text(entry.reason, look)}, g-{entry.generation}, {fmt.when(entry.at)}")),
        Fact("kept", plain(kept)),
        Fact("undo", plain("enter plans it; rows that changed since stay as they are")),
    )


def _file(entry: QuarantineEntry, now: float, look: Look) -> tuple[Fact, ...]:
    why = "it was damaged" if entry.reason == "corrupt" else "a rebuild replaced it"
    return (
        Fact("path", plain(clean_text(entry.id, look))),
        Fact("size", plain(fmt.size(entry.bytes))),
        Fact("why", plain(why)),
        Fact("get back", plain(file_back(entry))),
    )


def marks_line(marked: int, place: int, total: int, below: int, problem: str, width: int, look: Look) -> Line:
    """Below the list; `below`: rows of it under the last one on the screen."""
    left = f" {marked:,} marked" if marked else ""
    wrong = (Piece(f"   {clean_text(problem, look)}", Tone.ATTENTION),) if problem else ()
    more = f"{below:,} more below   " if below else ""
    right = f"{more}line {place + 1:,}/{total:,} " if total else ""
    return (*fit((*plain(left), *wrong), max(0, width - len(right)), look.glyphs), *muted(right))
