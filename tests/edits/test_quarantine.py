"""Quarantined rows, rejected rows, broken vectors."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from storage_sync import _native
from tests.edits.conftest import NOW, Stores
from tests.support.command import fingerprint


def orphaned(stores: Stores) -> list[str]:
    """Keys of embeddings whose episodes can no longer be represented, one of them the cache's own."""
    stores.sql("UPDATE episodes SET steps = '{not json' WHERE rowid <= 8")
    document = stores.sync()
    assert any(name.startswith("orphaned_embeddings") for name in document["warnings"])
    value = next(value for (table, _), value in stores.rows().items() if table == "embeddings")
    change = ("embeddings", "episode_00000000-0000-4000-8000-000000000000", None, value)
    _native.edit(str(stores.cache), [change], {}, stores.generation, NOW * 1000)
    found: list[str] = [orphan["key"] for orphan in stores.json("orphans")[1]["orphans"]]
    assert change[1] in found
    return found


def test_orphans_are_set_aside_and_come_back_the_same(stores: Stores) -> None:
    keys = orphaned(stores)
    before, generation = stores.rows(), stores.generation
    code, document = stores.json("orphans", "quarantine", *keys, "--plan")
    assert (code, document["plan"]["embeddings"]["remove"]) == (0, len(keys))
    are = "is" if len(keys) == 2 else "are"
    assert f"{len(keys) - 1} of them {are} in the primary too" in document["lost"][0]
    assert stores.rows() == before
    code, document = stores.json("orphans", "quarantine", *keys, "--yes")
    assert (code, document["verdict"]) == (0, "DRIFT")
    assert set(before) - set(stores.rows()) == {("embeddings", key) for key in keys}
    assert stores.generation == generation + 1
    aside = [row for row in stores.json("quarantine")[1]["set_aside"] if row["reason"] == "orphan"]
    assert [(row["key"], row["generation"]) for row in aside] == [(key, generation + 1) for key in sorted(keys)]
    code, _ = stores.json("quarantine", "restore", *(str(row["id"]) for row in aside), "--yes")
    assert code == 0
    assert stores.rows() == before
    assert not [row for row in stores.json("quarantine")[1]["set_aside"] if row["reason"] == "orphan"]
    stores.sync()
    assert stores.rows() == before


def test_the_history_says_what_was_done_to_rows(stores: Stores) -> None:
    """The kind in JSON stays the command's name; a person reads what it did."""
    key = orphaned(stores)[0]
    stores.json("orphans", "quarantine", key, "--yes")
    (aside,) = [row for row in stores.json("quarantine")[1]["set_aside"] if row["key"] == key]
    stores.json("quarantine", "restore", str(aside["id"]), "--yes")
    stores.json("quarantine", "retry", stores.json("quarantine")[1]["refused"][0]["id"])
    kinds = [run["kind"] for run in stores.json("history", "--limit", "3")[1]["runs"]]
    assert kinds == ["quarantine", "quarantine", "orphans"]
    table = stores.cli.run("history", "--limit", "3", "--config", str(stores.demo.config_file))[1]
    assert [line.split()[2] for line in table.splitlines()[1:]] == ["retry", "restore", "quarantine"]


def test_orphan_removal_is_undone(stores: Stores) -> None:
    orphaned(stores)
    before = stores.rows()
    listed = stores.json("orphans")[1]["orphans"]
    code, document = stores.json("orphans", "quarantine", "--reason", listed[0]["reason"], "--yes")
    assert code == 0
    assert (
        document["changed_rows"]
        == sorted(f"embeddings/{one['key']}" for one in listed if one["reason"] == listed[0]["reason"])[:5]
    )
    assert stores.rows() != before
    assert stores.json("undo", document["run_id"], "--yes")[0] == 0
    assert stores.rows() == before


def test_only_broken_vectors_are_taken(stores: Stores) -> None:
    healthy = next(key for table, key in stores.rows() if table == "embeddings")
    before = fingerprint(stores.cache)
    for words in (("quarantine", healthy, "--yes"), ("expect", healthy), ("quarantine", "--yes")):
        code, document = stores.json("orphans", *words)
        assert (code, document["error"]["code"]) == (2, "usage")
    assert fingerprint(stores.cache) == before


def test_expected_orphans_are_counted_aside(stores: Stores) -> None:
    keys = orphaned(stores)
    check = _check(stores)
    assert (check["status"], check["actual"]) == ("fail", len(keys))
    before = fingerprint(stores.cache)
    assert stores.json("orphans", "expect", *keys[:1], "--note", "kept for a test")[0] == 0
    check = _check(stores)
    assert (check["status"], check["actual"]) == ("fail", len(keys) - 1)
    assert stores.json("orphans", "expect", *keys)[0] == 0
    check = _check(stores)
    assert (check["status"], check["actual"]) == ("pass", f"0 (+{len(keys)} expected)")
    assert fingerprint(stores.cache) == before
    assert not [text for text in stores.sync()["warnings"] if text.startswith("orphaned_embeddings")]


