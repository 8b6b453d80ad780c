"""Whose a file is and who may use it: mode, owner, group, access list and extended attributes."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_CHANGE_OWNER = 1 << 0
"""CAP_CHOWN of linux/capability.h."""


def give_ownership(source: int, target: int) -> None:
    """Mode, owner, group, access list and extended attributes of one open file to another. OSError names none of both.

    The owner first, since a change of it clears bits of the mode; the mode last, since an access list changes it.
    """
    wanted, there = os.fstat(source), os.fstat(target)
    if (wanted.st_uid, wanted.st_gid) != (there.st_uid, there.st_gid):
        os.fchown(target, wanted.st_uid, wanted.st_gid)
    attributes = _attributes(source)
    for name, value in _attributes(target).items():
        if name not in attributes:
            os.removexattr(target, name)
        elif attributes[name] == value:
            del attributes[name]
    for name, value in attributes.items():
        os.setxattr(target, name, value)
    os.fchmod(target, stat.S_IMODE(wanted.st_mode))


def _attributes(descriptor: int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor)}
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
            return {}
        raise


def why_not_kept(path: Path | str) -> str:
    """Why a file that replaces the one at `path` could not have its owner and group; '' when it could. Only looks."""
    try:
        status = Path(path).stat()
    except OSError:
        return ""
    if _may_change_owner():
        return ""
    if status.st_uid != os.geteuid():
        return f"{path} belongs to {_user(status.st_uid)}, and this user cannot create files for that owner"
    if status.st_gid not in {os.getegid(), *os.getgroups()}:
        return f"{path} has the group {_group(status.st_gid)}, which this user is not in"
    return ""


def is_ours(status: os.stat_result) -> bool:
    """Whether nobody but us and root can have made it."""
    return status.st_uid in (0, os.geteuid())


def changeable_by_others(status: os.stat_result) -> bool:
    """Whether anybody but us and root may write into it."""
    return not is_ours(status) or bool(status.st_mode & 0o022)


def _may_change_owner() -> bool:
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return os.geteuid() == 0
    held = next((line.partition(":")[2] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(held, 16) & _CHANGE_OWNER)


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"the user {number}"


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
