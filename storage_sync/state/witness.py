"""The witness: the last acknowledged generation, outside the cache, and the last proof (docs/protocol.md#invariants).

A killed file with one flipped bit may open one commit back and look healthy; only this can tell. It is a lower
bound: a kill between commit and witness leaves the cache one generation ahead, which is accepted.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from storage_sync.cache.identity import real_path
from storage_sync.files.kinds import read_small
from storage_sync.files.writing import replace_file, sync_folder
from storage_sync.values.errors import LocalIO
from storage_sync.values.outcome import FileIdentity, Proof
from storage_sync.values.witness import Witness

FILE_NAME = "acked.json"


def read_witness(folder: Path, cache: str) -> tuple[Witness | None, str]:
    """The witness for the cache at `cache`, or None; then the text says why, and is '' when there was never one."""
    file = folder / FILE_NAME
    try:
        witness = msgspec.json.decode(read_small(file), type=Witness)
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"{file} cannot be read: {error.strerror}"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return None, f"{file} is damaged: {error}"
    if witness.path != real_path(cache):
        return None, f"{file} belongs to another cache, {witness.path}"
    return witness, ""


def write_witness(folder: Path, witness: Witness) -> None:
    """Replace the witness so that a crash leaves the old one or the new one, whole. LocalIO."""
    file = folder / FILE_NAME
    try:
        replace_file(file, msgspec.json.encode(witness) + b"\n")
    except OSError as error:
        raise LocalIO(f"{file} cannot be written: {error.strerror}") from error


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