def _check(stores: Stores) -> dict[str, object]:
    checks = stores.json("verify")[1]["checks"]
    found: dict[str, object] = next(check for check in checks if check["name"] == "orphaned_embeddings")
    return found


def test_restore_replaces_only_with_a_plan_and_keeps_what_it_replaced(stores: Stores) -> None:
    stores.sql("DELETE FROM episodes WHERE rowid = 2")
    stores.sync()
    (entry,) = [row for row in stores.json("quarantine")[1]["set_aside"] if row["table"] == "episodes"]
    assert stores.json("quarantine", "restore", str(entry["id"]), "--plan")[0] == 0
    code, document = stores.json("quarantine", "restore", str(entry["id"]))
    assert (code, document["error"]["code"]) == (2, "usage")
    code, document = stores.json("quarantine", "restore", "77", "--yes")
    assert (code, document["error"]["code"]) == (2, "usage")
    code, document = stores.json("quarantine", "restore", "none", "--yes")
    assert (code, document["error"]["code"]) == (2, "usage")
    assert stores.json("quarantine", "restore", str(entry["id"]), "--yes")[0] == 0
    # it is cache-only now, and stays
    assert stores.sync()["counts"]["episodes"]["cache_only"] == 1
    assert ("episodes", entry["key"]) in stores.rows()


def test_bytes_that_changed_where_they_lay_are_not_restored(stores: Stores) -> None:
    stores.sql("DELETE FROM episodes WHERE rowid = 2")
    stores.sync()
    (entry,) = [row for row in stores.json("quarantine")[1]["set_aside"] if row["table"] == "episodes"]
    (store,) = stores.cache.parent.glob("**/rows.db")
    with closing(sqlite3.connect(store)) as db:
        db.execute("UPDATE rows SET value = CAST(x'00' || value AS BLOB)")
        db.commit()
    before = fingerprint(stores.cache)
    code, document = stores.json("quarantine", "restore", str(entry["id"]), "--yes")
    assert (code, document["error"]["code"]) == (5, "cache_damaged")
    assert fingerprint(stores.cache) == before


def test_retry_says_what_is_still_refused(stores: Stores) -> None:
    stores.change_primary()
    stores.sync()
    (refused,) = stores.json("quarantine")[1]["refused"]
    code, document = stores.json("quarantine", "retry", refused["id"])
    assert (code, document["retried"]) == (7, {"accepted": [], "refused": [refused["id"]]})
    stores.sql("UPDATE episodes SET steps = '[]' WHERE rowid = 1")
    code, document = stores.json("quarantine", "retry", refused["id"])
    assert (code, document["retried"]) == (0, {"accepted": [refused["id"]], "refused": []})
    code, document = stores.json("quarantine", "retry", refused["id"])
    assert (code, document["error"]["code"]) == (2, "usage")


def test_purge_forgets_only_what_is_old(stores: Stores) -> None:
    stores.sql("DELETE FROM episodes WHERE rowid = 2")
    stores.sync()
    many = len(stores.json("quarantine")[1]["set_aside"])
    assert many
    assert stores.json("quarantine", "purge", "--yes")[1]["purge"]["removed"] == 0
    (store,) = stores.cache.parent.glob("**/rows.db")
    with closing(sqlite3.connect(store)) as db:
        db.execute("UPDATE rows SET at = 0")
        db.commit()
    assert stores.json("quarantine", "purge")[0] == 2
    assert stores.json("quarantine", "purge", "--plan")[1]["purge"] == {
        "rows": many,
        "bytes": stores.json("quarantine", "purge", "--plan")[1]["purge"]["bytes"],
        "removed": 0,
    }
    assert stores.json("quarantine", "purge", "--yes", "--read-only")[1]["purge"]["removed"] == many
    assert stores.json("quarantine")[1]["set_aside"] == []


def test_a_vector_without_an_owner_is_taken_only_when_no_primary_vouches_for_it(stores: Stores) -> None:
    value = next(value for (table, _), value in stores.rows().items() if table == "embeddings")
    note = ("embeddings", "note-17", None, value)
    _native.edit(str(stores.cache), [note], {}, stores.generation, NOW * 1000)
    proven = "query:authentication"
    assert ("embeddings", proven) in stores.rows()
    code, document = stores.json("orphans", "quarantine", proven, "--yes")
    assert (code, document["error"]["code"]) == (2, "usage")
    before = stores.rows()
    code, document = stores.json("orphans", "quarantine", "note-17", "--yes")
    assert code == 0
    assert set(before) - set(stores.rows()) == {("embeddings", "note-17")}
    (aside,) = stores.json("quarantine")[1]["set_aside"]
    assert aside["reason"] == "vector without an owner"
    assert stores.json("undo", document["run_id"], "--yes")[0] == 0
    assert stores.rows() == before
