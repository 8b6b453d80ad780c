"""Undoing runs: rows, bytes, generations, and what is left alone."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.service.run_rows import changed_rows
from storage_sync.state.undo_log import KEEP_RUNS, Step, UndoLog
from storage_sync.state.undoable import DAMAGED, GONE, NO_ROOM, NO_ROW, NOT_REMEMBERED, UNDONE, WHOLE_FILE, undoable
from tests.edits.conftest import NEW, Stores
from tests.support.command import applied, fingerprint


def test_undo_puts_every_row_back(stores: Stores) -> None:
    before, generation = stores.rows(), stores.generation
    stores.change_primary()
    run = stores.sync()["run_id"]
    after = stores.rows()
    assert ("heuristics", NEW) in after
    assert before != after
    code, document = stores.json("undo", "--yes")
    assert (code, document["verdict"], document["undone_run"]) == (0, "DRIFT", run)
    assert stores.rows() == before
    assert stores.generation == generation + 2
    assert stores.json("quarantine")[1]["set_aside"] == []
    many = sum(sum(one.values()) for one in document["applied"].values())
    cause = f"undo of run {run} undid {many} changes; the next sync brings the primary's rows back"
    for command, verdict in (("status", "UNKNOWN"), ("status --check", "DRIFT"), ("verify", "DRIFT")):
        told = stores.json(*command.split())[1]
        assert (told["verdict"], told["cause"]) == (verdict, cause)
    said = stores.cli.run("status", "--config", str(stores.demo.config_file))[1]
    assert f"UNKNOWN: Nothing can be proven now: {cause}." in said
    assert (
        f"UNKNOWN: Nothing can be proven now: {cause}."
        in stores.cli.run("status", "--nagios", "--config", str(stores.demo.config_file))[1]
    )
    figures = stores.cli.run("metrics", "--config", str(stores.demo.config_file))[1]
    assert f"storage_sync_own_change_rows {many}.0" in figures
    listed = {one["id"]: (one["undoes"], one["undone_by"]) for one in stores.json("history")[1]["runs"]}
    assert listed[run] == (None, document["run_id"])
    assert listed[document["run_id"]] == (run, None)
    # undoing the undo does it again
    code, document = stores.json("undo", "--yes")
    assert code == 0
    assert stores.rows() == after
    assert stores.generation == generation + 3
    shown = stores.json("history", "show", run)[1]
    assert shown["run"]["undone_by"] is None, "it stands again"
    refused = stores.json("quarantine")[1]["refused"]
    assert [entry["table"] for entry in refused] == ["episodes"]


def test_the_next_sync_is_right_after_an_undo(stores: Stores) -> None:
    stores.change_primary()
    stores.sync()
    assert stores.json("undo", "--yes")[0] == 0
    document = stores.sync()
    assert document["proof"]["generation"] == stores.generation
    checks = {check["name"]: check["status"] for check in stores.json("verify")[1]["checks"]}
    assert checks["content_digests"] == checks["episode_count"] == "pass"
    # what the undo brought back although the primary lacks it is cache-only now: no sync takes it out
    assert document["counts"]["episodes"]["cache_only"] == 1


def test_an_undo_says_how_many_rows_the_next_sync_brings_back(stores: Stores) -> None:
    """Changed and new rows are what the primary has; what it has lost and the undo restores stays in the cache."""
    stores.change_primary()
    stores.sync()
    after = stores.rows()
    planned = stores.json("undo", "--plan")[1]
    told = planned["comes_back"]
    assert any(f"the primary had these {told} rows when it was last read" in one for one in planned["lost"])
    undone = stores.json("undo", "--yes")[1]
    assert undone["comes_back"] == told
    before = stores.rows()
    returned = stores.sync()
    assert sum(sum(one.values()) for one in returned["applied"].values()) == told
    assert {key for key, value in after.items() if before.get(key) != value} <= set(stores.rows())


def test_a_named_run_is_taken_back_where_nothing_changed_since(stores: Stores) -> None:
    stores.sql("UPDATE episodes SET task_description = 'one' WHERE rowid IN (3, 4)")
    first = stores.sync()["run_id"]
    stores.sql("UPDATE episodes SET task_description = 'two' WHERE rowid = 3")
    stores.sync()
    now = stores.rows()
    code, document = stores.json("undo", first, "--plan")
    assert (code, document["plan"]) == (0, {"episodes": {"insert": 0, "update": 1, "remove": 0}})
    assert "1 row changed since" in document["lost"][0]
    assert stores.json("undo", first, "--yes")[0] == 0
    assert len({key for key, value in stores.rows().items() if now[key] != value}) == 1


def test_plan_and_refusals_change_nothing(stores: Stores) -> None:
    stores.change_primary()
    stores.sync()
    before = fingerprint(stores.cache)
    assert stores.json("undo", "--plan")[0] == 0
    assert stores.json("undo", "--plan", "--read-only")[0] == 0
    code, document = stores.json("undo")
    assert (code, document["error"]["code"]) == (2, "usage")
    code, document = stores.json("undo", "--yes", "--read-only")
    assert (code, document["error"]["code"]) == (9, "guard")
    code, document = stores.json("undo", "s-nobody", "--yes")
    assert (code, document["error"]["code"]) == (2, "usage")
    assert fingerprint(stores.cache) == before


def test_nothing_to_undo(stores: Stores) -> None:
    code, document = stores.json("undo", "--yes")
    assert (code, document["error"]["message"]) == (2, "there is no run to undo")


def test_undo_of_another_primary_restores_the_old_file(stores: Stores) -> None:
    before, generation = stores.rows(), stores.generation
    other = stores.demo.primary.with_name("other.db")
    with closing(sqlite3.connect(stores.demo.primary)) as db:
        db.execute("VACUUM INTO ?", (str(other),))
    with closing(sqlite3.connect(other)) as db:
        db.execute("DELETE FROM episodes WHERE rowid > 5")
        db.commit()
    code, document = stores.json("sync", "--adopt", "--primary", f"file:{other}")
    assert (code, document["verdict"]) == (0, "IN_SYNC")
    assert stores.rows() != before
    (kept,) = stores.cache.parent.glob("*.old-*")
    back = stores.json("undo", "--plan")[1]["steps"][0]
    assert (back["text"], back["rows"]) == (f"{kept.name} becomes the cache again", len(before))
    code, told, _ = stores.cli.run("undo", "--yes", "--config", str(stores.demo.config_file))
    assert code == 0, told
    assert f" was undone: {kept.name} is the cache again, with its {len(before):,} rows; " in told
    assert stores.rows() == before
    assert stores.generation > generation + 1
    assert not list(stores.cache.parent.glob("*.build-*"))
    assert applied(stores.sync()) == {}
    # and the file that undo replaced is kept in its turn
    assert stores.json("undo", "--plan")[1]["steps"][0]["step"] == "file"


def test_undo_of_a_damaged_kept_file_changes_nothing(stores: Stores) -> None:
    other = stores.demo.primary.with_name("other.db")
    shutil.copyfile(stores.demo.primary, other)
    with closing(sqlite3.connect(other)) as db:
        db.execute("DELETE FROM episodes WHERE rowid > 5")
        db.commit()
    assert stores.json("sync", "--adopt", "--primary", f"file:{other}")[0] == 0
    (kept,) = stores.cache.parent.glob("*.old-*")
    with kept.open("r+b") as file:
        file.truncate(kept.stat().st_size // 2)
    before = fingerprint(stores.cache)
    code, document = stores.json("undo", "--yes")
    assert (code, document["error"]["code"]) == (9, "guard")
    assert fingerprint(stores.cache) == before
    kept.unlink()
    assert stores.json("undo", "--plan")[0] == 9


@pytest.mark.parametrize("kept", ["corrupt", "gone", "sound"])
def test_whether_a_run_can_be_undone_is_one_answer_everywhere(stores: Stores, kept: str) -> None:
    """What lists the runs, what shows one, and what does it."""
    stores.sql("UPDATE episodes SET task_description = 'one' WHERE rowid = 3")
    before = stores.sync()["run_id"]
    if kept == "corrupt":
        stores.cache.write_bytes(bytes(4096))
    code, document = stores.json("repair" if kept == "corrupt" else "rebuild", "--yes")
    assert code in (0, 7), document
    run, file = document["run_id"], Path(document["kept"])
    if kept == "gone":
        file.unlink()
    (log,) = stores.cache.parent.glob("**/undo.db")
    listed = [one.id for one in undoable(log.parent, str(stores.cache), stores.generation)]
    shown = stores.json("history", "show", run)[1]
    now = fingerprint(stores.cache)
    said = {"corrupt": DAMAGED, "gone": GONE, "sound": None}[kept]
    assert (run in listed, shown["undoable"], shown["undo_note"]) == (said is None, said is None, said)
    assert (shown["next_action"] or "").startswith("storage-sync undo") == (said is None)
    code, document = stores.json("undo", run, "--plan")
    if said is None:
        assert code == 0
        return
    for words in (("undo", run, "--plan"), ("undo", run, "--yes"), ("undo", "--yes")):
        code, document = stores.json(*words)
        assert (code, document["error"]["code"]) == (9, "guard")
        assert document["error"]["message"] == f"run {run} cannot be undone: {said}; nothing was changed"
        assert before in document["error"]["hint"]
    assert fingerprint(stores.cache) == now


def test_why_a_run_cannot_be_undone_is_said(stores: Stores) -> None:
    stores.change_primary()
    run = stores.sync()["run_id"]
    code, document = stores.json("undo", "s-nobody", "--yes")
    assert (code, document["error"]["message"]) == (2, f"run s-nobody cannot be undone: {NOT_REMEMBERED}")
    assert document["error"]["hint"] == f"these can be undone: {run}"
    assert stores.json("undo", run, "--yes")[0] == 0
    assert stores.json("undo", run, "--yes")[1]["error"]["message"] == f"run {run} cannot be undone: {UNDONE}"


def test_why_nothing_is_kept_of_a_run_is_one_answer_for_its_rows_and_its_undo(stores: Stores) -> None:
    first = stores.json("history")[1]["runs"][-1]["id"]
    nothing = stores.sync()["run_id"]
    stores.change_primary()
    changing = stores.sync()["run_id"]
    (log_path,) = stores.cache.parent.glob("**/undo.db")
    folder = log_path.parent
    with UndoLog.open(folder) as log:
        for number in range(KEEP_RUNS):
            log.put(f"s-later{number}", "sync", 4, 0.0, live=4)
    for run, said in ((first, NO_ROOM), (nothing, NO_ROW), (changing, NO_ROOM)):
        found = changed_rows(folder, str(stores.cache), run)
        assert (found.said, found.undo_off) == (said, said)
    with closing(sqlite3.connect(log_path)) as log_file:
        log_file.execute("DELETE FROM runs")
        log_file.execute("DELETE FROM sqlite_sequence")
        log_file.commit()
    assert changed_rows(folder, str(stores.cache), first).said == WHOLE_FILE


def test_the_log_is_bounded(stores: Stores) -> None:
    with UndoLog.open(stores.cache.parent) as log:
        assert not log.put("big", "sync", 2, 0.0, [Step("episodes", "a", b"x" * 11, None)], live=1, keep_bytes=10)
        (run,) = log.runs(2)
        assert (run.whole, run.rows) == (False, 0)
        for number in range(KEEP_RUNS + 3):
            log.put(f"r{number}", "sync", 3 + number, 0.0, [Step("episodes", "a", None, b"")], live=2 + number)
        assert [run.id for run in log.runs(99)][:2] == [f"r{KEEP_RUNS + 2}", f"r{KEEP_RUNS + 1}"]
        assert len(log.runs(99)) == KEEP_RUNS


def test_a_killed_run_is_only_undone_when_it_committed(stores: Stores) -> None:
    with UndoLog.open(stores.cache.parent) as log:
        log.put("came", "sync", 5, 0.0, live=4)
        log.put("never", "sync", 6, 0.0, live=5)
        assert [run.id for run in log.runs(5)] == ["came"]
        log.put("next", "sync", 6, 0.0, live=5)
        assert [run.id for run in log.runs(6)] == ["next", "came"]


def test_a_run_too_large_for_the_log_gives_back_what_was_set_aside(stores: Stores) -> None:
    before = stores.rows()
    stores.sql("DELETE FROM episodes WHERE rowid = 2", "UPDATE episodes SET task_description = 'x' WHERE rowid = 3")
    stores.sync()
    (log,) = stores.cache.parent.glob("**/undo.db")
    with closing(sqlite3.connect(log)) as db:
        db.execute("UPDATE runs SET whole = 0")
        db.execute("DELETE FROM steps")
        db.commit()
    code, document = stores.json("undo", "--yes")
    assert code == 0
    assert "more than is kept" in document["lost"][0]
    back = [key for key in before if key[0] == "episodes" and stores.rows().get(key) == before[key]]
    assert len(back) == sum(key[0] == "episodes" for key in before) - 1


def test_native_edit_checks_what_is_there(stores: Stores) -> None:
    (_, key), value = next(item for item in stores.rows().items() if item[0][0] == "episodes")
    before = fingerprint(stores.cache)
    for expected in (None, b"\0" * 32):
        try:
            _native.edit(str(stores.cache), [("episodes", key, expected, None)], {}, 9, 0)
        except _native.Conflict:
            continue
        raise AssertionError("a conflict was not seen")
    assert stores.generation == 1
    assert before is not None
    done = _native.edit(
        str(stores.cache), [("episodes", key, _native.digest("blake3", value), None)], {}, 9, 1_795_392_000_000
    )
    assert (done.generation, done.rows_removed) == (9, 1)
    assert f"episodes/{key}" not in stores.meta("storage_sync_digest")


def test_the_log_is_for_its_owner_only(stores: Stores) -> None:
    stores.change_primary()
    stores.sync()
    (log,) = stores.cache.parent.glob("**/undo.db")
    assert log.stat().st_mode & 0o777 == 0o600


def test_undo_of_a_rebuild_puts_the_old_file_back(stores: Stores) -> None:
    stores.change_primary()
    before = stores.rows()
    code, document = stores.json("rebuild", "--yes")
    assert (code, document["verdict"]) == (7, "IN_SYNC"), document
    rebuilt, generation = stores.rows(), stores.generation
    assert rebuilt != before
    code, document = stores.json("undo", "--yes")
    assert code == 0, document
    assert stores.rows() == before
    assert stores.generation > generation
    # the primary is asked again and has the last word
    stores.sync()
    assert stores.json("status", "--check")[1]["verdict"] == "IN_SYNC"
