"""The main job on real parts: each state of a primary becomes the cache's, and only what changed is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.independent.projection_check import check, moved
from tests.support import hrana, stores
from tests.support.command import Tool, applied, fingerprint
from tests.support.sqld import Sqld

NEW = "0f0e0d0c-0b0a-4908-8706-050403020100"
COLUMNS = (
    "task_type, task_description, context, start_time, end_time, steps, outcome, reward, reflection, patterns,"
    " heuristics, checkpoints, metadata, domain, language"
)
SHOUTED = COLUMNS.replace("task_description", "upper(task_description)")
NEWEST = "(SELECT episode_id FROM episodes ORDER BY rowid DESC LIMIT 1)"
FIRST_HEURISTIC = "(SELECT min(heuristic_id) FROM heuristics)"
FIRST_PATTERN = "(SELECT min(pattern_id) FROM patterns)"
TOUCHED = "replace(pattern_type, 'times_retrieved: ', 'times_retrieved: 1')"
TAGGED = "(SELECT min(episode_id) FROM episode_tags)"


def copy_as(new_id: str, source: str, start: str = "start_time") -> str:
    columns = COLUMNS.replace("start_time", start)
    return f"INSERT INTO episodes (episode_id, {COLUMNS}) SELECT '{new_id}', {columns} FROM episodes WHERE {source}"


CHANGES: dict[str, Sequence[str]] = {
    "insert": [copy_as(NEW, f"episode_id = {NEWEST}", "start_time + 7")],
    "replace": [
        f"INSERT OR REPLACE INTO episodes (episode_id, {COLUMNS}) SELECT episode_id, {SHOUTED} FROM episodes"
        f" WHERE episode_id = {NEWEST}",
    ],
    "update in place": [
        f"UPDATE episodes SET task_description = 'x' || substr(task_description, 2) WHERE episode_id = {NEWEST}",
        f"UPDATE heuristics SET confidence = confidence / 2 WHERE heuristic_id = {FIRST_HEURISTIC}",
        f"UPDATE patterns SET pattern_type = {TOUCHED} WHERE pattern_id = {FIRST_PATTERN}",
    ],
    "delete the newest and insert again": [
        f"DELETE FROM episodes WHERE episode_id = {NEWEST}",
        copy_as(NEW, "episode_id = (SELECT min(episode_id) FROM episodes)"),
    ],
    "tags": [
        f"INSERT INTO episode_tags (episode_id, tag) VALUES ({NEWEST}, 'neu, schön:'), ({NEWEST}, '日本')",
    ],
    "a tag less": [f"DELETE FROM episode_tags WHERE episode_id = {TAGGED}"],
    "back-dated": [copy_as(NEW, f"episode_id = {NEWEST}", "start_time - 100000000")],
    "a pattern goes": ["DELETE FROM patterns WHERE pattern_id = (SELECT max(pattern_id) FROM patterns)"],
}


@dataclass(frozen=True)
class Stage:
    """A primary that can be changed, where its state can be read, and the tool that looks at it."""

    tool: Tool
    execute: Callable[[Sequence[str]], object]
    state: Callable[[str], Path]
    remote: bool


@pytest.fixture(params=[(name, kind) for name in stores.PRIMARIES for kind in ("sqld", "file")], ids="-".join)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    name, kind = request.param
    primary = stores.primary(name, tmp_path)
    if kind == "file":
        tool = Tool.at(tmp_path / "tool", f"file:{primary}")
        yield Stage(
            tool,
            lambda statements: stores.execute(primary, statements),
            lambda label: stores.quiet_copy(primary, tmp_path / label),
            remote=False,
        )
        return
    with Sqld(primary) as server:
        tool = Tool.at(tmp_path / "tool", server.url)
        yield Stage(
            tool,
            lambda statements: hrana.execute(server.url, statements),
            lambda label: stores.quiet_copy(server.database, tmp_path / label),
            remote=True,
        )


def nothing_to_do(stage: Stage) -> None:
    """Another sync of a quiet primary writes nothing and asks little."""
    before = fingerprint(stage.tool.cache)
    document = stage.tool.sync()
    assert fingerprint(stage.tool.cache) == before, "the file must stay byte-identical"
    assert applied(document) == {}
    assert document["cache_writes"]["commits"] == 0
    if stage.remote:
        assert document["transfer"]["requests"] <= 2
        assert document["transfer"]["bytes_received"] <= 2048 + 1024, "the probe and the manifest"


def test_first_sync_then_nothing_then_each_change(stage: Stage) -> None:
    document = stage.tool.sync()
    report = check(stage.state("first"), stage.tool.cache)
    assert report.holds(exact=True), report.text()
    for table, count in report.expected.items():
        assert document["counts"][table]["expected"] == count
    assert {entry["name"] for entry in document["checks"] if entry["status"] == "fail"} == set()
    nothing_to_do(stage)

    before = stage.state("first")
    for number, (name, statements) in enumerate(CHANGES.items()):
        stage.execute([statement.replace(NEW, f"{NEW[:-1]}{number}") for statement in statements])
        after = stage.state(f"{number}")
        document = stage.tool.sync()
        assert applied(document) == moved(before, after), name
        report = check(after, stage.tool.cache)
        assert report.holds(exact=True), f"{name}\n{report.text()}"
        before = after
    nothing_to_do(stage)


def test_plan_says_what_sync_then_does(stage: Stage) -> None:
    planned = stage.tool.json("sync", "--plan")
    assert planned.document["applied"] in ({}, None) or applied(planned.document) == {}
    assert fingerprint(stage.tool.cache) is None, "a plan writes nothing"
    document = stage.tool.sync()
    assert planned.document["plan"] == document["plan"]


def test_narrower_settings_narrow_the_cache(stage: Stage) -> None:
    """A smaller window, then a wider one, and switches that leave their tables alone."""
    state = stage.state("whole")
    stage.tool.sync()
    for window in ("3", "9"):
        stage.tool.sync("--window", window)
        report = check(state, stage.tool.cache, window=int(window))
        assert report.holds(exact=True), report.text()
    stage.tool.sync("--no-patterns", "--no-embeddings")
    report = check(state, stage.tool.cache, patterns=False, embeddings=False)
    assert report.holds(exact=True), report.text()
    stage.tool.sync()
    assert check(state, stage.tool.cache).holds(exact=True)
