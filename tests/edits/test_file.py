"""The file as a whole: peek, compact, detach, with another process at it."""

from __future__ import annotations

import pytest

from storage_sync import _native
from tests.edits.conftest import Stores
from tests.support.command import fingerprint
from tests.support.processes import HOLD_LEASE, HOLD_REDB, running


def test_peek_reads_what_another_process_holds(stores: Stores) -> None:
    rows = stores.rows()
    with running(HOLD_REDB, stores.cache, "write") as holder:
        before = fingerprint(stores.cache)
        code, document = stores.json("peek")
        assert (code, document["verdict"]) == (0, "UNKNOWN")
        assert "LOCKED_EXCLUSIVE" in document["states"]
        told = document["peek"]
        assert (told["subject"], told["generation"]) == ("copy", 1)
        assert str(holder.pid) in told["held_by"][0]
        assert document["counts"]["episodes"]["cache"] == sum(table == "episodes" for table, _ in rows)
        assert {check["name"]: check["status"] for check in document["checks"]} == {
            "cache_integrity": "pass",
            "schema_version": "pass",
            "orphaned_embeddings": "pass",
            "embedding_vectors": "pass",
        }
        assert fingerprint(stores.cache) == before
        _, out, _ = stores.cli.run("peek", "--config", str(stores.demo.config_file))
        assert "a private copy of" in out
    assert stores.json("peek")[1]["peek"]["held_by"] == []


def test_peek_without_a_cache(stores: Stores) -> None:
    stores.cache.unlink()
    stores.cache.with_name("state").mkdir(exist_ok=True)
    code, document = stores.json("peek")
    assert (code, document["verdict"]) in ((0, "EMPTY"), (5, "DAMAGED"))


@pytest.mark.parametrize("words", [("undo", "--yes"), ("detach", "--yes"), ("compact",)])
def test_a_held_cache_is_left_alone(stores: Stores, words: tuple[str, ...]) -> None:
    stores.change_primary()
    stores.sync()
    with running(HOLD_REDB, stores.cache, "write"):
        before = fingerprint(stores.cache)
        code, document = stores.json(*words, "--wait", "0.1")
        assert (code, document["error"]["code"]) == (6, "cache_locked")
        assert fingerprint(stores.cache) == before
    assert stores.sync()["proof"]["generation"] == 2


@pytest.mark.parametrize("words", [("undo", "--yes"), ("detach", "--yes"), ("compact",)])
def test_another_run_of_ours_comes_first(stores: Stores, words: tuple[str, ...]) -> None:
    stores.change_primary()
    stores.sync()
    with running(HOLD_LEASE, stores.cache):
        assert stores.json(*words)[0] == 11


def test_a_lock_taken_at_the_last_moment_leaves_all_as_it_was(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(path: str) -> _native.Applied:
        raise _native.DatabaseAlreadyOpen("locked")

    witness = next(stores.cache.parent.glob("**/acked.json"))
    before = witness.read_bytes(), stores.rows()
    monkeypatch.setattr(_native, "detach", locked)
    assert stores.json("detach", "--yes", "--wait", "0")[0] == 6
    assert (witness.read_bytes(), stores.rows()) == before


def test_detach_leaves_nothing_of_ours(stores: Stores) -> None:
    before = stores.rows()
    assert stores.json("detach", "--plan")[0] == 0
    assert stores.json("detach")[0] == 2
    assert stores.json("detach", "--yes", "--read-only")[0] == 9
    assert stores.generation == 1
    code, document = stores.json("detach", "--yes")
    assert (code, document["states"]) == (0, ["UNSTAMPED"])
    assert stores.rows() == before
    assert stores.meta() == stores.meta("storage_sync_digest") == {}
    assert not list(stores.cache.parent.glob("**/acked.json"))
    assert stores.json("detach", "--yes")[0] == 0
    # a sync takes the cache over again, byte for byte
    stores.sync()
    assert stores.rows() == before


def test_compact_keeps_the_content(stores: Stores) -> None:
    before = stores.rows()
    code, document = stores.json("compact", "--read-only")
    assert (code, document["error"]["code"]) == (9, "guard")
    assert stores.json("compact", "--plan")[1]["compact"]["bytes_after"] is None
    code, document = stores.json("compact")
    told = document["compact"]
    assert code == 0
    assert told["bytes_after"] <= told["bytes_before"]
    assert told["bytes_after"] == stores.cache.stat().st_size
    assert stores.rows() == before
    assert stores.sync()["cache_writes"]["commits"] == 0
