"""Units, timer and cron line: what they promise, and that what they start can be started."""

from __future__ import annotations

import configparser
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from storage_sync.demo.demo import Demo
from tests.primary.test_bounds import MEMORY
from tests.support.command import Tool

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "packaging"
SERVICES = ("storage-sync.service", "storage-sync-once.service")
PROGRAM = "/usr/local/bin/storage-sync"


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",), inline_comment_prefixes=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((FOLDER / name).read_text())
    return parser


def words_of(name: str) -> list[str]:
    program, *words = shlex.split(unit(name)["Service"]["ExecStart"].replace("%S", "/var/lib"))
    assert program == PROGRAM
    return words


def cron_command() -> str:
    (line,) = [line for line in (FOLDER / "storage-sync.cron").read_text().splitlines() if line.startswith("*/5")]
    *times, user, command = line.split(None, 6)
    assert (times, user) == (["*/5", "*", "*", "*", "*"], "do-memory")
    assert "%" not in command
    return command


def stand_in(folder: Path, text: str) -> Path:
    file = folder / "storage-sync"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_the_long_running_unit_keeps_the_contract() -> None:
    service = unit("storage-sync.service")["Service"]
    assert (service["Type"], service["RestartPreventExitStatus"]) == ("notify", "2 4 9 12")
    assert service["SuccessExitStatus"] == "0 11 143"
    assert int(service["WatchdogSec"]) >= 30
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_stopping_the_long_running_unit_is_no_failure(tmp_path: Path) -> None:
    """`systemctl stop` sends SIGTERM: the code that `watch` then ends with must be among those that are well."""
    demo = Demo.create(tmp_path, episodes=5)
    tool = Tool.at(tmp_path, f"file:{demo.primary}", demo.cache)
    with tool.start("watch", "--log-format", "json") as process:
        assert process.stderr is not None
        assert any('"in sync"' in line for line in process.stderr)
        process.terminate()
        process.communicate(timeout=60)
    service = unit("storage-sync.service")["Service"]
    assert service.get("KillSignal", "SIGTERM") == "SIGTERM"
    assert str(process.returncode) in service["SuccessExitStatus"].split()
    assert str(process.returncode) not in service["RestartPreventExitStatus"].split()


def test_the_one_shot_unit_and_its_timer_keep_the_contract() -> None:
    service = unit("storage-sync-once.service")["Service"]
    assert (service["Type"], service["SuccessExitStatus"]) == ("oneshot", "0 11")
    assert "TimeoutStartSec" in service
    timer = unit("storage-sync.timer")["Timer"]
    assert (timer["Unit"], timer["Persistent"]) == ("storage-sync-once.service", "true")
    assert int(timer["RandomizedDelaySec"]) > 0


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_may_write_the_cache_and_the_state_and_nothing_else(name: str) -> None:
    service = unit(name)["Service"]
    assert (service["ProtectSystem"], service["ReadWritePaths"]) == ("strict", "/var/lib/do-memory")
    assert (service["StateDirectory"], service["NoNewPrivileges"]) == ("storage-sync", "yes")
    assert not service["CapabilityBoundingSet"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_ends_before_it_takes_the_memory_of_others(name: str) -> None:
    """A run may take what the bounds of an answer allow (tests/primary/test_bounds.py), with room above it."""
    limit = unit(name)["Service"]["MemoryMax"]
    assert limit.endswith("G")
    assert 3 * MEMORY < int(limit[:-1]) << 30 < 2 << 30


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_leaves_no_memory_of_ours_on_the_disk(name: str) -> None:
    """A core file would hold the token."""
    assert unit(name)["Service"]["LimitCORE"] == "0"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_unit_starts_is_understood(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console", *words_of(name), "--help"],
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("code", "mail"), [(0, ""), (11, ""), (3, "it failed\n"), (7, "it failed\n"), (9, "it failed\n")]
)
def test_cron_mails_only_what_a_person_should_see(tmp_path: Path, code: int, mail: str) -> None:
    program = stand_in(tmp_path, f"[ {code} -eq 0 ] || echo it failed >&2; exit {code}")
    command = cron_command().replace(PROGRAM, shlex.quote(str(program)))
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, mail)


def test_what_cron_starts_is_understood(tmp_path: Path) -> None:
    program = stand_in(tmp_path, f'exec {shlex.quote(sys.executable)} -m console "$@" --json')
    command = cron_command().replace(PROGRAM, shlex.quote(str(program))).replace("/etc/storage-sync", str(tmp_path))
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert '"command":"sync","exit_code":2' in done.stdout
    assert f"{tmp_path}/config.toml" in done.stdout
