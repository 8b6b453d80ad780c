"""What is typed: options in both places, mistakes, and what each becomes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from console.cli import main
from console.cli.commands import storage_sync
from storage_sync import __version__, _native
from storage_sync.service.operations import Diff, Status, Sync, Verify
from storage_sync.values.options import USUAL, Options
from storage_sync.values.part import Part
from tests.cli.conftest import Cli

pytestmark = pytest.mark.usefixtures("core")
COMMANDS = [
    "completion",
    "config",
    "demo",
    "diff",
    "doctor",
    "history",
    "keys",
    "metrics",
    "orphans",
    "ping",
    "quarantine",
    "record",
    "replay",
    "service",
    "status",
    "sync",
    "tui",
    "verify",
    "watch",
]


def test_every_command_of_this_version_is_listed(cli: Cli) -> None:
    code, out, _ = cli.run("--help")
    assert code == 0
    listed = [line.split()[0] for line in out.split("Commands:")[1].split("Options:")[0].splitlines() if line.strip()]
    assert [name for name in listed if name in COMMANDS] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_the_common_options_apart(cli: Cli, command: str) -> None:
    code, out, _ = cli.run(command, "--help")
    assert code == 0
    own, common = out.split("Options of every command:")
    assert "--token-file FILE" in common
    assert "--primary" not in own


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


def test_no_help_is_cut_on_a_terminal_of_80_columns(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sentence of a list of commands stands there to its end, on as many lines as it takes."""
    monkeypatch.setenv("COLUMNS", "80")
    found = {(): storage_sync, **dict(commands(storage_sync))}
    for path, command in found.items():
        code, out, _ = cli.run(*path, "--help")
        assert code == 0
        assert all(len(line) <= 80 for line in out.splitlines()), path
        text = " ".join(out.replace("[ARGS]...", "").split())
        assert "..." not in text
        below = command.commands.values() if isinstance(command, click.Group) else ()
        for one in below:
            sentence = " ".join((one.help or "").split("\n\n")[0].split()).partition(". ")[0]
            assert sentence.rstrip(".") in text, (path, one.name)
    assert len(found) > 30


def test_version(cli: Cli) -> None:
    code, out, _ = cli.run("--version")
    first, facts = out.splitlines()
    assert (code, first) == (0, f"storage-sync, version {_native.VERSION}")
    assert re.fullmatch(
        r"commit \S+, redb [\d.]+, encoding \d+, cache schema 4, rustc [\d.]+ for \S+, Python [\d.]+", facts
    )


def test_the_version_stands_in_one_place() -> None:
    root = Path(__file__).resolve().parents[2]
    cargo = tomllib.loads((root / "native" / "Cargo.toml").read_text(encoding="utf-8"))
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cargo["workspace"]["package"]["version"] == _native.VERSION == __version__
    assert (cargo["package"]["version"], project["dynamic"]) == ({"workspace": True}, ["version"])
    assert (root / "CHANGELOG.md").read_text(encoding="utf-8").split("## ")[1].startswith(_native.VERSION)


@pytest.mark.parametrize(
    "words", [["--window", "7", "sync"], ["sync", "--window", "7"], ["--window", "5", "sync", "--window", "7"]]
)
def test_options_before_and_after_the_command(cli: Cli, words: list[str]) -> None:
    code, _ = cli.json(*words, *(["--primary", "file:x", "--cache", "y"]))
    assert code == 0
    assert cli.requests[-1].settings.max_episodes_cache == 7


def test_each_option_reaches_its_setting(cli: Cli) -> None:
    cli.json(
        "sync", *cli.stores, "--no-patterns", "--no-embeddings", "--timeout", "3", "--batch-size", "9", "--lock-ok",
        "--wait", "1.5", "--deadline", "8", "--max-attempts", "4", "--full", "--allow-shrink", "--adopt", "--strict",
        "--repair", "--metrics-file", str(cli.folder / "m.prom"),
    )  # fmt: skip
    request = cli.requests[-1]
    settings = request.settings
    assert (settings.sync_patterns, settings.sync_embeddings, settings.lock_ok) == (False, False, True)
    assert (settings.timeout_s, settings.batch_size) == (3.0, 9)
    assert (request.options.wait_s, request.deadline, request.max_attempts) == (1.5, 8.0, 4)
    assert request.options == Options(wait_s=1.5, full=True, allow_shrink=True, adopt=True, strict=True, estimates=True)
    assert cli.operations[-1] == Sync(repairs=True)
    assert (cli.folder / "m.prom").exists()


def test_options_of_the_other_commands(cli: Cli) -> None:
    for words, operation, options in (
        (["verify"], Verify(), USUAL),
        (["verify", "--quick"], Verify(), USUAL),
        (["verify", "--deep"], Verify(deep=True), USUAL),
        (["diff", "--keys"], Diff(keys_only=True), USUAL),
        (["sync", "--plan"], Sync(), Options(plan_only=True, estimates=True)),
        (["status", "--check"], Status(), USUAL),
    ):
        cli.json(*words, *cli.stores)
        assert (cli.operations[-1], cli.requests[-1].options) == (operation, options)


