"""The one-line truth about a snapshot and the next step (docs/console.md#verdict). Pure: value in, value out."""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from console.views import own_change
from console.views.hints import hint_of
from console.views.next_steps import noted, possible, run_note, while_running
from console.views.states import (
    adoptable,
    asks_consent,
    changed_since,
    contradicting,
    failed_checks,
    holder_words,
    how_far,
    is_held,
    last_proof,
    next_try,
    proof_valid,
    rewritten,
    rewritten_rows,
    rows_behind,
    states_of,
    unanswered_s,
    went_back,
)
from storage_sync.reports.sentences import followed_since
from storage_sync.values import visible
from storage_sync.values.found import still
from storage_sync.values.outcome import CacheState, Word
from storage_sync.values.snapshot import PrimaryStatus, Snapshot
from widgets import fmt
from widgets.glyphs import Role

STALLED_AFTER_S = 1.5

_BROKEN = {"BIT_ROT": "damaged: rows are not what was proven", "WRONG_TYPES": "damaged: its tables have wrong types"}


class Verdict(Struct, frozen=True):
    """`sentence` and `next`: wordings, longest first. `key`: the key that `next` names, or empty.

    `exit_code`: what `status --check` returns for the same state; None where only the console has it (STALLED).
    """

    word: str
    role: Role
    sentence: tuple[str, ...]
    next: tuple[str, ...]
    key: str = ""
    exit_code: int | None = None


def verdict(snapshot: Snapshot | None, *, now: float, beat_age: float | None) -> Verdict:
    """First matching row of the table wins. `now` UTC seconds; `beat_age` seconds since the core's sign of life."""
    if snapshot is None:
        return _starting(beat_age)
    rows = (row(snapshot, now, beat_age) for row in _ROWS)
    found = next((row for row in rows if row is not None), None) or _unproved(snapshot, now)
    steps, key = possible(found.next, found.key, "rw" if found.word == "NO CONFIG" else snapshot.access)
    return _of_copy(_with_notes(replace(found, next=steps, key=key), snapshot), snapshot, now)


def _starting(beat_age: float | None) -> Verdict:
    if beat_age is not None and beat_age > STALLED_AFTER_S:
        return Verdict(
            "UNKNOWN",
            Role.UNKNOWN,
            (f"The sync core has not answered for {fmt.age(beat_age)}.",),
            ("wait, or L shows its log; q leaves without waiting.",),
            "L",
        )
    return Verdict("UNKNOWN", Role.UNKNOWN, ("The sync core is starting.",), ("wait a moment.",), exit_code=3)


