"""What is said after a run is what was proven and counted: no word, number or exit code says more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.command import REPOSITORY, Tool, applied

BROKEN = (
    "UPDATE episodes SET steps = '{broken' WHERE episode_id IN (SELECT episode_id FROM episodes ORDER BY 1 LIMIT {})"
)
SHIFTED = "import time\nreal = time.time\ntime.time = lambda: real() + 86400.0\n"
"""A `sitecustomize` under which a process lives a day ahead."""


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """A proven cache of do-memory's own primary."""
    tool = Tool.at(tmp_path / "tool", f"file:{stores.primary('v47-small', tmp_path)}")
    tool.sync()
    return tool


def spoil(tool: Tool, rows: int) -> None:
    """Rows that are in the cache become unreadable on the primary."""
    stores.execute(Path(tool.primary.removeprefix("file:")), [BROKEN.replace("{}", str(rows))])


def test_rows_that_leave_because_they_became_unreadable_are_counted_and_said(tool: Tool) -> None:
    spoil(tool, 2)
    document = tool.sync()
    assert document["exit_code"] == 7
    assert applied(document)["episodes"] == {"remove": 2}
    assert document["next_action"] == "storage-sync quarantine list"
    checks = {check["name"]: check for check in document["checks"]}
    there = document["counts"]["episodes"]["cache"]
    for name in ("episode_count", "latest_episodes"):
        assert (checks[name]["actual"], checks[name]["expected"]) == (there, there + 2)
        assert "2 rejected" in checks[name]["detail"]

    said = tool.run("history").stdout.splitlines()[1].split()
    assert said[-4:] == ["0", "2", "7", "IN_SYNC"]


@pytest.mark.parametrize(("rows", "words"), [(1, "1 rejected row"), (2, "2 rejected rows")])
def test_every_command_mentions_rejected_rows(tool: Tool, rows: int, words: str) -> None:
    spoil(tool, rows)
    assert f"except for {words}" in tool.run("sync").stdout
    for command in (("sync",), ("status",), ("status", "--check"), ("status", "--nagios"), ("verify",)):
        result = tool.run(*command)
        assert f"except for {words}" in result.stdout, command
        assert "The cache equals the primary." not in result.stdout
        assert f"{rows} rows" not in result.stdout + result.stderr or rows != 1
    assert tool.json("status").document["next_action"] == "storage-sync quarantine list"


def test_monitoring_warns_of_rejected_rows(tool: Tool) -> None:
    assert tool.run("status", "--nagios").exit_code == 0
    spoil(tool, 1)
    tool.sync()
    result = tool.run("status", "--nagios")
    assert result.exit_code == 1
    assert result.stdout.startswith("STORAGE_SYNC WARNING - IN_SYNC: ")
    assert "refused=1" in result.stdout


def test_a_quiet_job_says_one_line_when_somebody_has_to_hear_of_it(tool: Tool, tmp_path: Path) -> None:
    quiet = tool.run("sync", "--quiet")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "", "")
    spoil(tool, 1)
    heard = tool.run("sync", "--quiet")
    assert (heard.exit_code, heard.stdout) == (7, "")
    assert heard.stderr.count("\n") == 1
    assert "except for 1 rejected row" in heard.stderr
    assert "storage-sync quarantine list" in heard.stderr
    gone = Tool.at(tmp_path / "gone", f"file:{tmp_path / 'nothing.db'}").run("sync", "--quiet")
    assert (gone.stdout, gone.stderr.count("\n")) == ("", 1)
    assert gone.exit_code not in (0, 6, 11)


def test_a_verify_before_the_sync_does_not_call_rows_equal_that_have_to_leave(tool: Tool) -> None:
    """The primary made them unreadable; the cache still has them."""
    spoil(tool, 1)
    document = tool.json("verify").document
    assert (document["exit_code"], document["verdict"], document["next_action"]) == (1, "STALE", "storage-sync sync")
    assert document["plan"]["episodes"]["remove"] == 1


