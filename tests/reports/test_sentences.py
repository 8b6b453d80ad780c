"""One run, one story: every outcome in every place where a person or a program reads of it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from console.cli.status import nagios_code, nagios_line
from console.views import result
from storage_sync.reports import sentences
from storage_sync.reports.document import notes, report
from storage_sync.service.journal import summarise
from storage_sync.values.errors import CacheDamaged
from storage_sync.values.followed import Followed
from storage_sync.values.outcome import (
    CacheState,
    CacheWrites,
    Check,
    CheckStatus,
    ErrorValue,
    HolderKind,
    LockHolder,
    LookedAt,
    Outcome,
    Plan,
    PlanRow,
    Proof,
    TableChange,
    TableCounts,
    Transfer,
    Word,
    error_value,
)
from storage_sync.values.planned import FILE
from storage_sync.values.snapshot import Run
from storage_sync.watch.alert_state import Condition, after_run
from widgets.glyphs import Look, Role
from widgets.line import text_of

NOW = 1_800_000_000.0
RUN = Run("s-1", "sync", "in_place", "manual", NOW - 1)
GUARD = ErrorValue(
    "guard", "178 of 213 rows would be removed; nothing was changed", "storage-sync sync --plan", False, 9
)
STRICT = ErrorValue("partial", "1 row of the primary was rejected (--strict)", "storage-sync quarantine list", False, 7)
ORPHANED = Check("orphaned_embeddings", CheckStatus.FAIL, 0, 1, "1 of 52 embeddings has no owner in the cache")
PASSED = Check("episode_count", CheckStatus.PASS, 60, 60)
DIFFERS = Check("content_digests", CheckStatus.FAIL, 213, 212, "episodes: 1 differ")
HELD = LookedAt("copy", NOW, (LockHolder(42, "do-memory", "", None, True, HolderKind.DO_MEMORY),))
PLAN = Plan("p-1", "sync", (1, ""), "", {}, (), 0.0, (), 1)
FILE_BACK = replace(
    PLAN,
    kind="undo",
    rows=(
        PlanRow(FILE, "cache.redb.old-1 becomes the cache again", 1_200, 9, "undo"),
        PlanRow("keep", "keep the present file beside it", 0, 9, "undo"),
    ),
)
FOLLOWED = Followed(4, NOW - 2, 8, "ef" * 32)


def proof(refused: int = 0) -> Proof:
    return Proof("ab" * 32, "blake3", 7, "cd" * 32, 0, NOW - 10, refused=refused)


def counts(refused: int = 0, only: int = 0) -> dict[str, TableCounts]:
    return {"episodes": TableCounts(60, 60, 60 - refused + only, only, refused)}


def change(insert: int = 0, update: int = 0, remove: int = 0) -> dict[str, TableChange]:
    return {"episodes": TableChange(insert, update, remove)}


OUTCOMES = {
    "nothing to do": Outcome("sync", Word.IN_SYNC, 0, proof=proof(), counts=counts(), checks=(PASSED,)),
    "one row": Outcome("sync", Word.IN_SYNC, 0, proof=proof(), counts=counts(), applied=change(1)),
    "rows of each kind": Outcome("sync", Word.IN_SYNC, 0, proof=proof(), counts=counts(), applied=change(3, 1, 2)),
    "one rejected": Outcome("sync", Word.IN_SYNC, 7, proof=proof(1), counts=counts(1)),
    "rejected rows left": Outcome(
        "sync", Word.IN_SYNC, 7, proof=proof(2), counts=counts(2), applied=change(0, 0, 2), checks=(ORPHANED,)
    ),
    "rejected under --strict": Outcome(
        "sync", Word.IN_SYNC, 7, proof=proof(1), counts=counts(1), applied=change(1), error=STRICT
    ),
    "followed": Outcome(
        "sync", Word.IN_SYNC, 0, proof=proof(), counts=counts(), applied=change(3, 1), followed=FOLLOWED,
        extra={"proof_age_seconds": 240.0, "followed_age_seconds": 2.0},
    ),
    "followed, rejected rows": Outcome(
        "sync", Word.IN_SYNC, 7, proof=proof(1), counts=counts(1), applied=change(1), followed=FOLLOWED,
        extra={"proof_age_seconds": 240.0, "followed_age_seconds": 2.0},
    ),
    "status after following": Outcome(
        "status", Word.IN_SYNC, 0, proof=proof(), followed=FOLLOWED,
        extra={"proof_age_seconds": 240.0, "followed_age_seconds": 2.0},
    ),
    "not followed": Outcome(
        "sync", Word.STALE, 0, extra={"follow": {"ended": "unexplained", "detail": "the primary changed"}}
    ),
    "only in the cache": Outcome("sync", Word.IN_SYNC, 0, proof=proof(), counts=counts(0, 60)),
    "changed after the commit": Outcome("sync", Word.DRIFT, 1, counts=counts(), applied=change(1)),
    "guard": Outcome("sync", Word.REFUSED, 9, plan=change(0, 0, 178), error=GUARD),
    "held": Outcome("sync", Word.STALE, 6, plan=change(3, 1), counts=counts(), look=HELD, checks=(DIFFERS,)),
    "verify, held": Outcome("verify", Word.STALE, 1, plan=change(1), counts=counts(), look=HELD, checks=(DIFFERS,)),
    "a plan": Outcome("sync", Word.STALE, 0, plan=change(3, 1, 2), counts=counts(), proposal=PLAN),
    "status": Outcome("status", Word.IN_SYNC, 0, proof=proof(2), extra={"proof_age_seconds": 10.0}),
    "status without a proof": Outcome("status", Word.UNKNOWN, 0),
    "verify, equal": Outcome("verify", Word.IN_SYNC, 0, proof=proof(), counts=counts(), checks=(PASSED,)),
    "verify, different": Outcome("verify", Word.STALE, 1, plan=change(0, 1), counts=counts(), checks=(DIFFERS,)),
    "verify, an orphan": Outcome("verify", Word.IN_SYNC, 1, proof=proof(), counts=counts(), checks=(PASSED, ORPHANED)),
    "verify, a part": Outcome(
        "verify", Word.UNKNOWN, 0, extra={"subset": {"part": 2, "of": 7, "rows": 3, "equal": 3, "refused": 0}}
    ),
    "in sync without a proof": Outcome("sync", Word.IN_SYNC, 0),
    "repair": Outcome(
        "repair", Word.IN_SYNC, 0, proof=proof(), counts=counts(), applied=change(5), extra={"set_aside": 1}
    ),
    "rebuild": Outcome("rebuild", Word.IN_SYNC, 0, proof=proof(), counts=counts(), applied=change(213)),
    "undo": Outcome(
        "undo",
        Word.UNKNOWN,
        0,
        applied=change(1, 0, 1),
        cache_writes=CacheWrites(1, 10),
        extra={"undone_run": "s-8", "comes_back": 2},
    ),
    "undo of a rebuild": Outcome(
        "undo", Word.DRIFT, 0, proposal=FILE_BACK, extra={"file_restored": "/var/cache.redb.old-1"}
    ),
    "embeddings quarantined": Outcome("orphans", Word.UNKNOWN, 0, applied=change(0, 0, 1), extra={"set_aside": 1}),
    "rows restored": Outcome("quarantine", Word.UNKNOWN, 0, applied=change(1)),
    "rows deleted": Outcome("quarantine", Word.UNKNOWN, 0, extra={"purge": {"rows": 1, "bytes": 9, "removed": 1}}),
    "empty": Outcome("status", Word.EMPTY, 0, states=(CacheState.ABSENT,)),
    "damaged": Outcome("status", Word.DAMAGED, 0, states=(CacheState.CORRUPT,)),
}  # fmt: skip


def monitored(outcome: Outcome) -> str:
    return nagios_line(outcome, nagios_code(outcome), NOW)


def on_screen(outcome: Outcome) -> str:
    return "\n".join(text_of(line) for line in result.lines(outcome, 200, Look()))


def printed(outcome: Outcome) -> str:
    return f"{report(outcome)}\n{notes(outcome)}"


PLACES: dict[str, Callable[[Outcome], str]] = {
    "command line": printed,
    "quiet": lambda outcome: notes(outcome, quiet=True),
    "monitoring": monitored,
    "log": sentences.summary,
    "activity": lambda outcome: sentences.line(outcome, planned=outcome.proposal is not None),
    "notice": lambda outcome: after_run(Condition(), outcome, NOW).message,
    "result": on_screen,
    "history": lambda outcome: summarise(outcome, RUN).result,
}
TELLS_ALL = ("command line", "monitoring", "log", "activity", "result")
"""Places that say what was changed; a notice and a quiet job say whether it is well."""
every = pytest.mark.parametrize("name", OUTCOMES)
everywhere = pytest.mark.parametrize("place", PLACES)


@every
@everywhere
def test_words_are_plain_and_numbers_have_their_plural(name: str, place: str) -> None:
    said = PLACES[place](OUTCOMES[name])
    assert not re.search(r"(?<![\d,])1 [a-z-]* ?(rows|checks|requests|episodes|vectors|embeddings|bytes)\b", said), said
    unwanted = r"refused (row|us)|rows? (was|were) refused|set aside|put back|taken? back|None|\{|\bnone rows"
    assert not re.search(unwanted, said), said
    assert "  ." not in said


@every
@everywhere
def test_nobody_says_more_than_was_proven(name: str, place: str) -> None:
    outcome = OUTCOMES[name]
    said = PLACES[place](outcome).lower()
    proven = outcome.verdict is Word.IN_SYNC and outcome.proof is not None
    if not proven:
        assert "equals the primary." not in said
        assert "in sync" not in said or place == "history"
    elif sentences.rejected_rows(outcome):
        assert "equals the primary." not in said
        assert not said.rstrip(".").endswith("in sync")


@every
@everywhere
def test_what_was_followed_is_never_told_as_proven(name: str, place: str) -> None:
    """And that stands in front of what a narrow place leaves out."""
    outcome = OUTCOMES[name]
    said = PLACES[place](outcome).lower()
    told = re.search(r"followed (since|without a proof)", said)
    if outcome.followed is None:
        assert told is None, said
    elif said and place != "history":
        assert told is not None, said
        assert told.end() - said.rfind("\n", 0, told.start()) <= 80, said
        assert "equals the primary" not in said
    assert summarise(outcome, RUN).followed == (outcome.followed is not None)


@every
@pytest.mark.parametrize("place", [place for place in PLACES if place != "history"])
def test_rejected_rows_are_said_everywhere(name: str, place: str) -> None:
    outcome = OUTCOMES[name]
    rejected = sentences.rejected_rows(outcome)
    said = PLACES[place](outcome)
    if rejected and said:
        assert re.search(rf"\b{rejected} (rejected row|row)", said), said
    elif not rejected:
        assert "reject" not in said or place == "command line"


@every
@pytest.mark.parametrize("place", TELLS_ALL)
def test_what_was_changed_is_the_same_number_everywhere(name: str, place: str) -> None:
    outcome = OUTCOMES[name]
    counted = sentences.tally(outcome)
    said = PLACES[place](outcome)
    for number in (counted.new, counted.changed, counted.removed):
        assert not number or re.search(rf"\b{number}\b", said), said
    summarised = summarise(outcome, RUN)
    assert (summarised.new, summarised.changed, summarised.gone) == (counted.new, counted.changed, counted.removed)


@every
def test_green_is_only_what_is_proven_and_whole(name: str) -> None:
    outcome = OUTCOMES[name]
    whole = outcome.verdict is Word.IN_SYNC and outcome.proof is not None
    clean = not sentences.rejected_rows(outcome) and not sentences.failed_checks(outcome)
    if outcome.error is None and outcome.command not in sentences.NOT_PROVING:
        assert (result.role_of(outcome) is Role.OK) == (whole and clean)
    if nagios_code(outcome) == 0:
        assert whole
        assert clean


def test_a_quiet_job_speaks_once_or_not_at_all() -> None:
    for outcome in OUTCOMES.values():
        said = PLACES["quiet"](outcome)
        assert bool(said) == (outcome.exit_code not in (0, 6, 11))
        assert "\n" not in said


def test_a_run_that_asks_no_primary_is_told_by_what_it_did() -> None:
    told = {name: sentences.headline(OUTCOMES[name]) for name in OUTCOMES}
    assert told["embeddings quarantined"] == "1 embedding quarantined"
    assert told["rows restored"] == "1 row restored"
    assert told["rows deleted"] == "1 row deleted"
    assert told["undo"] == "run s-8 was undone: 1 row added, 1 removed"
    assert told["undo of a rebuild"] == "the run was undone: cache.redb.old-1 is the cache again, with its 1,200 rows"
    planned = sentences.line(Outcome("undo", Word.UNKNOWN, 0, proposal=FILE_BACK), planned=True)
    assert planned == "plan p-1 would do this: cache.redb.old-1 becomes the cache again, with its 1,200 rows"
    assert sentences.line(OUTCOMES["undo"]).endswith(
        "; the primary had these 2 rows when it was last read; the next sync brings them back"
    )
    assert summarise(OUTCOMES["undo"], RUN).result == "DONE"


def test_the_next_step_is_one_that_helps() -> None:
    assert sentences.next_step(("content_digests", "orphaned_embeddings"), 0) == "storage-sync sync"
    assert sentences.next_step(("orphaned_embeddings",), 2) == "storage-sync orphans list"
    assert sentences.next_step(("cache_integrity", "content_digests"), 0) == "storage-sync repair"
    assert sentences.next_step((), 2) == "storage-sync quarantine list"
    assert sentences.next_step((), 0) is None


def test_what_a_failed_run_had_committed_is_said_as_that() -> None:
    damaged = error_value(CacheDamaged("the cache is damaged"))
    failed = Outcome("sync", Word.DAMAGED, 5, error=damaged, applied={"episodes": TableChange(insert=3)})
    assert sentences.line(failed) == "the cache is damaged; 3 rows added before it failed"
    assert sentences.line(replace(failed, applied={})) == "the cache is damaged"


def test_requests_and_bytes_of_the_log_have_their_plural() -> None:
    one = Outcome("sync", Word.IN_SYNC, 0, proof=proof(), transfer=Transfer(1, 1))
    assert sentences.summary(one).endswith("1 request, 1 byte")


def test_a_run_that_waits_for_a_holder_says_that_it_wrote_nothing_and_what_waits() -> None:
    assert sentences.line(OUTCOMES["held"]) == (
        "stale; nothing written yet, 4 rows wait until its holder has closed the cache; "
        "compared with a copy of the file, which another process holds"
    )
    assert sentences.line(OUTCOMES["verify, held"]) == (
        "stale; a sync would do this: 1 row added; compared with a copy of the file, which another process holds"
    )


def test_the_result_names_the_checks_that_were_not_made() -> None:
    skipped = Check("cache_integrity", CheckStatus.SKIPPED, None, None, "not walked")
    earlier = Check("episode_count", CheckStatus.PASS, None, None, "at the last proof", made_at=NOW - 9)
    outcome = Outcome("repair", Word.IN_SYNC, 1, proof=proof(), checks=(skipped, earlier, PASSED, ORPHANED))
    assert "1 ok, failed: orphaned embeddings; not run: cache integrity, episode count" in on_screen(outcome)
    whole = Outcome("repair", Word.IN_SYNC, 0, proof=proof(), checks=(PASSED, skipped))
    assert "1 check ok; not run: cache integrity" in on_screen(whole)
    assert "not made" not in on_screen(Outcome("repair", Word.IN_SYNC, 0, proof=proof(), checks=(PASSED,)))


def test_only_a_repair_that_was_made_is_called_one() -> None:
    ended = Outcome(
        "repair",
        Word.DAMAGED,
        0,
        proposal=PLAN,
        extra={"ladder": [{"rung": "rebuild", "what": "build a new cache", "why": "it is damaged"}]},
    )
    assert "repaired" not in sentences.summary(ended, planned=True)
    assert "; repaired: rebuild; exit 0" in sentences.summary(ended)
