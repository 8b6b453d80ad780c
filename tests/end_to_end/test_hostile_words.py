"""Every command on data that would act on a terminal: nothing of it comes out raw; and secrets are no part of data."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.command import Tool
from tests.support.faulty import Faulty, reply

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2066\u2028"
COMMANDS = (
    "status",
    "status --check",
    "status --nagios",
    "sync --plan",
    "verify --deep",
    "diff --keys",
    "orphans list",
    "orphans list --format csv",
    "orphans list --format jsonl",
    "quarantine list",
    "peek",
    "history",
    "metrics",
    "config show",
    "config check",
    "doctor",
    "ping",
    "repair --plan",
    "rebuild --plan",
    "compact --plan",
    "detach --plan",
    "undo --plan",
    "undo no-such-run" + EVIL,
    "quarantine show nothing" + EVIL,
    "orphans show " + EVIL,
    "orphans list --filter " + EVIL,
    "sync --window " + EVIL,
    "nonsense" + EVIL,
)


def raw_in(text: str) -> set[str]:
    """Characters that a terminal would act on."""
    return {sign for sign in text if sign != "\n" and (ord(sign) < 0x20 or 0x7F <= ord(sign) < 0xA0)} | (
        set(text) & set("\u202e\u2066\u2028")
    )


@contextmanager
def holder(cache: Path) -> Iterator[None]:
    """A process of an evil name holds the cache as do-memory does."""
    code = "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    command = [sys.executable, "-c", code, str(cache), EVIL]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """Rows, keys, reasons and paths full of it."""
    primary = stores.primary("small", tmp_path)
    with closing(sqlite3.connect(primary)) as db:
        db.execute("UPDATE episodes SET task_description = task_description || ?", (EVIL,))
        first, second = (row[0] for row in db.execute("SELECT episode_id FROM episodes ORDER BY 1 LIMIT 2"))
        db.execute("UPDATE episodes SET steps = '{broken' || ? WHERE episode_id = ?", (EVIL, first))
        db.execute("UPDATE episodes SET task_type = ? WHERE episode_id = ?", (EVIL, second))
        db.commit()
    folder = tmp_path / f"of {EVIL}"
    tool = Tool.at(folder, f"file:{primary}", folder / f"cache{EVIL}.redb")
    assert tool.run("sync").exit_code == 7
    return tool


def test_no_command_prints_what_a_terminal_would_act_on(tool: Tool) -> None:
    for command in COMMANDS:
        name, *words = command.split(" ")
        for form in ((), ("--json",)):
            result = tool.run(name, *words, *form)
            assert raw_in(result.stdout + result.stderr) == set(), (command, result.stdout, result.stderr)
            assert result.exit_code != 70, (command, result.stderr)
            if form and result.stdout.startswith("{"):
                json.loads(result.stdout)


def test_a_holders_name_and_the_log_are_clean(tool: Tool) -> None:
    log = tool.folder / "log"
    with holder(tool.cache):
        for words in (("sync", "--wait", "0", "--verbose"), ("sync", "--wait", "0", "--log-file", str(log)), ("peek",)):
            for form in ((), ("--log-format", "json")):
                result = tool.run(*words, *form)
                assert raw_in(result.stdout + result.stderr) == set(), result
    assert not log.exists() or raw_in(log.read_text()) == set()


def test_the_words_of_a_server_are_clean(tmp_path: Path) -> None:
    body = json.dumps({"error": EVIL * 10, "message": EVIL, "code": EVIL}, ensure_ascii=False).encode()
    for status in ("400 Bad Request", "401 Unauthorized", "404 Not Found", "503 Unavailable"):
        with Faulty(reply(status, "application/json", body)) as server:
            tool = Tool.at(tmp_path / "remote", server.url)
            for words in (("ping",), ("sync", "--max-attempts", "1"), ("doctor",)):
                for form in ((), ("--json",)):
                    result = tool.run(*words, *form)
                    assert raw_in(result.stdout + result.stderr) == set(), result


@pytest.mark.parametrize("token", ["TOKEN-of-the-primary", "duration", '":[],"x"', "null,null"])
def test_secrets_are_taken_out_of_words_and_not_out_of_rows(token: str, tmp_path: Path) -> None:
    primary = stores.primary("small", tmp_path)
    tool = Tool.at(tmp_path / "tool", f"file:{primary}", TURSO_AUTH_TOKEN=token)
    tool.sync()
    told = f'TOKEN="abc" token=xyz {token}'
    with closing(sqlite3.connect(primary)) as db:
        (row,) = db.execute("SELECT episode_id FROM episodes ORDER BY 1 LIMIT 1").fetchone()
        db.execute("UPDATE episodes SET task_description = ? WHERE episode_id = ?", (told, row))
        db.commit()
    document = tool.run("diff", "--json").document
    assert document["schema"] == 1
    assert told in json.dumps(document["differences"]).replace('\\"', '"')
    missing = tool.run("undo", f"run-{token}", "--json").document
    assert token not in missing["error"]["message"]


@pytest.mark.parametrize("token", ["1", "tok", "null"])
def test_what_is_too_short_for_a_token_hides_nothing(token: str, tmp_path: Path) -> None:
    tool = Tool.at(tmp_path / "tool", "http://127.0.0.1:1", TURSO_AUTH_TOKEN=token)
    result = tool.json("sync")
    assert result.exit_code == 2
    assert "fewer than 8 characters" in result.document["error"]["message"]
    assert "[hidden]" not in result.stdout
