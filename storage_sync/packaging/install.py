"""How a service comes onto a machine: what is made, for whom, and what stays; looked at first, then carried out.

Paths are those that the service will see; `root` is the folder tree that they are looked up in, usually `/`.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from storage_sync.files.kinds import read_small
from storage_sync.files.service_files import Owner, place_file, place_folder, remove_placed
from storage_sync.files.writing import replace_file
from storage_sync.packaging.units import (
    MADE_BY,
    ONCE,
    TIMER,
    WATCH,
    Places,
    drop_in,
    once_unit,
    setting_of,
    timer_unit,
    watch_unit,
)
from storage_sync.values.errors import LocalIO, UsageError

UNITS = Path("/etc/systemd/system")
UNIT_FOLDERS = (UNITS, Path("/run/systemd/system"), Path("/usr/lib/systemd/system"), Path("/lib/systemd/system"))
DROP_IN = "storage-sync.conf"
USUAL_USER = "do-memory"
ROOT_OWNER = Owner(0, 0)


class Fate(StrEnum):
    """What becomes of one path."""

    MAKE = "make"
    REPLACE = "replace"
    KEEP = "keep"
    REMOVE = "remove"


class Step(Struct, frozen=True):
    """One folder or file. `text`: its contents, None for a folder. `mode`: permission bits."""

    path: Path
    fate: Fate
    mode: int
    owner: Owner
    owner_name: str
    why: str
    text: str | None = None


class Wanted(Struct, frozen=True):
    """What an operator asks for. `user`: None to find it. `unit`: do-memory's own, to start it through `exec`."""

    program: Path
    config: Path
    token: Path | None
    cache: Path
    configuration: str
    user: str | None = None
    timer: bool = False
    unit: str | None = None


def plan_install(wanted: Wanted, root: Path) -> tuple[Step, ...]:
    """Every path in order. Only looks. UsageError, LocalIO where it would not work."""
    unit = _unit(wanted.unit, root) if wanted.unit else ""
    its_user = setting_of(unit, "Service", "User") or ("root" if unit else "")
    user = wanted.user or its_user or _owner_of(wanted.cache, root) or USUAL_USER
    if its_user and user != its_user:
        raise UsageError(
            f"{wanted.unit} runs as {its_user}, and the service would run as {user}: both write the cache",
            hint=f"leave --user out, or give --user {its_user}",
        )
    owner = _account(user)
    places = Places(wanted.program, wanted.config, wanted.cache.parent, user)
    return tuple(_steps(wanted, places, owner, unit, root))


def _steps(wanted: Wanted, places: Places, owner: Owner, unit: str, root: Path) -> Iterator[Step]:
    shared = Owner(ROOT_OWNER.user, owner.group)
    group = f"root:{grp.getgrgid(owner.group).gr_name}"
    yield _folder(root, places.config.parent, 0o750, shared, group, "configuration and token")
    text = wanted.configuration
    yield _kept_or_made(root, places.config, 0o640, shared, group, "its settings", text)
    if wanted.token is not None:
        why = "the primary's token and nothing else"
        yield _kept_or_made(root, wanted.token, 0o600, owner, places.user, why, "")
    yield _folder(root, places.state, 0o700, owner, places.user, "witness, history, quarantined rows")
    if not (root / wanted.cache.parent.relative_to("/")).is_dir() and wanted.cache.parent.parent != Path("/var/lib"):
        raise UsageError(f"there is no folder {wanted.cache.parent} for the cache", hint=f"make it, as {places.user}")
    yield _folder(root, places.cache_folder, 0o700, owner, places.user, "the cache, its lock, its staging file")
    if wanted.timer:
        yield _ours(root, UNITS / ONCE, once_unit(places), "one sync")
        yield _ours(root, UNITS / TIMER, timer_unit(), "starts it every five minutes")
    else:
        yield _ours(root, UNITS / WATCH, watch_unit(places), "syncs while it runs")
    if wanted.unit:
        folder = UNITS / f"{wanted.unit}.d"
        yield _folder(root, folder, 0o755, ROOT_OWNER, "root", f"additions to {wanted.unit}")
        text = drop_in(places, setting_of(unit, "Service", "ExecStart"))
        yield _ours(root, folder / DROP_IN, text, f"starts {wanted.unit} through storage-sync exec")


