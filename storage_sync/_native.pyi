"""The data plane: redb files, row decoding, postcard, merge, digests.

Every function that touches a file or a batch releases the interpreter lock. Rows cross the border in
batches only. A panic inside never ends the process and never prints: it is raised as `NativePanic`.
Formats: docs/formats.md; redb's behaviour: docs/cache.md; digests: docs/protocol.md#digests; merge: docs/projection.md.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, final

VERSION: str
"""Version of storage-sync, from `native/Cargo.toml`."""
COMMIT: str
"""What was built, as git names it; '' where the builder did not say."""
TARGET: str
"""Machine it was built for, as Rust names it."""
COMPILER: str
"""As in `rustc 1.95.0`."""
REDB_VERSION: str
"""Version of the redb crate inside."""
ENCODING: int
"""Version of the canonical encoding that digests are made over (`enc` in the root)."""
CACHE_SCHEMA_VERSION: int
"""What do-memory expects in `schema_version["version"]` (4)."""

# --------------------------------------------------------------------------------------------- errors

class NativeError(Exception):
    """Base of everything below; `str()` is redb's own message."""

class NativePanic(NativeError):
    """A panic inside the crate; the message names the place."""

class DatabaseError(NativeError): ...
class DatabaseAlreadyOpen(DatabaseError): ...
class RepairAborted(DatabaseError): ...
class UpgradeRequired(DatabaseError): ...
class TransactionInProgress(DatabaseError): ...
class StorageError(NativeError): ...
class Corrupted(StorageError): ...
class PreviousIo(StorageError): ...

class StorageIo(StorageError):
    """An I/O error; `errno` is the system's number or None (redb's own InvalidData, UnexpectedEof)."""

    errno: int | None
    kind: str
    """Rust's ErrorKind by name: NotFound, PermissionDenied, StorageFull, InvalidData, UnexpectedEof …"""

class TableError(NativeError): ...
class TableTypeMismatch(TableError): ...
class TableDoesNotExist(TableError): ...

class CommitUnknown(NativeError):
    """`commit()` returned an error: it may or may not be durable (docs/cache.md#commits). Reopen and read the generation."""

class Conflict(NativeError):
    """The live file no longer holds what the plan was made of (invariant I11); nothing was written."""

class StreamError(NativeError):
    """A response that is not what the protocol says; `code` is the server's code or a word of ours.

    Ours: `truncated` (no terminator), `shape` (valid JSON, wrong form), `json` (not JSON), `root` (bucket
    digests do not add up to the root), `waiting` and `foreign` (`Waiting.open`), `real` (a real in a plain answer, where no column is sent as one: only a typed
    answer has the text that the server digests). Anything else is the server's own code, with its own message.
    """

    code: str

# ------------------------------------------------------------------------------------- source columns

def source_columns(table: str) -> list[tuple[str, Literal["text", "integer", "real", "blob"]]]:
    """Columns of one cache table's source rows in canonical order, with the type that each should have.

    The select list of every fetch is: these columns in this order; for `episodes` one more, the tags in
    their canonical form (`<octets>:<tag>` joined by `,` in tag order, '' for none); a `real` column is
    selected as `CASE typeof(c) WHEN 'real' THEN printf('%!.17g', c) ELSE c END` followed by `typeof(c)`.
    """

# --------------------------------------------------------------------------------------------- codec

def decode_value(table: str, data: bytes) -> str:
    """serde_json text of one cached value, letter for letter as do-memory prints it. ValueError when it does not decode whole."""

def digest(algorithm: str, data: bytes) -> bytes:
    """Whole digest: `sha3-256`, `sha-256` or `blake3`."""

def title(table: str, data: bytes) -> str | None:
    """What a person calls a cached episode or pattern, at most 200 characters; None when it does not decode."""

def label(table: str, data: bytes) -> tuple[str, list[str]] | None:
    """Domain and tags of a cached episode or pattern, tags in order; None without them or when it does not decode."""

# --------------------------------------------------------------------------------------------- files

