"""Files of other users and other kinds, through the command line: kept as they are, or refused in a sentence."""

from __future__ import annotations

import os
import signal
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.command import Result, Tool, fingerprint

APP, STAFF = 1234, 1235
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of other users")
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 6, 0xFFFFFFFF), (2, 6, 65534), (4, 6, 0xFFFFFFFF), (0x10, 6, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
)


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """In sync."""
    tool = Tool.at(tmp_path / "tool", f"file:{stores.primary('small', tmp_path)}")
    tool.sync()
    return tool


def run_bare(tool: Tool, *words: str, timeout: float = 120) -> Result:
    """Without the tool's own primary, cache and state folder."""
    with tool.start_bare(*words) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
    return Result(process.returncode, out or "", err or "")


def worn(path: Path) -> tuple[object, ...]:
    found = path.stat()
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, attributes


def dressed(path: Path, owner: int = APP) -> tuple[object, ...]:
    """The file as an application has it that shares it with a group."""
    os.chown(path, owner, STAFF)
    path.chmod(0o660)
    os.setxattr(path, "user.app", b"label")
    os.setxattr(path, "system.posix_acl_access", ACL)
    return worn(path)


def damage(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // 4096):
            file.seek(4096 * page + 100)
            file.write(b"\xa5" * 64)


# ------------------------------------------------------------------------------------------ whose it is


def rebuilt(tool: Tool) -> None:
    assert tool.run("rebuild", "--yes").exit_code == 0


def repaired(tool: Tool) -> None:
    damage(tool.cache)
    result = tool.run("repair", "--yes")
    assert result.exit_code == 0, result.stderr


def undone(tool: Tool) -> None:
    rebuilt(tool)
    result = tool.run("undo", "--yes")
    assert result.exit_code == 0, result.stderr


def filled(tool: Tool) -> None:
    os.truncate(tool.cache, 0)
    for left in (tool.folder / "state").glob("acked*"):
        left.unlink()
    result = tool.run("sync")
    assert result.exit_code == 0, result.stderr


@needs_root
@pytest.mark.parametrize("work", [rebuilt, repaired, undone, filled])
def test_what_replaces_the_cache_is_its_owners(work: Callable[[Tool], None], tool: Tool) -> None:
    before = dressed(tool.cache)
    inode = tool.cache.stat().st_ino
    work(tool)
    assert worn(tool.cache) == before
    assert tool.cache.stat().st_ino != inode, "it was replaced"


def as_ordinary_user(tool: Tool, *command: str) -> subprocess.CompletedProcess[str]:
    """By root without the right to give files away."""
    line = ["setpriv", "--bounding-set", "-chown", "--inh-caps", "-chown", *tool.line(*command)]
    return subprocess.run(line, env=tool.variables, capture_output=True, text=True, timeout=120, check=False)


@needs_root
def test_the_doctor_knows_who_could_not_keep_the_owner(tmp_path: Path) -> None:
    """It stops what replaces the file, which a sync of an empty one does as well."""
    tool = Tool.at(tmp_path / "tool", f"file:{stores.primary('small', tmp_path)}")
    tool.sync()
    assert "would be refused" not in as_ordinary_user(tool, "doctor").stderr
    dressed(tool.cache)
    found = as_ordinary_user(tool, "doctor")
    assert found.returncode == 0
    assert "a repair, a rebuild and its undo would be refused" in found.stderr
    assert "cannot create files for" in found.stderr
    assert "would be refused" not in tool.run("doctor").stderr
    os.truncate(tool.cache, 0)
    for left in (tool.folder / "state").glob("acked*"):
        left.unlink()
    found = as_ordinary_user(tool, "doctor")
    assert found.returncode == 8, found.stdout
    assert "could not get the owner of" in found.stdout + found.stderr


@needs_root
@pytest.mark.parametrize("command", [("rebuild", "--yes"), ("rebuild", "--plan"), ("undo", "--yes")])
def test_who_could_not_keep_the_owner_is_told_before_anything(command: tuple[str, ...], tmp_path: Path) -> None:
    tool = Tool.at(tmp_path / "tool", f"file:{stores.primary('small', tmp_path)}")
    tool.sync()
    rebuilt(tool)
    dressed(tool.cache)
    before = fingerprint(tool.cache), worn(tool.cache), sorted(path.name for path in tool.cache.parent.iterdir())
    result = as_ordinary_user(tool, *command)
    assert result.returncode == 8, result.stderr
    assert "could not get the owner of" in result.stderr or "cannot create files for" in result.stderr
    names = sorted(path.name for path in tool.cache.parent.iterdir())
    assert (fingerprint(tool.cache), worn(tool.cache), names) == before


@needs_root
def test_an_edited_configuration_is_its_owners(tmp_path: Path) -> None:
    from storage_sync.config import edit

    file = tmp_path / "config.toml"
    file.write_text("batch_size = 5\n")
    before = dressed(file)
    edit.edit(file, "batch_size", 6)
    assert worn(file) == before


def test_what_the_state_folder_holds_is_for_nobody_else(tool: Tool) -> None:
    os.umask(0o022)
    rebuilt(tool)
    found = [path for path in (tool.folder / "state").rglob("*") if path.is_file()]
    assert found
    assert [path.name for path in found if path.stat().st_mode & 0o077] == []


# ------------------------------------------------------------------------------------ files of others


@pytest.mark.parametrize("name", ["x.build-7", "cache.redb.build-0123456789ab", "cache.redb"])
@pytest.mark.parametrize(
    "data", [bytes(50_000), b"a word".rjust(5000, b"\0"), b"\x80\x81" * 3000], ids=["zeros", "late", "bytes"]
)
@pytest.mark.parametrize("command", [("sync",), ("rebuild", "--yes"), ("repair", "--yes")])
def test_a_file_that_is_not_ours_is_never_written(
    name: str, data: bytes, command: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "tool"
    folder.mkdir()
    (folder / name).write_bytes(data)
    tool = Tool.at(folder, f"file:{stores.primary('small', tmp_path)}", folder / name)
    result = tool.run(*command)
    assert result.exit_code == 5, result.stderr
    assert (folder / name).read_bytes() == data


def planted_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def planted_pipe(path: Path, victim: Path) -> None:
    os.mkfifo(path)


def planted_folder(path: Path, victim: Path) -> None:
    path.mkdir()


def planted_file(path: Path, victim: Path) -> None:
    path.write_bytes(b"a file of somebody")


PLANTS = [planted_link, planted_pipe, planted_folder, planted_file]


@pytest.mark.parametrize("plant", PLANTS)
def test_what_lies_where_a_build_goes_stays(plant: Callable[[Path, Path], None], tool: Tool, tmp_path: Path) -> None:
    staged = tool.run("rebuild", "--yes", "--staged")
    assert staged.exit_code == 0, staged.stderr
    (build,) = tool.cache.parent.glob("*.build-*")
    build.unlink()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    plant(build, victim)
    kind = build.lstat().st_mode
    result = tool.run("rebuild", "--yes", "--staged")
    assert result.exit_code == 8, result.stdout + result.stderr
    assert build.lstat().st_mode == kind
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("plant", PLANTS[:3])
@pytest.mark.parametrize("suffix", [".lock"])
def test_what_lies_where_the_lease_goes_stays(
    plant: Callable[[Path, Path], None], suffix: str, tool: Tool, tmp_path: Path
) -> None:
    place = Path(f"{tool.cache}{suffix}")
    place.unlink()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    plant(place, victim)
    kind = place.lstat().st_mode
    result = tool.run("sync")
    assert result.exit_code == 8, result.stderr
    assert place.lstat().st_mode == kind
    assert victim.read_bytes() == b"precious"


def device(path: Path, victim: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))


@pytest.mark.parametrize("plant", [planted_pipe, planted_folder, *([device] if os.geteuid() == 0 else [])])
def test_a_textfile_is_a_regular_file(plant: Callable[[Path, Path], None], tool: Tool, tmp_path: Path) -> None:
    place = tmp_path / "metrics.prom"
    plant(place, tmp_path)
    kind = place.lstat().st_mode
    result = tool.run("metrics", "--textfile", str(place))
    assert result.exit_code == 8
    assert "regular file" in result.stderr
    assert place.lstat().st_mode == kind


@needs_root
@pytest.mark.parametrize("words", [("metrics", "--textfile"), ("sync", "--metrics-file"), ("sync", "--log-file")])
def test_a_link_of_another_user_is_not_written_through(words: tuple[str, ...], tool: Tool, tmp_path: Path) -> None:
    place, victim = tmp_path / "out", tmp_path / "victim"
    victim.write_bytes(b"precious")
    place.symlink_to(victim)
    os.lchown(place, APP, STAFF)
    result = tool.run(*words, str(place))
    # metrics beside a run are no reason for it to fail
    assert result.exit_code == (0 if "--metrics-file" in words else 8), result.stderr
    assert "somebody else" in result.stderr
    assert place.is_symlink()
    assert victim.read_bytes() == b"precious"


def test_temporary_names_beside_a_textfile_cannot_be_foreseen(tool: Tool, tmp_path: Path) -> None:
    place, victim = tmp_path / "out" / "metrics.prom", tmp_path / "victim"
    place.parent.mkdir()
    victim.write_bytes(b"precious")
    for name in (".metrics.prom.new", "metrics.prom.part", *(f".metrics.prom.{pid}.tmp" for pid in range(1, 400))):
        (place.parent / name).symlink_to(victim)
    assert tool.run("metrics", "--textfile", str(place)).exit_code == 0
    assert place.read_text().startswith("#")
    assert victim.read_bytes() == b"precious"


# -------------------------------------------------------------------------------- names, pipes, devices


@pytest.mark.parametrize("name", [b"c\xff.redb", b"\x80", b"n" * 240, "ä".encode() * 120])
def test_a_name_that_cannot_be_kept_is_refused_first(name: bytes, tool: Tool, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    cache = folder / os.fsdecode(name)
    result = run_bare(tool, "sync", "--primary", tool.primary, "--cache", str(cache), "--json")
    assert result.exit_code == 2, result.stdout + result.stderr
    assert result.document["error"]["code"] == "config"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("option", ["--state-dir", "--log-file", "--token-file", "--config"])
def test_each_path_of_the_command_line_may_be_odd(option: str, tool: Tool, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"odd-\xff")
    words = ["status", "--primary", tool.primary, "--cache", str(tool.cache), option, str(path)]
    for form in ((), ("--json",)):
        result = run_bare(tool, *words, *form)
        assert result.exit_code == 2, result.stdout + result.stderr
        assert "Traceback" not in result.stderr


ENDLESS: list[Callable[[Path], object]] = [os.mkfifo, lambda path: path.symlink_to("/dev/zero")]


@pytest.mark.parametrize("make", ENDLESS, ids=["pipe", "zero"])
@pytest.mark.parametrize(
    ("option", "code"), [("--primary", 4), ("--config", 2), ("--token-file", 2), ("--log-file", 8), ("--cache", 8)]
)
def test_what_has_no_end_is_not_read(
    option: str, code: int, make: Callable[[Path], object], tool: Tool, tmp_path: Path
) -> None:
    path = tmp_path / "endless"
    make(path)
    named = {"--primary": tool.primary, "--cache": str(tool.cache), "--state-dir": str(tool.folder / "state")}
    if option == "--token-file":
        named["--primary"] = "http://127.0.0.1:1"
    named[option] = f"file:{path}" if option == "--primary" else str(path)
    words = [word for pair in named.items() for word in pair]
    result = run_bare(tool, "sync", *words, timeout=60)
    assert result.exit_code == code, result.stderr


@pytest.mark.parametrize("make", ENDLESS, ids=["pipe", "zero"])
@pytest.mark.parametrize("name", ["history.db", "undo.db", "acked.json", "cache.path", "set-aside/rows.db"])
def test_nothing_in_the_state_folder_is_waited_for(name: str, make: Callable[[Path], object], tool: Tool) -> None:
    path = tool.folder / "state" / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)
    for words in (("status",), ("history",), ("sync",), ("quarantine", "list"), ("undo", "--plan"), ("metrics",)):
        result = tool.run(*words, timeout=60)
        assert result.exit_code not in (70, -signal.SIGKILL), (words, result.stderr)


def test_a_recording_that_is_a_pipe_is_not_replayed(tool: Tool, tmp_path: Path) -> None:
    for name in ("r.jsonl", "r.jsonl.gz"):
        os.mkfifo(tmp_path / name)
        result = run_bare(tool, "replay", "--json", str(tmp_path / name), timeout=60)
        assert result.exit_code in (2, 8), result.stderr


# -------------------------------------------------------------------------------------------- children


@pytest.mark.parametrize("words", [("repair", "--plan"), ("repair", "--yes"), ("verify", "--deep")])
def test_nothing_of_the_current_folder_gets_into_a_child(words: tuple[str, ...], tool: Tool, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (trap / "storage_sync").mkdir(parents=True)
    told = tmp_path / "executed"
    for name in ("json.py", "runpy.py", "signal.py", "storage_sync/__init__.py"):
        (trap / name).write_text(f"open({str(told)!r}, 'a').write(__name__ + '\\n')\nraise SystemExit(9)\n")
    damage(tool.cache)
    # -P: the tool as it is installed does not look into the current folder either
    command, *rest = tool.line(*words)
    result = subprocess.run(
        [command, "-P", *rest], env=tool.variables, cwd=trap, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode in (0, 5), result.stderr
    assert not told.exists()
