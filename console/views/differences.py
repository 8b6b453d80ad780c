"""Rows that differ and both sides of one; the state of each table; earlier runs of the checks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from console.views import checks
from console.views.frame import Frame
from console.views.states import behind_now, generation_now
from console.views.top import running_words
from storage_sync.values.answers import CheckRun, ColumnDifference, Difference
from storage_sync.values.filters import TEXT, Fields, Row
from storage_sync.values.found import still
from storage_sync.values.outcome import TABLES, CheckStatus
from storage_sync.values.snapshot import CheckResult, Run, StepState
from widgets import fmt
from widgets.facts import Fact, FactList
from widgets.glyphs import Role, Tone
from widgets.line import Line, Piece, muted, plain, toned

TABLES_OF: Mapping[str, tuple[str, ...]] = {
    "episode_count": ("episodes",),
    "latest_episodes": ("episodes",),
    "pattern_counts": ("patterns", "heuristics"),
    "content_digests": TABLES,
}
"""Checks whose rows can be compared, and the tables that they are about."""

EXPLAINED: Mapping[str, str] = {
    "episode_count": "as many episodes as the window says",
    "latest_episodes": "the newest by start_time, then id, are here",
    "pattern_counts": "as many patterns and heuristics as expected",
    "orphaned_embeddings": "each embedding has its episode or pattern",
    "content_digests": "each row's bytes equal the primary's row",
    "embedding_vectors": "declared dimension, finite, not zero",
    "cache_integrity": "redb's own check of a copy finds no damage",
    "schema_version": "the file has the version do-memory expects",
}
SAME_SHOWN = 6
"""Characters that are shown of what is the same on both sides, before the first that differs."""
_KIND_ROLES = {"missing": Role.FAILED, "differs": Role.ATTENTION, "surplus": Role.OFF}
_KIND_WORDS = {"missing": "not in the cache", "differs": "differs", "surplus": "not in the primary"}


# --------------------------------------------------------------------------------------------- rows


def row(frame: Frame, difference: Difference) -> tuple[Line, ...]:
    role = _KIND_ROLES.get(difference.kind, Role.NONE)
    key = fmt.short_key(difference.key, frame.look.glyphs)
    what = difference.kind if difference.kind != "differs" else ", ".join(changed(difference)) or "differs"
    return (
        (Piece(f" {frame.clean(key)}"),),
        plain(frame.clean(difference.table)),
        toned(role, frame.clean(what), glyphs=frame.look.glyphs) if what else (),
    )


def changed(difference: Difference) -> list[str]:
    """Names of the fields that differ."""
    return [column.name for column in difference.columns if not column.equal]


FIELDS: Fields = dict.fromkeys(("key", "table", "kind", "field", "text"), TEXT)


def row_of(difference: Difference) -> Row:
    """What the filter looks at."""
    return {
        "key": difference.key,
        "table": difference.table,
        "kind": difference.kind,
        "field": " ".join(changed(difference)),
        "text": " ".join(f"{column.primary or ''} {column.cache or ''}" for column in difference.columns),
    }


def as_row(difference: Difference) -> Mapping[str, object]:
    """One line of an export."""
    return {
        "v": 1,
        "table": difference.table,
        "key": difference.key,
        "kind": difference.kind,
        "columns": [
            {"name": column.name, "primary": column.primary, "cache": column.cache}
            for column in difference.columns
            if not column.equal
        ],
    }


def side(frame: Frame, column: ColumnDifference) -> tuple[Line, ...]:
    """One field: its name, the primary's text, the cache's."""
    tone = Tone.MUTED if column.equal else Tone.PLAIN
    name = Piece(f" {frame.clean(column.name)}", Tone.MUTED)
    cut = _same_before(column)
    return ((name,), _text(frame, column.primary, tone, cut), _text(frame, column.cache, tone, cut))


def _same_before(column: ColumnDifference) -> int:
    """Characters that both sides begin with and that would only push the difference out of sight."""
    if column.equal or column.primary is None or column.cache is None:
        return 0
    one, two = column.primary, column.cache
    same = next((place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    return same - SAME_SHOWN if same > 2 * SAME_SHOWN else 0


def _text(frame: Frame, text: str | None, tone: Tone, cut: int) -> Line:
    if text is None:
        return (Piece("absent", Tone.ATTENTION),)
    start = (Piece(frame.look.glyphs.ellipsis, Tone.MUTED),) if cut else ()
    return (*start, Piece(frame.clean(text[cut:]), tone))


def whole(frame: Frame, column: ColumnDifference) -> tuple[list[Line], str]:
    """Both sides of one field in full, as lines and as text."""
    lines: list[Line] = [plain(f" {frame.clean(column.name)}"), ()]
    for name, text in (("primary", column.primary), ("cache", column.cache)):
        lines.append(muted(f" {name}"))
        lines.extend(plain(f"   {frame.clean(part)}") for part in _wrapped("absent" if text is None else text))
        lines.append(())
    return lines, f"primary: {column.primary}\ncache: {column.cache}"


def _wrapped(text: str, width: int = 72) -> list[str]:
    return [part[at : at + width] for part in text.splitlines() for at in range(0, max(1, len(part)), width)] or [""]


def verdict_words(difference: Difference | None) -> str:
    return "" if difference is None else _KIND_WORDS.get(difference.kind, "")


# ------------------------------------------------------------------------------------------- panels


def tables(frame: Frame) -> FactList:
    """Each table: its rows, and how many of them differ from the primary's."""
    snapshot = frame.snapshot
    behind, counts = behind_now(snapshot), snapshot.cache.counts
    if counts is not None and counts.then(snapshot.present) is None:
        counts = None
    past = counts is not None and counts.now(snapshot.present) is None
    known = next((one for one in checks.ordered(frame) if one.name == "content_digests"), None)
    sure = known is not None and checks.role_of(frame, known) in {Role.OK, Role.FAILED}
    # rows that came after the comparison are counted, and were not compared
    equal = "equal then" if counts is not None and known is not None and counts.at > known.found.at else "equal"
    facts = []
    for table in TABLES:
        lag = behind.tables.get(table) if behind is not None else None
        rows = counts.was.get(table) if counts is not None else None
        number = lag.new + lag.changed + lag.gone if lag is not None else 0
        if not rows and not number:
            continue
        role = Role.FAILED if number else Role.OK if sure else Role.UNKNOWN
        said = f"{number:,} differ" if number else equal if sure else "not compared"
        held = "were" if past else "rows"
        mark = toned(role, f"{fmt.count(rows):>7} {held}   {said}", glyphs=frame.look.glyphs)
        facts.append(Fact(frame.clean(_short_table(table)), mark))
    right = f"{frame.ago(known.found.at)} ago" if known is not None else "not compared yet"
    return FactList("Content digests", right, tuple(facts), labels=15)


