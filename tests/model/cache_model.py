"""A cache in a few dictionaries: do-memory's rows, our ledger, one transaction, one witness outside the file."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from tests.model.primary_model import EPISODES, Digest, Key, Row, State


class Value(NamedTuple):
    """Stored bytes: the part that the primary can hold, what only the cache has, and whether they still decode."""

    shared: Digest
    local: str = ""
    whole: bool = True


class Entry(NamedTuple):
    """What the ledger says of a row that we wrote: the mark of its source, and the value (its digest)."""

    mark: object
    value: Value
    links: tuple[str, ...]


class Checkpoint(NamedTuple):
    source: str
    epoch: int
    generation: int
    root: frozenset[tuple[Key, object]]
    replication_index: int
    notes: Mapping[str, object]


class File(Struct, frozen=True):
    """The redb file at one moment; a commit makes a new one."""

    rows: Mapping[Key, Value] = field(default_factory=dict)
    ledger: Mapping[Key, Entry] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None

    @property
    def cache_only(self) -> dict[Key, Value]:
        return {key: value for key, value in self.rows.items() if key not in self.ledger}

    @property
    def rotten(self) -> bool:
        """A listed row whose bytes neither hash to the ledger's digest nor decode."""
        return any(key in self.rows and not self.rows[key].whole for key in self.ledger)

    def current(self, key: Key, mark: object) -> bool:
        """Judged by the bytes, not by the ledger alone."""
        entry = self.ledger.get(key)
        return entry is not None and entry.mark == mark and self.rows.get(key) == entry.value


class Cache(Struct):
    """The file, the witness beside it, and the application that writes to the file too."""

    random: Random
    file: File = field(default_factory=File)
    acknowledged: int = 0
    busy: float = 0.0
    """How likely do-memory writes between our look and our transaction."""
    copies: list[File] = field(default_factory=list)

    def written_by_do_memory(self, state: State) -> None:
        """A cache without our ledger, as do-memory leaves it: most rows of the primary, some changed, some its own."""
        kept = sorted(key for key in state if self.random.random() < 0.8)
        self._rows({key: Value(state[key].digest(), self.random.choice(("", "local"))) for key in kept})
        self.app_edits()
        self.app_adds()

    def _rows(self, rows: Mapping[Key, Value]) -> None:
        self.file = replace(self.file, rows=rows)

    def _pick(self) -> Key | None:
        keys = sorted(self.file.rows)
        return self.random.choice(keys) if keys else None

    def app_edits(self) -> None:
        key = self._pick()
        if key is not None:
            value = self.file.rows[key]
            text = f"{self.random.randrange(10**6):06d}"
            changed = value._replace(shared=(text, *value.shared[1:]), local=self.random.choice((value.local, text)))
            self._rows({**self.file.rows, key: changed})

    def app_marks(self) -> None:
        """do-memory fills in what only the cache can hold."""
        key = self._pick()
        if key is not None:
            value = self.file.rows[key]
            self._rows({**self.file.rows, key: value._replace(local=f"local {self.random.randrange(100)}")})

    def app_adds(self) -> None:
        key = (EPISODES, f"zz-{self.random.randrange(10**6)}")
        self._rows({**self.file.rows, key: Value(Row("cached", 0, 0).digest(), "made here")})

    def app_deletes(self) -> None:
        key = self._pick()
        if key is not None:
            self._rows({other: value for other, value in self.file.rows.items() if other != key})

    def app_clears(self) -> None:
        self._rows({})

    def bit_flip(self) -> None:
        key = self._pick()
        if key is not None:
            self._rows({**self.file.rows, key: self.file.rows[key]._replace(whole=False)})

    def keep_copy(self) -> None:
        self.copies.append(self.file)

    def put_back_copy(self) -> None:
        """Somebody restores an old copy of the file: only the witness can tell."""
        if self.copies:
            self.file = self.random.choice(self.copies)

    def others_write(self) -> None:
        while self.random.random() < self.busy:
            self.random.choice((self.app_edits, self.app_marks, self.app_adds, self.app_deletes))()
