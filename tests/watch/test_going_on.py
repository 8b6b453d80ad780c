"""What does not end `watch`: a bad answer, a missing kernel resource, an error that nobody foresaw, a closed log."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage_sync.demo.demo import Demo
from tests.support import network, stores
from tests.support.command import Tool, applied
from tests.support.relay import Fault, Relay
from tests.support.sqld import Sqld
from tests.support.terminal import Terminal
from tests.support.watching import LIMIT_S, Watch, said, watching, well, wrote

NOW = 1_795_392_000


def demo_tool(folder: Path, **environment: str) -> Tool:
    (folder / "demo").mkdir(parents=True)
    demo = Demo.create(folder / "demo", episodes=20, now=NOW)
    return Tool.at(folder, f"file:{demo.primary}", demo.cache, STORAGE_SYNC_POLL_S="0.2", **environment)


# --------------------------------------------------------------------------------------------- kernel resources


def no_inotify(line: list[str]) -> list[str]:
    """The command in a user namespace that may have no inotify instance."""
    unshare = shutil.which("unshare")
    assert unshare is not None, "util-linux has unshare"
    script = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
    return [unshare, "--user", "--map-root-user", "sh", "-c", script, "sh", *line]


@contextmanager
def without_inotify(tool: Tool, *words: str) -> Iterator[Watch]:
    line = no_inotify(tool.line("watch", "--log-format", "json"))
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen([*line, *words], env=tool.variables, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield Watch(process)
        finally:
            if process.poll() is None:
                process.kill()


def test_without_inotify_files_are_looked_at_by_time_and_that_is_said_once(tmp_path: Path) -> None:
    tool = demo_tool(tmp_path)
    config = tmp_path / "config.toml"
    config.write_text("max_episodes_cache = 20\n")
    with without_inotify(tool, "--config", str(config), "--interval", "600") as watch:
        watch.until(well)
        told = watch.until(said("cannot watch files"))
        assert "every 2 s instead" in told["message"]
        position = len(watch.lines)
        tool.cache.unlink()
        watch.until(wrote("added"), after=position)
        config.write_text("max_episodes_cache = 19\n")
        watch.until(said("now in effect: max_episodes_cache"), after=position)
        assert watch.stop(signal.SIGTERM)[0] == 143
    assert len([line for line in watch.lines if "cannot watch files" in line["message"]]) == 1


def test_without_inotify_the_console_looks_by_time(tmp_path: Path) -> None:
    tool = demo_tool(tmp_path, STORAGE_SYNC_INTERVAL_S="600")
    with Terminal(no_inotify(tool.line("tui")), tool.variables, columns=120) as terminal:
        terminal.wait(lambda screen: "IN SYNC" in screen and "cannot watch files" in screen)
        tool.cache.unlink()
        terminal.wait_for("was removed")
        terminal.wait(lambda screen: "IN SYNC" in screen and tool.cache.exists())
        terminal.press("q")
        assert terminal.end() == 0


def test_a_cache_whose_folder_comes_later_is_looked_at_by_time(tmp_path: Path) -> None:
    demo = demo_tool(tmp_path)
    demo.sync()
    tool = Tool.at(tmp_path / "t", demo.primary, tmp_path / "later" / "cache.redb", STORAGE_SYNC_POLL_S="0.2")
    with watching(tool, "--interval", "600") as watch:
        watch.until(said("the folder of the cache does not exist"))
        tool.cache.parent.mkdir(exist_ok=True)
        watch.until(well)
        position = len(watch.lines)
        stores.execute(Path(tool.primary.removeprefix("file:")), ["UPDATE episodes SET task_description = 'moved'"])
        demo.sync()
        demo.cache.replace(tool.cache)
        watch.until(said("cache.redb changed"), after=position)
        assert watch.stop(signal.SIGTERM)[0] == 143


# --------------------------------------------------------------------------------------------------- answers

MALFORMED = json.dumps({"baton": None, "results": [{"type": "ok", "response": {"type": "execute", "result": 7}}] * 4})


def test_a_malformed_answer_is_a_failed_run(tmp_path: Path) -> None:
    with Sqld(stores.primary("small", tmp_path / "p")) as server, Relay(server.port) as relay:
        tool = Tool.at(tmp_path, relay.url, STORAGE_SYNC_POLL_S="0.2")
        with watching(tool, "--interval", "0.5") as watch:
            watch.until(well)
            relay.play(lambda number, path: network.answer(200, MALFORMED))
            position = len(watch.lines)
            watch.until(said("primary_refused: the primary sent an answer of the wrong form"), after=position)
            relay.play()
            watch.until(said("recovered after"), after=position)
            assert watch.stop(signal.SIGTERM)[0] == 143


@pytest.mark.parametrize("column", ["X'FF00FE'", "X'C328'"])
def test_a_key_that_is_no_text_is_a_row_that_is_refused(tmp_path: Path, column: str) -> None:
    with Sqld(stores.primary("small", tmp_path / "p")) as server:
        tool = Tool.at(tmp_path, server.url, STORAGE_SYNC_POLL_S="0.2")
        with watching(tool, "--interval", "0.5") as watch:
            watch.until(well)
            position = len(watch.lines)
            server.stop()
            keys = {"heuristics": "heuristic_id", "procedural_memory": "procedural_id", "embeddings": "item_id"}
            for table, key in keys.items():
                stores.execute(
                    server.database,
                    [f"UPDATE {table} SET {key} = {column} WHERE rowid = (SELECT max(rowid) FROM {table})"],
                )
            server.start()
            watch.until(said("partial: in sync"), after=position)
            for command in ("status --check", "diff", "verify --deep", "orphans list", "sync"):
                assert tool.json(*command.split()).exit_code != 70, command
            assert watch.stop(signal.SIGTERM)[0] == 143


# ---------------------------------------------------------------------------------------------- unforeseen errors

PLANTED = """
import {module} as place
from pathlib import Path

