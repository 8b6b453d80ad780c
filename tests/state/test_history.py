"""The history: what it remembers, and that it is never in the way."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from storage_sync.reports.budget import day_end
from storage_sync.state import history
from storage_sync.state.history import History, Medians, RunCost
from storage_sync.values.outcome import Check, CheckStatus, Purpose, TableChange
from storage_sync.values.snapshot import ReadCosts, RowsRead, RunSummary


def run(number: int, exit_code: int = 0, **kwargs: object) -> RunSummary:
    values: dict[str, object] = {
        "id": f"r{number}",
        "kind": "sync",
        "trigger": "manual",
        "started_at": 1000.0 * number,
        "took_s": 2.0,
        "new": 3,
        "changed": 1,
        "gone": 0,
        "exit_code": exit_code,
        "result": "IN_SYNC" if exit_code == 0 else "failed",
        "bytes_received": 1000 * number,
        "requests": 3,
    }
    return RunSummary(**{**values, **kwargs})  # type: ignore[arg-type]


class Warnings(list[str]):
    """Collects what a person would be told."""


@pytest.fixture
def warnings() -> Warnings:
    return Warnings()


def test_a_run_comes_back_whole(tmp_path: Path, warnings: Warnings) -> None:
    path = tmp_path / "state" / "history.db"
    with History.open(path, warnings.append) as book:
        book.record_run(
            run(1, generation=7, resumable=True), document={"a": ["é"]}, steps=[("fetch", 0.5), ("commit", 0.1)]
        )
    with History.open(path, warnings.append) as book:
        assert book.runs() == (run(1, generation=7, resumable=True),)
        assert book.document("r1") == {"a": ["é"]}
        assert book.steps("r1") == (("fetch", 0.5), ("commit", 0.1))
        assert book.document("none") is None
        assert book.steps("none") == ()
    assert warnings == []


def test_a_run_that_compared_a_part_is_not_the_last_success(tmp_path: Path, warnings: Warnings) -> None:
    with History.open(tmp_path / "h.db", warnings.append) as book:
        book.record_run(run(1, kind="verify", result="IN_SYNC"))
        book.record_run(run(2, kind="verify", result="UNKNOWN"))
        assert book.last_run(successful=True) == run(1, kind="verify", result="IN_SYNC")
        assert book.last_run() == run(2, kind="verify", result="UNKNOWN")


def test_a_run_that_followed_is_none_that_ended_proven(tmp_path: Path, warnings: Warnings) -> None:
    with History.open(tmp_path / "h.db", warnings.append) as book:
        book.record_run(run(1), document={"followed": {"changes": 3}})
        assert (book.view().runs, book.view().compared, book.view().followed) == (1, 0, 1)
        book.record_run(run(2), document={"followed": None})
        book.record_run(run(3, exit_code=3))
        book.record_run(run(4, kind="undo", result="DONE"))
        book.record_run(run(5, result="STALE"))
        view = book.view()
        assert (view.runs, view.in_sync, view.compared, view.followed) == (5, 1, 3, 1)


def test_runs_newest_first_since_and_limit(tmp_path: Path, warnings: Warnings) -> None:
    with History.open(tmp_path / "h.db", warnings.append) as book:
        for number in range(1, 6):
            book.record_run(run(number, exit_code=3 if number == 5 else 0))
        assert [one.id for one in book.runs()] == ["r5", "r4", "r3", "r2", "r1"]
        assert [one.id for one in book.runs(since=3000.0)] == ["r5", "r4", "r3"]
        assert [one.id for one in book.runs(limit=2)] == ["r5", "r4"]
        assert book.last_run() == run(5, exit_code=3)
        assert book.last_run(successful=True) == run(4)
        view = book.view(last=1)
        assert (view.runs, view.in_sync, view.compared, view.last) == (5, 4, 5, (run(5, exit_code=3),))
        assert view.revision == 5


def test_checks_newest_last(tmp_path: Path, warnings: Warnings) -> None:
    with History.open(tmp_path / "h.db", warnings.append) as book:
        for number, status in enumerate((CheckStatus.PASS, CheckStatus.FAIL, CheckStatus.SKIPPED), start=1):
            book.record_run(run(number), checks=[Check("episode_count", status, 1, None)])
        assert book.recent_checks("episode_count") == (CheckStatus.PASS, CheckStatus.FAIL, CheckStatus.SKIPPED)
        assert book.recent_checks("episode_count", 1) == (CheckStatus.SKIPPED,)
        assert book.recent_checks("other") == ()


def test_pings_and_medians(tmp_path: Path, warnings: Warnings) -> None:
    with History.open(tmp_path / "h.db", warnings.append) as book:
        assert book.medians() == Medians()
        for number, ms in enumerate((5.0, None, 7.0, 30.0)):
            book.record_ping(float(number), ms)
        assert book.pings() == (5.0, None, 7.0, 30.0)
        assert book.pings(2) == (7.0, 30.0)
        for number in (1, 2, 3):
            book.record_run(run(number), rows_fetched=100 * number, fetch_s=1.0)
        book.record_run(run(4, exit_code=3), rows_fetched=9999, fetch_s=1.0)
        assert book.medians() == Medians(rows_per_s=200.0, ping_ms=7.0)


def test_totals_count_on(tmp_path: Path, warnings: Warnings) -> None:
    path = tmp_path / "h.db"
    for number in (1, 2):
        with History.open(path, warnings.append) as book:
            book.record_run(
                run(number),
                applied={"episodes": TableChange(3, 0, 1)},
                steps=[("fetch", 0.2)],
                requests_by_code={"200": 4},
            )
            book.count("repairs", "reseed")
    with History.open(path, warnings.append) as book:
        totals = book.totals()
    assert totals["changes", "episodes\tinsert"] == 6
    assert ("changes", "episodes\tupdate") not in totals
    assert totals["runs", "IN_SYNC"] == 2
    assert totals["requests", "200"] == 8
    assert totals["repairs", "reseed"] == 2
    assert totals["phase_bucket", "fetch\t0.5"] == 2
    assert totals["phase_seconds", "fetch"] == pytest.approx(0.4)


def test_orphans_keep_when_they_were_first_seen(tmp_path: Path, warnings: Warnings) -> None:
    with History.open(tmp_path / "h.db", warnings.append) as book:
        book.see_orphans(["a", "b"], 10.0)
        book.expect_orphans(["b"], "wanted", 11.0)
        book.see_orphans(["a", "c"], 20.0)
        marks = book.orphan_marks()
        assert {key: mark.first_seen for key, mark in marks.items()} == {"a": 10.0, "b": 10.0, "c": 20.0}
        assert marks["b"].expected_reason == "wanted"
        book.see_orphans([], 30.0)
        assert set(book.orphan_marks()) == {"b"}


@pytest.mark.parametrize(
    "content", [b"this is no database, it is a text" * 40, b"SQLite format 3\x00" + b"\x7f" * 5000]
)
def test_a_damaged_history_is_moved_aside(tmp_path: Path, warnings: Warnings, content: bytes) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(content)
    with History.open(path, warnings.append) as book:
        book.record_run(run(1))
        assert len(book.runs()) == 1
    assert len(warnings) == 1
    assert "damaged" in warnings[0]
    (aside,) = tmp_path.glob("history.db.damaged-*")
    assert aside.read_bytes() == content


def test_damage_in_the_middle_is_found(tmp_path: Path, warnings: Warnings) -> None:
    path = tmp_path / "history.db"
    with History.open(path, warnings.append) as book:
        for number in range(1, 60):
            book.record_run(run(number), document={"text": "x" * 2000})
    data = bytearray(path.read_bytes())
    for offset in range(8192, len(data), 4096):
        data[offset : offset + 64] = b"\xa5" * 64
    path.write_bytes(bytes(data))
    with History.open(path, warnings.append) as book:
        book.record_run(run(1))
        assert [one.id for one in book.runs()] == ["r1"]
    assert "damaged" in warnings[0]


def test_a_place_that_cannot_be_used_is_a_warning(tmp_path: Path, warnings: Warnings) -> None:
    (tmp_path / "file").touch()
    with History.open(tmp_path / "file" / "history.db", warnings.append) as book:
        book.record_run(run(1))
        assert len(book.runs()) == 1
    assert len(warnings) == 1
    assert "not remembered" in warnings[0]


def test_a_removed_history_is_put_back(tmp_path: Path, warnings: Warnings) -> None:
    """The state folder went while the console was open: what it knew comes back with the next run."""
    path = tmp_path / "state" / "history.db"
    with History.open(path, warnings.append) as book:
        book.record_run(run(1))
        shutil.rmtree(path.parent)
        book.record_run(run(2))
        assert book.runs() == (run(2), run(1))
    with History.open(path, warnings.append) as book:
        assert book.runs() == (run(2), run(1))
    assert len(warnings) == 1
    assert "restored" in warnings[0]


def test_a_removed_history_that_cannot_be_put_back_is_one_warning(tmp_path: Path, warnings: Warnings) -> None:
    path = tmp_path / "state" / "history.db"
    with History.open(path, warnings.append) as book:
        shutil.rmtree(path.parent)
        path.parent.write_text("a file in its place")
        for number in range(3):
            book.record_run(run(number))
        assert len(book.runs()) == 3
    assert len(warnings) == 1


@pytest.mark.parametrize("first", ["read", "write"])
def test_a_history_that_is_damaged_while_it_is_open_is_moved_aside(
    tmp_path: Path, warnings: Warnings, first: str
) -> None:
    """A new one is begun at once, not at the next start; and it is said once, not at every look."""
    path = tmp_path / "history.db"
    with History.open(path, warnings.append) as book:
        book.record_run(run(1))
        for part in list(tmp_path.iterdir()):
            part.write_bytes(b"this is no database, it is a text" * 1000)
        for _ in range(3 if first == "read" else 0):
            assert book.runs() == ()
        book.record_run(run(2))
        assert book.runs() == (run(2),)
    with History.open(path, warnings.append) as book:
        assert book.runs() == (run(2),)
    assert len(warnings) == 1
    assert "damaged" in warnings[0]


def test_a_newer_history_is_left_alone(tmp_path: Path, warnings: Warnings) -> None:
    path = tmp_path / "history.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    with History.open(path, warnings.append) as book:
        book.record_run(run(1))
    assert "newer version" in warnings[0]
    assert path.read_bytes()[:4096] == before[:4096] or path.stat().st_size == len(before)
    assert list(tmp_path.glob("*.damaged-*")) == []


def test_a_failing_write_is_a_warning(tmp_path: Path, warnings: Warnings) -> None:
    path = tmp_path / "history.db"
    with History.open(path, warnings.append) as book:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("DROP TABLE pings")
        other.close()
        book.record_ping(1.0, 2.0)
        assert book.pings() == ()
        book.record_run(run(1))
        assert len(book.runs()) == 1
    assert len(warnings) == 2


def test_reading_only_creates_nothing(tmp_path: Path, warnings: Warnings) -> None:
    path = tmp_path / "none" / "history.db"
    with History.open(path, warnings.append, read_only=True) as book:
        assert book.runs() == ()
    assert list(tmp_path.iterdir()) == []
    with History.open(path, warnings.append) as book:
        book.record_run(run(1))
    with History.open(path, warnings.append, read_only=True) as book:
        assert len(book.runs()) == 1
        book.record_run(run(2))
    assert len(warnings) == 1


def test_several_threads_and_processes_may_write(tmp_path: Path, warnings: Warnings) -> None:
    path = tmp_path / "history.db"
    books = [History.open(path, warnings.append) for _ in range(2)]

    def write(book: History, base: int) -> None:
        for number in range(20):
            book.record_run(run(base + number))

    threads = [threading.Thread(target=write, args=(books[n % 2], 100 * n + 1)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(books[0].runs(limit=1000)) == 80
    for book in books:
        book.close()
    assert warnings == []


NOON = 1_795_348_800.0


def test_rows_read_are_counted_by_purpose_and_day(tmp_path: Path, warnings: Warnings) -> None:
    with History.open(tmp_path / "h.db", warnings.append) as book:
        assert book.rows_read(NOON) is None, "nobody said anything yet"
        book.record_ping(NOON, 1.0)
        assert book.rows_read(NOON) is None
        book.record_ping(NOON + 5, 1.0, 16)
        book.record_run(run(1, started_at=NOON + 6), rows_read={Purpose.PROOF: 1000}, unmetered={Purpose.FETCH: 2})
        assert book.rows_read(NOON + 60) == RowsRead(1016, 1016, NOON + 5, 2)
        assert {name: value for name, value in book.totals().items() if name[0] in ("rows_read", "unmetered")} == {
            ("rows_read", "poll"): 16,
            ("rows_read", "proof"): 1000,
            ("unmetered", "fetch"): 2,
        }
        assert book.rows_read(NOON + 86_400) == RowsRead(0, 0, NOON + 86_400), "that was yesterday"
        book.record_ping(NOON + 86_400, 1.0, 4)
        assert book.rows_read(NOON + 86_400) == RowsRead(4, 4, NOON + 86_400)
    assert warnings == []


def test_the_pace_goes_on_over_midnight_and_a_restart(tmp_path: Path, warnings: Warnings) -> None:
    """A poll of 10 rows every 5 minutes for two days and a half; the history is closed and opened between."""
    pace = 10 * 12 * 24 * 30
    begun = NOON
    for part in range(5):
        with History.open(tmp_path / "h.db", warnings.append) as book:
            for number in range(144):
                at = begun + part * 43_200 + number * 300
                book.record_ping(at, 1.0, 10)
                read = book.rows_read(at)
                assert read is not None
                told = read.a_month(at)
                if at - begun < 3_600:
                    assert told is None, "less than an hour tells no month"
                else:
                    assert told == pytest.approx(pace, rel=0.11), (part, number)
                of_day = int((at - day_end(at) + 86_400) // 300) + 1
                assert read.today == 10 * min(of_day, part * 144 + number + 1)
    assert warnings == []


def test_what_a_poll_and_a_proof_cost_is_remembered(tmp_path: Path, warnings: Warnings) -> None:
    with History.open(tmp_path / "h.db", warnings.append) as book:
        assert book.read_costs() == ReadCosts()
        for number in range(200):
            book.record_ping(NOON + number, 1.0, 20)
            book.record_run(run(number, started_at=NOON + number), costs=RunCost(followed=80))
        book.record_ping(NOON + 200, None)
        costs = book.read_costs()
        assert costs.poll == pytest.approx(100, rel=0.1)
        assert (costs.proof, costs.renews) == (None, False)
        book.record_run(run(201, started_at=NOON + 201), costs=RunCost(proof=15_000))
        assert (book.read_costs().proof, book.read_costs().renews) == (15_000, False)
        book.record_run(run(202, started_at=NOON + 202), costs=RunCost(renewed=True))
    with History.open(tmp_path / "h.db", warnings.append) as book:
        assert (book.read_costs().proof, book.read_costs().renews) == (15_000, True)
    assert warnings == []


def test_a_primary_that_never_says_what_it_reads(tmp_path: Path, warnings: Warnings) -> None:
    with History.open(tmp_path / "h.db", warnings.append) as book:
        assert not book.is_unmetered(), "it was not asked yet"
        book.record_ping(NOON, 1.0, 0, unmetered=2)
        assert book.is_unmetered()
        assert book.rows_read(NOON) is None
        book.record_ping(NOON, 1.0, 3)
        assert not book.is_unmetered()


@pytest.mark.parametrize(("seconds", "month"), [(1, None), (3_599, None), (3_600, 870_000), (86_400, 36_000)])
def test_the_pace_of_a_month(seconds: float, month: int | None) -> None:
    assert RowsRead(0, 1_210, NOON).a_month(NOON + seconds) == month


def test_follow_runs_push_no_other_out(tmp_path: Path, warnings: Warnings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEEP_RUNS", 3)
    check = Check("row_counts", CheckStatus.PASS, 1, 1, "")
    with History.open(tmp_path / "history.db", warnings.append) as book:
        for number in range(1, 6):
            book.record_run(run(number), document={"followed": None}, checks=[check])
        for number in range(6, 16):
            book.record_run(run(number), document={"followed": {"changes": 1}}, checks=[check])
        kept = [15, 14, 13, 5, 4, 3]
        assert [(one.id, one.followed) for one in book.runs()] == [(f"r{number}", number > 5) for number in kept]
        assert [one.run_id for one in book.check_runs()] == [f"r{number}" for number in kept]
        view = book.view()
        assert (view.runs, view.followed, view.in_sync, view.compared) == (6, 3, 3, 3)
    with closing(sqlite3.connect(tmp_path / "history.db")) as db:
        assert db.execute("SELECT count(*) FROM checks").fetchone() == (6,), "what a run had goes with it"
    assert warnings == []


def test_an_older_file_gets_what_it_lacks(tmp_path: Path, warnings: Warnings) -> None:
    path = tmp_path / "history.db"
    with History.open(path, warnings.append) as book:
        book.record_run(run(1), document={"followed": {"changes": 1}})
    names = "SELECT name FROM sqlite_master WHERE type = 'index' AND name IN ('runs_followed', 'runs_others')"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP INDEX runs_followed; DROP INDEX runs_others")
    with History.open(path, warnings.append) as book:
        assert book.view().followed == 1
    with closing(sqlite3.connect(path)) as db:
        assert len(db.execute(names).fetchall()) == 2
    assert warnings == []


def undo(number: int, undone: str, **kwargs: Any) -> tuple[RunSummary, dict[str, object]]:
    return run(number, kind="undo", generation=None, **kwargs), {"undone_run": undone, "error": None}


def marks(book: History) -> dict[str, tuple[str, str]]:
    return {one.id: (one.undoes, one.undone_by) for one in book.runs()}


def test_a_run_that_was_undone_says_by_which(tmp_path: Path, warnings: Warnings) -> None:
    with History.open(tmp_path / "history.db", warnings.append) as book:
        book.record_run(run(1))
        book.record_run(run(2))
        summary, document = undo(3, "r1")
        book.record_run(summary, document=document)
        assert marks(book) == {"r3": ("r1", ""), "r2": ("", ""), "r1": ("", "r3")}
        summary, document = undo(4, "r3")
        book.record_run(summary, document=document)
        assert marks(book) == {"r4": ("r3", ""), "r3": ("r1", "r4"), "r2": ("", ""), "r1": ("", "")}, "it stands again"
        summary, document = undo(5, "r1")
        book.record_run(summary, document=document)
        assert marks(book)["r1"] == ("", "r5")
    assert warnings == []


@pytest.mark.parametrize("why", ["it failed", "it changed nothing"])
def test_an_undo_that_did_nothing_marks_no_run(tmp_path: Path, warnings: Warnings, why: str) -> None:
    with History.open(tmp_path / "history.db", warnings.append) as book:
        book.record_run(run(1))
        some = {"new": 0, "changed": 0, "gone": 0} if why == "it changed nothing" else {}
        summary, document = undo(2, "r1", **some)
        error = {"code": "cache_locked"} if why == "it failed" else None
        book.record_run(summary, document={**document, "error": error})
        assert marks(book) == {"r2": ("", ""), "r1": ("", "")}


def test_an_undo_that_brought_a_file_back_marks_its_run(tmp_path: Path, warnings: Warnings) -> None:
    with History.open(tmp_path / "history.db", warnings.append) as book:
        book.record_run(run(1))
        summary, document = undo(2, "r1", new=0, changed=0, gone=0)
        book.record_run(summary, document={**document, "file_restored": "/x/cache.redb.old-1"})
        assert marks(book) == {"r2": ("r1", ""), "r1": ("", "r2")}
