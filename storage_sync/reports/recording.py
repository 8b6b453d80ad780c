"""A recorded session: every snapshot and event of the core, to be replayed later.

Format, version 1: JSON lines, gzip when the name ends in `.gz`. The first line is the head
`{"storage_sync_recording": 1, "version": …, "at": epoch seconds}`. Each further line has `t`, seconds since the head,
and one of

* `full`: a whole Snapshot, the first one and then every `FULL_EVERY`th;
* `parts`: the fields of the Snapshot that are other than before;
* `event` and `value`: what the core said, by the name of its class. Answers to commands are not recorded: they belong
  to the one who asked.

A last line that was cut, by a kill or a full disk, is left out. Secrets that the recorder was told of never reach the
file, nor does anything that a Snapshot does not hold.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, TypeVar, cast

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from storage_sync import __version__
from storage_sync.files.kinds import reading
from storage_sync.files.writing import growing_file
from storage_sync.values.errors import LocalIO, UsageError
from storage_sync.values.events import (
    ConfigChanged,
    CoreDied,
    Event,
    FileChanged,
    LogLine,
    RunEnded,
    RunStarted,
    StateChanged,
)
from storage_sync.values.snapshot import Snapshot

VERSION: Final = 1
LONGEST_S: Final = 1e9
"""Seconds of a recording: some thirty years."""
LATEST: Final = 1e11
"""Epoch seconds that a clock can show, with all of a recording behind them."""
FULL_EVERY: Final = 100
LARGEST: Final = 256 * 1024 * 1024
"""Bytes of lines, before compression, after which a recording ends."""
MASK: Final = "[hidden]"
_HEAD = "storage_sync_recording"

RECORDED: Final[Mapping[str, type[Event]]] = {
    kind.__name__: kind
    for kind in (LogLine, RunStarted, RunEnded, StateChanged, FileChanged, ConfigChanged, CoreDied)
}  # fmt: skip
"""Events that are recorded, by the name that a line has."""

T = TypeVar("T")
_PULSE = frozenset({"seq", "taken_at", "beat"})
"""What changes in every picture."""
_PARTS = tuple(field.name for field in fields(Snapshot))


def _text(value: object) -> str:
    """JSON in ASCII: text that is no UTF-8 (a path) comes back as it was."""
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=True, separators=(",", ":"))


class Recorder:
    """Writes a recording; the file is new, and its owner's alone. Safe to call from several threads.

    A write that fails ends the recording with one call of `warn`; it never ends a session. `secrets`: texts that are
    masked wherever they would be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        secrets: Iterable[str] = (),
        warn: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        largest: int = LARGEST,
    ) -> None:
        """UsageError when the file exists, LocalIO when it cannot be made."""
        self.path = path
        self._secrets = tuple(json.dumps(secret)[1:-1] for secret in secrets if secret)
        self.warn = warn
        self._monotonic = monotonic
        self._left = largest
        self._lock = threading.Lock()
        self._last: Snapshot | None = None
        self._snapshots = 0
        self._started = monotonic()
        self._out: BinaryIO | None = _new_file(path)
        head = {_HEAD: VERSION, "version": __version__, "at": clock()}
        with self._lock:
            self._write(json.dumps(head, separators=(",", ":")))

    def snapshot(self, snapshot: Snapshot) -> None:
        """The next picture; one that is equal to the last costs nothing."""
        with self._lock:
            last, self._last = self._last, snapshot
            if last is None or self._snapshots % FULL_EVERY == 0:
                self._line("full", _text(snapshot))
            else:
                changed = {name: getattr(snapshot, name) for name in _PARTS if _other(snapshot, last, name)}
                if not changed:
                    return
                self._line("parts", _text(changed))
            self._snapshots += 1

    def event(self, event: Event) -> None:
        """What the core said; an answer to a command is left out."""
        name = type(event).__name__
        if name not in RECORDED:
            return
        with self._lock:
            self._line("event", f'"{name}","value":{_text(event)}')

    def close(self) -> None:
        with self._lock:
            self._end()

    def _line(self, kind: str, text: str) -> None:
        t = round(max(0.0, self._monotonic() - self._started), 3)
        self._write(f'{{"t":{t},"{kind}":{text}}}')

    def _write(self, text: str) -> None:
        if self._out is None:
            return
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        data = text.encode("ascii") + b"\n"
        self._left -= len(data)
        if self._left < 0:
            self._stop("it has reached its largest size")
            return
        try:
            self._out.write(data)
            self._out.flush()
        except OSError as error:
            self._stop(f"{error.strerror}")

    def _stop(self, why: str) -> None:
        self._end()
        self.warn(f"the recording {self.path} has ended: {why}")

    def _end(self) -> None:
        out, self._out = self._out, None
        if out is not None:
            # what cannot be flushed any more was reported when it was written
            with suppress(OSError):
                out.close()


def _other(new: Snapshot, old: Snapshot, name: str) -> bool:
    one, two = getattr(new, name), getattr(old, name)
    return one is not two and bool(one != two)


def _new_file(path: Path) -> BinaryIO:
    try:
        raw = growing_file(path)
    except FileExistsError:
        raise UsageError(f"{path} exists already", hint="give another name; a recording is never overwritten") from None
    except OSError as error:
        raise LocalIO(f"{path} cannot be written: {error.strerror}", hint="give another place") from None
    return _GzipOut(raw) if path.suffix == ".gz" else raw  # type: ignore[return-value]


