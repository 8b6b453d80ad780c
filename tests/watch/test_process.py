"""`watch` as systemd and an operator meet it: real processes, signals, sockets, a primary that comes and goes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.demo.demo import Demo
from tests.independent.redb_reader import RedbFile
from tests.support import processes, size, stores
from tests.support.command import Tool, applied
from tests.support.listener import Listener
from tests.support.sqld import Sqld, free_port
from tests.support.watching import LIMIT_S, resident_and_descriptors, said, watching, well, wrote

SOON_S = 2.0
NOW = 1_795_392_000


def demo_tool(folder: Path, **environment: str) -> Tool:
    (folder / "demo").mkdir()
    demo = Demo.create(folder / "demo", episodes=20, now=NOW)
    return Tool.at(folder, f"file:{demo.primary}", demo.cache, STORAGE_SYNC_POLL_S="0.2", **environment)


def test_it_tells_systemd_that_it_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(LIMIT_S)
        tool = demo_tool(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="600000")
        with watching(tool) as watch:
            heard: list[str] = []
            while heard.count("WATCHDOG=1") < 3 or not any("STATUS=ok" in text for text in heard):
                heard += manager.recv(4096).decode().splitlines()
            assert "READY=1" in heard[:2]
            code, took = watch.stop(signal.SIGTERM)
        while "STOPPING=1" not in heard:
            heard += manager.recv(4096).decode().splitlines()
    assert code == 143
    assert took < SOON_S


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_soon_with_its_code_and_a_document(tmp_path: Path, number: signal.Signals, code: int) -> None:
    tool = demo_tool(tmp_path)
    with tool.start("watch", "--log-format", "json", "--json") as process:
        assert process.stderr is not None
        for text in process.stderr:
            if well(json.loads(text)):
                break
        started = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT_S)
        assert time.monotonic() - started < SOON_S
    document = json.loads(out)
    assert (process.returncode, document["exit_code"], document["command"]) == (code, code, "watch")
    assert (document["verdict"], document["error"]["code"]) == ("IN_SYNC", "interrupted")
    assert "Traceback" not in err


def test_sigterm_ends_it_soon_while_the_primary_hangs(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        tool = Tool.at(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with watching(tool, "--listen", "127.0.0.1:0") as watch:
            watch.until(said("metrics on"))
            connection, _ = silent.accept()
            with connection:
                code, took = watch.stop(signal.SIGTERM)
    assert code == 143
    assert took < SOON_S


def test_sigusr1_syncs_now_and_sighup_reads_the_settings_again(tmp_path: Path) -> None:
    tool = demo_tool(tmp_path)
    config = tmp_path / "config.toml"
    config.write_text("max_episodes_cache = 20\n")
    with watching(tool, "--config", str(config)) as watch:
        watch.until(well)
        first = len(watch.lines)
        watch.process.send_signal(signal.SIGUSR1)
        watch.until(said("nothing changed"), after=first)
        config.write_text("max_episodes_cache = 5\nmax_removal_ratio = 1.0\n")
        watch.process.send_signal(signal.SIGHUP)
        watch.until(said("now in effect: max_episodes_cache"))
        second = len(watch.lines)
        watch.process.send_signal(signal.SIGUSR1)
        changed = watch.until(wrote("removed"), after=second)
        assert changed["sync_id"].startswith("s-")
        config.write_text("max_episodes_cache = nonsense\n")
        watch.process.send_signal(signal.SIGHUP)
        watch.until(said("the old settings stay"))
        assert watch.stop(signal.SIGTERM)[0] == 143


def test_metrics_are_served_on_that_address_and_written_after_a_run(tmp_path: Path) -> None:
    tool = demo_tool(tmp_path)
    target = tmp_path / "storage_sync.prom"
    with watching(tool, "--listen", "127.0.0.1:0", "--metrics-file", str(target)) as watch:
        url = watch.until(said("metrics on"))["message"].removeprefix("metrics on ")
        watch.until(well)
        with urllib.request.urlopen(url, timeout=LIMIT_S) as response:
            text = response.read().decode()
        assert "\nstorage_sync_in_sync 1.0\n" in text
        assert 'storage_sync_rows{side="cache",table="episodes"} 20.0' in text
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url.replace("metrics", "other"), timeout=LIMIT_S)
        with pytest.raises(urllib.error.URLError, match="refused"):
            urllib.request.urlopen(url.replace("127.0.0.1", "127.0.0.2"), timeout=LIMIT_S)
        assert watch.stop(signal.SIGTERM)[0] == 143
    assert "\nstorage_sync_in_sync 1.0\n" in target.read_text()


@contextmanager
def started(tool: Tool, *words: str, stdout: int, stderr: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`watch` on descriptors of ours, which are closed here; it does not outlive the block."""
    with subprocess.Popen(tool.line("watch", *words), env=tool.variables, stdout=stdout, stderr=stderr) as process:
        os.close(stdout)
        try:
            yield process
        finally:
            process.kill()


