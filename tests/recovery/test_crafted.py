"""Caches whose own tables of ours were tampered with: damage that is told and that a repair heals, never a bug."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.cache.checkpoint import META_KEY
from tests.support import stores
from tests.support.command import Tool
from tests.support.crafted import craft

META, LEDGER, REFUSED = "storage_sync_meta", "storage_sync_digest", "storage_sync_quarantine"


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """In sync."""
    tool = Tool.at(tmp_path / "tool", f"file:{stores.primary('small', tmp_path)}")
    tool.sync()
    return tool


def stamped(cache: Path) -> dict[str, object]:
    file = _native.CacheFile.open(str(cache), "read")
    found: dict[str, object] = json.loads(file.meta()[META_KEY])
    file.close()
    return found


def with_fields(**fields: object) -> Callable[[Path], bytes]:
    return lambda cache: json.dumps(stamped(cache) | fields).encode()


STAMPS: dict[str, Callable[[Path], bytes]] = {
    "generation 2^63": with_fields(generation=2**63),
    "generation 2^63-1": with_fields(generation=2**63 - 1),
    "generation 2^64-1": with_fields(generation=2**64 - 1),
    "generation -1": with_fields(generation=-1),
    "proved at 1e300": with_fields(proved_at=1e300),
    "proved at -1e18": with_fields(proved_at=-1e18),
    "epoch 2^70": with_fields(epoch=2**70),
    "window 0": with_fields(window=0),
    "replication index -1": with_fields(replication_index=-1),
    "tables": with_fields(tables={"episodes": {"primary": -1, "expected": 2**80}}),
    "root of megabytes": with_fields(root="f" * 5_000_000),
    "control characters": with_fields(tool="\x1b[2J\u202e", primary_url="\x1b]0;x\x07"),
    "not JSON": lambda _: b"{broken",
    "not text": lambda _: b"\xff\xfe",
    "another shape": lambda _: b"[1, 2]",
    "empty": lambda _: b"",
    "deep": lambda _: b"[" * 100_000,
}


@pytest.mark.parametrize("name", STAMPS)
def test_a_tampered_stamp_is_no_bug_and_is_mended(name: str, tool: Tool) -> None:
    craft(tool.cache, {(META, META_KEY): STAMPS[name](tool.cache)})
    for words in (("status",), ("verify",), ("peek",), ("doctor",), ("repair", "--plan")):
        result = tool.run(*words)
        assert result.exit_code != 70, result.stderr
        assert "Traceback" not in result.stderr
        assert not {"\x1b", "\u202e", "\x07"} & set(result.stdout + result.stderr)
    mended = tool.run("repair", "--yes", "--json")
    assert mended.exit_code == 0, mended.stdout
    assert mended.document["verdict"] == "IN_SYNC"
    assert tool.run("verify", "--json").exit_code == 0


ROWS: dict[str, tuple[str, str, bytes]] = {
    "refused row: not JSON": (REFUSED, "episodes/x", b"{broken"),
    "refused row: not text": (REFUSED, "episodes/x", b"\xff"),
    "refused row: a list": (REFUSED, "episodes/x", b"[]"),
    "refused row: a number": (REFUSED, "episodes/x", b"7"),
    "refused row: first seen 1e300": (REFUSED, "episodes/x", b'{"first_seen": 1e300, "reason": "r"}'),
    "refused row: first seen 2^70": (REFUSED, "episodes/x", b'{"first_seen": %d}' % 2**70),
    "refused row: a reason of megabytes": (REFUSED, "episodes/x", json.dumps({"reason": "r" * 5_000_000}).encode()),
    "refused row: no table": (REFUSED, "x", b"{}"),
    "refused row: another table": (REFUSED, "sqlite_master/x", b"{}"),
    "ledger: cut": (LEDGER, "episodes/x", b"\x01"),
    "ledger: empty": (LEDGER, "episodes/x", b""),
    "ledger: no table": (LEDGER, "x", bytes(40)),
    "ledger: another table": (LEDGER, "nothing/x", bytes(40)),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_tampered_row_of_ours_is_no_bug_and_is_mended(name: str, tool: Tool) -> None:
    table, key, value = ROWS[name]
    craft(tool.cache, {(table, key): value})
    for words in (
        ("status",),
        ("verify", "--deep"),
        ("quarantine", "list"),
        ("quarantine", "list", "--json"),
        ("peek",),
    ):
        result = tool.run(*words)
        assert result.exit_code != 70, (words, result.stdout, result.stderr)
        assert len(result.stdout) < 100_000
    mended = tool.run("repair", "--yes", "--json")
    assert mended.exit_code in (0, 7), mended.stdout
    assert tool.run("verify", "--json").exit_code == 0
