"""Rows that the newest plan fetched, for the run that executes it (docs/protocol.md#plan-rows).

They lie in a private folder of the state folder, as a run that is killed leaves its rows beside the cache: the run that
takes them asks for its manifest as any other, and uses of them what still has its digest there and the same row before
it in the cache.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from storage_sync.cache.copy import private_folder
from storage_sync.files.writing import second_name


class _Kept(Struct, frozen=True):
    path: Path
    identity: bytes
    """Of source, epoch, configuration and digest."""
    generation: int
    """Of the cache."""


class PlanRows:
    """One plan's at a time; blocking, all on the cache thread."""

    def __init__(self) -> None:
        self._folder = ExitStack()
        self._kept: _Kept | None = None

    def place(self, folder: Path) -> Path:
        """A new private folder in `folder`; what an earlier plan fetched is removed. LocalIO."""
        self.close()
        return self._folder.enter_context(private_folder(folder))

    def keep(self, path: Path, identity: bytes, generation: int) -> None:
        """The closed staging file at `path` may be taken."""
        self._kept = _Kept(path, identity, generation)

    def take(self, path: Path, identity: bytes, generation: int) -> bool:
        """Give the file the name `path` if it is of this identity and generation. Nothing is kept then. OSError."""
        kept = self._kept
        try:
            fits = kept is not None and (kept.identity, kept.generation) == (identity, generation)
            if kept is None or not fits or not kept.path.exists() or path.exists():
                return False
            second_name(kept.path, path)
            return True
        finally:
            self.close()

    def close(self) -> None:
        """Remove what is kept."""
        self._kept = None
        self._folder.close()
