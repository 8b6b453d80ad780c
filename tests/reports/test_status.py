"""Plain `status` of a file that is not the proven one any more: its rows decide."""

from __future__ import annotations

import pytest

from storage_sync import _native
from tests.edits.conftest import Stores, clean_environment, cli, stores
from tests.support.command import fingerprint
from tests.support.processes import holding

__all__ = ["clean_environment", "cli", "stores"]


def opened_and_closed(stores: Stores) -> None:
    """As do-memory leaves a file that it only read."""
    _native.CacheFile.open(str(stores.cache), "write").close()


def drop_a_row(stores: Stores) -> None:
    key, value = next((key, value) for (table, key), value in stores.rows().items() if table == "heuristics")
    _native.edit(str(stores.cache), [("heuristics", key, _native.digest("blake3", value), None)], {}, None, 0)


def test_a_clean_stop_of_do_memory_takes_nothing_from_the_proof(stores: Stores) -> None:
    _, before = stores.json("status")
    assert "look" not in before
    opened_and_closed(stores)
    as_it_was = fingerprint(stores.cache)
    code, document = stores.json("status")
    assert (code, document["verdict"], document["proof_holds"]) == (0, "IN_SYNC", True)
    assert document["proof"] == before["proof"]
    assert document["look"]["of"] == "file"
    assert fingerprint(stores.cache) == as_it_was


def test_the_proof_is_repeated_while_do_memory_holds_the_file(stores: Stores) -> None:
    with holding(stores.cache) as holder:
        code, document = stores.json("status")
    assert (code, document["verdict"]) == (0, "IN_SYNC")
    assert document["look"]["of"] == "copy"
    assert document["look"]["held_by"][0]["pid"] == holder.pid
    assert document["cache"]["lock"][0]["kind"] == "do-memory"


def test_a_changed_row_is_the_reason_for_not_knowing(stores: Stores) -> None:
    drop_a_row(stores)
    code, document = stores.json("status")
    assert (code, document["verdict"], document["proof_holds"]) == (0, "UNKNOWN", False)
    assert "1 row of the cache is no longer what was proven" in document["warnings"]


def test_a_large_file_is_not_read(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage_sync.reports.reread.BYTES_MOST", 1 << 16)
    opened_and_closed(stores)
    _, document = stores.json("status")
    assert document["verdict"] == "UNKNOWN"
    assert any("so it was not read" in text for text in document["warnings"])


def test_damage_inside_is_damage(stores: Stores) -> None:
    with stores.cache.open("r+b") as file:
        size = file.seek(0, 2)
        for page in range(4, size // 4096, 2):
            file.seek(page * 4096)
            file.write(bytes(4096))
    assert stores.json("status")[1]["verdict"] == "DAMAGED"
