"""From the primary's state to proven rows in staging (docs/protocol.md#steps).

Two paths, one result. Where the server can digest, a manifest names the rows that differ and only those are
fetched by key. Otherwise, and for a first sync, every expected row arrives in one read transaction and the
digests are made here. A rebuild asks for the manifest even where nothing is there yet: its build remembers it, so
that a resume asks only for what moved. Both end in a sealed `Staging` whose root speaks of one instant of the primary.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from storage_sync import _native
from storage_sync.cache.checkpoint import META_KEY, decode_checkpoint
from storage_sync.primary.errors import UndecodableText, error_for
from storage_sync.primary.manifest import MANY
from storage_sync.primary.source import LocalSource, Source
from storage_sync.sync.audit import Question
from storage_sync.sync.progress import Tracker
from storage_sync.sync.streaming import Sink, pump
from storage_sync.values.outcome import PATTERN_TABLES
from storage_sync.values.snapshot import Phase

T = TypeVar("T")
ROUNDS = 5
KEYS_A_REQUEST = 2_000
FIRST_KEYS = 400
"""Keys in the first request for a table; the next ones go by what its rows weigh."""
REQUEST_BYTES = 1_500_000
"""What one answer should weigh: with what the writer has not made durable yet, a kill repeats less than a batch."""


class Target(Struct, frozen=True):
    """Where staged rows wait and what they are for."""

    path: str
    sibling: bool
    identity: bytes
    batch_rows: int
    resumable: bool
    """A staging file of the same identity is there."""
    remembers: bool
    """The manifest comes first, and stays with the staged rows until they are complete (a rebuild)."""
    keep: str | None = None
    """New file for source rows that shall wait; the manifest is then asked for whole."""


class Staged(Struct, frozen=True):
    """Sealed rows and the root that they were proven against."""

    staging: _native.Staging
    root: str
    path: str
    primary: Mapping[str, int]
    """Rows of each source table, by cache table."""
    manifest_s: float
    """Seconds that the manifest took, 0 where it was made here."""
    imprint: str | None = None
    """Of the manifest, where the primary gave it."""
    whole: bool = False
    """Every row of the primary was looked at that may be expected."""


class Stager:
    """Fetches what differs and stages it. `on_cache_thread` runs a blocking native call on the cache thread."""

    def __init__(
        self,
        source: Source,
        scope: _native.Scope,
        scan: _native.Scan | None,
        target: Target,
        tracker: Tracker,
        on_cache_thread: Callable[..., Awaitable[object]],
        asked: Question,
        waiting: _native.Waiting | None = None,
    ) -> None:
        """`asked`: what need not be sent, or looked at. `waiting`: rows that an earlier run fetched; those that are
        still so are not asked for again."""
        self._source = source
        self._asked = asked
        self._waiting = waiting
        self.problem = ""
        """What was wrong with the rows that waited."""
        self._scope = scope
        self._scan = scan
        self._target = target
        self._tracker = tracker
        self._call = on_cache_thread
        self._round = 1
        self._manifest_s = 0.0

    async def run(self, *, full: bool) -> Staged:
        """Rounds of the digest path, then, if the primary keeps moving, one read transaction.

        Errors: PrimaryUnavailable and its kin; nothing has been written to the cache when one is raised.
        """
        if full or not await self._digest_path_fits():
            return await self._snapshot()
        for self._round in range(1, ROUNDS + 1):
            staged = await self._by_digest()
            if staged is not None:
                return staged
        return await self._snapshot()

    async def compare(self) -> _native.Comparison:
        """Only the manifest, without fetching a row."""
        self._tracker.step(Phase.MANIFEST)
        kept = await self._kept_manifest()
        known = await self._blocking(kept.known_families) if kept is not None else "{}"
        remembers = self._target.sibling or self._target.keep is not None
        imprint = _imprint_of(kept) if kept is not None else self._asked.imprint
        comparison = _native.Comparison(
            self._scope, self._scan, remembers=remembers, kept=kept, imprint=imprint or None
        )
        started = time.monotonic()
        body = self._source.manifest(
            self._scope, known, imprint=imprint, beside=self._asked.beside, many=self._has_many()
        )
        with translated():
            await pump(body, comparison.feed, self._feed)
            await self._blocking(comparison.finish)
        self._manifest_s += time.monotonic() - started
        return comparison

    def _has_many(self) -> bool:
        """Whether the imprint may be over more texts than fit into one of the server's."""
        return self._scan is None or sum(table.listed for table in self._scan.tables.values()) > MANY

    async def _kept_manifest(self) -> _native.KeptManifest | None:
        """What a build remembers: a resume asks only for what changed since (docs/protocol.md#rebuild)."""
        target = self._target
        if not target.sibling:
            return None
        return await self._blocking(_native.KeptManifest.read, target.path, target.identity, self._scope)

    async def has_manifest(self) -> bool:
        """Whether the primary can digest its own rows."""
        return not isinstance(self._source, LocalSource) and (await self._source.probe()).digest is not None

    async def _digest_path_fits(self) -> bool:
        if not await self.has_manifest():
            return False
        if self._target.resumable or self._target.remembers:
            return True
        return self._scan is not None and any(table.listed or table.refused for table in self._scan.tables.values())

    async def _by_digest(self) -> Staged | None:
        """One round; None when rows changed between the manifest and their fetch."""
        return await self.fetched(await self.compare())

    async def fetched(self, comparison: _native.Comparison) -> Staged | None:
        """The rows that differ by a finished comparison; None when they are others by now."""
        staging = self._staging(comparison)
        with _closed_on_error(staging):
            if self._waiting is not None:
                await self._take_waiting(staging, self._waiting)
            self._tracker.step(Phase.FETCH)
            total = sum(comparison.to_fetch.values())
            self._tracker.expect(total, done=staging.resumed_rows, batch_rows=self._target.batch_rows)
            for table in self._scope.tables:
                await self._fetch_pending(staging, table)
            with translated():
                await self._blocking(staging.seal)
        if any(changes.moved for changes in staging.changes.values()):
            staging.close()
            return None
        return self._staged(
            staging, comparison.root, comparison.primary_rows, imprint=comparison.imprint, whole=comparison.whole
        )

    async def _take_waiting(self, staging: _native.Staging, waiting: _native.Waiting) -> None:
        """A damaged row ends it; those before it are good, and all others are asked for."""
        try:
            await self._blocking(staging.feed_waiting, waiting)
        except _native.StreamError as error:
            if error.code != "waiting":
                raise
            self._waiting = None
            self.problem = str(error)

    async def _fetch_pending(self, staging: _native.Staging, table: str) -> None:
        first, size = 0, FIRST_KEYS
        while keys := staging.pending_keys(table, first, size):
            first += len(keys)
            before = self._source.counters.bytes_received
            try:
                await self._fetch(staging, table, keys, typed=False)
            except UndecodableText:
                await self._fetch(staging, table, keys, typed=True)
            size = keys_a_request(len(keys), self._source.counters.bytes_received - before)

    async def _fetch(self, staging: _native.Staging, table: str, keys: list[str], *, typed: bool) -> None:
        if isinstance(self._source, LocalSource):
            rows = await self._source.rows_of(table, keys)
            with translated():
                await self._blocking(staging.feed_rows, table, rows)
            self._report(staging)
            return
        steps, chunks = self._source.rows(self._scope, table, keys, typed=typed)
        await self._receive(staging, steps, chunks)

    async def _snapshot(self) -> Staged:
        """All expected rows in one read transaction; the manifest is made while they arrive."""
        self._tracker.step(Phase.MANIFEST)
        await self._source.probe()
        self._tracker.step(Phase.FETCH)
        self._tracker.expect(None, batch_rows=self._target.batch_rows)
        if isinstance(self._source, LocalSource):
            staging = await self._sealed(functools.partial(self._local, source=self._source))
            return self._staged(staging, staging.root, self._source.counts, whole=True)
        try:
            staging = await self._sealed(functools.partial(self._remote, typed=False))
        except UndecodableText:
            # one text that is not UTF-8 cuts the whole answer: read every column as its bytes, from the start
            staging = await self._sealed(functools.partial(self._remote, typed=True))
        return self._staged(staging, staging.root, staging.primary_rows, imprint=staging.imprint, whole=True)

    def _staged(
        self,
        staging: _native.Staging,
        root: str,
        primary: Mapping[str, int],
        *,
        imprint: str | None = None,
        whole: bool,
    ) -> Staged:
        return Staged(staging, root, self._target.path, dict(primary), self._manifest_s, imprint, whole)

    async def _sealed(self, receive: Callable[[_native.Staging], Awaitable[None]]) -> _native.Staging:
        """A staging of its own, filled by `receive`."""
        staging = self._staging(None)
        with _closed_on_error(staging):
            await receive(staging)
            # all that was to come is here: what was estimated gives way to what was counted
            self._tracker.estimate(staging.rows)
            self._report(staging)
            with translated():
                await self._blocking(staging.seal)
        return staging

    async def _remote(self, staging: _native.Staging, *, typed: bool) -> None:
        try:
            await self._receive(staging, *self._source.snapshot(self._scope, typed=typed), whole=True)
        except UndecodableText:
            staging.discard()
            raise

    async def _local(self, staging: _native.Staging, *, source: LocalSource) -> None:
        async with contextlib.aclosing(source.local_rows(self._scope)) as batches:
            async for table, rows in batches:
                with translated():
                    await self._blocking(staging.feed_rows, table, rows)
                self._estimate(source.counts)
                self._report(staging)

    async def _receive(
        self,
        staging: _native.Staging,
        steps: list[_native.StepSpec],
        chunks: AsyncGenerator[bytes, None],
        *,
        whole: bool = False,
    ) -> None:
        """One answer into staging. `whole`: it brings every expected row, after the counts of all tables."""
        staging.begin(steps)

        async def feed(sink: Sink, /, *pieces: bytes) -> None:
            await self._call(sink, *pieces)
            if whole:
                self._estimate(staging.primary_rows)
            self._report(staging)

        with translated():
            await pump(chunks, staging.feed, feed)
            await self._blocking(staging.end)
        self._report(staging)

    async def _feed(self, sink: Sink, /, *chunks: bytes) -> None:
        await self._call(sink, *chunks)

    async def _blocking(self, function: Callable[..., T], *arguments: object) -> T:
        return await self._call(function, *arguments)  # type: ignore[return-value]

    def _estimate(self, rows: Mapping[str, int]) -> None:
        """About what a snapshot brings: rows of episodes come as far as these are in the window; a part divides all."""
        known = {table: count for table, count in rows.items() if table in self._scope.tables}
        if known:
            inside = min(1.0, self._scope.window / max(known.get("episodes", 0), 1))
            whole = sum(count if table in PATTERN_TABLES else round(count * inside) for table, count in known.items())
            self._tracker.estimate(whole if self._scope.part is None else whole // self._scope.part[1])

    def _report(self, staging: _native.Staging) -> None:
        self._tracker.rows(
            staging.rows,
            self._source.counters.bytes_received,
            batch_rows=self._target.batch_rows,
            checkpoint=staging.checkpoint_rows,
            round_=self._round,
        )

    def _staging(self, comparison: _native.Comparison | None) -> _native.Staging:
        target = self._target
        if target.keep is not None:
            # an earlier round's
            Path(target.keep).unlink(missing_ok=True)
        return _native.Staging(
            self._scope,
            self._scan,
            comparison,
            path=target.path,
            sibling=target.sibling,
            batch_rows=target.batch_rows,
            identity=target.identity,
            keep=target.keep,
        )


def staged_from(
    waiting: _native.Waiting,
    root: str,
    scope: _native.Scope,
    scan: _native.Scan | None,
    target: Target,
) -> Staged | None:
    """What waited, merged with the cache as it is now, without a question to the primary. Blocking.

    None when the cache lacks rows by now that did not wait. `_native.StreamError` `waiting` for damage.
    """
    comparison = _native.Comparison.of_waiting(scope, scan, waiting, root)
    staging = _native.Staging(
        scope,
        scan,
        comparison,
        path=target.path,
        sibling=target.sibling,
        batch_rows=target.batch_rows,
        identity=target.identity,
    )
    with _closed_on_error(staging):
        staging.feed_waiting(waiting)
        staging.seal()
    if any(changes.moved for changes in staging.changes.values()):
        staging.discard()
        return None
    return Staged(staging, root, target.path, dict(comparison.primary_rows), 0.0)


def _imprint_of(kept: _native.KeptManifest) -> str:
    """The imprint of what a build remembers whole, or lists when it is finished; '' where it has none, or lists other
    rows than it was made of."""
    if kept.imprint is not None:
        return kept.imprint
    checkpoint, _ = decode_checkpoint(kept.meta.get(META_KEY))
    return checkpoint.imprint if checkpoint is not None and checkpoint.root == kept.root else ""


def keys_a_request(keys: int, weighed: int) -> int:
    """How many keys to ask for next when the answer to so many weighed so many bytes."""
    return max(1, min(KEYS_A_REQUEST, REQUEST_BYTES * keys // max(weighed, 1)))


@contextlib.contextmanager
def _closed_on_error(staging: _native.Staging) -> Iterator[None]:
    """Close the staging when the body fails; what closing says then only follows from the first error."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(_native.NativeError):
            staging.close()
        raise


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """What the decoder finds wrong with an answer, in the words of the error hierarchy."""
    try:
        yield
    except _native.StreamError as error:
        raise error_for(error.code, str(error)) from error
