"""What is inside an open private copy: whose it is, how old, and whether its rows are what we wrote.

Several of these states can hold at once; they come in the order in which they decide what happens next
(docs/protocol.md#recovery). Whether the rows are also the primary's is not judged here.

See docs/cache.md#states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from storage_sync import _native
from storage_sync.cache.checkpoint import META_KEY, Checkpoint, decode_checkpoint
from storage_sync.cache.states import Finding, corrupt_inside
from storage_sync.values.errors import CacheDamaged, StorageSyncError, VersionMismatch
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import DERIVED_TABLES, TABLES, CacheState, FileIdentity
from storage_sync.values.witness import Witness

STAGING_KEY = "staging"
"""Key of `storage_sync_meta` that only an unfinished sibling has."""

_BYTES = ("&str", "&[u8]")
_TYPES: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(TABLES, _BYTES),
    **dict.fromkeys(DERIVED_TABLES, ("&str", "&str")),
    "metadata": _BYTES,
    "schema_version": ("&str", "u64"),
    "episode_revisions": ("&str", "i64"),
    "storage_sync_meta": _BYTES,
    "storage_sync_digest": _BYTES,
    "storage_sync_quarantine": _BYTES,
}
"""Key and value type of each table of do-memory and of ours, by redb's names; unknown tables are left alone."""

_SHOWN_KEYS = 5


class ContentJudgement(Struct, frozen=True):
    """`findings` is empty for a stamped cache that is as it was written. `rows`: in the file, by table."""

    findings: tuple[Finding, ...]
    checkpoint: Checkpoint | None
    schema_version: int | None
    rows: Mapping[str, int] = field(default_factory=dict)
    undecodable: int = 0
    """Rows that nobody listed and that do not decode; they are reported and left alone."""
    warnings: tuple[str, ...] = ()

    @property
    def states(self) -> tuple[CacheState, ...]:
        return tuple(finding.state for finding in self.findings)

    @property
    def stamped(self) -> bool:
        return self.checkpoint is not None

    @property
    def generation(self) -> int | None:
        return None if self.checkpoint is None else self.checkpoint.generation

    def finding(self, *states: CacheState) -> Finding | None:
        return next((finding for finding in self.findings if finding.state in states), None)


def judge_content(
    cache_file: _native.CacheFile,
    witness: Witness | None,
    scan: _native.Scan | None,
    *,
    identity: FileIdentity | None = None,
    sound: bool = True,
) -> ContentJudgement:
    """Judge an open private copy.

    `scan`: None leaves the rows unjudged. `identity`: of the live file. `sound`: redb's own check of a copy was clean
    (`ProbeReport.integrity`); when it was not, differing bytes are damage and not do-memory's work.
    """
    try:
        tables = cache_file.tables()
        wrong = _judge_types(tables)
        rows = {table.name: table.rows or 0 for table in tables if table.name in TABLES}
        if wrong is not None:
            return ContentJudgement((wrong,), None, None, rows)
        meta = cache_file.meta()
        version = cache_file.schema_version()
    except _native.NativeError as error:
        return ContentJudgement((corrupt_inside(f"redb cannot read it: {error}"),), None, None)
    checkpoint, reason = decode_checkpoint(meta.get(META_KEY))
    unreadable = META_KEY in meta and checkpoint is None
    rot = _rot(reason, ()) if unreadable else _judge_rot(scan, sound)
    found = [
        # In a damaged file stamp, schema and source may be wrong too: that comes first.
        None if sound else rot or corrupt_inside("redb's own check of a copy does not pass"),
        _judge_age(checkpoint, witness, identity, any(rows.values())),
        _judge_schema(version, any(rows.values())),
        rot if sound else None,
        _judge_drift(scan) if sound else None,
        None if checkpoint is not None or unreadable else _judge_stamp(meta, rows),
    ]
    undecodable = 0 if scan is None else sum(table.undecodable for table in scan.tables.values())
    warnings = (f"{_many(undecodable)} that only the cache has cannot be decoded",) if undecodable else ()
    return ContentJudgement(
        tuple(finding for finding in found if finding is not None), checkpoint, version, rows, undecodable, warnings
    )


def ledger_root(checkpoint: Checkpoint, scan: _native.Scan) -> str:
    """The root over the rows of a scan, by the configuration that they were proven with. Blocking."""
    scope = _native.Scope(
        digest=checkpoint.digest,
        window=checkpoint.window,
        patterns=checkpoint.patterns,
        embeddings=checkpoint.embeddings,
    )
    return _native.root_of(scan, scope)


def unknown(table: str) -> bool:
    """Whether the table is neither do-memory's nor ours."""
    return table not in _TYPES


