"""Bad input ends with its exit code and a sentence that says what to do next, and the cache stays byte-identical."""

from __future__ import annotations

import ctypes
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.independent.projection_check import check
from tests.support import faulty, stores
from tests.support.command import Result, Tool, fingerprint
from tests.support.faulty import Faulty
from tests.support.sqld import Auth, Sqld, free_port

QUICK = ("--timeout", "2", "--max-attempts", "1")
CURSOR_LINE = b'{"baton":null,"base_url":null}\n{"type":"step_begin","step":0,"cols":[]}\n{"type":"row","row":[{"typ'


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return stores.cache("small", tmp_path / "cache")


def stops(result: Result, exit_code: int, code: str) -> None:
    """The document says why, and what to do next."""
    error = result.document["error"]
    assert (result.exit_code, error["code"]) == (exit_code, code), result.stdout + result.stderr
    assert len(error["message"]) > 10
    assert len(error["hint"]) > 10
    assert result.document["verdict"] != "IN_SYNC"


@pytest.fixture
def tool(tmp_path: Path, cache: Path) -> Iterator[Callable[..., Tool]]:
    """Makes the tool for a primary; at the end the cache must be what it was."""
    before = fingerprint(cache)

    def make(primary: str, **environment: str) -> Tool:
        return Tool.at(tmp_path / "tool", primary, cache, **environment)

    yield make
    assert fingerprint(cache) == before


# ----------------------------------------------------------------------------------------- settings


