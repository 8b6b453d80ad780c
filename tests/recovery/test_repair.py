"""Real damage: the right rung, a plan that changes nothing, and a proof at the end with what only the cache had."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from storage_sync import _native
from tests.support import stores
from tests.support.command import applied, fingerprint
from tests.support.processes import HOLD_REDB, running
from tests.support.proven import CACHE_ONLY, Store, add_cache_only, held

PAGE = 4096


def zero_page(cache: Path, number: int) -> None:
    with cache.open("r+b") as file:
        file.seek(number * PAGE)
        file.write(bytes(PAGE))


def flip(cache: Path, place: int, bit: int = 0) -> None:
    with cache.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1 << bit]))


def flip_a_value(cache: Path) -> None:
    """One bit of a text that some episode holds: redb itself would not see it when reading."""
    file = _native.CacheFile.open(str(cache), "read")
    ((_, value),) = file.page("episodes", None, 1)
    file.close()
    flip(cache, cache.read_bytes().index(value[40:120]) + 10)


def truncated(cache: Path) -> None:
    os.truncate(cache, cache.stat().st_size // 2 // PAGE * PAGE)


def cut_short(cache: Path) -> None:
    os.truncate(cache, 200)


def extended(cache: Path) -> None:
    with cache.open("ab") as file:
        file.write(b"x")


def zeros(cache: Path) -> None:
    cache.write_bytes(bytes(cache.stat().st_size))


def magic(cache: Path) -> None:
    flip(cache, 3)


def both_slots(cache: Path) -> None:
    flip(cache, 64 + 40)
    flip(cache, 192 + 40)


def page_size(cache: Path) -> None:
    flip(cache, 13, 5)


def other_pages(cache: Path) -> None:
    """Each tenth page gone."""
    for number in range(5, cache.stat().st_size // PAGE, 10):
        zero_page(cache, number)


DAMAGE = [flip_a_value, truncated, cut_short, extended, zeros, magic, both_slots, page_size, other_pages]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_named_planned_and_healed(store: Store, damage: Callable[[Path], None]) -> None:
    damage(store.cache)
    before = fingerprint(store.cache)
    stopped = store.tool.json("sync")
    assert (stopped.exit_code, stopped.document["error"]["code"]) == (5, "cache_damaged")
    assert "repair" in stopped.document["next_action"]

    plan = store.tool.json("repair", "--plan")
    assert (plan.exit_code, plan.document["verdict"], plan.document["proof"]) == (0, "DAMAGED", None), plan.stdout
    assert [rung["rung"] for rung in plan.document["ladder"]] == ["rebuild"]
    assert plan.document["next_action"] == "storage-sync repair --yes"
    assert not any("undo" in step["undo"] for step in plan.document["steps"]), "a damaged file is never put back"
    assert fingerprint(store.cache) == before
    assert not store.kept_files("corrupt")

    refused = store.tool.json("repair", "--yes", "--no-rebuild")
    assert (refused.exit_code, refused.document["error"]["code"]) == (5, "cache_damaged")
    assert fingerprint(store.cache) == before

    healed = store.tool.json("repair", "--yes").document
    assert (healed["verdict"], healed["proof"]["root"]) == ("IN_SYNC", store.root), healed
    assert applied(healed) == applied(plan.document, "plan")
    assert healed["rebuild"].items() <= plan.document["rebuild"].items()
    (kept,) = store.kept_files("corrupt")
    assert fingerprint(kept) == before, "the damaged file is kept as it was"
    assert healed["kept"] == str(kept)
    assert not list(store.cache.parent.glob("*.build-*"))
    checks = {check["name"]: check for check in healed["checks"]}
    assert (checks["cache_integrity"]["status"], checks["cache_integrity"]["actual"]) == ("pass", "clean")
    if damage in (flip_a_value, extended, magic, page_size):
        assert held(store.cache, "heuristics", CACHE_ONLY) is not None
        assert healed["rescued"]["tables"]["heuristics"]["cache_only"] == 1
    assert store.tool.json("verify", "--deep").exit_code == 0
    assert store.tool.sync()["cache_writes"]["commits"] == 0
    assert store.tool.json("undo", "--yes").exit_code == 9


def test_a_rolled_back_file_is_healed_and_loses_no_generation(store: Store, tmp_path: Path) -> None:
    old = tmp_path / "old.redb"
    shutil.copyfile(store.cache, old)
    primary = tmp_path / "moved.db"
    shutil.copyfile(store.primary, primary)
    stores.execute(store.primary, ["UPDATE heuristics SET confidence = 0.123"])
    try:
        later = store.tool.sync()["proof"]
        old.replace(store.cache)
        plan = store.tool.json("repair", "--plan").document
        assert "ROLLED_BACK" in plan["states"]
        healed = store.tool.json("repair", "--yes").document
        assert healed["proof"]["root"] == later["root"]
        assert healed["proof"]["generation"] > later["generation"]
        assert held(store.cache, "heuristics", CACHE_ONLY) is not None
        assert len(store.kept_files("corrupt")) == 1
    finally:
        shutil.copyfile(primary, store.primary)


def test_a_file_that_nobody_closed_is_opened_and_proven(store: Store) -> None:
    with running(HOLD_REDB, store.cache, "write") as child:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    before = fingerprint(store.cache)
    plan = store.tool.json("repair", "--plan").document
    assert [rung["rung"] for rung in plan["ladder"]] == ["open"]
    assert fingerprint(store.cache) == before
    healed = store.tool.json("repair", "--yes").document
    assert (healed["verdict"], healed["proof"]["root"]) == ("IN_SYNC", store.root)
    assert healed["states"] == ["CLEAN"]
    assert not store.kept_files("corrupt")


def test_rotten_rows_of_a_sound_file_are_fetched_in_place(store: Store) -> None:
    """Garbage written through redb itself: every page is sound, the value is none."""
    file = _native.CacheFile.open(str(store.cache), "read")
    ((key, value),) = file.page("heuristics", None, 1)
    generation = int(file.meta()["generation"])
    file.close()
    _native.edit(
        str(store.cache), [("heuristics", key, _native.digest("blake3", value), b"\xff" * 9)], {}, generation, 0
    )
    plan = store.tool.json("repair", "--plan").document
    assert [rung["rung"] for rung in plan["ladder"]] == ["refetch"]
    healed = store.tool.json("repair", "--yes").document
    assert (healed["verdict"], healed["proof"]["root"]) == ("IN_SYNC", store.root)
    assert held(store.cache, "heuristics", key) == value
    aside = store.tool.json("quarantine", "list").document["set_aside"]
    assert [row["key"] for row in aside] == [key]
    assert not store.kept_files("corrupt")


def test_nothing_to_repair_is_proven(store: Store) -> None:
    done = store.tool.json("repair", "--yes").document
    assert (done["verdict"], done["cache_writes"]["commits"]) == ("IN_SYNC", 0)
    assert [rung["rung"] for rung in done["ladder"]] == ["none"]


def test_without_consent_nothing_happens(store: Store) -> None:
    truncated(store.cache)
    before = fingerprint(store.cache)
    for command in ("repair", "rebuild"):
        result = store.tool.json(command)
        assert (result.exit_code, result.document["error"]["code"]) == (2, "usage")
        guarded = store.tool.json(command, "--yes", "--read-only")
        assert (guarded.exit_code, guarded.document["error"]["code"]) == (9, "guard")
    assert fingerprint(store.cache) == before


def test_sync_repair_climbs_first(store: Store) -> None:
    flip_a_value(store.cache)
    assert store.tool.sync("--repair")["proof"]["root"] == store.root
    assert len(store.kept_files("corrupt")) == 1
    assert held(store.cache, "heuristics", CACHE_ONLY) is not None


def test_a_row_that_nothing_vouches_for_is_set_aside(store: Store) -> None:
    """do-memory wrote a row after the last proof, then the file was damaged: the row waits to be restored."""
    later = "ffffffff-0000-4000-8000-000000000002"
    add_cache_only(store.cache, later)
    with store.cache.open("r+b") as raw:
        data = raw.read()
        # take the row's ledger entry away, as if it had never been seen by a proof
        at = data.index(f"heuristics/{later}".encode())
        raw.seek(at)
        raw.write(b"heuristicz")
    healed = store.tool.json("repair", "--yes").document
    assert healed["verdict"] == "IN_SYNC"
    aside = store.tool.json("quarantine", "list").document["set_aside"]
    assert [(row["key"], row["reason"]) for row in aside] == [(later, "from a damaged file")]


def test_a_locked_file_is_left_alone(store: Store) -> None:
    truncated(store.cache)
    before = fingerprint(store.cache)
    with store.cache.open("r+b") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        result = store.tool.json("repair", "--yes", "--wait", "0.2")
    assert (result.exit_code, result.document["error"]["code"]) == (6, "cache_locked")
    assert fingerprint(store.cache) == before


def test_a_header_that_redb_repairs_each_time_is_put_right(store: Store) -> None:
    """The mark of a clean close is gone, the one of a program that was killed is not there: no rows are at stake."""
    flip(store.cache, 9, 2)
    plan = store.tool.json("repair", "--plan").document
    assert [rung["rung"] for rung in plan["ladder"]] == ["open"]
    healed = store.tool.json("repair", "--yes").document
    assert (healed["verdict"], healed["proof"]["root"]) == ("IN_SYNC", store.root)
    assert held(store.cache, "heuristics", CACHE_ONLY) is not None
    assert not store.kept_files("corrupt")