@final
class Header:
    """What the first 320 bytes say; read without a lock and without redb."""

    length: int
    magic: Literal["redb", "near", "zeros", "sqlite", "gzip", "text", "other", "short"]
    """`near`: within 2 bits of redb's magic; `short`: fewer than 320 bytes."""
    recovery_required: bool
    two_phase: bool
    page_size: int
    format_versions: tuple[int, int]
    slot_checksums_ok: tuple[bool, bool]
    layout_length: int
    """Bytes that the layout says the file should have."""
    raw: bytes

def read_header(path: str) -> Header:
    """OSError when it cannot be read."""

@final
class CopyInfo:
    bytes: int
    attempts: int
    seconds: float
    method: Literal["reflink", "copy"]

def copy_file(source: str, target: str, attempts: int = 5) -> CopyInfo:
    """A private copy whose header was equal before and after (docs/cache.md#private-copies); takes no lock. Always a new file:
    an earlier copy of that name lives on for whoever still has it open.

    BlockingIOError after `attempts` copies during which the header moved. The target is created with mode 0600.
    """

@final
class TableStat:
    name: str
    key_type: str
    value_type: str
    rows: int | None
    """None when the table cannot be opened."""
    error: str | None

@final
class CacheFile:
    """An open redb file, 16 MiB of page memory at most for all that are open together."""

    @staticmethod
    def open(
        path: str, mode: Literal["private", "untouched", "read", "write"], cache_bytes: int = 4194304
    ) -> CacheFile:
        """`private`: read-write on a private copy, never synced, repaired on open if it must be;
        `untouched`: the same, and the file stays as it is, since what redb writes is kept in memory;
        `read`: shared lock, writes nothing; `write`: exclusive lock."""
    @property
    def repaired(self) -> bool:
        """Whether this open ran redb's repair."""
    def tables(self) -> list[TableStat]: ...
    def meta(self) -> dict[str, bytes]:
        """`storage_sync_meta`; empty when there is none."""
    def schema_version(self) -> int | None: ...
    def get(self, table: str, keys: Sequence[str]) -> list[bytes | None]: ...
    def page(self, table: str, after: str | None, limit: int) -> list[tuple[str, bytes]]:
        """Rows in key order, strictly after `after`. Tables of another value type give its raw bytes."""
    def walk(self, table: str) -> None:
        """Read a table of text keys to its end; one of other types, or none of that name, is left alone."""
    def quarantine(self, after: str | None, limit: int) -> list[tuple[str, str]]:
        """Rejected rows: (`table` NUL `key`, JSON of reason, column, source digest, first seen)."""
    def embeddings(self, folder: str) -> Embeddings:
        """Facts of every embedding, the numbers copied into a file in `folder` that has no name any more."""
    def check_integrity(self) -> bool:
        """redb's own check; `private` and `write` only."""
    def scan(self) -> Scan:
        """Hash every value of every table that we know and compare it with the ledger."""
    def close(self) -> None: ...

@final
class Embeddings:
    """Every embedding of one moment, by row in key order. Usable from any thread; outlives the file it came from."""

    def __len__(self) -> int: ...
    @property
    def keys(self) -> list[str]: ...
    @property
    def ends(self) -> bytes:
        """u64 each: where the octets of a row end, all rows laid one after the other."""
    @property
    def norms(self) -> bytes:
        """f64 each; NaN when the value does not decode or is not finite."""
    @property
    def flags(self) -> bytes:
        """One octet each: 1 decodes, 2 all numbers are finite, 4 one of them is not zero."""
    @property
    def owners(self) -> bytes:
        """One octet each: 0 none by design, 1 episode and 2 pattern in the file, 3 episode and 4 pattern not in it,
        5 a bare UUID that names neither."""
    @property
    def digests(self) -> bytes:
        """16 octets each: blake3 of the value."""
    @property
    def titles(self) -> list[str | None]:
        """Title of the owner that is in the file; None without one, or when it does not decode."""
    @property
    def labels(self) -> list[tuple[str, list[str]]]:
        """Domain and tags of owners that are in the file; each pair once."""
    @property
    def labelled(self) -> bytes:
        """Two u32 each: a row whose owner has a label, and the label's place; in row order, others left out."""
    @property
    def lone_episodes(self) -> list[tuple[str, str | None, int | None]]:
        """Id, title and place of the label of the file's episodes that no embedding names, in order."""
    @property
    def lone_patterns(self) -> list[tuple[str, str | None, int | None]]:
        """Id, title and place of the label of the file's patterns that no embedding names, in order."""
    def value(self, row: int) -> bytes:
        """The numbers, little-endian f32; the raw value when it does not decode. ValueError for no such row."""
    def cosines(self, row: int) -> bytes:
        """f64 each: cosine of every row with this one; NaN for itself, for another dimension, for a broken vector."""