def planted(*arguments, **named):
    if Path({flag!r}).exists():
        raise {error}
    return kept(*arguments, **named)

kept = {owner}.{name}
{owner}.{name} = planted
"""


def planted(folder: Path, *, module: str, owner: str, name: str, error: str) -> tuple[Tool, Path]:
    """The tool with one function that fails as nobody foresaw, while the flag is there."""
    place = folder / "planted"
    place.mkdir()
    flag = folder / "flag"
    text = PLANTED.format(module=module, owner=owner, name=name, error=error, flag=str(flag))
    (place / "run.py").write_text(f"{text}\nimport sys\nfrom console.cli import main\nsys.exit(main())\n")
    return demo_tool(folder, TMPDIR=str(place), TURSO_AUTH_TOKEN="a-token-of-ours"), flag


FAULTS = [
    ("storage_sync.sync.run", "place", "compared", "KeyError('a-token-of-ours')"),
    ("storage_sync.sync.run", "place", "synced", "RecursionError('deep')"),
    ("storage_sync.primary.source", "place.LocalSource", "fingerprint", "AttributeError('x')"),
    ("storage_sync.service.cache_monitor", "place", "judge_file", "ZeroDivisionError('x')"),
    ("storage_sync.service.snapshots", "place", "after", "TypeError('x')"),
    ("storage_sync.watch.notify", "place", "tell", "IndexError('x')"),
    ("storage_sync.watch.watch", "place", "_advice", "LookupError('x')"),
]


@pytest.mark.parametrize(("module", "owner", "name", "error"), FAULTS, ids=[f"{one[0]}.{one[2]}" for one in FAULTS])
def test_an_error_that_nobody_foresaw_ends_its_work_and_not_the_service(
    tmp_path: Path, module: str, owner: str, name: str, error: str
) -> None:
    tool, flag = planted(tmp_path, module=module, owner=owner, name=name, error=error)
    line = [tool.line()[0], str(tmp_path / "planted" / "run.py"), "watch", "--log-format", "json", *tool.arguments]
    line += ["--interval", "0.3"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(line, env=tool.variables, text=True, **pipes) as process:  # type: ignore[call-overload]
        watch = Watch(process)
        watch.until(well)
        flag.touch()
        position = len(watch.lines)
        primary = Path(tool.primary.removeprefix("file:"))
        stores.execute(primary, ["UPDATE episodes SET task_description = 'moved'"])
        kind = error.partition("(")[0]
        if name == "tell":
            # it is asked where somebody is to be told
            primary.rename(tmp_path / "away.db")
        told = watch.until(said(f"internal error ({kind})"), after=position)
        assert "the report is" in told["message"]
        flag.unlink()
        if name == "tell":
            (tmp_path / "away.db").rename(primary)
        watch.until(lambda line: line["area"] == "sync" and "exit 0" in line["message"], after=len(watch.lines))
        assert watch.stop(signal.SIGTERM)[0] == 143
    reports = list((tmp_path / "planted").glob("storage-sync-report-*"))
    assert len(reports) == 1, reports
    text = reports[0].read_text()
    assert kind in text
    assert "a-token-of-ours" not in text
    assert not any("Traceback" in raw for raw in watch.raw)


# -------------------------------------------------------------------------------------------------------- the end


@pytest.mark.parametrize("stream", ["stderr", "stdout"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_reader_that_went_away_does_not_change_the_exit_code(
    tmp_path: Path, stream: str, number: signal.Signals, code: int
) -> None:
    tool = demo_tool(tmp_path)
    other = {"stdout": subprocess.DEVNULL} if stream == "stderr" else {"stderr": subprocess.DEVNULL}
    target = tmp_path / "metrics.prom"
    words = ("watch", "--metrics-file", str(target), "--interval", "0.3", *(["--json"] if stream == "stdout" else []))
    with tool.start(*words, **other) as process:
        pipe = process.stderr if stream == "stderr" else process.stdout
        assert pipe is not None
        pipe.close()
        while not target.exists():
            assert process.poll() is None
            signal.sigtimedwait([], 0.05)
        process.send_signal(number)
        assert process.wait(LIMIT_S) == code
    assert applied(tool.sync()) == {}


# ------------------------------------------------------------------------------------------------------- one notice


def test_a_ping_that_failed_before_a_proof_is_no_trouble_after_it(tmp_path: Path) -> None:
    """Runs come more often than pings: what the last ping saw is older than what the run proved."""
    seen, hook = tmp_path / "seen", tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ncat >> {seen}\necho >> {seen}\n")
    hook.chmod(0o755)
    with Sqld(stores.primary("small", tmp_path / "p")) as server, Relay(server.port) as relay:
        tool = Tool.at(tmp_path, relay.url, STORAGE_SYNC_POLL_S="600", STORAGE_SYNC_NOTIFY_COMMAND=str(hook))
        with watching(tool, "--interval", "0.5") as watch:
            watch.until(well)
            position = len(watch.lines)
            relay.play(lambda number, path: down(number))
            watch.process.send_signal(signal.SIGUSR1)
            watch.until(said("primary_unavailable: "), after=position)
            relay.play()
            watch.until(said("recovered after"), after=position)
            for _ in range(4):
                after = len(watch.lines)
                watch.until(lambda line: line["area"] == "sync" and "exit 0" in line["message"], after=after)
            assert watch.stop(signal.SIGTERM)[0] == 143
    notices = [json.loads(text) for text in seen.read_text().splitlines()]
    assert [(one["event"], one["verdict"]) for one in notices] == [("trouble", "UNKNOWN"), ("recovered", "IN_SYNC")]


def down(number: int) -> Fault:
    return network.answer(500, '{"error":"it is down"}')
