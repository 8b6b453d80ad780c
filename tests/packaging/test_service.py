"""`service install` on a bare folder tree: what is made, for whom, what is left alone, and how it goes again."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from storage_sync.config.load import load_settings
from storage_sync.packaging.units import MADE_BY, Places, drop_in, setting_of, watch_unit
from storage_sync.values.errors import UsageError
from tests.support import processes
from tests.support.command import Result, Tool

PRIMARY = "libsql://memory-example.turso.io"
CACHE = "/var/lib/do-memory/cache.redb"
NOBODY = pwd.getpwnam("nobody")
UNITS = Path("etc/systemd/system")
DO_MEMORY = "[Service]\nUser=nobody\nExecStart=-/usr/local/bin/do-memory-mcp-server \\\n  --quiet\n"

_HIDES = "from console.cli import service; service._HIDDEN = {}"
ANYWHERE = _HIDES.format("()")
"""The tests install from this checkout, which may lie where a service would not see it: in a home, in /tmp."""
NOWHERE = _HIDES.format("('/',)")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / UNITS).mkdir(parents=True)
    return root


def run(tree: Path, *words: str, sees: str = ANYWHERE) -> Result:
    code = f"import sys\n{sees}\nfrom console.cli import entry\nsys.exit(entry.run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "service", *words, "--root", str(tree), "--json"]
    variables = Tool.at(tree.parent / "home", PRIMARY).variables
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
    return Result(ended.returncode, ended.stdout, ended.stderr)


def install(tree: Path, *words: str) -> dict[str, Any]:
    result = run(tree, "install", "--primary", PRIMARY, "--cache", CACHE, "--user", "nobody", *words)
    assert result.exit_code == 0, result.stdout
    return result.document


def everything(tree: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Mode, user, group and contents by path."""
    found = {}
    for path in sorted(tree.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(tree))] = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, data)
    return found


def owned(tree: Path) -> dict[str, tuple[int, int, int]]:
    return {name: found[:3] for name, found in everything(tree).items()}


def test_owners_and_modes_fit_the_user_of_the_service(tree: Path) -> None:
    install(tree)
    user, group = NOBODY.pw_uid, NOBODY.pw_gid
    there = owned(tree)
    assert there["etc/storage-sync"] == (0o750, 0, group)
    assert there["etc/storage-sync/config.toml"] == (0o640, 0, group)
    assert there["etc/storage-sync/token"] == (0o600, user, group)
    assert there["var/lib/storage-sync"] == (0o700, user, group)
    assert there["var/lib/do-memory"] == (0o700, user, group)
    assert there[f"{UNITS}/storage-sync.service"] == (0o644, 0, 0)
    assert (there["var"], there["var/lib"]) == ((0o755, 0, 0), (0o755, 0, 0))


def test_the_unit_and_the_configuration_say_the_same(tree: Path) -> None:
    install(tree)
    unit = (tree / UNITS / "storage-sync.service").read_text()
    assert setting_of(unit, "Service", "User") == "nobody"
    assert setting_of(unit, "Service", "ReadWritePaths") == "/var/lib/do-memory"
    assert " --config /etc/storage-sync/config.toml " in setting_of(unit, "Service", "ExecStart")
    settings = load_settings(tree / "etc/storage-sync/config.toml", None, {}, {}).settings
    assert (settings.primary, settings.cache) == (PRIMARY, Path(CACHE))
    assert (settings.state_dir, settings.token_file) == (
        Path("/var/lib/storage-sync"),
        Path("/etc/storage-sync/token"),
    )


def test_a_plan_makes_nothing_and_says_all(tree: Path) -> None:
    before = everything(tree)
    planned = install(tree, "--plan")
    assert everything(tree) == before
    assert planned["carried_out"] is False
    done = install(tree)
    assert done["steps"] == planned["steps"]
    made = {step["path"].lstrip("/") for step in done["steps"]}
    assert made | {"etc", "var", "var/lib"} >= everything(tree).keys() - {"etc/systemd", str(UNITS)}


def test_a_second_time_changes_nothing(tree: Path) -> None:
    install(tree)
    before = everything(tree)
    again = run(tree, "install").document
    assert {step["fate"] for step in again["steps"]} == {"keep"}
    assert everything(tree) == before


