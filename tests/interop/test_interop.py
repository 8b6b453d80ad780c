"""do-memory's own crates read the file that we wrote and agree with the primary (`make interop`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.independent.projection_check import Report, check, check_rows
from tests.independent.redb_reader import RedbFile
from tests.support import stores
from tests.support.command import Tool, fingerprint
from tests.support.sqld import Sqld

pytestmark = pytest.mark.interop

OURS = ("storage_sync_meta", "storage_sync_digest")


def program(*arguments: str | Path) -> dict[str, dict[str, Any]]:
    """Rows that the real crates read, by table and key."""
    binary = os.environ.get("INTEROP_BIN")
    assert binary, "`make interop` builds the program and sets INTEROP_BIN"
    answer = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)
    assert answer.returncode == 0, answer.stderr
    rows: dict[str, dict[str, Any]] = {}
    for line in map(json.loads, answer.stdout.splitlines()):
        rows.setdefault(line["table"], {})[line["key"]] = line["value"]
    return rows


def ledger(cache: Path) -> dict[str, list[tuple[bytes, bytes]]]:
    """Our tables inside a cache."""
    file = RedbFile(cache)
    return {name: list(file.rows(name)) for name in OURS}


@pytest.fixture(params=stores.PRIMARIES)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Sqld, Path]]:
    """A server with a copy of one primary, and another copy of the same file."""
    primary = stores.primary(request.param, tmp_path)
    with Sqld(primary) as server:
        yield server, primary


def agrees(primary: Path, rows: dict[str, dict[str, Any]], window: int) -> Report:
    report = check_rows(primary, rows, window=window)
    assert report.holds(exact=True), report.text()
    dumps = rows.get("pattern_dumps", {})
    source = {str(key): text for key, text in stores.select(primary, "SELECT pattern_id, pattern_type FROM patterns")}
    assert dumps == source, "the Debug text of a cached pattern is not what the primary holds"
    return report


@pytest.mark.parametrize("window", [1000, 7])
def test_do_memory_reads_what_we_wrote(served: tuple[Sqld, Path], window: int, tmp_path: Path) -> None:
    server, primary = served
    tool = Tool.at(tmp_path / "tool", server.url)
    tool.sync("--window", str(window))
    before = ledger(tool.cache)
    assert all(before.values()), "our ledger is inside the file"

    copy = Path(shutil.copyfile(tool.cache, tmp_path / "opened.redb"))
    first = program("cache", copy)
    agrees(primary, first, window)
    assert program("cache", copy) == first, "a second open reads the same"
    assert ledger(copy) == before, "do-memory leaves our ledger alone"


def test_do_memory_agrees_about_the_primary(tmp_path: Path) -> None:
    """What TursoStorage reads from the primary is what RedbStorage reads from our file, by the projection."""
    primary = stores.primary("v47-small", tmp_path)
    with Sqld(primary) as server:
        tool = Tool.at(tmp_path / "tool", server.url)
        tool.sync()
    durable = program("primary", primary)
    cached = program("cache", Path(shutil.copyfile(tool.cache, tmp_path / "opened.redb")))
    for table in durable:
        assert durable[table].keys() == cached[table].keys()
    for key, episode in durable["episodes"].items():
        other = cached["episodes"][key]
        assert {**other, "tags": sorted(other["tags"])} == {**episode, "tags": sorted(episode["tags"])}
    for table in ("heuristics", "procedural", "recommendation_sessions", "recommendation_feedback", "relationships"):
        assert cached[table] == durable[table]


def test_do_memory_writes_beside_our_ledger(tmp_path: Path) -> None:
    """An episode that do-memory stores in our file is read back, and our next sync keeps it as cache-only."""
    primary = stores.primary("v47-small", tmp_path)
    with Sqld(primary) as server:
        tool = Tool.at(tmp_path / "tool", server.url)
        tool.sync()
        written = program("write", tool.cache)["episodes"]
        document = tool.sync()
        assert document["counts"]["episodes"]["cache_only"] == 1
        quiet = fingerprint(tool.cache)
        tool.sync()
        assert fingerprint(tool.cache) == quiet
    report = check(primary, tool.cache)
    assert report.holds(), report.text()
    assert report.extra == {"episodes": list(written)}
    assert program("cache", tool.cache)["episodes"].keys() >= written.keys()


@pytest.mark.parametrize("name", sorted(stores.CACHES))
def test_do_memory_reads_a_cache_that_we_took_over(name: str, tmp_path: Path) -> None:
    """First contact with do-memory's own file: expected rows are the primary's, the others stay readable."""
    primary, cache = stores.primary(name, tmp_path), stores.cache(name, tmp_path / "taken")
    before = program("cache", Path(shutil.copyfile(cache, tmp_path / "before.redb")))
    with Sqld(primary) as server:
        Tool.at(tmp_path / "tool", server.url, cache).sync("--window", "2000")
    rows = program("cache", cache)
    report = check_rows(primary, rows, window=2000)
    assert report.holds(), report.text()
    for table, keys in report.extra.items():
        for key in keys:
            assert rows[table][key] == before[table][key]