def test_unknown_setting(tool: Callable[..., Tool], tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("max_episode_cache = 5\n")
    result = tool(f"file:{tmp_path / 'x.db'}").json("sync", "--config", str(config))
    stops(result, 2, "config")
    message = result.document["error"]["message"] + result.document["error"]["hint"]
    assert "max_episode_cache" in message
    assert "max_episodes_cache" in message, "the nearest name is offered"


@pytest.mark.parametrize("url", ["ftp://example.org/db", "postgres://localhost/db", "nonsense"])
def test_url_of_an_unknown_kind(tool: Callable[..., Tool], url: str) -> None:
    result = tool(url).json("sync")
    assert result.exit_code == 2
    assert result.document["error"]["code"] in ("config", "usage")


def test_token_in_the_url_is_refused_and_not_repeated(tool: Callable[..., Tool]) -> None:
    result = tool("libsql://example.turso.io?authToken=sesame-open").json("sync", "--verbose")
    assert result.exit_code == 2
    assert "sesame" not in result.stdout + result.stderr


def test_usage_error_is_a_document_too(tool: Callable[..., Tool]) -> None:
    result = tool("file:x").json("sync", "--no-such-option")
    assert (result.exit_code, result.document["error"]["code"]) == (2, "usage")


# ------------------------------------------------------------------------------------------ primary


@pytest.mark.parametrize("wrong", ["forged", "expired", "none"])
def test_token_that_the_primary_refuses(tool: Callable[..., Tool], tmp_path: Path, wrong: str) -> None:
    key = Auth.generate()
    tokens = {"forged": Auth.generate().token(), "expired": key.token(expired=True), "none": ""}
    with Sqld(stores.primary("small", tmp_path), auth=key) as server:
        environment = {"TURSO_AUTH_TOKEN": tokens[wrong]} if tokens[wrong] else {}
        result = tool(server.url, **environment).json("sync", "--verbose", *QUICK)
    stops(result, 4, "primary_refused")
    assert not tokens[wrong] or tokens[wrong] not in result.stdout + result.stderr


def test_right_token_is_accepted(tmp_path: Path) -> None:
    key = Auth.generate()
    with Sqld(stores.primary("small", tmp_path), auth=key) as server:
        Tool.at(tmp_path / "ok", server.url, None, TURSO_AUTH_TOKEN=key.token("ro")).sync()


def test_primary_down(tool: Callable[..., Tool]) -> None:
    stops(tool(f"http://127.0.0.1:{free_port()}").json("sync"), 3, "primary_unavailable")


@pytest.mark.parametrize(
    ("answer", "exit_code", "code"),
    [
        (None, 3, "primary_unavailable"),
        (faulty.reply("200 OK", "text/html", b"<html><body>Welcome</body></html>"), 4, "primary_refused"),
        (faulty.reply("502 Bad Gateway", "text/html", b"<html>Bad gateway</html>"), 3, "primary_unavailable"),
        (faulty.reply("404 Not Found", "text/plain", b"no"), 4, "primary_refused"),
        (faulty.reply("200 OK", "application/json", CURSOR_LINE, length=100_000), 3, "primary_unavailable"),
        (faulty.reply("200 OK", "application/json", b'{"results": 7}'), 4, "primary_refused"),
    ],
    ids=["hanging", "html", "bad gateway", "not found", "cut mid-row", "wrong shape"],
)
def test_primary_that_answers_wrong(
    tool: Callable[..., Tool], answer: faulty.Answer | None, exit_code: int, code: str
) -> None:
    started = time.monotonic()
    with Faulty(answer) as server:
        result = tool(server.url).json("sync", *QUICK)
    stops(result, exit_code, code)
    assert time.monotonic() - started < 30


def test_primary_without_the_tables(tool: Callable[..., Tool]) -> None:
    with Sqld(None) as server:
        stops(tool(server.url).json("sync"), 4, "primary_schema")


@pytest.mark.parametrize("content", ["absent", "empty", "text", "other tables"])
def test_file_that_is_no_primary(tool: Callable[..., Tool], tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.db"
    if content == "empty":
        path.touch()
    elif content == "text":
        path.write_text("this is a letter, not a database\n" * 100)
    elif content == "other tables":
        stores.execute(path, ["CREATE TABLE songs (title TEXT)"])
    before = fingerprint(path)
    result = tool(f"file:{path}").json("sync")
    assert result.exit_code == 4
    assert result.document["error"]["code"] in ("primary_schema", "primary_refused")
    assert fingerprint(path) == before, "a primary is never created or changed"


def test_empty_primary_does_not_empty_the_cache(tmp_path: Path) -> None:
    primary = stores.primary("small", tmp_path)
    tool = Tool.at(tmp_path / "tool", f"file:{primary}")
    tool.sync()
    before = fingerprint(tool.cache)
    stores.execute(primary, ["DELETE FROM episodes"])
    result = tool.json("sync")
    stops(result, 9, "guard")
    assert "--allow-shrink" in result.document["error"]["hint"]
    assert fingerprint(tool.cache) == before
    assert tool.sync("--allow-shrink")["counts"]["episodes"]["cache"] == 0


def test_too_many_removals(tmp_path: Path) -> None:
    primary = stores.primary("small", tmp_path)
    tool = Tool.at(tmp_path / "tool", f"file:{primary}")
    tool.sync()
    before = fingerprint(tool.cache)
    tables = ("patterns", "heuristics", "embeddings", "episode_summaries", "episode_relationships")
    stores.execute(primary, [f"DELETE FROM {table}" for table in tables])
    stores.execute(primary, ["DELETE FROM episodes WHERE episode_id > '4'"])
    stops(tool.json("sync"), 9, "guard")
    assert fingerprint(tool.cache) == before


# -------------------------------------------------------------------------------------------- cache


@pytest.fixture
def primary(tmp_path: Path) -> str:
    return f"file:{stores.primary('small', tmp_path / 'primary')}"


def zero_bytes(path: Path) -> None:
    path.touch()


def folder(path: Path) -> None:
    path.mkdir()


def text_file(path: Path) -> None:
    path.write_text("a shopping list\n" * 300)


def sqlite_file(path: Path) -> None:
    stores.execute(path, ["CREATE TABLE songs (title TEXT)"])


def truncated(path: Path) -> None:
    whole = stores.cache("small", path.parent / "whole")
    path.write_bytes(whole.read_bytes()[: 4096 * 20 + 100])


def short(path: Path) -> None:
    path.write_bytes(stores.cache("small", path.parent / "whole").read_bytes()[:200])


@pytest.mark.parametrize(
    ("make", "codes"),
    [
        (folder, {5: "cache_foreign", 8: "local_io"}),
        (text_file, {5: "cache_foreign"}),
        (sqlite_file, {5: "cache_foreign"}),
        (truncated, {5: "cache_damaged"}),
        (short, {5: "cache_damaged"}),
    ],
)
def test_path_that_is_no_cache(
    make: Callable[[Path], None], codes: dict[int, str], tmp_path: Path, primary: str
) -> None:
    path = tmp_path / "place" / "cache.redb"
    path.parent.mkdir()
    make(path)
    before = fingerprint(path)
    for words in (("sync",), ("sync", "--adopt")):
        result = Tool.at(tmp_path / "tool", primary, path).json(*words)
        assert codes.get(result.exit_code) == result.document["error"]["code"], result.stdout
        assert len(result.document["error"]["hint"]) > 10
        assert fingerprint(path) == before


def test_file_of_zero_bytes_is_initialised(tmp_path: Path, primary: str) -> None:
    path = tmp_path / "cache.redb"
    zero_bytes(path)
    Tool.at(tmp_path / "tool", primary, path).sync()
    assert check(primary.removeprefix("file:"), path).holds(exact=True)


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_cache_locked_by_another_process(tmp_path: Path) -> None:
    """As do-memory does: an exclusive lock for life. The message names who holds it."""
    path, primary = stores.cache("cli", tmp_path / "cache"), stores.primary("cli", tmp_path)
    before = fingerprint(path)
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        result = Tool.at(tmp_path / "tool", f"file:{primary}", path).json("sync", "--wait", "0.3")
        holder.communicate("")
    stops(result, 6, "cache_locked")
    assert str(holder.pid) in result.document["error"]["message"] + result.document["error"]["hint"]
    assert fingerprint(path) == before


def without_override() -> None:
    """Root obeys permissions too: give up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH before the program starts."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):
        libc.prctl(24, capability, 0, 0, 0)


def test_cache_that_may_not_be_written(tmp_path: Path) -> None:
    path, primary = stores.cache("cli", tmp_path / "cache"), stores.primary("cli", tmp_path)
    path.chmod(0o444)
    before = fingerprint(path)
    result = Tool.at(tmp_path / "tool", f"file:{primary}", path).json("sync", preexec_fn=without_override)
    stops(result, 8, "local_io")
    assert fingerprint(path) == before


def test_read_only_is_a_promise(tmp_path: Path) -> None:
    path, primary = stores.cache("cli", tmp_path / "cache"), stores.primary("cli", tmp_path)
    before = fingerprint(path)
    tool = Tool.at(tmp_path / "tool", f"file:{primary}", path)
    stops(tool.json("sync", "--read-only"), 9, "guard")
    assert tool.json("sync", "--plan", "--read-only").document["plan"]["episodes"]["insert"] > 0
    assert fingerprint(path) == before


# --------------------------------------------------------------------------------------------- rows


def nullable(database: Path, table: str, column: str) -> None:
    """Take NOT NULL from one column, as an old or foreign schema may have it."""
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.execute("PRAGMA writable_schema = ON")
        (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        changed = re.sub(rf"(\b{column}\s+\w+)\s+NOT NULL", r"\1", sql, count=1)
        assert changed != sql
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (changed, table))
        connection.execute("PRAGMA writable_schema = RESET")
    finally:
        connection.close()


SOME = "(SELECT max(episode_id) FROM episodes)"
VECTOR = "(SELECT min(item_id) FROM embeddings WHERE item_type = 'pattern')"
BAD_ROWS = {
    "invalid JSON": ("episodes", f"UPDATE episodes SET steps = '[{{' WHERE episode_id = {SOME}"),
    "unknown variant": ("episodes", f"UPDATE episodes SET outcome = '{{\"Won\":{{}}}}' WHERE episode_id = {SOME}"),
    "invalid UTF-8": (
        "episodes",
        f"UPDATE episodes SET task_description = CAST(x'68c328ff' AS TEXT) WHERE episode_id = {SOME}",
    ),
    "NULL": ("episodes", f"UPDATE episodes SET task_description = NULL WHERE episode_id = {SOME}"),
    "integer for text": ("heuristics", "UPDATE heuristics SET condition_text = x'00' WHERE rowid = 1"),
    "wrong dimension": ("embeddings", f"UPDATE embeddings SET dimension = 383 WHERE item_id = {VECTOR}"),
    "NaN": (
        "embeddings",
        f"UPDATE embeddings SET embedding_data = '[NaN' || substr(embedding_data, instr(embedding_data, ','))"
        f" WHERE item_id = {VECTOR}",
    ),
    "no pattern": ("patterns", "UPDATE patterns SET pattern_type = 'Nothing { }' WHERE rowid = 1"),
    "too much text": (
        "episodes",
        f"UPDATE episodes SET task_description = replace(hex(zeroblob(5600000)), '0', 'x') WHERE episode_id = {SOME}",
    ),
}


@pytest.mark.parametrize("kind", ["sqld", "file"])
@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_row_is_refused_and_the_rest_arrives(name: str, kind: str, tmp_path: Path) -> None:
    primary = stores.primary("small", tmp_path)
    table, statement = BAD_ROWS[name]
    if name == "NULL":
        nullable(primary, "episodes", "task_description")
    stores.execute(primary, [statement])
    if kind == "file":
        _refused_once(Tool.at(tmp_path / "tool", f"file:{primary}"), primary, table)
        return
    with Sqld(primary) as server:
        _refused_once(Tool.at(tmp_path / "tool", server.url), primary, table)


def _refused_once(tool: Tool, primary: Path, table: str) -> None:
    result = tool.json("sync")
    document = result.document
    assert result.exit_code == 7, result.stdout + result.stderr
    assert (document["verdict"], document["error"]) == ("IN_SYNC", None)
    assert document["counts"][table]["refused"] == 1
    assert any("rejected" in warning for warning in document["warnings"])
    report = check(primary, tool.cache)
    refused = report.refused.get(table) or dict.fromkeys(report.missing.pop(table), "")
    assert len(refused) == 1, report.text()
    assert report.holds(exact=True), report.text()
    before = fingerprint(tool.cache)
    assert tool.json("sync").exit_code == 7
    assert fingerprint(tool.cache) == before
    strict = tool.json("sync", "--strict")
    assert (strict.exit_code, strict.document["error"]["code"]) == (7, "partial")
    assert tool.cache.stat().st_size < 3_000_000