def test_what_an_operator_wrote_stays(tree: Path) -> None:
    install(tree)
    config, token = tree / "etc/storage-sync/config.toml", tree / "etc/storage-sync/token"
    config.write_text(config.read_text() + "\n# mine\n")
    token.write_text("the-token-of-this-host")
    install(tree)
    assert config.read_text().endswith("# mine\n")
    assert token.read_text() == "the-token-of-this-host"


def test_a_unit_of_ours_is_made_again_by_a_newer_version(tree: Path) -> None:
    install(tree)
    unit = tree / UNITS / "storage-sync.service"
    now = unit.read_text()
    unit.write_text(now.replace("WatchdogSec=60", "WatchdogSec=5"))
    fates = {step["path"]: step["fate"] for step in install(tree)["steps"]}
    assert fates[f"/{UNITS}/storage-sync.service"] == "replace"
    assert unit.read_text() == now


def test_a_unit_of_somebody_else_is_not_touched(tree: Path) -> None:
    (tree / UNITS / "storage-sync.service").write_text("[Service]\nExecStart=/bin/true\n")
    before = everything(tree)
    for words in ((), ("--plan",)):
        result = run(tree, "install", "--primary", PRIMARY, "--cache", CACHE, "--user", "nobody", *words)
        assert result.exit_code == 2
        assert "was not made by this command" in result.document["error"]["message"]
    assert run(tree, "uninstall").document["steps"] == []
    assert everything(tree) == before


def test_a_folder_of_another_user_is_no_place_for_the_cache(tree: Path) -> None:
    (tree / "var/lib/do-memory").mkdir(parents=True)
    result = run(tree, "install", "--primary", PRIMARY, "--cache", CACHE, "--user", "nobody")
    assert result.exit_code == 2
    assert result.document["error"]["message"].startswith("/var/lib/do-memory belongs to root")
    assert "--user root" in result.document["error"]["hint"]


def test_the_user_is_who_owns_the_cache(tree: Path) -> None:
    folder = tree / "var/lib/do-memory"
    folder.mkdir(parents=True)
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    assert run(tree, "install", "--primary", PRIMARY, "--cache", CACHE).exit_code == 0
    assert "\nUser=nobody\n" in (tree / UNITS / "storage-sync.service").read_text()


def test_a_configuration_that_the_service_cannot_read_is_said(tree: Path) -> None:
    install(tree)
    os.chown(tree / "etc/storage-sync/config.toml", 0, 0)
    result = run(tree, "install")
    assert result.exit_code == 2
    assert "root:nogroup cannot read it" in result.document["error"]["message"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--user", "no-such-user"), "there is no user no-such-user"),
        (("--user", "nobody", "--for", "do-memory.service"), "there is no unit do-memory.service"),
        (("--user", "nobody", "--for", "../x.service"), "../x.service is not the name of a service"),
        (("--user", "nobody", "--cache", "/srv/none/cache.redb"), "there is no folder /srv/none for the cache"),
    ],
)
def test_what_would_not_work_is_refused_before_anything_is_made(tree: Path, words: tuple[str, ...], said: str) -> None:
    before = everything(tree)
    result = run(tree, "install", "--primary", PRIMARY, "--cache", CACHE, *words)
    assert (result.exit_code, said in result.document["error"]["message"]) == (2, True), result.stdout
    assert everything(tree) == before


def test_without_a_primary_it_says_what_to_give(tree: Path) -> None:
    result = run(tree, "install", "--user", "nobody")
    assert result.exit_code == 2
    assert result.document["error"]["message"] == "no primary and no cache is named"


def test_a_program_that_the_service_would_not_see_is_refused_before_anything_is_made(tree: Path) -> None:
    before = everything(tree)
    result = run(tree, "install", "--primary", PRIMARY, "--cache", CACHE, "--user", "nobody", sees=NOWHERE)
    assert result.exit_code == 2
    assert "is in a folder that the service cannot see" in result.document["error"]["message"]
    assert result.document["error"]["hint"] == "install it below /opt or /usr/local"
    assert everything(tree) == before