def test_a_part_of_the_rows_reaches_the_core(cli: Cli) -> None:
    cli.json("verify", "--subset", "2/7", "--deep", *cli.stores)
    assert cli.requests[-1].options.part == Part(2, 7)
    assert cli.operations[-1] == Verify(deep=True)
    cli.json("verify", *cli.stores)
    assert cli.requests[-1].options.part is None


@pytest.mark.parametrize(
    "typed", ["0/3", "4/3", "x", "1/0", "1/257", "2", "-1/3", "+1/3", "1/3/5", " 1/3", "", "1.5/3", "1/٣"]
)
def test_a_part_that_there_is_not(cli: Cli, typed: str) -> None:
    code, document = cli.json("verify", f"--subset={typed}", *cli.stores)
    assert (code, document["command"], document["error"]["code"]) == (2, "verify", "usage")
    assert document["error"]["message"] == f"--subset: {typed!r} is not n/t with 1 <= n <= t <= 256, such as 2/7"
    assert document["error"]["hint"] == "see storage-sync verify --help"
    assert cli.requests == []


@pytest.mark.parametrize(
    ("words", "command", "part"),
    [
        (["nonsense"], "", "nonsense"),
        (["sync", "--bogus"], "sync", "--bogus"),
        (["sync", "--wait", "soon"], "sync", "--wait"),
        (["sync", "--wait", "-1"], "sync", "--wait"),
        (["sync", "extra"], "sync", "extra"),
        (["orphans", "show"], "orphans", "KEY"),
        (["orphans", "list", "--format", "xml"], "orphans", "xml"),
        (["config"], "config", "command"),
        (["config", "sho"], "config", "sho"),
        (["history", "--limit", "0"], "history", "--limit"),
        (["--log-format", "xml", "sync"], "", "xml"),
    ],
)
def test_a_usage_error_is_one_document(cli: Cli, words: list[str], command: str, part: str) -> None:
    code, document = cli.json(*words)
    assert code == 2
    assert document["command"] == command
    assert document["error"]["code"] == "usage"
    assert part in document["error"]["message"]
    assert document["error"]["hint"].startswith("see storage-sync")
    assert document["next_action"]


def test_a_usage_error_for_people_goes_to_standard_error(cli: Cli) -> None:
    code, out, err = cli.run("sync", "--bogus")
    assert (code, out) == (2, "")
    assert err.startswith("error: No such option '--bogus'.")
    assert "hint: see storage-sync sync --help" in err


def test_json_may_stand_anywhere(cli: Cli) -> None:
    for words in (["--json", "sync", "--bogus"], ["sync", "--bogus", "--json"], ["sync", "--jsonl", "--bogus"]):
        assert main(words) == 2
        assert cli.capture.readouterr().out.startswith('{"schema":1')


@pytest.mark.parametrize("words", [["sync"], ["status"], ["ping"], []])
def test_nothing_configured_says_what_to_do(cli: Cli, words: list[str]) -> None:
    code, document = cli.json(*words)
    assert (code, document["error"]["code"]) == (2, "config")
    assert "storage-sync demo" in document["error"]["hint"]


def test_without_a_command_and_a_terminal_it_is_status(cli: Cli) -> None:
    code, _ = cli.json(*cli.stores)
    assert code == 0
    assert cli.operations == []


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--window", "0"], "from 1 to"),
        (["--window", "many"], "--window: max_episodes_cache is 'many'"),
        (["--timeout", "nan"], "primary.timeout_s"),
        (["--primary", "ftp://x"], "'ftp'"),
    ],
)
def test_bad_values_are_configuration_errors(cli: Cli, words: list[str], part: str) -> None:
    code, document = cli.json("sync", *cli.stores, *words)
    assert (code, document["error"]["code"]) == (2, "config")
    assert part in document["error"]["message"]


def test_read_only_stops_what_would_write(cli: Cli) -> None:
    code, document = cli.json("sync", *cli.stores, "--read-only")
    assert (code, document["error"]["code"], document["verdict"]) == (9, "guard", "REFUSED")
    code, _ = cli.json("sync", *cli.stores, "--read-only", "--plan")
    assert code == 0
    assert cli.requests[-1].settings.access == "read-only"


def test_the_demo_has_its_own_stores(cli: Cli) -> None:
    code, document = cli.json("demo", "--primary", "libsql://real.turso.io")
    assert (code, document["error"]["code"]) == (2, "usage")


def test_the_console_needs_a_terminal(cli: Cli) -> None:
    code, document = cli.json("tui")
    assert (code, document["error"]["code"]) == (2, "usage")
