"""Commands that list, filter and write: orphans, history, config, metrics, keys, progress."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from console.cli.core import row_of
from console.cli.invocation import Invocation
from console.cli.local import parse_since
from console.cli.running import ProgressLine, duration, progress_text
from console.keys.keymap import keymap
from storage_sync.embeddings.wanted import FIELDS
from storage_sync.reports.metrics import Facts, write_textfile
from storage_sync.state.history import History
from storage_sync.values.errors import UsageError
from storage_sync.values.filters import fits, parse
from storage_sync.values.outcome import Orphan, Outcome, Word
from storage_sync.values.snapshot import Run, RunSummary
from tests.cli.conftest import Cli

Dictate = Callable[[Outcome | Exception], None]
ORPHANS = (
    Orphan("episode_1", "owner nowhere", "episode", "1", False, 384, 0.25, 1536),
    Orphan("pattern_2", "not in window", "pattern", "2", True, 384, 0.75, 1536),
    Orphan("x, y", "bad values", "none", "", None, None, None, 0),
)


# ------------------------------------------------------------------------------------------- orphans


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", [0, 1, 2]),
        ("episode", [0]),
        ("!episode", [1, 2]),
        ("key:pattern", [1]),
        ("owner:EPISODE", [0]),
        ("reason:in dim:384", [1]),
        ("norm:<0.5", [0]),
        ("norm:>0.5", [1]),
        ("norm:0.25", [0]),
        ("dim:384 !reason:nowhere", [1]),
    ],
)
def test_the_filter(text: str, kept: list[int]) -> None:
    terms = parse(text, FIELDS)
    assert [number for number, orphan in enumerate(ORPHANS) if fits(row_of(orphan), terms)] == kept


@pytest.mark.parametrize("text", ["norme:<5", "norm:<x", "dim:", "bytes:many", "reason:typo", "!reason:typo"])
def test_a_filter_that_can_fit_nothing_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a number|no reason|knows no field"):
        parse(text, FIELDS)


def test_orphans_as_document_lines_and_csv(cli: Cli, core: Dictate) -> None:
    core(Outcome("orphans", Word.UNKNOWN, 0, orphans=ORPHANS))
    _, document = cli.json("orphans", *cli.stores)
    assert [orphan["key"] for orphan in document["orphans"]] == ["episode_1", "pattern_2", "x, y"]
    _, document = cli.json("orphans", "list", *cli.stores, "--reason", "bad values")
    assert [orphan["key"] for orphan in document["orphans"]] == ["x, y"]
    _, out, _ = cli.run("orphans", "list", *cli.stores, "--format", "jsonl", "--filter", "norm:<0.5")
    (line,) = [json.loads(text) for text in out.splitlines()]
    assert (line["v"], line["key"], line["owner"]["in_primary"]) == (1, "episode_1", False)
    _, out, _ = cli.run("orphans", "list", *cli.stores, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["key"] for row in rows] == ["episode_1", "pattern_2", "x, y"]
    assert rows[2]["norm"] == ""
    _, out, _ = cli.run("orphans", *cli.stores)
    assert "owner nowhere" in out
    assert "3 broken vectors." in out


def test_one_orphan(cli: Cli, core: Dictate) -> None:
    core(Outcome("orphans", Word.UNKNOWN, 0, orphans=ORPHANS))
    _, document = cli.json("orphans", "show", "pattern_2", *cli.stores)
    assert [orphan["key"] for orphan in document["orphans"]] == ["pattern_2"]
    code, document = cli.json("orphans", "show", "none", *cli.stores)
    assert (code, document["error"]["code"]) == (2, "usage")


# ------------------------------------------------------------------------------------------- history


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", 999_970.0),
        ("5m", 999_700.0),
        ("1.5h", 994_600.0),
        ("2d", 827_200.0),
        ("1970-01-02", 86_400.0),
        ("1970-01-02T00:00:10Z", 86_410.0),
        ("1970-01-02T01:00:00+01:00", 86_400.0),
    ],
)
def test_since(text: str, expected: float) -> None:
    assert parse_since(text, 1_000_000.0) == expected


def test_since_that_is_neither() -> None:
    with pytest.raises(UsageError, match="yesterday"):
        parse_since("yesterday", 0.0)


def test_history(cli: Cli) -> None:
    code, out, _ = cli.run("history", *cli.stores)
    assert (code, out) == (0, "No run is remembered yet.\n")
    assert not (cli.folder / "state").exists()
    with History.open(cli.folder / "state" / "history.db", lambda told: None) as book:
        for number in (1, 2):
            at = 86_400.0 * number
            book.record_run(RunSummary(f"r{number}", "sync", "manual", at, 2.0, 1, 2, 3, 0, "IN_SYNC", requests=4))
    _, document = cli.json("history", *cli.stores)
    assert "verdict" not in document
    assert [run["id"] for run in document["runs"]] == ["r2", "r1"]
    assert document["runs"][0]["started_at"] == "1970-01-03T00:00:00Z"
    _, document = cli.json("history", *cli.stores, "--since", "1970-01-02T12:00:00Z")
    assert [run["id"] for run in document["runs"]] == ["r2"]
    _, document = cli.json("history", *cli.stores, "--limit", "1")
    assert len(document["runs"]) == 1
    _, out, _ = cli.run("history", *cli.stores)
    assert out.splitlines()[1].split() == [
        "r2",
        "1970-01-03T00:00:00Z",
        "sync",
        "manual",
        "2.00",
        "s",
        "1",
        "2",
        "3",
        "0",
        "IN_SYNC",
    ]


def test_history_lists_follow_runs_in_a_row_as_one_line(cli: Cli) -> None:
    """The line names the newest of them; a failed one, and what is no follow run, has its own. JSON has each run."""
    kinds = [False, True, True, True, False, True, True, True]
    with History.open(cli.folder / "state" / "history.db", lambda told: None) as book:
        for number, follows in enumerate(kinds):
            exit_code, result = (3, "unavailable") if number == 6 else (0, "IN_SYNC")
            run = RunSummary(f"r{number}", "sync", "poll", 10.0 * number, 0.25, 1, 2, 0, exit_code, result)
            book.record_run(run, document={"followed": {"changes": 3} if follows else None})
    _, out, _ = cli.run("history", *cli.stores)
    lines = [line.split() for line in out.splitlines()[1:]]
    assert [line[0] for line in lines] == ["r7", "r6", "r5", "r4", "r3", "r0"]
    assert lines[4][1:] == [
        *("1970-01-01T00:00:30Z", "sync", "poll", "0.75", "s", "3", "6", "0", "0"),
        *("IN_SYNC,", "3", "follow", "runs", "since", "1970-01-01T00:00:10Z"),
    ]
    _, out, _ = cli.run("history", *cli.stores, "--limit", "5")
    assert out.splitlines()[5].split()[-4:] == ["follow", "runs", "since", "1970-01-01T00:00:10Z"]
    _, document = cli.json("history", *cli.stores)
    assert [(run["id"], run["followed"]) for run in document["runs"]] == [
        (f"r{number}", kinds[number]) for number in reversed(range(8))
    ]


# ------------------------------------------------------------------------------------ configuration


def test_config_init_show_check(cli: Cli) -> None:
    file = cli.folder / "sub" / "config.toml"
    code, document = cli.json("config", "check", "--config", str(file))
    assert (code, document["error"]["code"]) == (2, "config")
    code, document = cli.json("config", "init", "--config", str(file), *cli.stores, "--window", "50")
    assert (code, document["file"]) == (0, str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    code, document = cli.json("config", "check", "--config", str(file))
    assert (code, document["error"]) == (0, None)
    _, document = cli.json("config", "show", "--config", str(file), "--no-patterns")
    rows = {row["key"]: row for row in document["settings"]}
    assert (rows["max_episodes_cache"]["value"], rows["max_episodes_cache"]["from"][:9]) == ("50", "file, lin")
    assert (rows["sync_patterns"]["value"], rows["sync_patterns"]["from"]) == ("false", "--no-patterns")
    assert document["file"] == str(file)
    code, document = cli.json("config", "init", "--config", str(file))
    assert (code, document["error"]["code"]) == (2, "config")


@pytest.mark.parametrize(
    "text",
    [
        "batch_size = 0",
        "batch_sise = 5",
        "batch_size = 1\nbatch_size = 2",
        "profiles = 5",
        "= 5",
        'cache = "a\\u0000b"',
        '[primary]\nurl = "ftp://x"',
    ],
)
def test_what_helps_with_a_bad_file_is_no_command_that_it_stops(text: str, cli: Cli) -> None:
    file = cli.folder / "config.toml"
    file.write_text(text)
    code, document = cli.json("status", "--config", str(file))
    assert code == 2
    assert str(file) in document["error"]["message"]
    for command in re.findall(r"storage-sync (config \w+|\w+)", document["error"]["hint"]):
        # what it writes at another place lists every setting
        assert command == "config init" or cli.run(*command.split(), "--config", str(file))[0] != 2, document["error"]


def test_config_check_without_stores(cli: Cli) -> None:
    code, document = cli.json("config", "check")
    assert code == 2
    assert document["error"]["message"] == "no primary and no cache is named"
    assert "config init" in document["error"]["hint"]


def test_config_check_warns_of_keys_that_do_not_hold(cli: Cli) -> None:
    file = cli.folder / "config.toml"
    assert cli.json("config", "init", "--config", str(file), *cli.stores)[0] == 0
    with file.open("a", encoding="utf-8") as out:
        out.write('\n[ui.keymap]\n"sync" = "f6"\n"no.such" = "f7"\n"help" = "s,enter"\n')
    code, document = cli.json("config", "check", "--config", str(file))
    assert (code, document["error"]) == (0, None)
    asked = {"sync": "f6", "no.such": "f7", "help": "s,enter"}
    assert document["warnings"] == [f"ui.keymap: {said}" for said in keymap(asked).problems]
    assert len(document["warnings"]) == 2
    code, _, err = cli.run("config", "check", "--config", str(file))
    assert code == 0
    assert "ui.keymap: no.such: there is no such action" in err


def test_config_init_takes_no_token(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURSO_AUTH_TOKEN", "a-secret")
    code, _ = cli.json("config", "init", *cli.stores)
    assert code == 0
    (file,) = Path(cli.folder / "home").rglob("config.toml")
    assert "a-secret" not in file.read_text("utf-8")


# ----------------------------------------------------------------------------------- metrics and keys


def test_metrics(cli: Cli) -> None:
    code, out, _ = cli.run("metrics", *cli.stores)
    assert code == 0
    assert "storage_sync_in_sync 0.0\n" in out
    target = cli.folder / "x.prom"
    code, document = cli.json("metrics", "--textfile", str(target), *cli.stores)
    assert (code, document["textfile"]) == (0, str(target))
    assert "storage_sync_in_sync 0.0\n" in target.read_text()
    code, document = cli.json("metrics", "--textfile", str(cli.folder / "none" / "x"), *cli.stores)
    assert (code, document["error"]["code"]) == (8, "local_io")


def test_a_metrics_file_that_cannot_be_written_is_a_warning(cli: Cli, core: Dictate) -> None:
    core(Outcome("sync", Word.IN_SYNC, 0))
    code, document = cli.json("sync", *cli.stores, "--metrics-file", str(cli.folder / "none" / "x"))
    assert code == 0
    assert "cannot be written" in document["warnings"][0]


def test_a_metrics_file_of_another_cache_is_a_warning(cli: Cli, core: Dictate) -> None:
    core(Outcome("sync", Word.IN_SYNC, 0))
    other, target = cli.folder / "other.redb", cli.folder / "x.prom"
    other.touch()
    write_textfile(target, Facts(cache=str(other)))
    before = target.read_bytes()
    code, document = cli.json("sync", *cli.stores, "--metrics-file", str(target))
    assert code == 0
    (told,) = document["warnings"]
    assert told.endswith(f"it has the metrics of the cache {other}; give each cache a file of its own")
    assert target.read_bytes() == before


def test_keys(cli: Cli) -> None:
    code, document = cli.json("keys")
    assert code == 0
    assert {"id", "key", "label", "where", "help"} == set(document["keys"][0])


# ------------------------------------------------------------------------------------------- progress

RUN = Run(
    "s-1", "sync", "in_place", "manual", 0.0, step="fetch", done=1200, total=5000, bytes=2048, rate=812.4, eta_s=75.0
)


def test_progress_for_people() -> None:
    assert progress_text(RUN) == "fetch  1,200 of 5,000 rows  812 rows/s  2.0 KiB  1 min 15 s left"
    assert [duration(seconds) for seconds in (0.4, 59, 61, 7500)] == ["0 s", "59 s", "1 min 1 s", "2 h 5 min"]


def test_progress_lines_are_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    line = ProgressLine(Invocation(jsonl=True), clock=lambda: now[0])
    for number in range(100):
        now[0] = number * 0.01
        line(RUN)
    line.close()
    lines = capsys.readouterr().out.splitlines()
    assert 9 <= len(lines) <= 11
    assert json.loads(lines[0])["rows"] == 1200


def test_a_pipe_sees_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    line = ProgressLine(Invocation(), clock=lambda: now[0])
    now[0] = 5.0
    line(RUN)
    line.close()
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
