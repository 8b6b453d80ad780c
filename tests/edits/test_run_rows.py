"""What one run changed: every row with both sides, in the history, in its JSON, and for as long as it is kept."""

from __future__ import annotations

from typing import Any

from storage_sync import _native
from storage_sync.service.run_rows import changed_rows
from storage_sync.state.undo_log import Rejected, Step, UndoLog
from storage_sync.state.undoable import UNDONE
from tests.edits.conftest import Stores
from tests.support.command import applied


def rows_of(stores: Stores, run: str) -> dict[str, Any]:
    code, document = stores.json("history", "show", run)
    assert code == 0, document
    return document


def test_a_run_is_told_row_by_row_with_both_sides(stores: Stores) -> None:
    before = stores.rows()
    stores.change_primary()
    done = stores.sync()
    after = stores.rows()
    document = rows_of(stores, done["run_id"])
    listed = [((row["table"], row["key"]), row["change"]) for row in document["rows"]]
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert {key for key, change in listed if change != "rejected"} == changed
    for kind, told in (("insert", "added"), ("update", "changed"), ("remove", "removed")):
        assert sum(change.get(kind, 0) for change in applied(done).values()) == [change for _, change in listed].count(
            told
        )
    # the row that can no longer be represented leaves, and is listed as rejected too
    assert [key for key, change in listed if change == "rejected" and (key, "removed") in listed]
    assert document["undoable"]
    assert document["next_action"] == f"storage-sync undo {done['run_id']}"


def test_a_changed_field_has_its_value_before_and_after(stores: Stores) -> None:
    stores.sql("UPDATE episodes SET task_description = 'one' WHERE rowid = 3")
    stores.sync()
    stores.sql("UPDATE episodes SET task_description = 'two' WHERE rowid = 3")
    (row,) = rows_of(stores, stores.sync()["run_id"])["rows"]
    assert row["change"] == "changed"
    assert {"name": "task_description", "before": "one", "after": "two"} in row["fields"]


def test_what_was_taken_back_can_still_be_looked_at_and_not_taken_back_again(stores: Stores) -> None:
    stores.sql("UPDATE episodes SET task_description = 'one' WHERE rowid = 3")
    run = stores.sync()["run_id"]
    assert stores.json("undo", run, "--yes")[0] == 0
    document = rows_of(stores, run)
    assert [row["change"] for row in document["rows"]] == ["changed"]
    assert (document["undoable"], document["undo_note"]) == (False, UNDONE)
    assert stores.json("undo", run, "--yes")[0] == 2


def test_a_run_that_changed_nothing_and_one_that_nobody_knows(stores: Stores) -> None:
    document = rows_of(stores, stores.sync()["run_id"])
    assert (document["rows"], document["rows_note"]) == ([], "this run changed no row")
    code, document = stores.json("history", "show", "s-nobody")
    assert (code, document["error"]["message"]) == (2, "no run s-nobody is remembered")


def test_what_is_too_much_to_keep_is_said_and_undo_still_has_what_it_needs(stores: Stores) -> None:
    folder = stores.cache.parent
    steps = [Step("episodes", key, b"old", _native.digest("blake3", b"x" * 6), b"x" * 6) for key in "abc"]
    with UndoLog.open(folder) as log:
        assert log.put(
            "s-big", "sync", 2, 0.0, steps, live=1, rejected=[Rejected("patterns", "p", "no")], keep_after=12
        )
        assert [step.before for step in log.steps("s-big")] == [b"old"] * 3
    found = changed_rows(folder, str(stores.cache), "s-big")
    assert [(row.key, row.kind, row.cut) for row in found.rows] == [
        ("a", "changed", False),
        ("b", "changed", False),
        ("c", "changed", True),
        ("p", "rejected", False),
    ]
    assert (found.total, found.cut) == (4, 1)
    assert [row.key for row in changed_rows(folder, str(stores.cache), "s-big", 1, 2).rows] == ["b", "c"]