@final
class ScanTable:
    rows: int
    """Rows in the file."""
    listed: int
    """Rows that the ledger says we proved (refused ones not counted)."""
    refused: int
    cache_only: int
    """Rows in the file that the ledger does not list as ours."""
    drifted: int
    """Listed, but the bytes hash to something else and decode whole (LOCAL_DRIFT)."""
    rotten: int
    """Listed, but the bytes hash to something else and do not decode, or hold another id than their key (BIT_ROT)."""
    absent: int
    """Listed, but not in the file."""
    altered: int
    """Seen at the last proof as cache-only, and since then rewritten, removed or damaged."""
    undecodable: int
    """Not listed and not decodable."""
    payload_bytes: int
    differing_keys: list[str]
    """At most 20 of the drifted, rotten, absent and altered."""
    root: str
    """Hex: table root over the ledger's source digests (32 digits). Only meaningful with the same digest algorithm."""

@final
class Scan:
    """The judged content of one private copy; holds the copy open until it is dropped."""

    @property
    def tables(self) -> dict[str, ScanTable]:
        """Every table of the manifest, then the derived `recommendation_episode_index`.

        Of that only `rows`, `drifted` and `differing_keys` (episodes) are told: it must name each episode's newest
        session, by (time, session id), among all sessions of the file, and no other episode.
        """
    @property
    def altered(self) -> int:
        """`altered` of all tables. What do-memory did to its own rows is no difference from the primary."""
    @property
    def index_drifted(self) -> int:
        """`drifted` of the derived index: entries that are wrong, missing or too many. An apply mends them."""
    @property
    def payload_bytes(self) -> int: ...
    @property
    def clean(self) -> bool:
        """No table has a drifted, rotten or absent row."""
    def orphaned_embeddings(self, limit: int = 20) -> tuple[int, list[str]]:
        """Embeddings in the whole file whose owner is named by the key and is not in the file (docs/projection.md#owner-of-an-embedding)."""
    def bad_vectors(self, dimension: int | None, limit: int = 20) -> tuple[int, list[str]]:
        """Embeddings that are empty, not finite, zero, or not of `dimension` (None: the most frequent one)."""
    def beside_keys(self, scope: Scope) -> list[str]:
        """Hex of the source keys of listed embeddings that a proof does not come upon by itself: their ids tell of no
        owner and are of no kind that is read whole (docs/protocol.md#what-a-proof-reads)."""
    def unlisted_keys(self, table: str, after: str | None, limit: int) -> list[str]:
        """Keys in the file that the ledger does not list as ours, in order."""

# ------------------------------------------------------------------------------------ compare and stage

@final
class Scope:
    """What is to be proven; its parts enter the root and the configuration hash."""

    def __init__(
        self, *, digest: str, window: int, patterns: bool, embeddings: bool, part: tuple[int, int] | None = None
    ) -> None:
        """`part`: (number from 1 on, of how many up to 256); only the rows whose keys fall into it by their last two
        bytes are compared, and the root speaks of them alone. ValueError for one that there is not."""
    @property
    def tables(self) -> list[str]:
        """Cache tables in the scope, in the order of their numbers; derived ones (recommendation_episode_index) left out."""
    @property
    def window(self) -> int: ...
    @property
    def part(self) -> tuple[int, int] | None: ...
    @property
    def digest(self) -> str:
        """`sha3-256`, `sha-256` or `blake3`."""
    @property
    def config_hash(self) -> str: ...