def content_error(
    judgement: ContentJudgement, tolerated: frozenset[CacheState] = frozenset()
) -> StorageSyncError | None:
    """The error that stops a plain sync, or None. A repair tolerates what it repairs."""
    for finding in judgement.findings:
        if finding.state in tolerated:
            continue
        hint = finding.next_step or None
        match finding.state:
            case CacheState.WRONG_SCHEMA:
                return VersionMismatch(finding.evidence, hint=hint)
            case CacheState.CORRUPT | CacheState.ROLLED_BACK | CacheState.WRONG_TYPES | CacheState.BIT_ROT:
                return CacheDamaged(finding.evidence, hint=hint)
            case _:
                continue
    return None


def _judge_types(tables: Sequence[_native.TableStat]) -> Finding | None:
    for table in tables:
        have = (table.key_type, table.value_type)
        expected = _TYPES.get(table.name)
        if table.error is not None and have in {("", ""), expected}:
            return corrupt_inside(f"table {table.name} cannot be read: {table.error}")
        if expected is not None and have != expected:
            return Finding(
                CacheState.WRONG_TYPES,
                f"table {table.name} holds {have[0]} -> {have[1]}; do-memory's holds {expected[0]} -> {expected[1]}",
                NextStep.REPAIR,
            )
    return None


def _judge_age(
    checkpoint: Checkpoint | None, witness: Witness | None, identity: FileIdentity | None, has_rows: bool
) -> Finding | None:
    """The witness is a lower bound. Without a checkpoint only the very file that it saw can have gone back in time."""
    if witness is None:
        return None
    if checkpoint is None:
        if not _same_file(witness, identity):
            return None
        have = "no checkpoint of this tool" if has_rows else "no rows and no checkpoint of this tool"
    elif checkpoint.generation < witness.generation:
        have = f"generation {checkpoint.generation}"
    else:
        return None
    return Finding(
        CacheState.ROLLED_BACK,
        f"the file has {have}, but the witness records generation {witness.generation}: the file is an older one",
        NextStep.REPAIR,
    )


def _same_file(witness: Witness, identity: FileIdentity | None) -> bool:
    if identity is None or witness.identity is None:
        return False
    return (identity.device, identity.inode) == (witness.identity.device, witness.identity.inode)


def _judge_schema(version: int | None, has_rows: bool) -> Finding | None:
    expected = _native.CACHE_SCHEMA_VERSION
    if version == expected or (not has_rows and (version is None or version < expected)):
        return None
    if version is not None and version > expected:
        return Finding(
            CacheState.WRONG_SCHEMA,
            f"the cache has schema version {version}; this tool knows {expected} and is older than your do-memory",
            "use a newer storage-sync",
        )
    have = "no schema version" if version is None else f"schema version {version}"
    return Finding(
        CacheState.WRONG_SCHEMA,
        f"the cache has {have}, do-memory expects {expected} and would empty or refuse it",
        NextStep.REBUILD,
    )


def _judge_rot(scan: _native.Scan | None, sound: bool) -> Finding | None:
    if scan is None:
        return None
    tables = scan.tables
    differing = {name: table.drifted + table.absent + table.altered for name, table in tables.items()}
    rotten = {name: table.rotten + (0 if sound else differing[name]) for name, table in tables.items()}
    if not any(rotten.values()):
        return None
    return _rot(f"stored bytes are not the ones that were proven ({_counts(rotten)})", _keys(tables, rotten))


def _rot(evidence: str, keys: Sequence[str]) -> Finding:
    named = f": {', '.join(keys)}" if keys else ""
    return Finding(CacheState.BIT_ROT, evidence + named, NextStep.REPAIR)


def _judge_drift(scan: _native.Scan | None) -> Finding | None:
    if scan is None:
        return None
    tables = scan.tables
    written = {name: table.drifted for name, table in tables.items()}
    deleted = {name: table.absent for name, table in tables.items()}
    parts = [
        f"{what} {_counts(numbers)}"
        for what, numbers in (("rewritten:", written), ("removed:", deleted))
        if any(numbers.values())
    ]
    if not parts:
        return None
    return Finding(
        CacheState.LOCAL_DRIFT,
        f"rows were changed since the last proof ({'; '.join(parts)})",
        NextStep.SYNC,
    )


def _many(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _judge_stamp(meta: Mapping[str, bytes], rows: Mapping[str, int]) -> Finding:
    """A file without our checkpoint: a build that did not end, do-memory's own cache, or nothing yet."""
    if STAGING_KEY in meta:
        done = sum(rows.values())
        return Finding(
            CacheState.PARTIAL,
            f"an unfinished build with {_many(done)}",
            "run the command again: it resumes",
        )
    if not any(rows.values()):
        return Finding(CacheState.EMPTY_CACHE, "there are no rows in it yet", NextStep.SYNC)
    return Finding(CacheState.UNSTAMPED, "do-memory wrote it; it was never synced by this tool", NextStep.SYNC)


def _counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {table}" for table, count in numbers.items() if count)


def _keys(tables: Mapping[str, _native.ScanTable], wanted: Mapping[str, int]) -> list[str]:
    return [key for name, count in wanted.items() if count for key in tables[name].differing_keys][:_SHOWN_KEYS]
