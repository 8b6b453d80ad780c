"""`storage-sync exec -- COMMAND`: the update before it, and that COMMAND notices nothing of us."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.independent.projection_check import check
from tests.support import network, stores
from tests.support.command import Tool, fingerprint
from tests.support.processes import HOLD_REDB, running
from tests.support.relay import Exchange, Fault, Relay, Script
from tests.support.sqld import Sqld
from tests.support.starts import Starts
from tests.support.terminal import Terminal

LONG = ("--deadline", "60")
"""So that a busy machine does not decide what these tests see."""
NEW = (
    "UPDATE episodes SET task_description = task_description || '!' "
    "WHERE episode_id IN (SELECT episode_id FROM episodes LIMIT 3)"
)
INHERITED = (
    "grep -E '^(Sig[A-Z][a-z]+|Shd|Umask):' /proc/self/status; umask; pwd; nice; env | sort; ls /proc/self/fd; "
    "cat /proc/self/limits"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqld]:
    with Sqld(stores.primary("v47-small", tmp_path_factory.mktemp("primary"))) as running_server:
        yield running_server


@pytest.fixture
def relay(server: Sqld) -> Iterator[Relay]:
    with Relay(server.port) as between:
        yield between


@pytest.fixture
def starts(server: Sqld, tmp_path: Path) -> Starts:
    return Starts(Tool.at(tmp_path / "tool", server.url))


def local(folder: Path) -> tuple[Starts, Path]:
    """Starts beside a primary that is a file, and that file."""
    primary = stores.primary("v47-small", folder / "primary")
    return Starts(Tool.at(folder / "tool", f"file:{primary}")), primary


# ------------------------------------------------------------------------------------------- the update


def test_command_gets_an_equal_cache_and_clean_streams(starts: Starts, server: Sqld) -> None:
    ended = starts.run("sh", "-c", "cat; echo said >&2; exit 9", options=LONG, given="asked\n")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (9, "asked\n", "said\n")
    report = check(stores.quiet_copy(server.database, starts.tool.folder / "compared"), starts.tool.cache)
    assert report.holds(), report.text()
    (start,) = starts.remembered()
    assert (start["kind"], start["result"], start["exit_code"]) == ("exec", "IN_SYNC", 0)
    assert start["start"]["behind"] == 0
    assert start["start"]["found"] == start["insert"] > 100


def test_changes_are_in_before_command_starts_and_nothing_is_written_without_any(tmp_path: Path) -> None:
    starts, primary = local(tmp_path)
    starts.tool.sync()
    before = fingerprint(starts.tool.cache)
    assert starts.run("true", options=LONG).exit_code == 0
    assert fingerprint(starts.tool.cache) == before
    stores.execute(primary, [NEW])
    assert starts.run("true", options=LONG).exit_code == 0
    newest, earlier = starts.remembered()
    assert (newest["start"]["found"], newest["start"]["behind"], newest["update"]) == (3, 0, 3)
    assert (earlier["start"]["found"], earlier["start"]["behind"]) == (0, 0)
    assert starts.tool.json("verify").exit_code == 0


def test_a_damaged_cache_is_repaired_first(tmp_path: Path) -> None:
    starts, _ = local(tmp_path)
    starts.tool.sync()
    data = bytearray(starts.tool.cache.read_bytes())
    data[8192 : 8192 + 65536] = bytes(65536)
    starts.tool.cache.write_bytes(data)
    ended = starts.run("true", options=LONG)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert starts.remembered()[0]["result"] == "IN_SYNC"
    assert starts.tool.json("verify", "--deep").exit_code == 0


def test_damage_is_left_where_auto_repair_is_off(tmp_path: Path) -> None:
    starts, _ = local(tmp_path)
    starts.tool.sync()
    starts.tool.cache.write_bytes(bytes(8192))
    before = fingerprint(starts.tool.cache)
    careful = replace(starts, tool=replace(starts.tool, environment={"STORAGE_SYNC_AUTO_REPAIR": "false"}))
    ended = careful.run("echo", "started", options=LONG)
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (0, "started\n", 1)
    assert careful.run("echo", options=(*LONG, "--strict")).exit_code == 5
    assert fingerprint(starts.tool.cache) == before


def test_a_held_cache_starts_command_at_once(starts: Starts) -> None:
    starts.tool.sync()
    before = fingerprint(starts.tool.cache)
    with running(HOLD_REDB, starts.tool.cache, "write") as holder:
        before = fingerprint(starts.tool.cache)
        ended = starts.run("echo", "started", options=LONG)
        assert fingerprint(starts.tool.cache) == before
        assert (ended.exit_code, ended.stdout) == (0, "started\n")
        assert ended.stderr.startswith("storage-sync exec: the cache is held by ")
        assert f"(pid {holder.pid}, " in ended.stderr
        assert starts.run("echo", options=(*LONG, "--strict")).exit_code == 6


# ------------------------------------------------------------------- what stops the update starts COMMAND


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("spoil", "exit_code", "told"),
    [
        (lambda relay: relay.refuse(), 3, "refuses connections"),
        (lambda relay: relay.play(lambda number, path: network.hang_before_headers), 13, "gave up after"),
        (lambda relay: relay.play(lambda number, path: network.one_byte_a_second), 13, "gave up after"),
        (lambda relay: relay.play(lambda number, path: network.answer(401, "{}")), 4, "primary"),
        (lambda relay: relay.stall(), 13, "gave up after"),
    ],
    ids=["refuses", "hangs", "drips", "rejects", "stalls"],
)
def test_a_primary_in_trouble(
    relay: Relay, tmp_path: Path, spoil: Callable[[Relay], None], exit_code: int, told: str, strict: bool
) -> None:
    starts = Starts(Tool.at(tmp_path / "tool", relay.url))
    starts.tool.sync()
    before = fingerprint(starts.tool.cache)
    spoil(relay)
    # one that does not answer is waited for, the others end it
    options = ("--deadline", "2" if exit_code == 13 else "60", *(["--strict"] if strict else []))
    ended = starts.run("echo", "started", options=options)
    assert ended.stderr.startswith("storage-sync exec: ")
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert (ended.exit_code, ended.stdout) == ((exit_code, "") if strict else (0, "started\n"))
    assert fingerprint(starts.tool.cache) == before


@pytest.mark.parametrize(
    ("options", "variables", "exit_code"),
    [
        (("--config", "none.toml"), {}, 2),
        (("--window", "none"), {}, 2),
        ((), {"TURSO_DATABASE_URL": "libsql://a.example/?authToken=hush"}, 2),
        ((), {"TURSO_DATABASE_URL": ""}, 2),
        ((), {"MEMORY_MAX_EPISODES_CACHE": "many"}, 2),
        ((), {"TURSO_DATABASE_URL": "file:none.db"}, 4),
        ((), {"REDB_CACHE_PATH": "/proc/none/cache.redb"}, 8),
    ],
)
def test_a_configuration_that_is_wrong(
    tmp_path: Path, options: Sequence[str], variables: dict[str, str], exit_code: int
) -> None:
    usual = {"TURSO_DATABASE_URL": f"file:{stores.primary('v47-small', tmp_path)}", "REDB_CACHE_PATH": "cache.redb"}
    starts = Starts(Tool.at(tmp_path / "tool", "unused"), {**usual, **variables})
    ended = starts.run("echo", "started", options=(*LONG, *options), cwd=tmp_path)
    assert (ended.exit_code, ended.stdout) == (0, "started\n"), ended.stderr
    reasons = [line for line in ended.stderr.splitlines() if "do-memory's server" not in line]
    assert len(reasons) == 1
    assert reasons[0].startswith("storage-sync exec: ")
    assert "hush" not in ended.stderr
    assert starts.run("echo", options=(*LONG, *options, "--strict"), cwd=tmp_path).exit_code == exit_code


def test_a_guard_that_stops(tmp_path: Path) -> None:
    starts, primary = local(tmp_path)
    starts.tool.sync()
    before = fingerprint(starts.tool.cache)
    stores.execute(primary, ["DELETE FROM episodes"])
    ended = starts.run("echo", "started", options=LONG)
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (0, "started\n", 1)
    assert fingerprint(starts.tool.cache) == before
    assert starts.remembered()[0]["result"] == "guard"
    assert starts.run("echo", options=(*LONG, "--strict")).exit_code == 9


def test_what_blocks_does_not_keep_command_from_its_start(server: Sqld, tmp_path: Path) -> None:
    """Another process has the history for itself: no timeout of the update reaches that far."""
    starts = Starts(Tool.at(tmp_path / "tool", server.url))
    starts.tool.sync()
    ignored = "echo started; grep SigIgn /proc/self/status"
    bare = subprocess.run(["sh", "-c", ignored], capture_output=True, text=True, check=True, preexec_fn=_ignoring)
    with closing(sqlite3.connect(next((starts.tool.folder / "state").rglob("history.db")))) as history:
        history.execute("BEGIN EXCLUSIVE")
        options = ("--deadline", "1.5")
        ended = starts.run("sh", "-c", ignored, options=options, preexec_fn=_ignoring)
        assert ended.exit_code == 0
        assert ended.stdout == bare.stdout, "as found, also from the thread that watches the deadline"
        assert ended.stderr == "storage-sync exec: gave up after 1.5 s\n"
        assert starts.run("echo", options=(*options, "--strict")).exit_code == 13


# ------------------------------------------------------------------------------- where do-memory's settings are


def test_settings_of_do_memory_as_it_reads_them(tmp_path: Path) -> None:
    """Relative to the working folder, without `~` and escapes, in a folder that is not there yet."""
    work = tmp_path / "work"
    database = stores.primary("v47-small", work / "da ta%20")
    variables = {
        "MEMORY_DB_PATH": "./da ta%20/primary.db",
        "REDB_CACHE_PATH": "~/new/cache.redb",
        "MEMORY_MAX_EPISODES_CACHE": "20",
    }
    starts = Starts(Tool.at(tmp_path / "tool", "unused", work / "~" / "new" / "cache.redb"), variables)
    ended = starts.run("true", options=LONG, cwd=work)
    assert (ended.exit_code, ended.stderr) == (0, "")
    report = check(stores.quiet_copy(database, tmp_path / "compared"), starts.tool.cache, window=20)
    assert report.holds(), report.text()


@pytest.mark.parametrize("address", ["primary.db", "file:primary.db", "file:./primary.db"])
def test_an_address_that_is_a_file(tmp_path: Path, address: str) -> None:
    stores.primary("v47-small", tmp_path)
    variables = {"TURSO_DATABASE_URL": address, "REDB_CACHE_PATH": "cache.redb", "MEMORY_DB_PATH": "none.db"}
    starts = Starts(Tool.at(tmp_path / "tool", "unused"), variables)
    ended = starts.run("true", options=(*LONG, "--strict"), cwd=tmp_path)
    # the server prefers the other name
    assert ended.exit_code == 0, ended.stderr
    assert "do-memory's server will use file:none.db, not " in ended.stderr


def test_it_says_when_the_server_uses_another_primary(server: Sqld, tmp_path: Path) -> None:
    cache = tmp_path / "cache.redb"
    usual = {
        "TURSO_DATABASE_URL": server.url.replace("http", "libsql") + "?tls=0",
        "TURSO_AUTH_TOKEN": "any-token",
        "REDB_CACHE_PATH": str(cache),
        "XDG_DATA_HOME": str(tmp_path / "share"),
    }
    tool = Tool.at(tmp_path / "tool", "unused", cache)
    # the server prefers a file there, once there is the folder
    (tmp_path / "share" / "do-memory").mkdir(parents=True)
    local_choice = f"will use file:{tmp_path}/share/do-memory/memory.db, not libsql://"
    for more, told in (({}, local_choice), ({"MEMORY_STORAGE_MODE": "Remote"}, "")):
        ended = Starts(tool, {**usual, **more}).run("echo", "started", options=LONG)
        assert ended.stdout == "started\n"
        assert (told in ended.stderr) if told else not ended.stderr, ended.stderr
        doctor = replace(tool, environment={**usual, **more}).start_bare("doctor", "--json")
        out, _ = doctor.communicate(timeout=60)
        warned = [text for text in json.loads(out).get("warnings", ()) if "do-memory's server" in text]
        assert bool(warned) == bool(told)
        assert all(told in text for text in warned)


# --------------------------------------------------------------------------------------- usage and COMMAND


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ((), ()),
        (("--bad",), ("echo", "started")),
        (("--deadline", "soon"), ("echo", "started")),
        (("--deadline", "-1"), ("echo", "started")),
        (("--json",), ("echo", "started")),
        (("--jsonl",), ("echo", "started")),
        (("--json", "--bad"), ("echo", "started")),
    ],
)
def test_usage(tmp_path: Path, options: Sequence[str], command: Sequence[str]) -> None:
    starts, _ = local(tmp_path)
    ended = starts.run(*command, options=options)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: ")
    assert not starts.tool.cache.exists()


def test_what_cannot_be_executed(tmp_path: Path) -> None:
    starts, _ = local(tmp_path)
    plain = tmp_path / "plain"
    plain.write_text("echo from a script without a first line\n")
    for command, exit_code in (("none-of-this-name", 127), ("", 127), ("a\nb", 127), (str(plain), 126), ("/", 126)):
        ended = starts.run(command, options=LONG)
        assert (ended.exit_code, ended.stdout) == (exit_code, ""), command
        assert ended.stderr.count("\n") == 1
    plain.chmod(0o755)
    assert starts.run(str(plain), options=LONG).stdout == "from a script without a first line\n"
    plain.write_text("#!/none/interpreter\n")
    assert starts.run(str(plain), options=LONG).exit_code == 126
    starts.tool.cache.unlink()


def test_what_stands_behind_the_dashes_is_commands_own(tmp_path: Path) -> None:
    starts, _ = local(tmp_path)
    words = ["--json", "--", "-x", "", "a b", "--deadline", "ü", "*"]
    ended = starts.run("printf", "%s|", *words, options=LONG)
    assert ended.stdout == "".join(f"{word}|" for word in words)
    assert starts.run("--", "echo", options=LONG).exit_code == 127


# ------------------------------------------------------------------------------------ as they were found


def _ignoring() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMIN):
        signal.signal(number, signal.SIG_IGN)


def _unusual() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGALRM})
    os.umask(0o027)
    os.nice(3)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, 400))


def _closed() -> None:
    os.close(0)


@pytest.mark.parametrize("change", [None, _ignoring, _unusual, _closed])
@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "", "LANG": "C"}, {"LC_CTYPE": "C.UTF-8"}])
def test_everything_is_inherited(tmp_path: Path, change: Callable[[], None] | None, locale: dict[str, str]) -> None:
    """The same report of a shell that was started bare, and through us."""
    starts, _ = local(tmp_path)
    variables = {key: value for key, value in starts.tool.variables.items() if not key.startswith(("LC_", "LANG"))}
    with socket.socket() as kept:
        named: dict[str, Any] = {
            "preexec_fn": change,
            "env": {**variables, **locale},
            "pass_fds": [kept.fileno()],
            "cwd": tmp_path,
        }
        bare = subprocess.run(["sh", "-c", INHERITED], capture_output=True, text=True, check=True, **named)
        through = starts.run("sh", "-c", INHERITED, options=LONG, **named)
    assert through.stderr == ""
    assert through.stdout == bare.stdout
    assert starts.remembered()[0]["result"] == "IN_SYNC"


@pytest.mark.parametrize("options", [LONG, ("--deadline", "60", "--after")])
def test_streams_that_are_closed_stay_closed(tmp_path: Path, options: Sequence[str]) -> None:
    starts, _ = local(tmp_path)
    report = "for n in 0 1 2; do [ -e /proc/$$/fd/$n ] && echo $n; done > report"

    def close() -> None:
        for number in (0, 1, 2):
            os.close(number)

    for line in (["sh", "-c", report], starts.line("sh", "-c", report, options=options)):
        subprocess.run(line, check=False, preexec_fn=close, env=starts.tool.variables, cwd=tmp_path)
        # the shell's own redirection is open
        assert (tmp_path / "report").read_text() == "1\n"
    assert starts.remembered()[0]["result"] == "IN_SYNC"


def test_it_is_the_same_process_and_leaves_no_child(tmp_path: Path) -> None:
    starts, _ = local(tmp_path)
    with starts.begin("sh", "-c", "echo $$ $PPID; ps -o pid= --ppid $$ | wc -l", options=LONG) as child:
        out, _ = child.communicate(timeout=60)
    assert out.split() == [str(child.pid), str(os.getpid()), "2"], "ps and wc are the shell's own"


def test_standard_input_is_commands_from_its_first_byte(tmp_path: Path) -> None:
    starts, _ = local(tmp_path)
    reader = "import os, sys\nwhile byte := os.read(0, 1): os.write(1, byte)"
    text = "a\n" * 5000
    assert starts.run(sys.executable, "-c", reader, options=LONG, given=text).stdout == text


def _fill(pipe: int) -> None:
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, bytes(1 << 12))


def test_nobody_reads_what_it_says(tmp_path: Path) -> None:
    """Standard error is a full pipe, or one without a reader: COMMAND starts, and has it as it was."""
    starts, _ = local(tmp_path)
    for full in (True, False):
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        if full:
            _fill(writing)
        else:
            os.close(reading)
        os.set_blocking(writing, True)
        ended = starts.run("readlink", "/proc/self/fd/2", options=(*LONG, "--window", "none"), stderr=writing)
        assert ended.stdout.startswith("pipe:"), ended
        os.close(writing)
        if full:
            os.close(reading)


# ------------------------------------------------------------------------------------------------ signals


class Waits:
    """A fault that holds a request until the test has seen it."""

    def __init__(self) -> None:
        self.reached = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        self.reached.set()
        exchange.hang()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_before_command_ends_it_all(relay: Relay, tmp_path: Path, number: signal.Signals) -> None:
    starts = Starts(Tool.at(tmp_path / "tool", relay.url))
    starts.tool.sync()
    before = fingerprint(starts.tool.cache)
    waits = Waits()
    relay.play(lambda _, path: waits)
    with starts.begin("touch", str(tmp_path / "started"), options=LONG) as child:
        assert waits.reached.wait(60)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (128 + number, ""), err
    assert not (tmp_path / "started").exists()
    assert fingerprint(starts.tool.cache) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_before_anything_was_read(relay: Relay, tmp_path: Path, number: signal.Signals) -> None:
    relay.play(lambda _, path: network.hang_before_headers)
    starts = Starts(Tool.at(tmp_path / "tool", relay.url))
    with starts.begin("touch", str(tmp_path / "started"), options=LONG) as child:
        status = Path(f"/proc/{child.pid}/status")
        while not _catches(status.read_text(), signal.SIGHUP):
            assert child.poll() is None
        child.send_signal(number)
        child.communicate(timeout=60)
    assert child.returncode == 128 + number
    assert not (tmp_path / "started").exists()


def _catches(status: str, number: int) -> bool:
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def test_a_signal_that_is_ignored_stays_ignored(relay: Relay, tmp_path: Path) -> None:
    starts = Starts(Tool.at(tmp_path / "tool", relay.url))
    waits = Waits()
    relay.play(lambda number, path: waits if number == 1 else None)
    with starts.begin("echo", "started", options=LONG, preexec_fn=_ignoring) as child:
        assert waits.reached.wait(60)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            child.send_signal(number)
        relay.play(None)
        out, _ = child.communicate(timeout=60)
    assert (child.returncode, out) == (0, "started\n")


def test_a_signal_after_that_is_commands(tmp_path: Path) -> None:
    starts, _ = local(tmp_path)
    script = "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    with starts.begin("sh", "-c", script, options=LONG) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=60)
    assert (child.returncode, out) == (5, "got it\n")


def _at(wanted: int, fault: Fault) -> Script:
    return lambda number, path: fault if number == wanted else None


def test_kill_at_any_moment_leaves_a_cache_that_the_next_start_takes(relay: Relay, tmp_path: Path) -> None:
    starts = Starts(Tool.at(tmp_path / "tool", relay.url))
    for stop_at in range(1, 4):
        waits = Waits()
        relay.play(_at(stop_at, waits))
        with starts.begin("true", options=LONG) as child:
            if waits.reached.wait(5):
                child.kill()
            child.communicate(timeout=60)
    relay.play(None)
    assert starts.run("true", options=LONG).stderr == ""
    assert starts.remembered()[0]["start"]["behind"] == 0


# ------------------------------------------------------------------------------------- scripts that wait


def test_a_script_waits_until_the_cache_is_in_sync(tmp_path: Path) -> None:
    starts, primary = local(tmp_path)
    assert starts.tool.json("status", "--wait-in-sync", "0.1").exit_code == 1
    with starts.tool.start("status", "--wait-in-sync", "60", "--json") as waiting:
        starts.tool.sync()
        out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, json.loads(out)["verdict"]) == (0, "IN_SYNC")
    stores.execute(primary, [NEW])
    asked = starts.tool.json("status", "--check", "--wait-in-sync", "0")
    assert (asked.exit_code, asked.document["verdict"]) == (1, "STALE")
    starts.tool.cache.write_bytes(bytes(8192))
    assert starts.tool.json("status", "--wait-in-sync", "0").exit_code == 5
    assert starts.tool.run("status", "--wait-in-sync", "1", "--nagios").exit_code == 2


# ----------------------------------------------------------------------------------------- beside others


def test_the_note_names_the_process_that_opens_the_cache(tmp_path: Path) -> None:
    starts, _ = local(tmp_path)
    note = starts.tool.cache.with_name("cache.redb.starting")
    with starts.begin("cat", str(note), options=LONG) as child:
        out, _ = child.communicate(timeout=60)
    assert f'"pid": {child.pid}' in out


def test_a_second_start_waits_for_the_first_ones_commit(relay: Relay, tmp_path: Path) -> None:
    """Both start, and the second finds what the first committed."""
    starts = Starts(Tool.at(tmp_path / "tool", relay.url))
    waits = Waits()
    relay.play(lambda number, path: waits if number == 1 else None)
    with starts.begin("true", options=LONG) as first:
        assert waits.reached.wait(60)
        with starts.begin("echo", "second", options=LONG) as second:
            lease = starts.tool.cache.with_name("cache.redb.lock")
            assert f'"pid":{first.pid}' in lease.read_text()
            relay.play(None)
            assert first.communicate(timeout=60)[1] == ""
            assert second.communicate(timeout=60) == ("second\n", "")
    assert [start["start"]["behind"] for start in starts.remembered()] == [0, 0]


# ------------------------------------------------------------------------------------------------- --after

AFTER = (*LONG, "--after")


def test_after_command_what_came_meanwhile_is_brought_in(tmp_path: Path) -> None:
    starts, primary = local(tmp_path)
    with starts.begin("sh", "-c", "echo ready; read line; exit 7", options=AFTER) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        stores.execute(primary, [NEW])
        child.communicate("go\n", timeout=60)
    assert child.returncode == 7
    after, start = starts.tool.json("history").document["runs"]
    assert (after["kind"], after["trigger"], after["result"], after["update"]) == (
        "sync",
        "after a program",
        "IN_SYNC",
        3,
    )
    assert start["kind"] == "exec"
    assert starts.tool.json("verify").exit_code == 0


@pytest.mark.parametrize("script", ["exit 3", "kill -KILL $$", "kill -SEGV $$"])
def test_exit_codes_of_a_child(tmp_path: Path, script: str) -> None:
    starts, _ = local(tmp_path)
    bare = subprocess.run(["sh", "-c", script], check=False).returncode
    assert starts.run("sh", "-c", script, options=AFTER).exit_code == (bare if bare >= 0 else 128 - bare)


def test_a_child_that_did_not_start_is_no_reason_for_an_update(tmp_path: Path) -> None:
    starts, primary = local(tmp_path)
    starts.tool.sync()
    for command, options, exit_code in (
        ("none-of-this", AFTER, 127),
        ("true", (*AFTER, "--strict", "--window", "x"), 2),
    ):
        stores.execute(primary, [NEW])
        assert starts.run(command, options=options).exit_code == exit_code
        assert [run["trigger"] for run in starts.tool.json("history").document["runs"]].count("after a program") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_is_passed_on(tmp_path: Path, number: signal.Signals) -> None:
    starts, _ = local(tmp_path)
    script = f"trap 'echo got it; exit 5' {number.name[3:]}; echo ready; while :; do sleep 0.01; done"
    with starts.begin("sh", "-c", script, options=AFTER) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        out, _ = child.communicate(timeout=60)
    assert (child.returncode, out) == (5, "got it\n")


def test_a_key_of_the_terminal_reaches_command_once(tmp_path: Path) -> None:
    starts, _ = local(tmp_path)
    count = "trap 'echo caught' INT; echo ready; while [ ! -e stop ]; do sleep 0.01; done; echo over"
    line = starts.line("sh", "-c", count, options=AFTER)
    with Terminal(line, starts.tool.variables, folder=tmp_path) as terminal:
        terminal.wait_for("ready")
        terminal.press("\x03")
        terminal.wait_for("caught")
        (tmp_path / "stop").touch()
        assert terminal.wait_for("over").count("caught") == 1
        assert terminal.end() == 0


def test_its_streams_end_with_command(tmp_path: Path) -> None:
    """The reader of its output sees the end although the parent goes on."""
    starts, _ = local(tmp_path)
    inherited = "ls -l /proc/$PPID/fd | grep -c pipe:; exec sleep 0"
    with starts.begin("sh", "-c", inherited, options=AFTER) as child:
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert int(out) <= 2, "standard error, and the pipe that says whether COMMAND started"


def test_everything_is_inherited_by_a_child_too(tmp_path: Path) -> None:
    starts, _ = local(tmp_path)
    bare = subprocess.run(
        ["sh", "-c", INHERITED], capture_output=True, text=True, check=True, env=starts.tool.variables, cwd=tmp_path
    )
    through = starts.run("sh", "-c", INHERITED, options=AFTER, cwd=tmp_path)
    assert through.stdout == bare.stdout