@final
class Changes:
    """What one table would see."""

    insert: int
    update: int
    remove: int
    withdrawn: int
    """Rows of ours that leave because the primary's new form of them is rejected; counted in `refused` and `relist` too,
    never in `remove`."""
    relist: int
    """Only the ledger changes: rows equal by projection, newly refused ones, refused ones that are gone. With insert,
    update and remove at 0 too, there is nothing to write."""
    same: int
    refused: int
    expected: int
    moved: int
    """Rows that changed on the primary between manifest and fetch; a further round is needed."""
    keys: list[str]
    """At most 20 keys of what changes."""

@final
class Comparison:
    """The primary's manifest against a scan: which rows must be fetched. Digest path, docs/protocol.md#digests."""

    def __init__(
        self,
        scope: Scope,
        scan: Scan | None,
        *,
        remembers: bool = False,
        kept: KeptManifest | None = None,
        imprint: str | None = None,
    ) -> None:
        """`remembers`: a sibling `Staging` stores what came, for a resume. `kept`: what one stored, and was offered
        as known: families of which only the mark comes are taken from it. `imprint`: of the rows of a finished `kept`, or
        without one of what a clean `scan` holds; where the primary's is the same, nothing else comes."""
    @staticmethod
    def of_waiting(scope: Scope, scan: Scan | None, waiting: Waiting, root: str) -> Comparison:
        """Finished: a manifest that was kept whole, against the cache as it is now. StreamError `waiting` where it does
        not speak of every table or not add up to the root."""
    @staticmethod
    def of_changes(scope: Scope, scan: Scan, changes: Sequence[tuple[str, bytes, Sequence[str]]]) -> Comparison:
        """Finished: the rows that the ledger lists, laid over by what changed since (table, source key, hex digests of
        its rows now, none where it is gone). `primary_rows` are the expected ones. ValueError where the ledger speaks
        of another digest."""
    def feed(self, *chunks: bytes) -> None:
        """Pieces of the body of the manifest's response, cursor lines or a whole pipeline body. StreamError."""
    def finish(self) -> None:
        """Checks that all arrived and adds up to its imprint, and makes the roots. StreamError."""
    @property
    def root(self) -> str:
        """Hex: the one digest over scope and table roots."""
    @property
    def primary_rows(self) -> dict[str, int]:
        """Rows of each source table that was counted, expected or not."""
    @property
    def imprint(self) -> str | None:
        """What the primary gave as the imprint of its manifest."""
    @property
    def whole(self) -> bool:
        """Whether every row of the primary was looked at that may be expected."""
    @property
    def expected(self) -> dict[str, int]: ...
    @property
    def to_fetch(self) -> dict[str, int]: ...
    @property
    def to_remove(self) -> dict[str, int]: ...

@final
class KeptManifest:
    """What a build remembers of the manifest that it was made for: families, or when it is finished its rows."""

    @staticmethod
    def read(path: str, identity: bytes, scope: Scope) -> KeptManifest | None:
        """None when there is no build of this identity that can be read; DatabaseAlreadyOpen when another process uses it."""
    @property
    def meta(self) -> dict[str, bytes]:
        """`storage_sync_meta` of a finished build; empty for an unfinished one."""
    @property
    def root(self) -> str | None:
        """Of what a finished build lists; None for an unfinished one."""
    @property
    def imprint(self) -> str | None:
        """Of the manifest that an unfinished build remembers whole."""
    def known_families(self) -> str:
        """JSON text for the manifest's `:known` (`manifest.py`)."""

@final
class Waiting:
    """Rows of the primary that wait beside a held cache, as the primary has them, and the manifest that proves them."""

    @staticmethod
    def open(path: str) -> Waiting:
        """StreamError `foreign` for a file that is none of ours, `waiting` for a damaged one; OSError."""
    @property
    def note(self) -> bytes:
        """What the writer gave to `Staging.keep`."""

@final
class StepSpec:
    """What one step of a cursor batch answers: rows of `table`, or nothing for us (BEGIN, COMMIT) when None."""

    def __init__(self, table: str | None, *, typed: bool = False, counts: bool = False, imprint: bool = False) -> None:
        """`typed`: each column comes as two, `typeof(c)` and `CAST(c AS BLOB)` (text that is not UTF-8).
        `counts`: rows are (table name, rows of its source table) and fill `Staging.primary_rows`; a third column says
        how many rows of the table are in the answer, or `Staging.seal` raises StreamError. `imprint`: one row, for
        `Staging.imprint`."""

