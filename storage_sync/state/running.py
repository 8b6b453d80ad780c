"""What a console or a `watch` that runs has in effect: a note in the state folder, for whoever reads its file later."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from storage_sync.cache.holders import started_at
from storage_sync.files.kinds import read_small
from storage_sync.files.writing import replace_file
from storage_sync.values.snapshot import ConfigView, Setting

SAME_S = 1.0
"""Two starts of processes with one number are further apart."""
_NAME = re.compile(r"running-(\d+)\.json")
_OF_A_FILE = re.compile(r"file\b|profile\b|default$")
"""Origins that speak of the file, or of what it leaves out: what was typed or exported holds in one process alone."""


class Running(Struct, frozen=True):
    """A program that runs. `settings`: key to value and origin, as they are in effect there."""

    pid: int
    file: str
    settings: Mapping[str, tuple[str, str]]


class Differs(Struct, frozen=True):
    """One setting of a program that runs and of the file."""

    pid: int
    key: str
    in_effect: str
    in_file: str
    applies: str

    @property
    def what_to_do(self) -> str:
        """One clause."""
        if self.applies == "restart":
            return f"takes effect when process {self.pid} starts again"
        return f"kill -HUP {self.pid} reads the file again"

    def __str__(self) -> str:
        return (
            f"{self.key}: process {self.pid} has {self.in_effect} in effect, the file says {self.in_file}; "
            f"{self.what_to_do}"
        )


def note(folder: Path, view: ConfigView) -> None:
    """Write what this process has in effect. OSError."""
    pid = os.getpid()
    told = {
        "pid": pid,
        "started": started_at(pid),
        "file": view.file,
        "settings": {one.key: [one.value, one.origin] for one in view.settings},
    }
    replace_file(_path(folder, pid), json.dumps(told).encode(), durable=False)


def forget(folder: Path) -> None:
    """This process ends. OSError."""
    _path(folder, os.getpid()).unlink(missing_ok=True)


def running(folder: Path) -> tuple[Running, ...]:
    """Programs that run; a note that a killed one left is passed over, as is one that cannot be read."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return ()
    found = (_read(path, int(match[1])) for path in paths if (match := _NAME.fullmatch(path.name)))
    return tuple(one for one in found if one is not None)


def differing(programs: Iterable[Running], file: Path, settings: Iterable[Setting]) -> tuple[Differs, ...]:
    """Where what `file` says is not in effect in a program that was started with it."""
    said = tuple(settings)
    return tuple(
        Differs(program.pid, one.key, program.settings[one.key][0], one.value, one.applies)
        for program in programs
        if program.file and Path(program.file).absolute() == file.absolute()
        for one in said
        if one.key in program.settings
        and program.settings[one.key][0] != one.value
        and _OF_A_FILE.match(one.origin)
        and _OF_A_FILE.match(program.settings[one.key][1])
    )


def _path(folder: Path, pid: int) -> Path:
    return folder / f"running-{pid}.json"


def _read(path: Path, pid: int) -> Running | None:
    try:
        told = json.loads(read_small(path))
        began = started_at(pid)
        if began is None or abs(began - float(told["started"])) > SAME_S:
            return None
        settings = {str(key): (str(value), str(origin)) for key, (value, origin) in told["settings"].items()}
        return Running(pid, str(told["file"]), settings)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
