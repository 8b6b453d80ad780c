"""The command line as a process: what it imports, how fast it starts, signals, pipes, the demo."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.command import Tool

FOR_OTHERS = (
    "textual",
    "rich",
    "aiohttp",
    "libsql_client",
    "prometheus_client",
    "humanize",
    "numpy",
    "psutil",
    "watchfiles",
    "console.cli.local",
    "storage_sync.values.answers",
)
"""What neither `status` nor a sync of a database in a file needs; each would be a part of its start."""
FORBIDDEN = (
    *FOR_OTHERS,
    "asyncio",
    "orjson",
    "logging",
    "json",
    "socket",
    "subprocess",
    "tempfile",
    "statistics",
    "random",
    "console.cli.core",
    "storage_sync.service",
)
"""What no plain `status` needs."""
LIST_MODULES = """
import sys
sys.argv = ["storage-sync", *{words!r}]
from console.cli import main
code = main()
print("MODULES " + " ".join(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def tool_at(folder: Path, primary: str = "file:none.db") -> Tool:
    return Tool.at(folder, primary)


def modules_of(tool: Tool, *words: str) -> set[str]:
    script = LIST_MODULES.format(words=[*words, *tool.arguments])
    done = subprocess.run(
        [sys.executable, "-c", script], env=tool.variables, capture_output=True, text=True, timeout=60, check=False
    )
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("MODULES ")]
    return set(line.split()[1:])


def test_status_imports_next_to_nothing(tmp_path: Path) -> None:
    loaded = modules_of(tool_at(tmp_path), "status", "--json")
    assert loaded & {*FORBIDDEN, "sqlite3", "storage_sync.values.snapshot"} == set()


def test_status_of_a_proven_cache_imports_only_its_history_beside(tmp_path: Path) -> None:
    tool = tool_at(tmp_path, f"file:{stores.primary('cli', tmp_path)}")
    tool.sync()
    loaded = modules_of(tool, "status", "--json")
    assert loaded & set(FORBIDDEN) == set()
    assert "storage_sync.state.history" in loaded


def test_a_sync_of_a_file_imports_nothing_of_screens_and_networks(tmp_path: Path) -> None:
    tool = tool_at(tmp_path, f"file:{stores.primary('cli', tmp_path)}")
    loaded = modules_of(tool, "sync", "--json")
    assert loaded & set(FOR_OTHERS) == set()
    assert "storage_sync.sync.run" in loaded


@pytest.mark.parametrize(
    "command", ["sync", "verify", "diff", "ping", "doctor", "history", "metrics", "keys", "orphans"]
)
def test_no_headless_command_imports_textual(tmp_path: Path, command: str) -> None:
    assert "textual" not in modules_of(tool_at(tmp_path), command, "--json")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    with tool_at(tmp_path).start("keys") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def shell(tool: Tool, redirections: str, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command as a shell starts it with these redirections."""
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-m", "console", *words, *tool.arguments]
    variables = {**tool.variables, **environment}
    return subprocess.run(command, env=variables, capture_output=True, timeout=120, check=False)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_never_get_the_number_of_a_file(tmp_path: Path, closed: str) -> None:
    tool = tool_at(tmp_path, f"file:{stores.primary('cli', tmp_path)}")
    done = shell(tool, closed, "sync")
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert tool.json("verify", "--deep").exit_code == 0


def test_output_that_cannot_be_written_is_an_end_of_its_own(tmp_path: Path) -> None:
    done = shell(tool_at(tmp_path), "> /dev/full", "keys")
    assert done.returncode == 8
    assert done.stderr.decode().splitlines() == ["error: the output cannot be written: No space left on device"]


def test_a_locale_without_the_signs_is_no_error(tmp_path: Path) -> None:
    """An old locale: people read what it has, documents are UTF-8."""
    tool = tool_at(tmp_path, f"file:{stores.primary('cli', tmp_path)}")
    old = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    assert shell(tool, "", "sync", **old).returncode == 0
    shown = shell(tool, "", "verify", **old)
    assert (shown.returncode, b"Traceback" in shown.stderr) == (0, False), shown.stderr
    document = json.loads(shell(tool, "", "keys", "--json", **old).stdout.decode("utf-8"))
    assert "…" in json.dumps(document, ensure_ascii=False)


# ------------------------------------------------------------------------------------------- signals


@pytest.fixture
def silent_server() -> Iterator[tuple[str, threading.Event]]:
    """A server that takes a request and never answers; the event is set when the first bytes of one are there."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked, ended = threading.Event(), socket.socketpair()

    def serve() -> None:
        with selectors.DefaultSelector() as selector, listener:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(ended[1], selectors.EVENT_READ)
            held: list[socket.socket] = []
            while True:
                for key, _ in selector.select():
                    if key.fileobj is ended[1]:
                        for connection in held:
                            connection.close()
                        return
                    if key.fileobj is listener:
                        connection, _ = listener.accept()
                        held.append(connection)
                        selector.register(connection, selectors.EVENT_READ)
                    else:
                        selector.unregister(key.fileobj)
                        asked.set()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    ended[0].send(b"x")
    thread.join()
    for end in ended:
        end.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_hanging_sync_with_a_document(
    tmp_path: Path, silent_server: tuple[str, threading.Event], number: signal.Signals, code: int
) -> None:
    url, asked = silent_server
    tool = tool_at(tmp_path, url)
    with tool.start("sync", "--json", start_new_session=True) as process:
        assert asked.wait(60)
        started = time.monotonic()
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=60)
        took = time.monotonic() - started
    document = json.loads(out)
    assert (process.returncode, document["exit_code"]) == (code, code), err
    assert document["error"]["code"] == "interrupted"
    assert not tool.cache.exists()
    assert took < 5.0


# ---------------------------------------------------------------------------------------------- demo


def test_the_demo_without_a_terminal_prints_its_proof(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    tool = Tool.at(tmp_path / "tool", "unused", TMPDIR=str(temporary), TURSO_DATABASE_URL="libsql://real.turso.io")
    command = [sys.executable, "-m", "console", "demo", "--episodes", "60", "--json"]
    done = subprocess.run(
        command, env=tool.variables, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False
    )
    document = json.loads(done.stdout)
    assert (done.returncode, document["verdict"], document["error"]) == (0, "IN_SYNC", None), done.stderr
    assert document["command"] == "demo"
    assert document["counts"]["episodes"]["cache"] == 60
    assert all(counts["refused"] == 0 for counts in document["counts"].values())
    assert all(check["status"] in ("pass", "skipped") for check in document["checks"])
    assert list(temporary.iterdir()) == []
