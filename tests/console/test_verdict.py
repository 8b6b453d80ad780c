"""Each row of the verdict table (docs/console.md#verdict), and what is never green."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from console.views.states import behind_now, proof_valid, unanswered_s
from console.views.verdict import Verdict, verdict
from storage_sync.values.followed import Followed
from storage_sync.values.found import Basis, Found
from storage_sync.values.outcome import (
    CacheState,
    Check,
    CheckStatus,
    ErrorValue,
    HolderKind,
    LockHolder,
    LookedAt,
    Word,
)
from storage_sync.values.snapshot import (
    Behind,
    CacheHealth,
    CheckResult,
    LockState,
    PrimaryHealth,
    PrimaryStatus,
    Promise,
    RunSummary,
    Snapshot,
    WaitingRows,
)
from tests.support.scenes import snapshots
from widgets import fmt
from widgets.glyphs import Role

NOW = snapshots.NOW
GOOD = snapshots.scene("in_sync").snapshot


def judge(snapshot: Snapshot | None, beat_age: float | None = 0.4) -> Verdict:
    return verdict(snapshot, now=NOW, beat_age=beat_age)


def with_states(*states: CacheState, word: Word = Word.UNKNOWN, access: str = "rw") -> Snapshot:
    locks = {CacheState.LOCKED_EXCLUSIVE: LockState.OTHER, CacheState.LOCKED_SHARED: LockState.SHARED}
    lock = next((locks[state] for state in states if state in locks), LockState.FREE)
    return replace(GOOD, verdict=word, states=(), access=access, cache=replace(GOOD.cache, states=states, lock=lock))


@pytest.mark.parametrize(
    ("states", "word", "role", "exit_code", "key"),
    [
        ([CacheState.FOREIGN], "REFUSED", Role.FAILED, 5, "5"),
        ([CacheState.CORRUPT], "DAMAGED", Role.FAILED, 5, "r"),
        ([CacheState.TRUNCATED], "DAMAGED", Role.FAILED, 5, "r"),
        ([CacheState.BIT_ROT], "DAMAGED", Role.FAILED, 5, "r"),
        ([CacheState.ROLLED_BACK], "DAMAGED", Role.FAILED, 5, "r"),
        ([CacheState.WRONG_TYPES], "DAMAGED", Role.FAILED, 5, "r"),
        ([CacheState.FORMAT_OLD], "WRONG VERSION", Role.FAILED, 12, "5"),
        ([CacheState.FORMAT_NEW], "WRONG VERSION", Role.FAILED, 12, "5"),
        ([CacheState.WRONG_SCHEMA], "WRONG VERSION", Role.FAILED, 12, "5"),
        ([CacheState.NOT_A_FILE], "NO ACCESS", Role.FAILED, 8, "5"),
        ([CacheState.UNREADABLE], "NO ACCESS", Role.FAILED, 8, "5"),
        ([CacheState.IO_ERROR], "NO ACCESS", Role.FAILED, 8, "5"),
        ([CacheState.READ_ONLY], "NO ACCESS", Role.FAILED, 8, "5"),
        ([CacheState.DISK_LOW], "NO ACCESS", Role.FAILED, 8, "5"),
        ([CacheState.LOCKED_EXCLUSIVE], "HELD", Role.OFF, None, "p"),
        ([CacheState.LOCKED_SHARED], "HELD", Role.OFF, None, "p"),
        ([CacheState.ABSENT, CacheState.PARTIAL], "PARTIAL", Role.ATTENTION, 1, "s"),
        ([CacheState.ABSENT], "EMPTY", Role.ATTENTION, 1, "s"),
        ([CacheState.EMPTY_FILE], "EMPTY", Role.ATTENTION, 1, "s"),
        ([CacheState.INTERRUPTED_CREATE], "EMPTY", Role.ATTENTION, 1, "s"),
        ([CacheState.EMPTY_CACHE], "EMPTY", Role.ATTENTION, 1, "s"),
        ([CacheState.UNCLEAN], "UNCLEAN", Role.ATTENTION, 1, "V"),
        ([CacheState.REPAIRED], "UNCLEAN", Role.ATTENTION, 1, "V"),
        ([CacheState.LOCAL_DRIFT], "UNKNOWN", Role.UNKNOWN, 10, "v"),
    ],
)
def test_states_of_the_file(states: list[CacheState], word: str, role: Role, exit_code: int, key: str) -> None:
    found = judge(with_states(*states))
    if states == [CacheState.LOCAL_DRIFT]:
        found_drift = judge(with_states(*states, word=Word.DRIFT))
        assert (found_drift.word, found_drift.exit_code, found_drift.key) == ("DRIFT", 1, "2")
        return
    assert (found.word, found.role, found.exit_code, found.key) == (word, role, exit_code, key)


def test_a_core_that_does_not_beat_is_stalled_whatever_it_said() -> None:
    assert judge(GOOD, 1.5).word == "IN SYNC"
    assert judge(GOOD, 1.6).word == "STALLED"
    assert judge(with_states(CacheState.CORRUPT), 3).word == "STALLED"


def test_before_the_first_snapshot_nothing_is_known() -> None:
    assert judge(None, None).word == "UNKNOWN"
    assert "not answered" in judge(None, 4).sentence[0]


def test_no_config() -> None:
    for snapshot in (
        replace(GOOD, primary=PrimaryHealth(), cache=CacheHealth()),
        replace(GOOD, cache=CacheHealth()),
        replace(GOOD, primary=PrimaryHealth()),
    ):
        assert (judge(snapshot).word, judge(snapshot).exit_code) == ("NO CONFIG", 2)


def test_a_guard_says_what_stopped_it() -> None:
    found = judge(snapshots.scene("refused").snapshot)
    assert (found.word, found.exit_code) == ("REFUSED", 9)
    assert all(text[:1].isupper() for text in found.sentence)
    assert "1,700 of 2,880" in found.sentence[0]


def test_what_only_matters_to_a_writer_does_not_stop_a_reader() -> None:
    snapshot = replace(GOOD, access="ro", cache=replace(GOOD.cache, states=(CacheState.CLEAN, CacheState.READ_ONLY)))
    assert judge(snapshot).word == "IN SYNC"


def test_a_newer_schema_is_offered_nothing() -> None:
    snapshot = with_states(CacheState.WRONG_SCHEMA)
    newer = judge(replace(snapshot, cache=replace(snapshot.cache, schema=Found(5, snapshots.OF_FILE, NOW))))
    assert "older than your do-memory" in newer.sentence[0]
    assert "install" in newer.next[0]


def test_the_holder_of_the_lock_is_named() -> None:
    snapshot = with_states(CacheState.LOCKED_EXCLUSIVE)
    holder = LockHolder(2231, "memory-mcp-server", "mem", NOW - 60, True)
    found = judge(replace(snapshot, cache=replace(snapshot.cache, holder=holder)))
    assert found.sentence[1].startswith("memory-mcp-server (pid 2231, mem) has held the file since ")
    kinds = {
        HolderKind.DO_MEMORY: "do-memory (pid 2231) has held the file since ",
        HolderKind.OURS: "Another run of this tool (pid 2231) has held the file since ",
        HolderKind.UNLISTED: "A process that is not visible here, perhaps in another container, holds the file",
    }
    for kind, said in kinds.items():
        found = judge(replace(snapshot, cache=replace(snapshot.cache, holder=replace(holder, kind=kind))))
        assert found.sentence[1].startswith(said)


def test_a_file_that_was_held_when_it_was_looked_at_and_is_free_now_is_not_said_to_be_held() -> None:
    """The states of the last run are those of its moment; the lock is looked at all the time."""
    base = snapshots.scene("in_sync").snapshot
    look = LookedAt("copy", NOW - 2, (), None)
    past = replace(
        base,
        states=(CacheState.LOCKED_EXCLUSIVE, CacheState.HELD),
        cache=replace(base.cache, look=look, lock=LockState.FREE),
    )
    assert not any(
        "the file since" in said or "holds the file" in said or "Of a copy" in said for said in judge(past).sentence
    )


def test_a_held_file_that_was_looked_at_is_what_was_found() -> None:
    base = snapshots.scene("stale").snapshot
    holder = LockHolder(2231, "do-memory-mcp-server", "mem", NOW - 60, True, HolderKind.DO_MEMORY)
    cache = replace(
        base.cache,
        states=(CacheState.LOCKED_EXCLUSIVE, CacheState.HELD),
        lock=LockState.OTHER,
        holder=holder,
        look=LookedAt("copy", NOW - 2, (holder,), snapshots.FILE),
    )
    found = judge(replace(base, cache=cache))
    assert (found.word, found.exit_code) == ("STALE", 1)
    assert "Of a copy made 2 s ago; do-memory (pid 2231) has held the file since " in found.sentence[0]
    past = judge(replace(base, cache=replace(cache, identity=replace(snapshots.FILE, mtime_ns=1))))
    assert "Of a copy made 2 s ago; the file was written to since; do-memory" in past.sentence[0]


def test_auth_uses_the_servers_own_words() -> None:
    found = judge(snapshots.scene("auth").snapshot)
    assert (found.word, found.exit_code) == ("AUTH", 4)
    assert "(401): Unauthorized: `The JWT has expired`" in found.sentence[0]


def test_rows_that_wait_are_told_while_the_primary_is_lost() -> None:
    for status in (PrimaryStatus.UNREACHABLE, PrimaryStatus.GONE, PrimaryStatus.UNUSABLE):
        primary = replace(GOOD.primary, status=status, unreachable_since=NOW - 64, next_at=NOW + 4)
        cache = replace(GOOD.cache, waiting=WaitingRows(3, NOW - 90, NOW - 80))
        found = judge(replace(GOOD, primary=primary, cache=cache))
        assert found.word == "UNKNOWN"
        assert "3 rows wait to be written." in found.sentence[0]
        assert "4 s" in found.next[0]


def test_who_must_close_a_held_file_is_named() -> None:
    base = snapshots.scene("stale").snapshot
    holder = LockHolder(7, "python", "mem", NOW - 60, True, HolderKind.OTHER)
    look = LookedAt("copy", NOW - 2, (holder,), snapshots.FILE)
    cache = replace(base.cache, lock=LockState.OTHER, holder=holder, look=look)
    assert judge(replace(base, cache=cache)).next[0] == (
        "nothing to do; what differs is written when python closes the file."
    )
    cache = replace(cache, waiting=WaitingRows(3, NOW - 90, NOW - 80))
    assert judge(replace(base, cache=cache)).next[0] == (
        "nothing to do; the waiting rows are written when python closes the file."
    )


def test_a_primary_that_is_down_outranks_staleness() -> None:
    snapshot = replace(
        snapshots.scene("stale").snapshot,
        primary=replace(GOOD.primary, status=PrimaryStatus.UNREACHABLE, next_at=NOW + 21),
        freshness=replace(snapshots.scene("stale").snapshot.freshness, next_sync_at=None, next_compare_at=None),
    )
    found = judge(snapshot)
    assert (found.word, found.exit_code, found.key) == ("UNKNOWN", 3, "t")
    assert "Last proof 12m 04s ago" in found.sentence[0]
    assert "next try in 21 s" in found.next[0]


def test_a_proof_expires() -> None:
    old = replace(GOOD.freshness, proof=replace(GOOD.freshness.proof, at=NOW - 301))  # type: ignore[type-var]
    found = judge(replace(GOOD, freshness=old))
    assert (found.word, found.exit_code) == ("UNKNOWN", 10)
    assert not proof_valid(replace(GOOD, freshness=old), NOW)


@pytest.mark.parametrize("change", ["source_id", "generation", "epoch"])
def test_a_proof_of_something_else_is_no_proof(change: str) -> None:
    other: dict[str, object] = {"source_id": "src-other", "generation": 3, "epoch": 99}
    proof = replace(GOOD.freshness.proof, **{change: other[change]})  # type: ignore[type-var]
    assert judge(replace(GOOD, freshness=replace(GOOD.freshness, proof=proof))).word == "UNKNOWN"


def test_in_sync_without_a_proof_is_unknown() -> None:
    found = judge(replace(GOOD, freshness=replace(GOOD.freshness, proof=None)))
    assert (found.word, found.role) == ("UNKNOWN", Role.UNKNOWN)


def test_clean_alone_gives_no_verdict() -> None:
    snapshot = with_states(CacheState.CLEAN)
    assert judge(snapshot).word == "UNKNOWN"


def failing(name: str, on: Basis = snapshots.OF_BOTH) -> tuple[CheckResult, ...]:
    return (CheckResult(name, Found(Check(name, CheckStatus.FAIL, 1, 0), on, NOW - 5)),)


def test_a_failed_check_is_drift() -> None:
    found = judge(replace(GOOD, checks=failing("content_digests")))
    assert (found.word, found.exit_code) == ("DRIFT", 1)


@pytest.mark.parametrize(
    "on",
    [
        Basis(replace(snapshots.FILE, inode=1), snapshots.STAND),
        Basis(snapshots.FILE, replace(snapshots.STAND, epoch=1)),
        Basis(None, snapshots.STAND),
    ],
)
def test_a_check_of_another_file_or_primary_says_nothing(on: Basis) -> None:
    assert judge(replace(GOOD, checks=failing("content_digests", on))).word == "IN SYNC"


@pytest.mark.parametrize("name", ["orphaned_embeddings", "embedding_vectors"])
def test_checks_that_only_warn_do_not_change_the_verdict(name: str) -> None:
    found = judge(replace(GOOD, checks=failing(name)))
    assert (found.word, found.exit_code) == ("IN SYNC", 1)
    assert "1 check failed" in found.sentence[0]


def test_stale_says_how_far_and_how_sure() -> None:
    snapshot = snapshots.scene("stale").snapshot
    assert judge(snapshot).sentence[0].startswith("1,027 rows behind (exact, 17 s ago)")
    part = snapshots.behind({"episodes": Behind(3, 0, 0)}, complete=False)
    loose = replace(snapshot, freshness=replace(snapshot.freshness, behind=part))
    loose = replace(loose, freshness=replace(loose.freshness, moved_at=NOW - 20))
    assert "At least 3 rows behind (counted 17 s ago)" in judge(loose).sentence[0]
    moved = replace(snapshot, freshness=replace(snapshot.freshness, behind=snapshots.behind({})))
    assert (judge(moved).word, judge(moved).exit_code) == ("STALE", 1)


def test_what_was_compared_before_the_primary_changed_is_past() -> None:
    """Also while the picture does not say yet where the primary stands since."""
    good = replace(GOOD, verdict=Word.STALE, freshness=replace(GOOD.freshness, behind=snapshots.behind({})))
    assert behind_now(good) is not None
    moved = replace(good, freshness=replace(good.freshness, moved_at=NOW - 1))
    assert behind_now(moved) is None
    rows = replace(moved, freshness=replace(moved.freshness, behind=snapshots.behind({"episodes": Behind(3, 0, 0)})))
    assert "3 rows behind at " in judge(rows).sentence[0]
    assert "the primary has changed since" in judge(rows).sentence[0]


def test_in_sync_is_green_only_with_nothing_refused() -> None:
    assert (judge(GOOD).word, judge(GOOD).role, judge(GOOD).exit_code) == ("IN SYNC", Role.OK, 0)
    found = judge(replace(GOOD, quarantine=snapshots.rejected(3)))
    assert (found.word, found.role, found.exit_code) == ("IN SYNC", Role.ATTENTION, 7)
    assert "except for 3 rejected rows" in found.sentence[0]


@pytest.mark.parametrize("name", snapshots.NAMES)
def test_only_in_sync_is_green(name: str) -> None:
    scene = snapshots.scene(name)
    found = judge(scene.snapshot, scene.beat_age)
    assert (found.role is Role.OK) == (name == "in_sync")


def test_a_run_is_said_in_the_sentence_and_never_changes_the_word() -> None:
    running = snapshots.scene("running").snapshot
    found = judge(running)
    assert found.word == "STALE"
    assert "; a sync is running" in found.sentence[0]
    assert "let s-4121 finish" in found.next[0]
    assert "{run}" not in "".join(found.sentence)


@pytest.mark.parametrize(
    ("promise", "said", "step"),
    [
        (Promise.PROOF, "; a sync is running", "let s-4121 finish, about 2.0 s; it proves the cache again when"),
        (
            Promise.FOLLOW,
            "; a sync is running",
            "let s-4121 finish, about 2.0 s; it takes in what was written, without",
        ),
        (Promise.PLAN, "; a sync is being planned", "s plans a sync"),
        (Promise.NOTHING, "; a sync is running", "s plans a sync"),
    ],
)
def test_no_proof_is_promised_of_a_run_that_makes_none(promise: Promise, said: str, step: str) -> None:
    running = snapshots.scene("running").snapshot
    assert running.run is not None
    found = judge(replace(running, run=replace(running.run, promise=promise)))
    assert said in found.sentence[0]
    assert found.next[0].startswith(step)
    assert all(("proves" in text) <= (promise is Promise.PROOF) for text in found.next)


@pytest.mark.parametrize(("kind", "said"), [("undo", "; an undo is running"), ("repair", "; a repair is running")])
def test_a_run_has_the_article_of_its_word(kind: str, said: str) -> None:
    running = snapshots.scene("running").snapshot
    assert running.run is not None
    assert said in judge(replace(running, run=replace(running.run, kind=kind))).sentence[0]


@pytest.mark.parametrize("changes", [0, 1, 1_775])
@pytest.mark.parametrize("rejected", [0, 1])
def test_what_was_followed_is_said_beside_the_age_of_the_proof(changes: int, rejected: int) -> None:
    """In each wording: the proof alone does not speak of what came after it."""
    proof = GOOD.freshness.proof
    assert proof is not None
    followed = Followed(changes, NOW - 2, proof.generation, "ab" * 32)
    freshness = replace(GOOD.freshness, followed=followed)
    found = judge(replace(GOOD, freshness=freshness, quarantine=snapshots.rejected(rejected)))
    assert found.word == "IN SYNC"
    since = fmt.plural(changes, "change") + " followed since" if changes else "no changes followed since"
    short = f"Proved 41 s ago, {changes:,} followed; 1 rejected row."
    assert (found.sentence[-1] == short) == bool(rejected)
    for text in found.sentence:
        assert text.startswith("Proved ")
        assert since in text or text == short
        assert "equals the primary" not in text
    assert (", the last 2 s ago" in found.sentence[0]) == bool(changes)
    assert len(found.sentence[-1]) < 70


def test_what_is_amiss_is_said_beside_what_was_followed_where_80_columns_have_room() -> None:
    proof = GOOD.freshness.proof
    assert proof is not None
    failed = Check("orphaned_embeddings", CheckStatus.FAIL, 0, 4)
    results = (CheckResult(failed.name, Found(failed, GOOD.present, NOW)),)
    freshness = replace(GOOD.freshness, followed=Followed(3, NOW - 2, proof.generation, "ab" * 32))
    found = judge(replace(GOOD, freshness=freshness, checks=results, quarantine=snapshots.rejected(1)))
    fits = [text for text in found.sentence if len(" ▲ IN SYNC  ") + len(text) < 80]
    assert fits[0] == "Proved 41 s ago, 3 followed; 1 rejected row, 1 check failed."


def test_another_process_with_the_lease_is_named() -> None:
    lease = LockHolder(3120, "storage-sync", "ops", NOW - 3, True)
    found = judge(replace(GOOD, cache=replace(GOOD.cache, lease_holder=lease)))
    assert "; a run of pid 3120 is active" in found.sentence[0]


def test_a_build_beside_a_live_cache_is_a_note() -> None:
    snapshot = replace(GOOD, cache=replace(GOOD.cache, states=(CacheState.CLEAN, CacheState.PARTIAL)))
    found = judge(snapshot)
    assert found.word == "IN SYNC"
    assert "a build can be resumed" in found.sentence[0]


def test_the_cause_of_damage_is_shown() -> None:
    snapshot = with_states(CacheState.CORRUPT)
    error = ErrorValue("cache_damaged", "redb: checksum", "", False, 5)
    found = judge(replace(snapshot, cache=replace(snapshot.cache, error=error)))
    assert "redb: checksum" in found.sentence[0]


def test_damaged_without_a_named_state() -> None:
    assert judge(with_states(word=Word.DAMAGED)).word == "DAMAGED"
    assert judge(with_states(CacheState.FORMAT_OLD, word=Word.DAMAGED)).word == "WRONG VERSION"
    assert judge(with_states(word=Word.EMPTY)).word == "EMPTY"


@pytest.mark.parametrize("name", ["damaged", "empty", "stale"])
def test_while_a_run_heals_it_the_next_step_is_to_wait(name: str) -> None:
    snapshot, run = snapshots.scene(name).snapshot, snapshots.scene("running").snapshot.run
    assert run is not None
    assert judge(replace(snapshot, run=replace(run, kind="repair"))).next[-1] == "let s-4121 finish, about 2.0 s."
    assert judge(replace(snapshot, run=replace(run, kind="verify"))).next == judge(snapshot).next


def test_a_stalled_core_is_only_asked_to_stop_what_runs() -> None:
    assert all("x " not in text for text in judge(GOOD, 3.0).next)
    assert all("x " in text for text in judge(snapshots.scene("running").snapshot, 3.0).next)


def test_what_was_refused_is_one_key_away() -> None:
    found = judge(replace(GOOD, quarantine=snapshots.rejected(1)))
    assert found.next[0].startswith("u shows what was rejected; ")
    assert judge(GOOD).next[0].startswith("nothing to do; ")


def test_in_sync_is_not_said_while_the_primary_owes_an_answer() -> None:
    """It is asked every few seconds; one that is silent may have changed, and the card beside it says so too."""
    silent = replace(GOOD, primary=replace(GOOD.primary, next_at=NOW - 2.5, auth_at=NOW - 8))
    found = judge(silent)
    assert (found.word, found.role, found.exit_code, found.key) == ("UNKNOWN", Role.UNKNOWN, 3, "")
    assert found.sentence[0].startswith("The primary has not answered for 8 s, so it may have changed. Last proof ")
    in_time = replace(GOOD, primary=replace(GOOD.primary, next_at=NOW - 1.5, auth_at=NOW - 7))
    assert judge(in_time).word == "IN SYNC"
    behind = snapshots.scene("stale").snapshot
    assert judge(replace(behind, primary=replace(behind.primary, next_at=NOW - 9, auth_at=NOW - 14))).word == "STALE"


def test_every_verdict_has_words_and_a_next_step() -> None:
    for name in snapshots.NAMES:
        scene = snapshots.scene(name)
        found = judge(scene.snapshot, scene.beat_age)
        assert found.word
        assert all(found.sentence)
        assert all(found.next)
        if found.key:
            assert any(found.key in text for text in found.next)


def test_a_proof_that_does_not_hold_now_says_why() -> None:
    changed = replace(GOOD, verdict=Word.UNKNOWN)
    assert "something has changed since" in judge(changed).sentence[0]
    failed = replace(changed, error=ErrorValue("local_io", "the state folder cannot be written", "", False, 8))
    assert "the last run failed: the state folder cannot be written" in judge(failed).sentence[0]
    started = replace(changed, freshness=replace(changed.freshness, behind=None))
    assert "not compared since this console started" in judge(started).sentence[0]


@pytest.mark.parametrize("name", snapshots.NAMES)
def test_a_console_that_may_not_write_offers_no_step_that_writes(name: str) -> None:
    """`s plans a sync` beside `read-only` is no next step: first comes what is needed."""
    scene = snapshots.scene(name)
    if not scene.snapshot.cache.path:
        return
    for access, needed in (("ro", "W allows writes again"), ("locked ro", "this console was started read-only")):
        found = judge(replace(scene.snapshot, access=access), scene.beat_age)
        for text in found.next:
            write = re.search(r"(?<!\S)[srRA] ", text)
            assert write is None or (access == "ro" and needed in text[: write.start()]), text
            assert "starts by itself" not in text
        assert found.key not in {"s", "r", "R", "A"}


def test_the_next_step_of_a_read_only_console_that_is_behind() -> None:
    stale = snapshots.scene("stale").snapshot
    found = judge(replace(stale, access="ro"))
    assert found.next[-2:] == ("W allows writes again, then s plans a sync.", "W allows writes again.")
    assert found.key == "W"
    assert judge(replace(stale, access="locked ro")).next[-1] == "this console was started read-only."


def test_a_primary_that_answers_a_run_is_not_silent_although_no_poll_was_made() -> None:
    """Polls wait for a run, and so are overdue while it lasts."""
    asked_by_a_run = replace(GOOD, primary=replace(GOOD.primary, next_at=NOW - 60, auth_at=NOW - 0.2))
    assert judge(asked_by_a_run).word == "IN SYNC"
    assert unanswered_s(asked_by_a_run, NOW) is None
    assert unanswered_s(asked_by_a_run, NOW + 2.1) == pytest.approx(2.3)


UNDO = RunSummary("s-2", "undo", "manual", NOW - 20, 0.1, 5, 3, 11, 0, "DONE", undoes="s-1", drifts=True)
PROOF = RunSummary("s-3", "sync", "interval", NOW - 10, 0.1, 0, 0, 0, 0, "IN_SYNC", generation=7)
ASIDE = RunSummary("s-4", "orphans", "manual", NOW - 5, 0.1, 0, 0, 2, 0, "DONE", does="quarantine", drifts=True)
RESTORE = RunSummary("s-5", "quarantine", "manual", NOW - 4, 0.1, 2, 0, 0, 0, "DONE", does="restore")
LOOK = RunSummary("s-6", "verify", "manual", NOW - 3, 0.1, 0, 0, 0, 1, "DRIFT", drifts=True)
BACK = "the next sync brings the primary's rows back"
UNDONE = "ndo of run s-1 undid 19 changes"


@pytest.mark.parametrize(
    ("newest_first", "cause"),
    [
        ((UNDO,), "undo of run s-1 undid 19 changes"),
        ((LOOK, UNDO), "undo of run s-1 undid 19 changes"),
        ((ASIDE, PROOF, UNDO), "run s-4 quarantined 2 rows"),
        # with what was quarantined back, all is as it was proven: something else has changed it then
        ((RESTORE, ASIDE, PROOF), ""),
        ((PROOF, UNDO), ""),
        ((), ""),
    ],
)
def test_drift_that_this_tool_made_itself_names_what_made_it(newest_first: tuple[RunSummary, ...], cause: str) -> None:
    drifted = with_states(CacheState.LOCAL_DRIFT, word=Word.DRIFT)
    found = judge(replace(drifted, history=replace(drifted.history, last=newest_first)))
    said = found.sentence
    assert said[0].startswith(f"Rows in the cache differ from what was proven{f': {cause}' if cause else ''}. ")
    assert said[-1] == "Rows in the cache differ from what was proven."
    assert any(BACK in text for text in said) is bool(cause)
    assert (BACK in found.next[-1]) is bool(cause)


def test_each_verdict_after_an_undo_names_it_and_what_the_next_sync_does() -> None:
    history = replace(GOOD.history, last=(UNDO, PROOF))
    lost = replace(GOOD.primary, status=PrimaryStatus.UNREACHABLE, unreachable_since=NOW - 9)
    for changed in (
        {"verdict": Word.DRIFT},
        {"verdict": Word.UNKNOWN},
        {"verdict": Word.STALE},
        {"verdict": Word.UNKNOWN, "primary": lost},
    ):
        found = judge(replace(GOOD, history=history, **changed))
        assert UNDONE in found.sentence[0], changed
    unknown = judge(replace(GOOD, history=history, verdict=Word.UNKNOWN))
    assert {f"U{UNDONE}; {BACK}.", f"U{UNDONE}."} < {*unknown.sentence}
    assert min(map(len, unknown.sentence)) <= SMALLEST
    assert min(map(len, unknown.next)) <= SMALLEST
    proved = judge(replace(GOOD, history=replace(GOOD.history, last=(PROOF, UNDO))))
    assert proved.word == "IN SYNC"
    assert "ndo" not in " ".join((*proved.sentence, *proved.next))


SMALLEST = 67
"""Cells beside a verdict's word at 80 columns."""