def _short_table(table: str) -> str:
    short = {"recommendation_sessions": "rec. sessions", "recommendation_feedback": "rec. feedback"}
    return short.get(table, "episode links" if table == "episode_pattern_relationships" else table)


def _went_back(epoch: int) -> str:
    return f"went back {epoch:,}x" if epoch else "never went back"


def identity(frame: Frame) -> FactList:
    """Witness, source, and what the cache holds that the primary never had."""
    snapshot = frame.snapshot
    glyphs, cache, proof = frame.look.glyphs, snapshot.cache, snapshot.freshness.proof
    generation = generation_now(snapshot)
    if generation is None or cache.acked is None:
        witness = toned(Role.UNKNOWN, "not known", glyphs=glyphs)
    else:
        same = generation == cache.acked
        words = f"has the same commit, g-{generation}" if same else f"has g-{cache.acked}, the cache g-{generation}"
        witness = toned(Role.OK if same else Role.ATTENTION, words, glyphs=glyphs)
    if proof is None or not snapshot.primary.source_id:
        source = toned(Role.UNKNOWN, "not known", glyphs=glyphs)
    elif proof.source_id == snapshot.primary.source_id:
        source = toned(Role.OK, f"unchanged, log {_went_back(proof.epoch)}", glyphs=glyphs)
    else:
        source = toned(Role.FAILED, "another primary", glyphs=glyphs)
    kept = still(snapshot.freshness.cache_only, snapshot.present)
    only = "   ".join(f"{frame.clean(table)} {rows:,}" for table, rows in (kept or {}).items() if rows)
    none = "none" if kept is not None else "not known"
    root = f"{frame.clean(proof.root[:12])}" if proof is not None else "no proof yet"
    return FactList(
        "File and identity",
        f"root {root}" if proof is not None else root,
        (
            Fact("witness", witness),
            Fact("source", source),
            Fact("cache-only", muted(only or none), extra=muted("kept, not compared") if only else ()),
        ),
        labels=12,
    )


def check_runs(frame: Frame, runs: Sequence[CheckRun]) -> FactList:
    """The newest runs of the checks, each with how many passed and failed."""
    facts = tuple(Fact("", _check_run(frame, run)) for run in runs)
    return FactList("Last runs", f"{len(runs)}" if runs else "none is remembered", facts, labels=-1)


def _check_run(frame: Frame, run: CheckRun) -> Line:
    glyphs = frame.look.glyphs.roles
    line: list[Piece] = [Piece(f" {fmt.clock(run.at)}  {frame.clean(run.kind):<7} {fmt.took(run.took_s):>7}  ")]
    words = ((CheckStatus.PASS, Role.OK), (CheckStatus.FAIL, Role.FAILED), (CheckStatus.UNKNOWN, Role.UNKNOWN))
    for status, role in words:
        number = run.statuses.count(status)
        if number:
            line.extend((Piece(f" {glyphs[role]}", Tone(role.value)), Piece(f"{number}")))
    skipped = run.statuses.count(CheckStatus.SKIPPED)
    return (*line, Piece(f"  {skipped} skipped", Tone.MUTED)) if skipped else tuple(line)


def progress(frame: Frame, run: Run | None) -> str:
    """Where a running check is, for the rule of the list; empty while none runs."""
    if run is None or run.ended_at is not None:
        return ""
    return f"{running_words(run)}, {fmt.took(max(0.0, frame.now - run.started_at))}"


def steps(frame: Frame, run: Run, *, rows: bool = True) -> Line:
    """A running operation in steps: how many are done, the one at work, how many wait."""
    glyphs = frame.look.glyphs
    states = [state for _, state in run.steps]
    done, waiting = states.count(StepState.DONE), states.count(StepState.WAITING)
    counted = f" {run.done:,} of {run.total:,}" if run.total and run.share is not None and rows else ""
    return (
        Piece(f"{glyphs.roles[Role.OK]} ", Tone.OK),
        Piece(f"{done} done  "),
        Piece(f"{glyphs.roles[Role.RUNNING]} ", Tone.RUNNING),
        Piece(f"{frame.clean(run.word)} {frame.clean(run.step)}{counted}  "),
        Piece(f"{glyphs.roles[Role.OFF]} {waiting} to go", Tone.MUTED),
    )


def explained(frame: Frame, result: CheckResult) -> str:
    return EXPLAINED.get(result.name, frame.clean(result.found.was.detail))