@final
class Staging:
    """Rows that arrive, proven, merged and waiting for the transaction.

    With a comparison: the digest path, each row must match its manifest entry, others count as `moved`.
    Without: the snapshot path, all rows of one read transaction arrive and the manifest is made here.
    Writes happen on a thread of its own, in batches; up to `batch_bytes` or `batch_rows`, which may be 0, stay in memory.
    """

    def __init__(
        self,
        scope: Scope,
        scan: Scan | None,
        comparison: Comparison | None,
        *,
        path: str,
        sibling: bool,
        batch_rows: int = 100,
        batch_bytes: int = 4194304,
        identity: bytes = b"",
        keep: str | None = None,
    ) -> None:
        """`keep`: a new file for the source rows that the cache lacks, completed by `keep()`; with a comparison that
        `remembers`, and to which the primary did not only tell a known imprint. `path`: staging file beside the cache,
        created only when more than a batch must wait. `sibling`: the staging file becomes the cache itself (first sync,
        rebuild). `identity`: source, epoch and configuration;
        an existing file with another one is refused with ValueError, with the same one it is resumed."""
    def begin(self, steps: Sequence[StepSpec]) -> None:
        """A new response is about to arrive, with these steps (one for a pipeline's execute)."""
    def feed(self, *chunks: bytes) -> None:
        """Pieces of that response, cursor lines or a whole pipeline body. StreamError ends the response."""
    def feed_rows(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Rows from SQLite: int, float, None, bytearray (text as stored) and bytes (blob)."""
    def feed_waiting(self, waiting: Waiting) -> None:
        """Rows that an earlier run kept, of which those count that are so in the manifest; they are not asked for again.
        StreamError `waiting` for damage. Digest path."""
    def keep(self, note: bytes) -> int:
        """Complete the file `keep` and make it durable; gives how many rows are in it. After `seal`; ValueError where
        the manifest did not come."""
    def end(self) -> None:
        """The response is complete; StreamError `truncated` when its terminator is missing."""
    @property
    def rows(self) -> int:
        """Rows seen so far, resumed ones included."""
    @property
    def resumed_rows(self) -> int:
        """Rows that an earlier run staged and that prove their digest."""
    @property
    def checkpoint_rows(self) -> int:
        """Rows that a kill would not lose."""
    @property
    def changes(self) -> dict[str, Changes]: ...
    @property
    def primary_rows(self) -> dict[str, int]: ...
    @property
    def imprint(self) -> str | None:
        """Snapshot path: what the primary gave as the imprint of the same moment."""
    @property
    def staged_bytes(self) -> int: ...
    def pending_keys(self, table: str, first: int, count: int) -> list[str]:
        """Hex of the source keys that the comparison wants and that no earlier run staged, in key order (digest path).
        The list is fixed when the staging is made or takes rows that waited: `first` counts over it."""
    def staged(self, table: str, after: str | None, limit: int) -> list[tuple[str, bytes]]:
        """Rows that wait for the transaction (inserts and updates), in key order; after `seal`."""
    def seal(self) -> None:
        """All rows are here: settle removals and duplicates; flush. Snapshot path: make the root."""
    @property
    def root(self) -> str: ...
    def refused(self, after: str | None, limit: int) -> list[tuple[str, str, str, str]]:
        """(table, key, column, reason) of rows refused in this run or earlier and still so; `after` is `table` NUL `key`.
        A row of a doubled key is named by its key and, from the second on, NUL and its number."""
    def replaced(self, after: str | None, limit: int) -> list[tuple[str, str, bytes, str]]:
        """(table, key, old bytes, reason) of rows whose replacement or removal the primary cannot give back.

        Reasons: `gone from the primary`, `left the window with local fields`, `left the window with a local change`,
        `local fields replaced`, `local change replaced`, `bit rot`,
        `refused by the primary's new row`. `after` is `table` NUL `key`. Nothing without a scan."""
    def removals(self, table: str, after: str | None, limit: int) -> list[str]:
        """Cache keys that the transaction will remove."""
    def keep_removed(self, table: str, keys: Sequence[str]) -> None:
        """These removed rows are still in the primary, outside the window: not quarantined unless they hold what only
        the cache had."""
    def close(self) -> None:
        """Stop the writer; keep the staging file (it can be resumed)."""
    def discard(self) -> None:
        """Stop the writer and remove the staging file."""

@final
class Applied:
    generation: int
    commits: int
    lock_seconds: float
    """How long redb's lock was held on the live file."""
    bytes_written: int
    """Growth-independent: value and ledger bytes put into the transaction."""
    rows_written: int
    rows_removed: int

def apply(
    path: str,
    staging: Staging,
    meta: Mapping[str, bytes],
    generation: int,
    now_ms: int,
    before_open: Callable[[], None] | None = None,
) -> Applied:
    """One write transaction, durable at once, on the live file: rows, removals, ledger, rejected rows, checkpoint
    (`generation` and `digest` of the meta are written here), `schema_version`, recommendation index, episode
    revisions. Re-checks that each touched key still holds what was compared (`Conflict`).
    DatabaseAlreadyOpen when another process holds the file. `before_open` is called when all is prepared, just before
    the file is opened; what it raises is raised here, and nothing was touched."""

def edit(
    path: str,
    changes: Sequence[tuple[str, str, bytes | None, bytes | None]],
    meta: Mapping[str, bytes],
    generation: int | None,
    now_ms: int,
) -> Applied:
    """One write transaction, durable at once, of single rows: (table, key, whole blake3 of the bytes that are there now
    or None for nothing, bytes to put there or None to remove). `Conflict` when one differs; then nothing is written.

    A removed row leaves the ledger unless it is refused there; one that it does not know becomes cache-only. Recommendation
    index, episode revisions, `meta` and `generation` as in `apply`. DatabaseAlreadyOpen when another process has it.
    Without a generation our own tables stay as they are, as when do-memory writes."""

def detach(path: str) -> Applied:
    """Remove the ledger, the rejected rows and the meta table; do-memory's tables stay as they are."""

def compact(path: str) -> tuple[int, int, float]:
    """redb's compaction of the live file: bytes before, bytes after, seconds that the lock was held."""

@final
class Salvage:
    """A new private redb file for rows that were read out of a damaged one; `CacheFile.open` and `scan` judge it.

    It has every table of a cache and `storage_sync_aside`, where rows that are not carried over wait under
    `table` NUL `key`."""

    def __init__(self, path: str) -> None:
        """FileExistsError when something is there."""
    def put(self, table: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """Rows into a table of bytes, a later one of the same key counts; ValueError for any other table."""
    def close(self) -> None: ...

def is_whole(table: str, key: str, data: bytes) -> bool:
    """Whether the bytes of a cached row decode whole and hold the id that their key names."""

def finish_sibling(staging: Staging, meta: Mapping[str, bytes], generation: int, now_ms: int) -> Applied:
    """Complete a sibling build: ledger, checkpoint, schema version; compact when it pays; close clean, sync the file."""

def belongings(
    scan: Scan, scope: Scope, asked: Mapping[str, Sequence[str]] | None = None
) -> list[tuple[str, str, int, str, str]]:
    """Rows that the ledger lists: table, key or name of a rejected row, state, and what it hangs on. `asked`: only
    these keys, by table.

    States: 1 as proven, 2 rejected, 3 the cache holds something else or nothing, 4 one of several rows of a key or a
    key that is no text. Of an episode the second at which it began, of a link its ends, of a session its episode, of an
    embedding the kind of its owner (`episode`, `pattern`, `bare`, '') and its id."""

def prove(path: str, scope: Scope) -> Scan:
    """Open a private copy or a closed sibling read-only and scan it; the root of the scan is `root_of(scan, scope)`."""

def root_of(scan: Scan, scope: Scope) -> str:
    """Hex: the root over the ledger of the scanned file, for comparison with the manifest's."""

# ------------------------------------------------------------------------------------------ terminal

def guard_terminal(terminal: int, output: int, text: bytes) -> None:
    """From now on a signal that ends the process first gives the `terminal` the modes that it has now, and
    writes `text` to `output`. Signals that somebody handles or ignores stay theirs. The first call counts. OSError."""
