"""The witness: the last acknowledged generation, outside the cache, and the last proof (`sync.md` 3.5, I5).

A killed file with one flipped bit may open one commit back and look healthy; only this can tell. It is a lower
bound: a kill between commit and witness leaves the cache one generation ahead, which is accepted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from storage_sync.cache.identity import real_path
from storage_sync.errors import LocalIO
from storage_sync.outcome import FileIdentity, Proof

FILE_NAME = "acked.json"


@dataclass(frozen=True, slots=True)
class Witness:
    """`generation` was committed and read back at `at` (UTC epoch seconds) in the file `identity` at `path`."""

    path: str
    generation: int
    root: str
    source_id: str
    at: float
    identity: FileIdentity | None = None
    proof: Proof | None = None
    """The last proof, which plain `status` may repeat while the file is the one that it names."""
    unlisted: Mapping[str, int] = field(default_factory=dict)
    """Rows of the file that our ledger does not list, by table, at the proof."""
    beyond: Mapping[str, int] = field(default_factory=dict)
    """Those of them that the primary has outside the window."""


def read_witness(folder: Path, cache: str) -> tuple[Witness | None, str]:
    """The witness for the cache at `cache`, or None; then the text says why, and is '' when there was never one."""
    file = folder / FILE_NAME
    try:
        witness = msgspec.json.decode(file.read_bytes(), type=Witness)
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"{file} cannot be read: {error.strerror}"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return None, f"{file} is damaged: {error}"
    if witness.path != real_path(cache):
        return None, f"{file} speaks of another cache, {witness.path}"
    return witness, ""


def write_witness(folder: Path, witness: Witness) -> None:
    """Replace the witness so that a crash leaves the old one or the new one, whole. LocalIO."""
    replace_file(folder / FILE_NAME, msgspec.json.encode(witness) + b"\n")


def forget_witness(folder: Path) -> None:
    """Remove it, for a cache that is left without this tool. LocalIO."""
    try:
        (folder / FILE_NAME).unlink(missing_ok=True)
        sync_folder(folder)
    except OSError as error:
        raise LocalIO(f"{folder / FILE_NAME} cannot be removed: {error.strerror}") from error


def next_generation(live: int | None, acked: int | None) -> int:
    """One above all that was ever acknowledged: also after a rebuild, an undo and a lost file."""
    return max(live or 0, acked or 0) + 1


def proof_still_speaks(witness: Witness | None, identity: FileIdentity | None) -> Proof | None:
    """The last proof if it was made of the very file that is there now, else None."""
    if witness is None or witness.proof is None or identity is None:
        return None
    return witness.proof if witness.proof.identity == identity else None


def replace_file(path: Path, data: bytes) -> None:
    """Write beside, sync, rename, sync the folder; mode 0600. For one writer at a time: it holds the lease. LocalIO."""
    beside = path.with_name(f".{path.name}.new")
    try:
        # what a killed run left, perhaps another user's
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise LocalIO(f"{path} cannot be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make it, and what is missing above it, with mode 0700 and names that outlast a power cut. OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)
