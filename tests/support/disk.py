"""What a disk may hold after its power went: files replayed from recorded operations, with all that was not synced.

The model is the strict one of POSIX. What a file held at its last sync is there. Of the writes since then any subset
may be, and any sector of any of them. A name is there when its folder was synced since; of what happened to the names
of a folder after that, any first part may be there, in each folder for itself.
"""

from __future__ import annotations

import enum
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath
from random import Random

from tests.support.recorder import Kind, Operation

SECTORS = (512, 4096)
DULL = 0.9
"""Share of the dull moments that are passed by."""
VOLATILE = "-shm"
"""SQLite's shared memory: a map, made anew by whoever opens the file after a crash."""

Edit = tuple[int, int | None, bytes]
"""Offset and bytes of a write; or the new length in the middle and no bytes."""


@dataclass(frozen=True, slots=True)
class Image:
    """The files and the folders of one moment, by relative name."""

    files: Mapping[str, bytes]
    folders: frozenset[str]

    @property
    def digest(self) -> bytes:
        """Equal for equal images."""
        digest = hashlib.blake2b(digest_size=16)
        for name in sorted(self.folders):
            digest.update(b"%d %b" % (len(name), os.fsencode(name)))
        for name, data in sorted(self.files.items()):
            digest.update(b"%d %d %b" % (len(name), len(data), os.fsencode(name)))
            digest.update(data)
        return digest.digest()

    def write(self, root: Path) -> None:
        """Lay it down in an empty folder."""
        for name in sorted(self.folders):
            (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, data in self.files.items():
            (root / name).write_bytes(data)


class Loss(enum.Enum):
    """How much of what was not synced is lost."""

    ALL = "all"
    """Nothing that was not synced is there."""
    NONE = "none"
    TAIL = "tail"
    """The first so many writes of each file are there."""
    SUBSET = "subset"
    """Each write is there or not, for itself."""
    TORN = "torn"
    """Each sector of each write is there or not, for itself."""


@dataclass
class _File:
    synced: bytes
    edits: list[Edit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Change:
    """One step of the names of one folder: these are gone, then these point there."""

    gone: tuple[str, ...] = ()
    files: tuple[tuple[str, int], ...] = ()
    folders: tuple[str, ...] = ()


@dataclass
class _Folder:
    """Names of one folder: as synced, and what was done to them since."""

    files: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    changes: list[_Change] = field(default_factory=list)

    def after(self, steps: int) -> tuple[dict[str, int], set[str]]:
        files, folders = dict(self.files), set(self.folders)
        for change in self.changes[:steps]:
            for name in change.gone:
                files.pop(name, None)
                folders.discard(name)
            files.update(change.files)
            folders.update(change.folders)
        return files, folders

    def sync(self) -> None:
        self.files, self.folders = self.after(len(self.changes))
        self.changes.clear()


class Disk:
    """The folder as it was before the recording; `do` brings it further by one operation."""

    def __init__(self, root: Path) -> None:
        self._files: list[_File] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self._folders: dict[str, _Folder] = {}
        for place, names, files in os.walk(root):
            here = _relative(str(Path(place).relative_to(root)))
            folder = self._folders[here] = _Folder(folders={_join(here, name) for name in names})
            for name in files:
                path = Path(place) / name
                status = path.stat()
                folder.files[_join(here, name)] = self._add((status.st_dev, status.st_ino), path.read_bytes())

    def _add(self, key: tuple[int, int], data: bytes) -> int:
        """The kernel gives the number of a file that is gone to the next one."""
        number = self._numbers[key] = len(self._files)
        self._files.append(_File(data))
        return number

    def do(self, operation: Operation) -> None:
        """Apply one that was done; one that failed has changed nothing."""
        if operation.error:
            return
        name, kind = operation.name, operation.kind
        match kind:
            case Kind.WRITE | Kind.TRUNCATE | Kind.ALLOCATE:
                self._files[self._numbers[operation.file]].edits.append(_edit(operation))
            case Kind.SYNC:
                file = self._files[self._numbers[operation.file]]
                file.synced = _edited(file.synced, file.edits)
                file.edits.clear()
            case Kind.SYNC_FOLDER:
                self._folders[name].sync()
            case Kind.CREATE:
                self._change(name, _Change(files=((name, self._add(operation.file, b"")),)))
            case Kind.LINK:
                self._change(operation.other, _Change(files=((operation.other, self._current(name)),)))
            case Kind.RENAME:
                if _parent(name) != _parent(operation.other) or operation.offset:
                    raise AssertionError(f"a rename that the model does not know: {operation}")
                self._change(name, _Change((name,), ((operation.other, self._current(name)),)))
            case Kind.UNLINK | Kind.REMOVE_FOLDER:
                self._change(name, _Change(gone=(name,)))
            case Kind.MAKE_FOLDER:
                self._folders[name] = _Folder()
                self._change(name, _Change(folders=(name,)))

    def _change(self, name: str, change: _Change) -> None:
        self._folders[_parent(name)].changes.append(change)

    def _current(self, name: str) -> int:
        folder = self._folders[_parent(name)]
        return folder.after(len(folder.changes))[0][name]

    def image(self, random: Random, loss: Loss) -> Image:
        """One that the disk may hold if the power goes now."""
        files: dict[str, bytes] = {}
        folders: set[str] = set()
        contents: dict[int, bytes] = {}
        waiting = [""]
        while waiting:
            folder = self._folders[waiting.pop()]
            names, below = folder.after(_steps(len(folder.changes), random, loss))
            for name, number in names.items():
                if name.endswith(VOLATILE):
                    continue
                if number not in contents:
                    contents[number] = _content(self._files[number], random, loss)
                files[name] = contents[number]
            folders |= below
            waiting += below
        return Image(files, frozenset(folders))


@dataclass(frozen=True, slots=True)
class Moment:
    """One image. `after`: so many operations were done; `sure`: only what was synced by then."""

    after: int
    loss: Loss
    image: Image
    sure: Image


def moments(
    disk: Disk, operations: Sequence[Operation], random: Random, wanted: int, dull: Callable[[Operation], bool]
) -> Iterator[Moment]:
    """So many different images of a recording that began with `disk`: before and after each sync, then anywhere.

    `dull`: operations after which fewer images are wanted.
    """
    seen: set[bytes] = set()
    chosen = _boundaries
    while True:
        now = deepcopy(disk)
        for after, operation in enumerate((None, *operations)):
            if operation is not None:
                now.do(operation)
            following = operations[after] if after < len(operations) else None
            for loss in chosen(operation, following, random, dull):
                image = now.image(random, loss)
                if image.digest in seen:
                    continue
                seen.add(image.digest)
                yield Moment(after, loss, image, now.image(random, Loss.ALL))
                if len(seen) == wanted:
                    return
        chosen = _anywhere


def _boundaries(
    before: Operation | None, after: Operation | None, random: Random, dull: Callable[[Operation], bool]
) -> Sequence[Loss]:
    syncs = (Kind.SYNC, Kind.SYNC_FOLDER)
    at_one = before is None or after is None or before.kind in syncs or after.kind in syncs
    return (Loss.ALL, Loss.NONE) if at_one else ()


def _anywhere(
    before: Operation | None, after: Operation | None, random: Random, dull: Callable[[Operation], bool]
) -> Sequence[Loss]:
    if before is not None and dull(before) and random.random() < DULL:
        return ()
    return (random.choice((Loss.TAIL, Loss.SUBSET, Loss.TORN)),)


def whole(root: Path) -> Image:
    """What is really in a folder."""
    paths = sorted(root.rglob("*"))
    files = {_name(path, root): path.read_bytes() for path in paths if path.is_file()}
    kept = {name: data for name, data in files.items() if not name.endswith(VOLATILE)}
    return Image(kept, frozenset(_name(path, root) for path in paths if path.is_dir()))


def replayed(disk: Disk, operations: Iterable[Operation]) -> Image:
    """The folder after all of them, had nothing been lost."""
    for operation in operations:
        disk.do(operation)
    return disk.image(Random(0), Loss.NONE)


def _steps(count: int, random: Random, loss: Loss) -> int:
    if loss is Loss.ALL:
        return 0
    return count if loss is Loss.NONE else random.randint(0, count)


def _content(file: _File, random: Random, loss: Loss) -> bytes:
    return _edited(file.synced, _left(file.edits, random, loss)) if file.edits else file.synced


def _left(edits: Sequence[Edit], random: Random, loss: Loss) -> list[Edit]:
    if loss is Loss.ALL:
        return []
    if loss is Loss.NONE:
        return list(edits)
    if loss is Loss.TAIL:
        return list(edits[: random.randint(0, len(edits))])
    share = random.choice((0.1, 0.5, 0.9))
    chosen = [edit for edit in edits if random.random() < share]
    if loss is Loss.SUBSET:
        return chosen
    sector = random.choice(SECTORS)
    return [piece for edit in edits for piece in _torn(edit, sector) if random.random() < share]


def _torn(edit: Edit, sector: int) -> list[Edit]:
    offset, length, data = edit
    if length is not None:
        return [edit]
    end = offset + len(data)
    cuts = [offset, *range((offset // sector + 1) * sector, end, sector), end]
    return [(low, None, data[low - offset : high - offset]) for low, high in pairwise(cuts)]


def _edit(operation: Operation) -> Edit:
    match operation.kind:
        case Kind.WRITE:
            return operation.offset, None, operation.data
        case Kind.TRUNCATE:
            return 0, operation.length, b""
        case _:
            return operation.offset + operation.length, None, b""


def _edited(data: bytes, edits: Iterable[Edit]) -> bytes:
    content = bytearray(data)
    for offset, length, written in edits:
        if length is not None:
            del content[length:]
        end = length if length is not None else offset + len(written)
        if end > len(content):
            content.extend(bytes(end - len(content)))
        if written:
            content[offset:end] = written
    return bytes(content)


def _relative(name: str) -> str:
    return "" if name == "." else name


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _parent(name: str) -> str:
    return _relative(str(PurePosixPath(name).parent))


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root))
