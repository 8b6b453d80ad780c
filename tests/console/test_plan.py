"""What a plan says in numbers: one source for the button, the total and the steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from console.views import plan as words
from console.views import result
from storage_sync.reports import sentences
from storage_sync.values import planned
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import CacheWrites, Outcome, Plan, PlanRow, TableChange, TableCounts, Word
from tests.support.scenes import snapshots
from tests.support.scenes.plans import plan_of
from widgets.glyphs import Look
from widgets.line import text_of

BESIDE = frozenset({planned.PRIMARY, "aside", "same", "refuse", "file", "open", "compact"})
"""Steps that write and remove no row of their own: old bytes of rows that another step writes, and what stays."""

REPOSITORY = Path(__file__).resolve().parents[2]


def kinds() -> Iterator[Plan]:
    yield from (plan_of(kind) for kind in ("sync", "repair", "rebuild"))
    made = plan_of("repair")
    steps = {
        "quarantine": (PlanRow("restore", "restore", 3, 9, ""), PlanRow("same", "already there", 2, None, "")),
        "orphans": (PlanRow("set-aside", "take out", 4, 40, ""), PlanRow("set-aside", "take out", 1, 10, "")),
        "undo": tuple(PlanRow(step, step, 5, None, "") for step in ("insert", "update", "remove")),
        "adopt": (PlanRow("fetch", "build a new file", 70, None, ""), PlanRow("refuse", "reject", 2, None, "")),
    }
    for kind, rows in steps.items():
        yield replace(made, kind=kind, rows=(*rows, PlanRow(planned.PRIMARY, "primary", 0, 0, "never written")))


@pytest.mark.parametrize("plan", kinds(), ids=lambda plan: plan.kind)
def test_the_button_and_the_total_say_the_same_number(plan: Plan) -> None:
    label = words.run_label("Run", plan)
    text = "\n".join(text_of(line) for line in words.lines(plan, 96, "", Look()))
    carried, written = r"([\d,]+) rows carried over, ([\d,]+) fetched", r"([\d,]+) written +([\d,]+) removed"
    counted = rf"total +(?:{carried}(?:, ([\d,]+) left out)?|{written})"
    found = re.search(counted, text)
    assert found is not None, text
    said = tuple(int(number.replace(",", "")) for number in found.groups() if number is not None)
    assert label == f"Run {sum(said):,}"
    stated = {"quarantine": (3, 0), "orphans": (0, 5), "undo": (10, 5), "adopt": (70, 0), "repair": (1_187, 1_700, 3)}
    assert said == stated.get(plan.kind, said)


def test_the_undo_of_a_whole_file_says_which_comes_back_and_what_it_holds() -> None:
    rows = (
        PlanRow(planned.FILE, "cache.redb.old-1 becomes the cache again", 1_200, 9, "undo"),
        PlanRow("keep", "keep the present file beside it", 0, 9, "undo"),
    )
    plan = replace(plan_of("rebuild"), kind="undo", rows=rows, changes={}, lost=())
    text = [text_of(line).rstrip() for line in words.lines(plan, 96, "", Look())]
    assert " total     cache.redb.old-1 becomes the cache again, with its 1,200 rows" in text
    assert " tables    the whole file is replaced" in text
    ended = Outcome("undo", Word.UNKNOWN, 0, proposal=plan, extra={"file_restored": "/var/cache.redb.old-1"})
    told = [text_of(line).rstrip() for line in result.lines(ended, 96, Look())]
    assert " rows        1,200 in the file that is back" in told


def test_the_head_of_a_result_is_whole_at_each_width() -> None:
    proof = snapshots.scene("in_sync").snapshot.freshness.proof
    outcome = Outcome("repair", Word.IN_SYNC, 7, proof=proof, counts={"episodes": TableCounts(refused=1)})
    heads = {width: text_of(result.lines(outcome, width, Look())[0]).rstrip() for width in (60, 72, 96)}
    for width, head in heads.items():
        assert head.startswith("▲ In sync, except for 1 rejected row"), width
        assert "…" not in head
    assert "read back, root " in heads[96]
    assert heads[72].endswith("read back")


def test_a_repair_is_counted_in_the_same_words_before_and_after() -> None:
    plan = plan_of("repair")
    outcome = Outcome(
        "repair",
        Word.IN_SYNC,
        0,
        applied={**plan.changes, "summaries": TableChange(remove=3)},
        cache_writes=CacheWrites(1, 10),
        extra={
            "rebuild": {
                "carried_rows": 1_180,
                "cache_only_rows": 7,
                "undecodable_rows": 0,
                "fetched_rows": 1_700,
                "left_out_rows": 3,
            }
        },
    )
    said = "1,187 rows carried over, 1,700 fetched, 3 left out"
    assert sentences.tally(outcome).words == said
    for shown in (words.lines(plan, 96, "", Look()), result.lines(outcome, 96, Look())):
        assert said in "\n".join(text_of(line) for line in shown)


@pytest.mark.parametrize(
    ("compared", "reads", "said"),
    [
        (2_556, 2_556, " reads     2,556 rows to compare; the primary sends all of them"),
        (2_556, 6, " reads     2,556 rows to compare; the primary sends 6 of them"),
        (2_556, 0, " reads     2,556 rows to compare; the primary sends none of them"),
        (0, 0, None),
    ],
)
def test_a_plan_says_what_its_run_compares_and_what_is_sent_for_it(compared: int, reads: int, said: str | None) -> None:
    plan = replace(plan_of("repair"), compared=compared, reads=reads)
    text = [text_of(line).rstrip() for line in words.lines(plan, 96, "", Look())]
    assert [line for line in text if line.startswith(" reads")] == ([said] if said else [])


@pytest.mark.parametrize(
    ("looked_s", "said"),
    [
        (0.04, "under 0.1 s, as this plan took, plus the time to write"),
        (0.46, "about 0.5 s, as this plan took, plus the time to write"),
        (9.0, "about 9.0 s, as this plan took, plus the time to write"),
        (400.0, "about 6 min, as this plan took, plus the time to write"),
        (None, "not known"),
    ],
)
def test_a_plan_says_how_long_it_looked_itself_and_promises_no_more(looked_s: float | None, said: str) -> None:
    text = [
        text_of(line).rstrip() for line in words.lines(replace(plan_of("repair"), looked_s=looked_s), 96, "", Look())
    ]
    assert f" takes     {said}" in text


def test_a_change_of_single_rows_names_the_first_of_them() -> None:
    made = replace(
        plan_of("sync"), named=("embeddings/a", "embeddings/b"), changes={"embeddings": TableChange(remove=6)}
    )
    outcome = Outcome(
        "orphans", Word.UNKNOWN, 0, applied=made.changes, extra={"changed_rows": ["embeddings/a", "embeddings/b"]}
    )
    for shown in (words.lines(made, 96, "", Look()), result.lines(outcome, 96, Look())):
        text = "\n".join(text_of(line) for line in shown)
        assert "embeddings/b" in text
        assert "and 4 more" in text


def test_the_guard_speaks_of_the_primary_and_not_of_what_a_damaged_file_lost() -> None:
    lost = ("1 part of the table embeddings cannot be read. Rows that only the cache had there are lost.",)
    text = "\n".join(text_of(line) for line in words.lines(replace(plan_of("repair"), lost=lost), 96, "rw", Look()))
    assert "✓ the primary lost none of the compared rows" in text
    assert "rows leave" not in text
    asks_nobody = "\n".join(
        text_of(line) for line in words.lines(replace(plan_of("sync"), kind="orphans"), 96, "rw", Look())
    )
    assert "guard" not in asks_nobody
    many = replace(plan_of("sync"), gone=820, removes_ratio=0.82, consent=NextStep.ALLOW_SHRINK)
    told = " ".join(text_of(line).strip() for line in words.lines(many, 76, "rw", Look()))
    assert (
        "820 rows would be removed because the primary lost them, up to 82 % of a table; needs your typed consent"
        in " ".join(told.split())
    )
    one = replace(plan_of("sync"), gone=1, removes_ratio=0.0)
    assert "1 row is removed because the primary lost it; within the limit" in "\n".join(
        text_of(line) for line in words.lines(one, 96, "rw", Look())
    )


UNDO = {"undo", "restorable", "not needed", "no", "never written", "restorable if the primary lost them"}


def test_how_a_step_is_undone_is_said_in_the_same_words_by_each_plan() -> None:
    """`back` is `undo`, or `no` of a damaged file; how long a quarantined row stays is a setting."""
    sources = "\n".join(file.read_text() for file in (REPOSITORY / "storage_sync").rglob("*.py"))
    said = set(re.findall(r'PlanRow\([^()]*(?:\([^()]*\)[^()]*)*?"([^"{]+)"\s*,?\s*\)', sources))
    assert len(said) > 3
    assert said <= UNDO


def test_a_result_says_why_it_wrote_more_than_the_plan_had() -> None:
    plan = replace(plan_of("repair"), changes={"episodes": TableChange(5)})
    done = Outcome("repair", Word.IN_SYNC, 0, applied={"episodes": TableChange(12, 2)}, cache_writes=CacheWrites(1, 10))
    text = "\n".join(text_of(line) for line in result.lines(done, 96, Look(), plan=plan))
    assert "9 more to write than in the plan: rows changed meanwhile" in text
    assert "0 requests" not in text
    same = replace(done, applied=plan.changes)
    assert "than in the plan" not in "\n".join(text_of(line) for line in result.lines(same, 96, Look(), plan=plan))


def test_what_is_long_is_wrapped_and_not_cut() -> None:
    long = "5 rows removed (2 relationships, 3 summaries): the primary no longer has them; do-memory deletes them when"
    shown = result.lines(Outcome("sync", Word.UNKNOWN, 0, warnings=(long,)), 60, Look())
    assert long in " ".join(text_of(line).strip().removeprefix("note").strip() for line in shown)
    plan = " ".join(text_of(line).strip() for line in words.lines(plan_of("sync"), 70, "", Look()))
    assert "This plan is refused if the cache changes, or if more rows would be removed." in plan


def test_each_step_of_a_plan_writes_removes_or_does_neither() -> None:
    """A step that the core invents without a place here would be missing in the total."""
    places = (planned.WRITES, planned.REMOVES, BESIDE)
    assert sum(map(len, places)) == len(frozenset().union(*places))
    sources = "\n".join(file.read_text() for file in (REPOSITORY / "storage_sync").rglob("*.py"))
    steps = set(re.findall(r'PlanRow\(\s*"([a-z-]+)"', sources))
    assert len(steps) > 10
    assert steps <= frozenset().union(*places)


def test_a_plan_says_that_syncs_wait_for_it_only_where_they_do() -> None:
    for holds in (True, False):
        text = "\n".join(text_of(line) for line in words.lines(plan_of("sync"), 76, "rw", Look(), timed=holds))
        assert ("Automatic syncs wait while this is open, at most 2 min." in text) == holds