def _there(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _folder(root: Path, path: Path, mode: int, owner: Owner, name: str, why: str) -> Step:
    there = _there(root, path)
    if not there.exists():
        return Step(path, Fate.MAKE, mode, owner, name, why)
    status = there.stat()
    if not there.is_dir():
        raise UsageError(f"{path} exists and is not a folder", hint="move it away")
    if owner.user != ROOT_OWNER.user and status.st_uid != owner.user:
        raise UsageError(
            f"{path} belongs to {_name_of(status.st_uid)}, and the service would run as {name}",
            hint=f"--user {_name_of(status.st_uid)}, or chown it",
        )
    return Step(path, Fate.KEEP, status.st_mode & 0o7777, Owner(status.st_uid, status.st_gid), name, why)


def _kept_or_made(root: Path, path: Path, mode: int, owner: Owner, name: str, why: str, text: str) -> Step:
    there = _there(root, path)
    if not there.exists():
        return Step(path, Fate.MAKE, mode, owner, name, why, text)
    status = there.stat()
    if not _readable(status, owner):
        raise UsageError(
            f"{path} exists, but {name} cannot read it", hint=f"chgrp {name.rpartition(':')[2]} and chmod 640 it"
        )
    found = Owner(status.st_uid, status.st_gid)
    return Step(path, Fate.KEEP, status.st_mode & 0o7777, found, _name_of(found.user), why, text)


def _readable(status: os.stat_result, owner: Owner) -> bool:
    """Whether a user of that number, or of that group alone where the number is root's, may read it."""
    if owner.user and status.st_uid == owner.user:
        return bool(status.st_mode & 0o400)
    if status.st_gid == owner.group:
        return bool(status.st_mode & 0o040)
    return bool(status.st_mode & 0o004)


def _ours(root: Path, path: Path, text: str, why: str) -> Step:
    there = _there(root, path)
    fate = Fate.MAKE
    if there.exists():
        present = _text(there)
        if not present.startswith(MADE_BY):
            raise UsageError(
                f"{path} exists and was not made by this command", hint="move it away, or change it by hand"
            )
        fate = Fate.KEEP if present == text else Fate.REPLACE
    return Step(path, fate, 0o644, ROOT_OWNER, "root", why, text)


def plan_removal(root: Path) -> tuple[Step, ...]:
    """Units and drop-ins that this command made, by their first line."""
    folder = _there(root, UNITS)
    found = [folder / name for name in (WATCH, ONCE, TIMER)] + sorted(folder.glob(f"*.d/{DROP_IN}"))
    return tuple(
        Step(Path("/") / path.relative_to(root), Fate.REMOVE, 0o644, ROOT_OWNER, "root", "made by this command", "")
        for path in found
        if path.is_file() and _text(path).startswith(MADE_BY)
    )


def carry_out(steps: Sequence[Step], root: Path) -> None:
    """All of them, in order. LocalIO names the path that failed; what was made before it stays, a second try goes on.

    Somebody who is not root may try it in a tree of his own: then everything there is his.
    """
    own = Owner(os.geteuid(), os.getegid())
    for step in steps:
        there = _there(root, step.path)
        owner = step.owner if own.user == 0 or root == Path("/") else own
        try:
            match step.fate:
                case Fate.MAKE if step.text is None:
                    place_folder(there, step.mode, owner)
                case Fate.MAKE:
                    if not there.parent.is_dir():
                        place_folder(there.parent, 0o755, own)
                    place_file(there, (step.text or "").encode(), step.mode, owner)
                case Fate.REPLACE:
                    replace_file(there, (step.text or "").encode())
                case Fate.REMOVE:
                    remove_placed(there)
                case Fate.KEEP:
                    pass
        except OSError as error:
            hint = "run it as root" if isinstance(error, PermissionError) else "correct that, then run it again"
            raise LocalIO(f"{step.path}: {error.strerror}", hint=hint) from None


def _unit(name: str, root: Path) -> str:
    if "/" in name or not name.endswith(".service"):
        raise UsageError(f"{name} is not the name of a service", hint="as in --for do-memory.service")
    for folder in UNIT_FOLDERS:
        path = _there(root, folder / name)
        if path.is_file():
            text = _text(path)
            if not setting_of(text, "Service", "ExecStart"):
                raise UsageError(f"{folder / name} has no ExecStart", hint="write the drop-in by hand")
            return text
    raise UsageError(f"there is no unit {name}", hint="systemctl list-unit-files names them")


def _text(path: Path) -> str:
    try:
        return read_small(path).decode("utf-8", "replace")
    except OSError as error:
        raise LocalIO(f"{path} cannot be read: {error.strerror}") from None


def _owner_of(cache: Path, root: Path) -> str:
    """Who owns the cache, or the folder that it will be in; '' where neither is there, or it is root's."""
    for path in (cache, cache.parent):
        there = _there(root, path)
        if there.exists():
            return _name_of(there.stat().st_uid)
    return ""


def _account(name: str) -> Owner:
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise UsageError(
            f"there is no user {name}", hint=f"useradd --system --shell /usr/sbin/nologin {name}, or --user NAME"
        ) from None
    return Owner(account.pw_uid, account.pw_gid)


def _name_of(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