def test_a_proof_from_the_future_is_no_proof(tmp_path: Path) -> None:
    (tmp_path / "ahead").mkdir()
    (tmp_path / "ahead" / "sitecustomize.py").write_text(SHIFTED)
    primary = f"file:{stores.primary('v47-small', tmp_path)}"
    now = Tool.at(tmp_path / "tool", primary)
    ahead = Tool.at(now.folder, primary, PYTHONPATH=f"{tmp_path / 'ahead'}:{REPOSITORY}")
    ahead.sync()
    status = now.json("status", "--max-age", "60")
    assert (status.exit_code, status.document["verdict"]) == (10, "UNKNOWN")
    assert status.document.get("proof") is None
    assert any("future" in warning for warning in status.document["warnings"])
    assert now.run("status", "--nagios").exit_code == 3
    metrics = now.run("metrics").stdout
    assert "\nstorage_sync_in_sync 0.0" in metrics
    # an alert on the age of the last success would be silent for a day
    assert "\nstorage_sync_last_success_timestamp_seconds" not in metrics
    assert "\nstorage_sync_proof_age_seconds" not in metrics
    now.sync()
    assert now.json("status", "--max-age", "60").exit_code == 0


def test_what_exists_nowhere_else_is_said(tool: Tool, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    stores.primary("v47-small", tmp_path / "again").rename(empty)
    stores.execute(empty, ["DELETE FROM episodes"])
    adopting = Tool.at(tmp_path / "other", f"file:{empty}", stores.cache("v47-small", tmp_path / "taken"))
    result = adopting.run("sync", "--adopt")
    assert result.exit_code == 0, result.stderr
    assert "60 episodes" in result.stdout
    assert "only in the cache" in result.stdout


def test_the_listing_of_orphans_tells_none_from_none_that_match(tool: Tool) -> None:
    spoil(tool, 60)
    assert tool.run("sync", "--allow-shrink").exit_code == 7
    listed = json.loads(tool.run("orphans", "list", "--json").stdout)["orphans"]
    assert len(listed) > 1
    typo = tool.run("orphans", "list", "--reason", "typo")
    assert typo.exit_code == 2
    assert listed[0]["reason"] in typo.stderr
    assert tool.run("orphans", "list", "--filter", "norm:<bogus").exit_code == 2
    none = tool.run("orphans", "list", "--filter", "zzz-matches-nothing")
    assert none.exit_code == 0
    assert f"None of {len(listed)} broken vectors match" in none.stdout
    assert "No broken vectors" not in none.stdout


REJECTED = {
    # the embedding of each is then without its owner
    "an orphan": (BROKEN.replace("{}", "2"), ["orphaned_embeddings"], 1, "storage-sync orphans list"),
    "rejected rows only": ("UPDATE heuristics SET condition_text = X'FF'", [], 7, "storage-sync quarantine list"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_verify_names_the_step_that_helps(tool: Tool, name: str) -> None:
    """A sync would bring the same again."""
    statement, failed, exit_code, step = REJECTED[name]
    stores.execute(Path(tool.primary.removeprefix("file:")), [statement])
    tool.run("sync", "--allow-shrink")
    document = tool.json("verify").document
    assert [check["name"] for check in document["checks"] if check["status"] == "fail"] == failed
    assert (document["exit_code"], document["next_action"]) == (exit_code, step)


@pytest.mark.parametrize(("start", "data"), [(0, b"\0" * 320), (64, b"\xff" * 256)])
def test_an_overwritten_header_is_called_damage(tool: Tool, start: int, data: bytes) -> None:
    """And no other version and no file of somebody else: those would not be repaired."""
    with tool.cache.open("r+b") as file:
        file.seek(start)
        file.write(data)
    document = tool.json("status", "--check").document
    assert (document["verdict"], document["exit_code"]) == ("DAMAGED", 5)
    assert "version" not in tool.run("status").stdout.lower()
    assert tool.run("repair", "--yes").exit_code == 0
    assert tool.json("status", "--check").exit_code == 0


def test_a_person_is_given_what_the_next_command_needs(tool: Tool) -> None:
    first = "(SELECT min(episode_id) FROM episodes)"
    changed = f"UPDATE episodes SET task_description = 'x' WHERE episode_id = {first}"
    stores.execute(Path(tool.primary.removeprefix("file:")), [changed])
    told = tool.run("diff").stdout
    assert "task_description" in told
    assert "{" not in told
    tool.sync()
    run = tool.run("history").stdout.splitlines()[1].split()[0]
    undone = tool.run("undo", run, "--yes")
    assert undone.exit_code == 0, undone.stderr
    assert "was undone: 1 row changed" in undone.stdout
    assert tool.run("history").stdout.splitlines()[1].split()[-3:] == ["DONE,", "undid", run]
    assert " now; how much space" in tool.run("compact", "--plan").stdout


def test_a_cache_that_was_never_synced_has_no_generation_none(tool: Tool, tmp_path: Path) -> None:
    foreign = Tool.at(tmp_path / "foreign", tool.primary, stores.cache("v47-small", tmp_path / "own"))
    told = foreign.run("peek").stdout
    assert "None" not in told
    assert "has not synced it yet" in told


def test_a_document_says_what_it_is_about(tool: Tool) -> None:
    for command in ("sync", "verify", "ping"):
        document = tool.json(command).document
        assert (document["primary"], document["cache"]) == (tool.primary, str(tool.cache)), command
        assert document["config"] is None
    assert tool.json("status").document["cache"]["path"] == str(tool.cache)


def test_a_missing_setting_names_the_file_that_was_looked_for(tool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("batch_size = 50\n")
    for words, said in ((("--config", str(file)), f"in {file}"), ((), "there is no ")):
        with tool.start_bare("sync", *words) as process:
            _, err = process.communicate(timeout=60)
        assert process.returncode == 2
        assert said in err
        assert "config.toml" in err


@pytest.mark.parametrize("window", [50, 1000])
def test_progress_is_of_what_the_run_has_to_do(tmp_path: Path, window: int) -> None:
    """The primary holds far more than the window; the bar neither ends at a tenth nor stops before its end."""
    large = Tool.at(tmp_path / "tool", f"file:{stores.primary('medium', tmp_path)}")
    lines = [json.loads(line) for line in large.run("sync", "--jsonl", "--window", str(window)).stdout.splitlines()]
    document = lines.pop()
    came = sum(count["expected"] or 0 for count in document["counts"].values())
    fetching = [line for line in lines if line["event"] == "progress" and line["rows_total"]]
    assert fetching, lines
    assert (fetching[-1]["rows"], fetching[-1]["rows_total"]) == (came, came)
    assert max(line["rows_total"] for line in fetching) < 2 * came
    assert all(line["rows"] <= line["rows_total"] for line in fetching[-1:])


def test_what_people_read_names_the_primary_and_the_cache(tool: Tool, tmp_path: Path) -> None:
    """A person has several of both, and so do the logs of cron."""
    named = f"primary: {tool.primary}\ncache: {tool.cache}\n"
    for command in (
        ("sync",),
        ("sync", "--plan"),
        ("verify",),
        ("status",),
        ("status", "--check"),
        ("diff",),
        ("ping",),
    ):
        result = tool.run(*command)
        assert result.exit_code == 0
        assert result.stdout.count(named) == 1, command
    gone = Tool.at(tmp_path / "gone", f"file:{tmp_path / 'nothing.db'}")
    result = gone.run("sync")
    assert result.exit_code == 4
    assert (result.stdout + result.stderr).count(f"primary: {gone.primary}\ncache: {gone.cache}\n") == 1
    assert tool.run("sync", "--quiet").stdout == ""