def _stalled(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    if beat_age is None or beat_age <= STALLED_AFTER_S:
        return None
    since = fmt.clock(snapshot.taken_at)
    running = snapshot.run is not None and snapshot.run.ended_at is None
    return Verdict(
        "STALLED",
        Role.UNKNOWN,
        (
            f"The sync core has not answered for {fmt.age(beat_age)}. Numbers below are from {since}.",
            f"The core has not answered for {fmt.age(beat_age)}; numbers are from {since}.",
        ),
        (
            f"wait, or L shows its last log lines. {'x asks it to stop; ' if running else ''}q leaves without waiting.",
            f"wait; L log, {'x stop, ' if running else ''}q quit.",
        ),
        "L",
    )


def _no_config(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    if snapshot.cache.path and snapshot.primary.url:
        return None
    missing = "primary" if snapshot.cache.path else "cache path" if snapshot.primary.url else "configuration"
    reason = snapshot.config.error or f"No {missing} was found. Nothing is opened until you choose."
    return Verdict(
        "NO CONFIG",
        Role.OFF,
        (reason, "No configuration."),
        ("s sets it up; F2 starts the demo.",),
        "s",
        2,
    )


def _refused(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    foreign = CacheState.FOREIGN in states_of(snapshot)
    if not foreign and snapshot.verdict is not Word.REFUSED:
        return None
    if foreign:
        return Verdict(
            "REFUSED",
            Role.FAILED,
            ("The cache path holds something that is not a redb file. Nothing was changed.", "Not a redb file."),
            ("give another path; 5 shows where this one came from.",),
            "5",
            5,
        )
    guard = "A guard stopped the sync. Nothing was changed (exit code 9)."
    said = snapshot.error.message if snapshot.error is not None else guard
    sentence = fmt.begin(said)
    bare = re.sub(r" \([^)]*\)", "", sentence)
    return Verdict(
        "REFUSED",
        Role.FAILED,
        (sentence, bare, *(f"{bare.partition(mark)[0]}." for mark in ("; ", ", ")), "A guard stopped the sync."),
        (*_refused_next(snapshot),),
        "2" if went_back(snapshot) else "5",
        9,
    )


def _refused_next(snapshot: Snapshot) -> tuple[str, ...]:
    if went_back(snapshot):
        return (
            "v compares the rows, 2 shows them; a crash loses none, a restore may; A adopts it (typed consent).",
            "v compares, 2 shows the rows; A adopts this primary.",
        )
    if adoptable(snapshot):
        return (
            "5 shows which URL is set and where it came from; A adopts this primary (typed consent).",
            "5 shows the URL; A adopts this primary.",
        )
    if asks_consent(snapshot):
        return (
            "5 shows which primary is set; s plans the sync and can remove these rows (typed consent).",
            "5 shows the primary; s can remove them (typed consent).",
        )
    hint = hint_of(snapshot.error) if snapshot.error is not None else ""
    return (*((f"{hint}; 5 shows which primary is set.",) if hint else ()), "5 shows which URL is set.")


def _damaged(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    states = states_of(snapshot)
    named = [state for state in states if state.damaged]
    if not named and (snapshot.verdict is not Word.DAMAGED or any(state.other_version for state in states)):
        return None
    what = _BROKEN.get(named[0], _words(named[0])) if named else "damaged"
    cause = visible.without_place(snapshot.cache.error.message) if snapshot.cache.error is not None else ""
    said = (f"The cache file is {what}: {cause}",) if cause else ()
    return Verdict(
        "DAMAGED",
        Role.FAILED,
        (*said, f"The cache file is {what}. {last_proof(snapshot, now)}.", f"The cache is {what}."),
        (
            "r plans a repair, R a new file from the primary; the damaged file is kept.",
            "r plans a repair, R a rebuild; the damaged file is kept.",
            "r repairs, R rebuilds.",
        ),
        "r",
        5,
    )


def _wrong_version(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    named = [state for state in states_of(snapshot) if state.other_version]
    if not named:
        return None
    schema = still(snapshot.cache.schema, snapshot.present)
    if schema is not None and schema > 4:
        sentence = f"The cache has schema {schema}: this tool is older than your do-memory and cannot use it."
        step = "install a newer storage-sync."
    else:
        sentence = f"The cache is of another version ({_words(named[0])}); do-memory would wipe or refuse it."
        step = "R plans a new file beside it; 5 shows which file this is."
    return Verdict("WRONG VERSION", Role.FAILED, (sentence, "The cache is of another version."), (step,), "5", 12)


def _no_access(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    writes = snapshot.access == "rw"
    named = [state for state in states_of(snapshot) if state.inaccessible or (writes and state.unwritable)]
    if not named:
        return None
    cache = snapshot.cache
    said = cache.error.message if cache.error is not None else f"{_words(named[0])}: {cache.path}"
    short = _UNWRITABLE.get(named[0], f"The cache file is {_words(named[0])}")
    step = "check the path and its owner; 5 shows the path."
    if named[0] is CacheState.DISK_LOW:
        free = f"{fmt.size(cache.disk_free)} free: " if cache.disk_free is not None else ""
        step = f"{free}free some space on its disk; 5 shows the path."
    return Verdict(
        "NO ACCESS",
        Role.FAILED,
        (fmt.begin(said), f"{short}. {last_proof(snapshot, now)}.", f"{short}."),
        (step,),
        "5",
        8,
    )


_UNWRITABLE = {"DISK_LOW": "Too little disk space for a run", "READ_ONLY": "The cache cannot be written"}


def _held(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    """Only until the file was looked at: then what was found is said, and of what."""
    if not is_held(snapshot) or snapshot.cache.look is not None:
        return None
    who = holder_words(snapshot.cache.holder, now)
    return Verdict(
        "HELD",
        Role.OFF,
        (
            f"{who}. A copy of it is being checked. {last_proof(snapshot, now)}.",
            f"{who}.",
            "The file is held.",
        ),
        (
            "p looks at a copy now; runs that write wait until the file is closed.",
            "p looks at a copy.",
        ),
        "p",
    )


def _of_copy(found: Verdict, snapshot: Snapshot, now: float) -> Verdict:
    """Of a held file it is said what was looked at, where there is room for it, and whether it is past."""
    cache = snapshot.cache
    if cache.look is None or not is_held(snapshot) or found.word in ("HELD", "STALLED"):
        return found
    past = "; the file was written to since" if changed_since(snapshot) else ""
    note = f"Of a copy made {fmt.age(now - cache.look.at)} ago{past}"
    longest = found.sentence[0]
    whole = f"{longest} {note}; {holder_words(cache.holder, now)}."
    return replace(found, sentence=(whole, f"{longest} {note}.", *found.sentence))


def _partial(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    states = states_of(snapshot)
    nothing_there = snapshot.cache.generation is None or any(state.empty for state in states)
    if CacheState.PARTIAL not in states or not nothing_there:
        return None
    return Verdict(
        "PARTIAL",
        Role.ATTENTION,
        ("There is no cache yet, but an unfinished build can be resumed.", "A build can be resumed."),
        ("s goes on where it stopped.",),
        "s",
        1,
    )


def _empty(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    named = [state for state in states_of(snapshot) if state.empty]
    if not named and snapshot.verdict is not Word.EMPTY:
        return None
    what = "There is no cache file yet" if not named or named[0] is CacheState.ABSENT else "The cache holds nothing yet"
    return Verdict("EMPTY", Role.ATTENTION, (f"{what}.",), ("s builds it from the primary.",), "s", 1)


def _unclean(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    states = states_of(snapshot)
    compared = snapshot.verdict in {Word.STALE, Word.DRIFT} or (
        snapshot.verdict is Word.IN_SYNC and proof_valid(snapshot, now)
    )
    # rows that were compared since say more than how the file was closed
    unclean = CacheState.UNCLEAN in states or CacheState.REPAIRED in states
    if not unclean or compared or snapshot.primary.status is not PrimaryStatus.CONNECTED:
        return None
    what = "was repaired by redb" if CacheState.REPAIRED in states else "was not closed cleanly"
    return Verdict(
        "UNCLEAN",
        Role.ATTENTION,
        (f"The cache file {what}. {last_proof(snapshot, now)}.", f"The cache file {what}."),
        ("V runs every check on it.",),
        "V",
        1,
    )


def _auth(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    if snapshot.primary.status is not PrimaryStatus.REFUSED:
        return None
    error = snapshot.primary.error
    said = error.message if error is not None else snapshot.primary.last_error or "The primary refused us."
    return Verdict(
        "AUTH",
        Role.FAILED,
        (f"{said.rstrip('.')}. {last_proof(snapshot, now)}.", said),
        ("5 shows the URL and where the token came from; t tries again now.", "5 shows URL and token; t tries now."),
        "5",
        4,
    )


def _unknown(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    primary = snapshot.primary
    proof = last_proof(snapshot, now)
    was = f"{proof}: in sync." if snapshot.freshness.proof is not None else f"{proof}."
    if cause := own_change.cause_of(snapshot):
        was = f"{proof}; {cause} since."
    if primary.status.lost:
        return _lost(snapshot, was, now)
    if primary.status is PrimaryStatus.UNKNOWN:
        return Verdict(
            "UNKNOWN", Role.UNKNOWN, (f"The primary has not been asked yet. {was}",), ("wait, or t asks now.",), "t", 3
        )
    if snapshot.verdict in {Word.STALE, Word.DRIFT} or rows_behind(snapshot) or contradicting(snapshot, now):
        return None
    silent_s = unanswered_s(snapshot, now)
    if silent_s is not None and snapshot.verdict is Word.IN_SYNC:
        said = f"The primary has not answered for {fmt.age(silent_s)}"
        return Verdict(
            "UNKNOWN",
            Role.UNKNOWN,
            (f"{said}, so it may have changed. {was}", f"{said}. {was}", f"{said}."),
            ("wait for its answer; the cache can still be read.", "wait for its answer."),
            exit_code=3,
        )
    if snapshot.verdict is Word.IN_SYNC and proof_valid(snapshot, now):
        return None
    return _unproved(snapshot, now)


def _lost(snapshot: Snapshot, was: str, now: float) -> Verdict:
    """The primary cannot be compared with. `was`: what the last proof said."""
    primary, waiting = snapshot.primary, snapshot.cache.waiting
    since, at = primary.unreachable_since, next_try(snapshot)
    left = fmt.due(at - now) if at is not None else ""
    clock = f" since {fmt.clock(since)}" if since is not None else ""
    tries = f"t tries again now{f'; the next try is {left}' if left else ''}."
    said: tuple[str, ...]
    match primary.status:
        case PrimaryStatus.GONE:
            said, steps = (f"The primary's file is gone{clock}",), (tries, "t tries again now.")
        case PrimaryStatus.UNUSABLE:
            error = primary.error.message if primary.error is not None else primary.last_error
            said = (f"The primary cannot be compared{clock}: {error}", f"The primary cannot be compared{clock}")
            steps = (f"5 shows the URL; {tries}", "5 shows the URL; t tries again now.")
        case _:
            said = (f"Primary unreachable{f' for {fmt.age(now - since)}' if since is not None else ''}",)
            again = f"next try {left}, or " if left else ""
            steps = (f"{again}t tries now. The cache can still be read.", "t tries now.")
    rows = ""
    if waiting is not None:
        rows = f" {fmt.plural(waiting.rows, 'row')} {'waits' if waiting.rows == 1 else 'wait'} to be written."
    whole = (*((f"{said[0]}. {was}{rows}",) if rows else ()), *(f"{one}. {was}" for one in said))
    exit_code = 3 if primary.status is PrimaryStatus.UNREACHABLE else 4
    return Verdict("UNKNOWN", Role.UNKNOWN, (*whole, f"{said[-1]}."), steps, "t", exit_code)


def _unproved(snapshot: Snapshot, now: float) -> Verdict:
    proof = snapshot.freshness.proof
    if proof is None:
        return Verdict(
            "UNKNOWN",
            Role.UNKNOWN,
            ("Nothing has been proven yet.",),
            ("s syncs and proves; v compares only.",),
            "s",
            10,
        )
    age = proof.age(now)
    if age is None:
        return Verdict(
            "UNKNOWN",
            Role.UNKNOWN,
            ("The last proof is dated in the future: the clock was wrong then, or is now.", "No proof of a known age."),
            ("check the clock; s syncs and proves again.", "s syncs and proves."),
            "s",
            10,
        )
    if cause := own_change.cause_of(snapshot):
        said = own_change.sentences(cause)
        whole = f"{said[0]} {last_proof(snapshot, now)}."
        return Verdict("UNKNOWN", Role.UNKNOWN, (whole, *said), own_change.NEXT, "s", 10)
    expired = age > snapshot.freshness.max_age_s
    why = f"the target is {fmt.target(snapshot.freshness.max_age_s)}" if expired else _why_not_now(snapshot)
    at = snapshot.freshness.next_compare_at
    step = f"compare {fmt.due(at - now)}, or " if at is not None and at > now else ""
    return Verdict(
        "UNKNOWN",
        Role.UNKNOWN,
        (f"{last_proof(snapshot, now)}: in sync; {why}.", f"{last_proof(snapshot, now)}; {why}."),
        (f"{step}v validates now.", "v validates now."),
        "v",
        10,
    )


def _why_not_now(snapshot: Snapshot) -> str:
    """Why a proof that is not too old says nothing of this moment."""
    if changed_since(snapshot):
        return "the file was written to since"
    if rewritten(snapshot):
        return f"{rewritten_rows(snapshot)} since, and it is not known whether the primary has the same"
    if snapshot.error is not None:
        return f"the last run failed: {snapshot.error.message}"
    return (
        "not compared since this console started"
        if snapshot.freshness.behind is None
        else "something has changed since"
    )


def _drift(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    failed = contradicting(snapshot, now)
    behind = snapshot.verdict is Word.STALE or bool(rows_behind(snapshot))
    # what the cache has may be what the primary has by now: then the comparison said so
    local = CacheState.LOCAL_DRIFT in states_of(snapshot) and snapshot.verdict not in {Word.IN_SYNC, Word.STALE}
    drifted = local or snapshot.verdict is Word.DRIFT
    if not drifted and (behind or not failed):
        return None
    told = failed and not rows_behind(snapshot)
    what = f"{fmt.plural(len(failed), 'check')} failed" if told else "Rows in the cache differ from what was proven"
    cause = own_change.cause_of(snapshot) if drifted else ""
    named = (f"{what}: {cause}. {last_proof(snapshot, now)}.", *own_change.sentences(cause)) if cause else ()
    usual = ("2 shows what differs; s brings the cache to the primary's state.", "2 shows what; s syncs.")
    steps = own_change.NEXT if cause else usual
    return Verdict(
        "DRIFT",
        Role.ATTENTION,
        (*named, f"{what}. {last_proof(snapshot, now)}.", f"{what}."),
        _stale_next(snapshot, now) if is_held(snapshot) else steps,
        "2",
        1,
    )


def _stale(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    if snapshot.verdict is not Word.STALE and not rows_behind(snapshot):
        return None
    what = how_far(snapshot, now)
    cause = own_change.cause_of(snapshot) or (rewritten_rows(snapshot) if rewritten(snapshot) else "")
    beside = f"; {cause}" if cause else ""
    return Verdict(
        "STALE",
        Role.ATTENTION,
        (
            *((f"{what}{beside}{{run}}.",) if beside else ()),
            f"{what}{{run}}. {last_proof(snapshot, now)}.",
            f"{what}{{run}}.",
            f"{what}.",
        ),
        _stale_next(snapshot, now),
        "s",
        1,
    )


def _stale_next(snapshot: Snapshot, now: float) -> tuple[str, ...]:
    writes = snapshot.access == "rw"
    if is_held(snapshot) and writes:
        holder = snapshot.cache.holder
        who = holder.command if holder is not None and holder.command else "its holder"
        rows = "the waiting rows are" if snapshot.cache.waiting is not None else "what differs is"
        when = f"{rows} written when {who} closes the file."
        return (f"nothing to do; {when}", when, "wait until the file is closed.")
    at = snapshot.freshness.next_sync_at
    by_itself = f"; the next one starts by itself {fmt.due(at - now)}" if writes and at is not None and at > now else ""
    return (f"s plans a sync{by_itself}.", "s plans a sync.")


def _in_sync(snapshot: Snapshot, now: float, beat_age: float | None) -> Verdict | None:
    proof = snapshot.freshness.proof
    if snapshot.verdict is not Word.IN_SYNC or proof is None or not proof_valid(snapshot, now):
        return None
    rejected = still(snapshot.quarantine.refused, snapshot.present)
    if rejected is None:
        rejected = proof.refused or 0
    failed = failed_checks(snapshot, now)
    rows = fmt.plural(rejected, "rejected row") if rejected else ""
    checks = f"{fmt.plural(len(failed), 'check')} failed" if failed else ""
    extra = f", except for {rows}" if rows else ""
    told = f"; {checks}" if checks else ""
    beside = f"{told}; press 2 to see which" if told else ""
    age = fmt.age(proof.age(now))
    followed = snapshot.freshness.followed
    if followed is None:
        said: tuple[str, ...] = (
            f"The cache equals the primary{extra}{beside}. Proved {age} ago, g-{proof.generation}.",
            f"Proved {age} ago{extra}{beside}.",
            f"Proved {age} ago{extra}{told}.",
        )
    else:
        # never the proof alone: it does not speak of what came after it
        since = followed_since(followed)
        amiss = ", ".join(filter(None, (rows, checks)))
        said = (
            f"Proved {age} ago{extra}; {followed_since(followed, fmt.age(now - followed.at))}{beside}.",
            f"Proved {age} ago{extra}; {since}{told}.",
            f"Proved {age} ago, {followed.changes:,} followed; {amiss}." if amiss else f"Proved {age} ago; {since}.",
        )
    at = snapshot.freshness.next_compare_at or snapshot.freshness.next_sync_at
    step = "u shows what was rejected" if rejected else "2 shows what failed" if failed else "nothing to do"
    again = f"; next comparison {fmt.due(at - now)}" if at is not None and at > now else ""
    return Verdict(
        "IN SYNC",
        Role.ATTENTION if rejected or failed else Role.OK,
        said,
        (f"{step}{again}.", f"{step}."),
        "u" if rejected else "2" if failed else "",
        1 if failed else 7 if rejected else 0,
    )


Row = Callable[[Snapshot, float, float | None], Verdict | None]
_ROWS: tuple[Row, ...] = (
    _stalled,
    _no_config,
    _refused,
    _damaged,
    _wrong_version,
    _no_access,
    _held,
    _partial,
    _empty,
    _unclean,
    _auth,
    _unknown,
    _drift,
    _stale,
    _in_sync,
)


def _words(state: str) -> str:
    return state.replace("_", " ").lower()


def _with_notes(found: Verdict, snapshot: Snapshot) -> Verdict:
    """What is going on beside the verdict is said in its sentence and never changes its word."""
    running = run_note(snapshot)
    build_note = ""
    if found.word != "PARTIAL" and CacheState.PARTIAL in states_of(snapshot):
        build_note = "; a build can be resumed"
    wordings = tuple(noted(text, running + build_note) for text in found.sentence)
    said = replace(found, sentence=(*wordings, found.sentence[-1].replace("{run}", "")))
    steps = while_running(snapshot.run, found.word)
    return replace(said, next=steps, key="") if steps else said