def test_a_local_primary_needs_no_token(tree: Path) -> None:
    result = run(tree, "install", "--primary", "file:/srv/memory.db", "--cache", CACHE, "--user", "nobody")
    assert result.exit_code == 0
    assert not (tree / "etc/storage-sync/token").exists()


def test_the_timer_instead_of_the_long_running_one(tree: Path) -> None:
    document = install(tree, "--timer")
    there = {path.name for path in (tree / UNITS).iterdir()}
    assert there == {"storage-sync-once.service", "storage-sync.timer"}
    assert "systemctl enable --now storage-sync.timer" in document["next"]


def test_do_memorys_own_unit_is_started_through_exec(tree: Path) -> None:
    (tree / UNITS / "do-memory.service").write_text(DO_MEMORY)
    document = install(tree, "--for", "do-memory.service")
    text = (tree / UNITS / "do-memory.service.d" / "storage-sync.conf").read_text()
    started = setting_of(text, "Service", "ExecStart")
    assert "ExecStart=\nExecStart=-" in text
    assert started.endswith(" -- /usr/local/bin/do-memory-mcp-server  --quiet")
    assert " exec --config /etc/storage-sync/config.toml " in started
    assert (tree / UNITS / "do-memory.service").read_text() == DO_MEMORY
    assert "systemctl restart do-memory.service" in document["next"]


def test_two_users_do_not_share_a_cache(tree: Path) -> None:
    (tree / UNITS / "do-memory.service").write_text(DO_MEMORY)
    words = ("--user", "daemon", "--for", "do-memory.service")
    result = run(tree, "install", "--primary", PRIMARY, "--cache", CACHE, *words)
    assert result.exit_code == 2
    assert "do-memory.service runs as nobody" in result.document["error"]["message"]


def test_uninstall_takes_what_install_made_for_systemd_and_nothing_else(tree: Path) -> None:
    (tree / UNITS / "do-memory.service").write_text(DO_MEMORY)
    (tree / UNITS / "other.service.d").mkdir()
    (tree / UNITS / "other.service.d" / "storage-sync.conf").write_text("[Service]\nNice=5\n")
    before = {name for name in everything(tree) if name.startswith(str(UNITS))}
    install(tree, "--for", "do-memory.service")
    there = everything(tree)
    assert run(tree, "uninstall", "--plan").document["carried_out"] is False
    assert everything(tree) == there
    run(tree, "uninstall")
    assert {name for name in everything(tree) if name.startswith(str(UNITS))} == before
    assert (tree / "etc/storage-sync/config.toml").exists()
    assert (tree / "var/lib/storage-sync").exists()


def test_somebody_who_is_not_root_tries_it_in_a_tree_of_his_own(open_folder: Path) -> None:
    tree = open_folder / "root"
    tree.mkdir()
    os.chown(tree, NOBODY.pw_uid, NOBODY.pw_gid)
    words = ("service", "install", "--root", str(tree), "--user", "daemon", "--json")
    result = processes.tool_as_nobody(Tool.at(open_folder / "t", PRIMARY, Path(CACHE)), *words, first=ANYWHERE)
    assert result.exit_code == 0, result.stdout + result.stderr
    assert {found[1] for found in everything(tree).values()} == {NOBODY.pw_uid}


def test_a_cache_in_a_home_is_all_of_it_that_the_service_sees() -> None:
    unit = watch_unit(Places(cache_folder=Path("/home/me/.do-memory")))
    assert "\nProtectHome=tmpfs\nBindPaths=/home/me/.do-memory\n" in unit
    assert "ProtectHome=yes" not in unit
    assert unit.startswith(MADE_BY)


def test_a_command_under_another_name_is_left_to_the_operator() -> None:
    with pytest.raises(UsageError, match="exec cannot do that"):
        drop_in(Places(), "@/bin/sh sh-for-do-memory")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[Service]\nUser=a\nUser=b\n", "b"),
        ("[Unit]\nUser=a\n[Service]\n", ""),
        ("[Service]\n# User=a\nUser = c \n", "c"),
        ("[Service]\nUser=a \\\n  b\n", "a  b"),
    ],
)
def test_settings_of_a_unit(text: str, value: str) -> None:
    assert setting_of(text, "Service", "User") == value