class _GzipOut:
    """A gzip file that can be read up to the last flush after a kill, and that closes what it stands on."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._gzip = gzip.GzipFile(fileobj=raw, mode="wb", mtime=0)

    def write(self, data: bytes) -> int:
        return self._gzip.write(data)

    def flush(self) -> None:
        self._gzip.flush()
        self._raw.flush()

    def close(self) -> None:
        try:
            self._gzip.close()
        finally:
            self._raw.close()


# ------------------------------------------------------------------------------------------- reading


class Recording(Struct, frozen=True):
    """What was read. `at`: epoch seconds of its beginning. `times`: seconds since then, of each line, never falling.

    `cut`: the last line was not whole. Lines are decoded when they are asked for; UsageError names the one that is
    of another shape.
    """

    path: Path
    at: float
    version: str
    times: tuple[float, ...]
    lines: tuple[bytes, ...]
    pictures: tuple[int, ...]
    """Places of lines with a Snapshot or parts of one."""
    wholes: tuple[int, ...]
    """Places of lines with a whole Snapshot."""
    marks: tuple[int, ...] = ()
    """Places of lines that say more than that the core is alive: where a person stops who goes step by step."""
    cut: bool = False

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.times[-1] if self.times else 0.0

    def place(self, t: float) -> int:
        """How many lines were there `t` seconds after the beginning."""
        return bisect_right(self.times, t)

    def picture(self, place: int) -> tuple[Snapshot, float] | None:
        """The newest Snapshot among the first `place` lines, and when it came; None before the first."""
        shown = bisect_right(self.pictures, place - 1)
        if not shown:
            return None
        last = self.pictures[shown - 1]
        first = self.wholes[bisect_right(self.wholes, last) - 1]
        parts: dict[str, object] = {}
        for index in self.pictures[bisect_right(self.pictures, first) - 1 : shown]:
            line = self._decoded(index)
            parts.update(cast("Mapping[str, object]", line.get("full") or line.get("parts")))
        return self._converted(parts, Snapshot, last), self.times[last]

    def events(self, first: int, end: int) -> Iterator[tuple[float, Event]]:
        """(seconds since the beginning, event) of the lines from `first` up to `end`."""
        for index in range(max(0, first), min(end, len(self.lines))):
            line = self._decoded(index)
            kind = RECORDED.get(str(line.get("event")))
            if kind is not None:
                yield self.times[index], self._converted(line.get("value"), kind, index)

    def _decoded(self, index: int) -> Mapping[str, object]:
        found: Mapping[str, object] = json.loads(self.lines[index])
        return found

    def _converted(self, value: object, kind: type[T], index: int) -> T:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise UsageError(
                f"{self.path}, line {index + 2}: {error}", hint=f"it was recorded by version {self.version}"
            ) from None


def read(path: Path) -> Recording:
    """A recording from its file. UsageError for another kind of file; LocalIO when it cannot be read. Blocking."""
    try:
        lines, cut = _lines(path)
    except OSError as error:
        raise LocalIO(
            f"{path} cannot be read: {error.strerror or error}", hint="give the file of a recording"
        ) from None
    at, version = _head(path, lines[0] if lines else b"")
    times: list[float] = []
    pictures: list[int] = []
    wholes: list[int] = []
    marks: list[int] = []
    for index, data in enumerate(lines[1:]):
        line = _object(data)
        t = _number(line, "t", LONGEST_S)
        if line is None or t is None:
            if index == len(lines) - 2:
                cut = True
                break
            raise UsageError(f"{path}, line {index + 2}: is not a line of a recording", hint="the file was changed")
        times.append(max(t, times[-1] if times else 0.0))
        if isinstance(line.get("full"), dict):
            wholes.append(index)
        shown = line.get("full") or line.get("parts")
        if isinstance(shown, dict):
            pictures.append(index)
        if not isinstance(shown, dict) or shown.keys() - _PULSE:
            marks.append(index)
    if pictures and (not wholes or wholes[0] != pictures[0]):
        raise UsageError(f"{path}: begins with a part of a picture", hint="the file was changed")
    kept = tuple(lines[1 : len(times) + 1])
    return Recording(path, at, version, tuple(times), kept, tuple(pictures), tuple(wholes), tuple(marks), cut)


def _head(path: Path, data: bytes) -> tuple[float, str]:
    head = _object(data)
    if head is None or _HEAD not in head:
        raise UsageError(f"{path} is not a recording", hint="storage-sync record FILE makes one")
    if head[_HEAD] != VERSION:
        raise UsageError(
            f"{path} is a recording of format {head[_HEAD]!r}; this version reads {VERSION}", hint="upgrade"
        )
    return _number(head, "at", LATEST) or 0.0, str(head.get("version", ""))


def _number(line: Mapping[str, object] | None, name: str, limit: float) -> float | None:
    """A number of a line below this size; None when there is none, such as NaN."""
    value = line.get(name) if line is not None else None
    return float(value) if isinstance(value, int | float) and abs(value) < limit else None


def _object(data: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(data, parse_constant=_constant)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _constant(name: str) -> float:
    """ValueError for `NaN`, which no recorder writes and which is not even itself."""
    if name == "NaN":
        raise ValueError(name)
    return float(name)


def _lines(path: Path) -> tuple[list[bytes], bool]:
    """Whole lines, and whether the end was cut."""
    lines: list[bytes] = []
    cut = False
    left = 2 * LARGEST
    with reading(path) as raw:
        file = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
        try:
            while line := file.readline(left + 1):
                left -= len(line)
                if left < 0:
                    raise UsageError(f"{path} is larger than any recording", hint="give the file of a recording")
                cut = not line.endswith(b"\n")
                lines.append(line.rstrip(b"\n"))
        except (EOFError, zlib.error):
            cut = True
    if cut and lines and _object(lines[-1]) is None:
        lines.pop()
    return lines, cut
