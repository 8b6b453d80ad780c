"""A cache that another process holds is looked at too: what is found is said, of what, and who holds it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from storage_sync import _native
from tests.edits.conftest import Stores, clean_environment, cli, stores
from tests.support.command import fingerprint
from tests.support.processes import DO_MEMORY, HOLD_REDB, holding, running

__all__ = ["clean_environment", "cli", "stores"]

LOOKS = (
    ("verify",),
    ("verify", "--deep"),
    ("verify", "--subset", "1/3"),
    ("diff",),
    ("status", "--check"),
    ("orphans", "list"),
    ("sync", "--plan"),
    ("repair", "--plan"),
    ("quarantine", "list"),
    ("doctor",),
)
JUDGING = {
    ("verify",),
    ("verify", "--deep"),
    ("diff",),
    ("status", "--check"),
    ("sync", "--plan"),
    ("repair", "--plan"),
}


def only_of_a_held_file(document: dict[str, Any], pid: int) -> None:
    look = document["look"]
    assert look["of"] == "copy"
    assert look["at"].endswith("Z")
    (holder,) = look["held_by"]
    assert (holder["pid"], holder["command"], holder["kind"]) == (pid, DO_MEMORY, "do-memory")
    assert not {"REPAIRED", "UNCLEAN", "UNKNOWN"} & set(document.get("states", ()))


def same_finding(held: dict[str, Any], rest: dict[str, Any]) -> None:
    for name in ("verdict", "exit_code", "counts", "plan", "differences", "orphans", "error", "refused", "set_aside"):
        assert held.get(name) == rest.get(name), name
    # redb's own check is made of every file that is not the proven one, asked for or not
    asked = {one["name"] for one in rest.get("checks", ()) if one["status"] != "skipped"}
    assert _statuses(held, asked) == _statuses(rest, asked)


def _statuses(document: dict[str, Any], names: set[str]) -> dict[str, str]:
    return {one["name"]: one["status"] for one in document.get("checks", ()) if one["name"] in names}


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
@pytest.mark.parametrize("changed", [False, True], ids=["equal", "behind"])
def test_it_says_of_a_held_file_what_it_says_at_rest(stores: Stores, words: Sequence[str], changed: bool) -> None:
    if changed:
        stores.change_primary()
    code, rest = stores.json(*words)
    with holding(stores.cache) as holder:
        before = fingerprint(stores.cache)
        held_code, held = stores.json(*words)
        assert fingerprint(stores.cache) == before
    assert held_code == code != 6
    same_finding(held, rest)
    only_of_a_held_file(held, holder.pid)
    if tuple(words) in JUDGING:
        assert (held["verdict"], code) in (("IN_SYNC", 0), ("STALE", 1), ("STALE", 0))
    assert "LOCKED_EXCLUSIVE" not in rest.get("states", ())
    if words[0] != "doctor":
        assert rest["look"]["of"] == "file"
        assert rest["look"]["held_by"] == []


def test_the_text_says_of_what_it_speaks(stores: Stores) -> None:
    with holding(stores.cache) as holder:
        _, out, _ = stores.cli.run("verify", "--config", str(stores.demo.config_file))
        assert "IN_SYNC: The cache equals the primary." in out
        assert f" s ago; do-memory (pid {holder.pid}) has held the file since " in out
        assert "HELD" in out
        _, _, err = stores.cli.run("repair", "--plan", "--config", str(stores.demo.config_file))
        held = rf"do-memory \(pid {holder.pid}\) has held the file since"
        assert re.search(rf"^note: of a copy made \d+ s ago; {held}", err)
        _, out, err = stores.cli.run("doctor", "--config", str(stores.demo.config_file))
        assert f"they are written once {DO_MEMORY} (pid {holder.pid}, " in out + err
        assert "Nothing prevents a sync" not in out + err
    _, out, err = stores.cli.run("verify", "--config", str(stores.demo.config_file))
    assert "of a copy" not in out + err
    _, out, err = stores.cli.run("doctor", "--config", str(stores.demo.config_file))
    assert "Nothing prevents a sync." in out + err


def test_what_must_write_is_refused_and_told_what_to_do(stores: Stores) -> None:
    stores.change_primary()
    with holding(stores.cache) as holder:
        code, document = stores.json("sync", "--wait", "0")
        assert code == 6
        assert f"{DO_MEMORY} (pid {holder.pid}, " in document["error"]["message"]
        assert "do-memory" in document["error"]["hint"]
    with running(HOLD_REDB, stores.cache, "write"):
        code, document = stores.json("sync", "--wait", "0")
        assert code == 6
        assert "only do-memory and this tool should" in document["error"]["hint"]


def test_rows_that_its_holder_wrote_are_told(stores: Stores) -> None:
    key, value = next((key, value) for (table, key), value in stores.rows().items() if table == "heuristics")
    _native.edit(str(stores.cache), [("heuristics", key, _native.digest("blake3", value), None)], {}, None, 0)
    with holding(stores.cache):
        code, document = stores.json("verify", "--deep")
    assert (code, document["verdict"], document["look"]["of"]) == (1, "DRIFT", "copy")


def test_a_holder_that_was_stopped_keeps_nobody_waiting(stores: Stores) -> None:
    with holding(stores.cache) as holder:
        os.kill(holder.pid, signal.SIGSTOP)
        try:
            code, document = stores.json("verify", "--deep")
        finally:
            os.kill(holder.pid, signal.SIGCONT)
    assert (code, document["verdict"]) == (0, "IN_SYNC")
    only_of_a_held_file(document, holder.pid)


def test_a_holder_that_died_leaves_a_file_to_repair(stores: Stores) -> None:
    with holding(stores.cache) as holder:
        holder.kill()
        holder.wait()
    code, document = stores.json("verify")
    assert (code, document["verdict"], document["look"]["of"]) == (0, "IN_SYNC", "file")
    assert "HELD" not in document["states"]
    assert stores.json("repair", "--plan")[1]["ladder"][0]["rung"] == "open"


def test_a_damaged_file_that_is_held_is_damaged(stores: Stores, tmp_path: Path) -> None:
    with holding(stores.cache), stores.cache.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for page in range(4, size // 4096, 2):
            file.seek(page * 4096)
            file.write(bytes(4096))
        file.flush()
        code, document = stores.json("verify")
        assert (code, document["verdict"]) == (5, "DAMAGED")
        assert stores.json("status", "--check")[0] == 5


def test_no_room_for_the_copy_is_said(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    with holding(stores.cache):
        monkeypatch.setattr("storage_sync.cache.space.free_space", lambda path: 4096)
        code, document = stores.json("verify")
    assert (code, document["error"]["code"]) == (8, "local_io")
    assert "bytes are needed" in document["error"]["message"]
