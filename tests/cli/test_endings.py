"""Every way to end: exit codes, documents, and that no secret is in any of them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from console.cli.invocation import Invocation
from storage_sync.service import performing
from storage_sync.values import errors
from storage_sync.values.outcome import ErrorValue, Outcome, Proof, TableCounts, Word
from tests.cli.conftest import Cli

Dictate = Callable[[Outcome | Exception], None]
SECRET = "eyJhbGciOiJFZERTQSJ9.c2VjcmV0.c2ln"

TABLE = [
    (errors.UsageError, "usage", 2),
    (errors.ConfigError, "config", 2),
    (errors.PrimaryUnavailable, "primary_unavailable", 3),
    (errors.PrimaryRefused, "primary_refused", 4),
    (errors.PrimarySchema, "primary_schema", 4),
    (errors.CacheDamaged, "cache_damaged", 5),
    (errors.CacheForeign, "cache_foreign", 5),
    (errors.CacheLocked, "cache_locked", 6),
    (errors.RowsRefused, "partial", 7),
    (errors.LocalIO, "local_io", 8),
    (errors.GuardStopped, "guard", 9),
    (errors.LeaseHeld, "lease_held", 11),
    (errors.VersionMismatch, "version_mismatch", 12),
    (errors.DeadlineReached, "deadline", 13),
    (errors.InternalError, "internal", 70),
    (errors.Interrupted, "interrupted", 130),
]


@pytest.mark.parametrize(("kind", "code", "exit_code"), TABLE)
@pytest.mark.parametrize("command", ["sync", "status", "ping"])
def test_each_error_has_its_exit_code(
    cli: Cli, core: Dictate, command: str, kind: type[errors.StorageSyncError], code: str, exit_code: int
) -> None:
    core(kind("it went wrong"))
    actual, document = cli.json(command, *cli.stores)
    assert actual == exit_code
    message = document["error"].pop("message")
    assert message == "it went wrong" or (code == "internal" and message.startswith("it went wrong: internal error"))
    told = kind("")
    step = {"step": told.step.value} if told.step is not None else {}
    assert document["error"] == {"code": code, "hint": told.hint, "retry": kind.retry} | step
    assert document["next_action"] == told.hint
    assert document["verdict"] != "IN_SYNC"


def test_every_error_class_is_in_the_table() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert classes - {errors.StorageSyncError} == {kind for kind, _, _ in TABLE}


def test_sigterm_has_its_own_code(cli: Cli, core: Dictate) -> None:
    core(errors.Interrupted("stopped", exit_code=143))
    assert cli.json("sync", *cli.stores)[0] == 143


def test_the_outcome_of_the_core_is_the_exit_code(cli: Cli, core: Dictate) -> None:
    for code in (0, 1, 3, 7, 10, 13):
        core(Outcome("sync", Word.UNKNOWN, code))
        assert cli.json("sync", *cli.stores)[0] == code


def test_a_bug_ends_with_a_report(cli: Cli, core: Dictate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TURSO_AUTH_TOKEN", SECRET)
    core(ZeroDivisionError(f"with {SECRET}"))
    code, document = cli.json("sync", *cli.stores)
    assert (code, document["error"]["code"]) == (70, "internal")
    found = re.search(r"report is (\S+)$", document["error"]["message"])
    assert found is not None
    text = Path(found[1]).read_text("utf-8")
    assert "ZeroDivisionError" in text
    assert SECRET not in text
    assert Path(found[1]).stat().st_mode & 0o077 == 0


# ------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize("words", [["--json"], ["--jsonl"], ["--verbose"], ["--log-format", "json", "--verbose"], []])
def test_a_token_is_in_no_output(
    cli: Cli, core: Dictate, monkeypatch: pytest.MonkeyPatch, words: list[str], tmp_path: Path
) -> None:
    secret = tmp_path / "token"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    logger = logging.getLogger("storage_sync.test")

    from storage_sync.service import performing

    class Leaky(errors.PrimaryRefused):
        def __init__(self) -> None:
            super().__init__(f"401 for {SECRET}", hint=f"not {SECRET}")
            logger.warning("sent Bearer %s", SECRET)
            try:
                raise ValueError(SECRET)
            except ValueError:
                logger.exception("caught")

    async def leaky(*arguments: object) -> Outcome:
        raise Leaky

    monkeypatch.setattr(performing, "once", leaky)
    stores = ["--primary", "http://127.0.0.1:8160", "--cache", str(tmp_path / "c"), "--state-dir", str(tmp_path)]
    code, out, err = cli.run("sync", *stores, "--token-file", str(secret), *words)
    assert code == 4
    assert SECRET not in out
    assert SECRET not in err
    assert "[hidden]" in out + err


@pytest.mark.parametrize(
    "words",
    [
        ["sync", "--primary", f"libsql://h?authToken={SECRET}"],
        ["sync", f"libsql://h?authToken={SECRET}"],
        ["ping", "--primary", f"https://u:{SECRET}@h"],
        ["--primary", f"libsql://h?authToken={SECRET}", "config", "show"],
        ["sync", f"--token={SECRET}"],
        ["sync", "--token", SECRET],
    ],
)
def test_a_token_that_was_typed_is_not_repeated(cli: Cli, core: Dictate, words: list[str]) -> None:
    for form in (["--json"], []):
        code, out, err = cli.run(*words, *form)
        assert code == 2
        assert SECRET not in out + err


def test_config_show_hides_the_token(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURSO_AUTH_TOKEN", SECRET)
    for form in (["--json"], []):
        code, out, err = cli.run("config", "show", *form)
        assert code == 0
        assert "set, hidden" in out
        assert SECRET not in out + err


def test_the_log_file_is_redacted_json(
    cli: Cli, core: Dictate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURSO_AUTH_TOKEN", SECRET)

    async def talkative(*arguments: object) -> Outcome:
        logging.getLogger("storage_sync.sync").info("used %s", SECRET, extra={"sync_id": "s-1"})
        return Outcome("sync", Word.IN_SYNC, 0)

    monkeypatch.setattr(performing, "once", talkative)
    log = tmp_path / "x.log"
    code, out, err = cli.run("sync", *cli.stores, "--log-file", str(log), "--log-format", "json", "--json")
    assert (code, err) == (0, "")
    (line,) = [json.loads(text) for text in log.read_text("utf-8").splitlines()]
    assert (line["level"], line["area"], line["message"], line["sync_id"]) == ("info", "sync", "used [hidden]", "s-1")
    assert json.loads(out)["verdict"] == "IN_SYNC"


# ------------------------------------------------------------------------------------------- streams


def test_data_on_standard_output_talk_on_standard_error(cli: Cli, core: Dictate) -> None:
    error = ErrorValue("guard", "too much would go", "look at the plan", False, 9)
    core(Outcome("sync", Word.REFUSED, 9, warnings=("odd",), error=error, next_action="look at the plan"))
    code, out, err = cli.run("sync", *cli.stores)
    assert (code, out) == (9, "")
    said, about = err.splitlines()[:3], err.splitlines()[3:]
    assert said == ["warning: odd", "error: too much would go", "hint: look at the plan"]
    assert about == [f"primary: {cli.stores[1]}", f"cache: {cli.stores[3]}"]
    _, _, err = cli.run("sync", *cli.stores, "--quiet")
    assert err.splitlines() == ["sync: too much would go (next: look at the plan)"]


def test_quiet_says_nothing_when_all_is_well(cli: Cli, core: Dictate) -> None:
    proof = Proof("00" * 32, "blake3", 1, "source", 0, 0.0)
    core(Outcome("sync", Word.IN_SYNC, 0, proof=proof, warnings=("odd",), next_action="rest"))
    assert cli.run("sync", *cli.stores, "--quiet") == (0, "", "")
    code, out, err = cli.run("sync", *cli.stores)
    assert code == 0
    assert out.startswith("IN_SYNC: The cache equals the primary.\nproof: ")
    assert err.splitlines() == ["warning: odd", "next: rest"]


def test_what_is_odd_about_the_settings_is_a_warning(
    cli: Cli, core: Dictate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "token"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    monkeypatch.setenv("STORAGE_SYNC_WINDOWS", "5")
    core(Outcome("sync", Word.IN_SYNC, 0, warnings=("one of its own",)))
    _, document = cli.json("sync", *cli.stores, "--token-file", str(secret))
    odd, exposed, own = document["warnings"]
    assert "STORAGE_SYNC_WINDOWS" in odd
    assert "chmod 600" in exposed
    assert own == "one of its own"


@pytest.mark.parametrize(
    ("words", "env", "terminal", "expected"),
    [
        ([], {}, True, True),
        ([], {}, False, False),
        (["--no-color"], {}, True, False),
        ([], {"NO_COLOR": "1"}, True, False),
        ([], {"TERM": "dumb"}, True, False),
    ],
)
def test_when_there_are_colours(words: list[str], env: dict[str, str], terminal: bool, expected: bool) -> None:
    class Stream:
        def isatty(self) -> bool:
            return terminal

    assert Invocation(env=env, no_color="--no-color" in words).colour(Stream()) is expected


# -------------------------------------------------------------------------------------------- status

PROOF = Proof("ab" * 32, "sha3-256", 7, "cd", 0, 0.0)


@pytest.mark.parametrize(
    ("verdict", "age", "options", "exit_code"),
    [
        (Word.IN_SYNC, 5, [], 0),
        (Word.DAMAGED, 5, [], 0),
        (Word.UNKNOWN, None, [], 0),
        (Word.IN_SYNC, 5, ["--check"], 0),
        (Word.STALE, 5, ["--check"], 1),
        (Word.DRIFT, 5, ["--check"], 1),
        (Word.EMPTY, None, ["--check"], 1),
        (Word.DAMAGED, None, ["--check"], 5),
        (Word.IN_SYNC, 5, ["--max-age", "60"], 0),
        (Word.IN_SYNC, 500, ["--max-age", "60"], 10),
        (Word.UNKNOWN, None, ["--max-age", "60"], 10),
        (Word.EMPTY, None, ["--max-age", "60"], 10),
        (Word.DRIFT, 5, ["--max-age", "60"], 1),
        (Word.STALE, 500, ["--max-age", "60", "--check"], 10),
        (Word.IN_SYNC, 5, ["--nagios"], 0),
        (Word.STALE, 5, ["--nagios"], 1),
        (Word.EMPTY, None, ["--nagios"], 1),
        (Word.DRIFT, 5, ["--nagios"], 2),
        (Word.DAMAGED, None, ["--nagios"], 2),
        (Word.UNKNOWN, None, ["--nagios"], 3),
        (Word.IN_SYNC, 500, ["--nagios", "--max-age", "60"], 1),
    ],
)
def test_what_status_exits_with(
    cli: Cli,
    core: Dictate,
    monkeypatch: pytest.MonkeyPatch,
    verdict: Word,
    age: float | None,
    options: list[str],
    exit_code: int,
) -> None:
    import time

    from msgspec.structs import replace

    monkeypatch.setattr(time, "time", lambda: 10_000.0)
    proof = replace(PROOF, at=10_000.0 - age) if age is not None else None
    core(Outcome("status", verdict, 0, proof=proof, counts={"episodes": TableCounts(1, 1, 1, 0, 0)}))
    code, document = cli.json("status", *cli.stores, *options)
    assert code == exit_code
    assert document["verdict"] == verdict
    assert document["error"] is None


def test_the_line_for_nagios(cli: Cli, core: Dictate) -> None:
    core(Outcome("status", Word.DRIFT, 0, counts={"episodes": TableCounts(1, 1, 5, 0, 2)}))
    code, out, _ = cli.run("status", *cli.stores, "--nagios")
    assert code == 2
    assert out.startswith("STORAGE_SYNC CRITICAL - DRIFT: The cache differs")
    assert out.endswith(" | rows=5 refused=2\n")
    assert out.count("\n") == 1