def full_pipe() -> tuple[int, int, int]:
    """Both ends, and how many octets are in it; no more is taken."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    filled = os.write(writing, bytes(1 << 22))
    os.set_blocking(writing, True)
    return reading, writing, filled


@pytest.mark.parametrize("words", [(), ("--jsonl",)], ids=["log", "log and progress"])
def test_a_reader_that_reads_nothing_holds_nothing_up(tmp_path: Path, words: tuple[str, ...]) -> None:
    """One pipe for all that is said, full from the first line on."""
    tool = demo_tool(tmp_path)
    target = tmp_path / "storage_sync.prom"
    reading, writing, filled = full_pipe()
    words = ("--log-format", "json", "--metrics-file", str(target), *words)
    with os.fdopen(reading, "rb") as said, started(tool, *words, stdout=writing, stderr=writing) as process:

        def until_proven_after(moment: float) -> None:
            deadline = time.monotonic() + LIMIT_S
            while not (target.exists() and target.stat().st_mtime > moment and "in_sync 1.0" in target.read_text()):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.02)
                assert process.poll() is None
                assert time.monotonic() < deadline, "it does not go on"

        until_proven_after(0.0)
        process.send_signal(signal.SIGUSR1)
        until_proven_after(target.stat().st_mtime)
        # and when it is read again, it says what is missing
        assert said.read(filled) == bytes(filled)
        process.send_signal(signal.SIGUSR1)
        lines = (json.loads(text) for text in said)
        assert "nobody read the log" in next(
            line["message"] for line in lines if "not written" in line.get("message", "")
        )
        stopped_at = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 143
        assert time.monotonic() - stopped_at < SOON_S


def test_a_pipe_that_is_full_at_the_end_does_not_keep_it(tmp_path: Path) -> None:
    tool = demo_tool(tmp_path)
    target = tmp_path / "storage_sync.prom"
    reading, writing, _ = full_pipe()
    words = ("--json", "--log-file", str(tmp_path / "log"), "--metrics-file", str(target))
    with started(tool, *words, stdout=writing) as process:
        while not target.exists():
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
            assert process.poll() is None
        stopped_at = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 143
        assert time.monotonic() - stopped_at < SOON_S
    os.close(reading)


def test_an_address_that_is_taken_is_a_local_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = demo_tool(tmp_path).json("watch", "--listen", address)
    assert (result.exit_code, result.document["error"]["code"]) == (8, "local_io")
    assert address in result.document["error"]["message"]


def test_what_is_missing_is_said_at_once(tmp_path: Path) -> None:
    with demo_tool(tmp_path).start_bare("watch", "--json") as process:
        out, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 2
    assert json.loads(out)["error"]["code"] == "config"


def test_a_change_runs_the_hook_once_and_only_a_proof_is_a_heartbeat(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ncat >> {seen}\necho >> {seen}\n")
    hook.chmod(0o755)
    with Sqld(stores.primary("small", tmp_path / "p")) as server, Listener() as listener:
        tool = Tool.at(
            tmp_path,
            server.url,
            STORAGE_SYNC_POLL_S="0.2",
            STORAGE_SYNC_NOTIFY_COMMAND=str(hook),
            STORAGE_SYNC_HEARTBEAT_URL=listener.url,
            TURSO_TOKEN="a-long-secret",
        )
        with watching(tool) as watch:
            watch.until(well)
            server.stop()
            watch.until(said("primary_unavailable"))
            server.start()
            watch.until(said("recovered after"))
            assert watch.stop(signal.SIGTERM)[0] == 143
    assert len(listener.heard) == len(watch.runs()) >= 2
    notices = [json.loads(text) for text in seen.read_text().splitlines()]
    assert [(one["event"], one["old"], one["new"]) for one in notices] == [
        ("trouble", "ok", "primary_unavailable"),
        ("recovered", "primary_unavailable", "ok"),
    ]
    assert {one["cache"] for one in notices} == {str(tool.cache)}
    assert "secret" not in seen.read_text()


def test_a_cache_that_another_process_holds_is_looked_at_and_no_warning(tmp_path: Path) -> None:
    tool = demo_tool(tmp_path)
    with watching(tool, "--interval", "0.5") as watch:
        watch.until(well)
        position = len(watch.lines)
        with processes.running(processes.HOLD_REDB, tool.cache, "write"):
            stores.execute(Path(tool.primary.removeprefix("file:")), ["UPDATE episodes SET task_description = 'held'"])
            watch.until(said("only copies of it are read"), after=position)
            watch.until(said("rows wait until"), after=position)
        position = len(watch.lines)
        watch.until(wrote("changed"), after=position)
        watch.until(said("in sync"), after=position)
        assert watch.stop(signal.SIGTERM)[0] == 143
    assert [line["message"] for line in watch.lines if line["level"] in ("warning", "error")] == []


def test_rows_that_wait_for_too_long_are_told_and_stand_in_the_metrics(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.prom"
    tool = demo_tool(tmp_path, STORAGE_SYNC_WAIT_NOTICE_S="0.5", STORAGE_SYNC_METRICS_FILE=str(metrics))
    with watching(tool, "--interval", "0.5") as watch:
        watch.until(well)
        with processes.running(processes.HOLD_REDB, tool.cache, "write"):
            stores.execute(Path(tool.primary.removeprefix("file:")), ["UPDATE episodes SET task_description = 'held'"])
            watch.until(said("have waited"))
            written = metrics.read_text()
            assert "\nstorage_sync_waiting_since_timestamp_seconds 1" in written
        assert watch.stop(signal.SIGTERM)[0] == 143


def test_a_cache_that_is_damaged_under_it_is_repaired_and_kept(tmp_path: Path) -> None:
    tool = demo_tool(tmp_path)
    target = tmp_path / "storage_sync.prom"
    with watching(tool, "--metrics-file", str(target)) as watch:
        watch.until(well)
        position = len(watch.lines)
        with tool.cache.open("r+b") as file:
            file.truncate(tool.cache.stat().st_size // 2)
        watch.process.send_signal(signal.SIGUSR1)
        healed = watch.until(lambda line: line["area"] == "sync" and "exit 0" in line["message"], after=position)
        assert "; repaired: rebuild;" in healed["message"]
        assert watch.stop(signal.SIGTERM)[0] == 143
    assert 'storage_sync_repairs_total{kind="rebuild"} 1.0' in target.read_text()
    assert len(list(tool.cache.parent.glob("cache.redb.corrupt-*"))) == 1
    assert applied(tool.sync()) == {}


def test_a_damaged_cache_is_left_alone_when_the_settings_say_so(tmp_path: Path) -> None:
    tool = demo_tool(tmp_path, STORAGE_SYNC_AUTO_REPAIR="false")
    with watching(tool) as watch:
        watch.until(well)
        position = len(watch.lines)
        with tool.cache.open("r+b") as file:
            file.truncate(tool.cache.stat().st_size // 2)
        watch.process.send_signal(signal.SIGUSR1)
        watch.until(said("cache_damaged: "), after=position)
        before = tool.cache.read_bytes()
        assert watch.stop(signal.SIGTERM)[0] == 143
    assert tool.cache.read_bytes() == before


@pytest.mark.parametrize("only", [0, 2])
def test_a_cache_that_is_removed_is_a_warning_that_says_what_is_lost(tmp_path: Path, only: int) -> None:
    tool = demo_tool(tmp_path)
    tool.sync()
    value = bytes(next(value for _, value in RedbFile(tool.cache).rows("embeddings")))
    _native.edit(str(tool.cache), [("embeddings", f"of-do-memory-{n}", None, value) for n in range(only)], {}, None, 0)
    with watching(tool, "--interval", "600") as watch:
        watch.until(well)
        position = len(watch.lines)
        tool.cache.unlink()
        told = watch.until(said("was removed"), after=position)
        assert told["level"] == "warning"
        assert ("2 rows that only it had are lost" in told["message"]) == bool(only)
        assert ("all of its rows can be fetched again" in told["message"]) == (not only)
        watch.until(wrote("added"), after=position)
        assert watch.stop(signal.SIGTERM)[0] == 143


def test_rows_that_the_primary_lost_stop_it_and_each_place_names_the_same_number(tmp_path: Path) -> None:
    tool = demo_tool(tmp_path, STORAGE_SYNC_INTERVAL_S="0.5")
    with watching(tool) as watch:
        watch.until(well)
        position = len(watch.lines)
        before = tool.cache.read_bytes()
        stores.execute(Path(tool.primary.removeprefix("file:")), ["DELETE FROM episodes WHERE rowid % 10 < 8"])
        told = watch.until(said("guard: the primary lost"), after=position)
        assert told["level"] == "warning"
        assert watch.stop(signal.SIGTERM)[0] == 143
    plan, sync = tool.json("sync", "--plan"), tool.json("sync")
    message = sync.document["error"]["message"]
    gone = sum(change["remove"] for change in plan.document["plan"].values())
    assert message.startswith(f"the primary lost {gone} of ")
    assert message in told["message"]
    assert plan.document["error"]["message"] == message
    assert (sync.exit_code, tool.cache.read_bytes()) == (9, before)


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_metrics_that_other_machines_can_read_are_a_warning(tmp_path: Path, host: str, warned: bool) -> None:
    with watching(demo_tool(tmp_path), "--listen", f"{host}:0") as watch:
        watch.until(said("metrics on"))
        watch.until(well)
        assert watch.stop(signal.SIGTERM)[0] == 143
    open_to_all = [line for line in watch.lines if "can be reached from other machines" in line["message"]]
    assert [line["level"] for line in open_to_all] == ["warning"] * warned


# ------------------------------------------------------------------------------- F12: a primary that flaps

FLAPS = size.of(12, 30, 120)
"""Each takes some 0.6 s, so the larger number is more than a minute."""
WARM_UP = 3
GROWTH_BYTES = 6 * 1024 * 1024


@pytest.mark.timeout(1200)
def test_a_flapping_primary_costs_one_warning_a_change_and_nothing_else(tmp_path: Path) -> None:
    with Sqld(stores.primary("small", tmp_path / "p"), port=free_port()) as server:
        tool = Tool.at(tmp_path, server.url, STORAGE_SYNC_POLL_S="0.15")
        with watching(tool, "--interval", "1") as watch:
            watch.until(well)
            sizes: list[tuple[int, int]] = []
            for number in range(FLAPS):
                position = len(watch.lines)
                server.stop(kill=number % 3 == 0)
                watch.until(said("primary_unavailable"), after=position)
                if number % 3:
                    stores.execute(server.database, [f"UPDATE episodes SET task_description = 'flap {number}'"])
                server.start()
                watch.until(said("recovered after"), after=position)
                if number % 3:
                    watch.until(wrote("changed"), after=position)
                sizes.append(resident_and_descriptors(watch.process.pid))
            code, took = watch.stop(signal.SIGTERM)
        assert (code, took < SOON_S) == (143, True)
        warnings = [line["message"] for line in watch.lines if line["level"] not in ("info", "debug")]
        # while it closes, sqld may say that there is no such database; that is another trouble than silence
        closing = [text for text in warnings if "Namespace `default` doesn't exist" in text]
        gone = [text for text in warnings if text not in closing]
        assert len(gone) == FLAPS, warnings
        assert all(text.startswith("primary_unavailable: ") for text in gone)
        assert not any("Traceback" in text or "exception" in text for text in watch.raw)
        assert tool.json("status").document["verdict"] == "IN_SYNC"
        assert applied(tool.sync()) == {}
    settled, last = sizes[WARM_UP - 1], sizes[-1]
    assert last[0] - settled[0] < GROWTH_BYTES, sizes
    assert last[1] <= max(fds for _, fds in sizes[:WARM_UP]) + 2, sizes
