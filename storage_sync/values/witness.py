"""The witness as a value; `state/witness.py` keeps it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from storage_sync.values.followed import Followed
from storage_sync.values.marks import Marks
from storage_sync.values.outcome import FileIdentity, Proof


class Witness(Struct, frozen=True):
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
    replication_index: int | None = None
    """Of the primary at the proof, where it sends one."""
    followed: Followed | None = None
    """What was taken in since the proof, which then speaks of the rest."""
    marks: Marks | None = None
    """Where the primary's tables ended, not later than the newest of both. The checkpoint has those of its commit; a
    proof that has nothing to write has newer ones."""

    @property
    def stand(self) -> tuple[int, str] | None:
        """Generation and root that the cache has by the last proof and what was followed since."""
        if self.followed is not None:
            return self.followed.generation, self.followed.root
        return (self.proof.generation, self.proof.root) if self.proof is not None else None
