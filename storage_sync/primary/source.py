"""The one face of a primary that the core uses, for a server and for a file.

    source = connect(url, token)
    capabilities = await source.probe()

`source.snapshot` and `source.rows` give what `Staging` takes: the steps for `Staging.begin`, and the body for
`Staging.feed`, to be iterated once and closed (`contextlib.aclosing`). What they raise is of `storage_sync.errors`.
A source belongs to the event loop of its first use. Every wait can be cancelled at once; streams of the server are
closed behind the caller's back, and `close` waits for that (0.7 s at most).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from storage_sync.primary import above, local, statements
from storage_sync.primary.above import Above
from storage_sync.primary.binding import bound
from storage_sync.primary.capabilities import (
    SCHEMA_PROBE,
    Capabilities,
    digest_of,
    digest_probes,
    probe_arguments,
    read_probe,
    seen_of,
)
from storage_sync.primary.digests import half_digest
from storage_sync.primary.errors import (
    NOT_LIBSQL_HINT,
    NoCursor,
    PrimaryChanged,
    TextTooLong,
    TooLarge,
    UndecodableText,
)
from storage_sync.primary.manifest import imprint as imprint_alone
from storage_sync.primary.manifest import manifest, reaches
from storage_sync.primary.schema import Projection
from storage_sync.primary.urls import Address, parse, refuse_plain
from storage_sync.values.errors import InternalError, PrimaryRefused, PrimarySchema, StorageSyncError
from storage_sync.values.imprint import KnownSchema
from storage_sync.values.marks import Marks
from storage_sync.values.measured import Measured
from storage_sync.values.outcome import Purpose, Transfer

if TYPE_CHECKING:
    from storage_sync._native import StepSpec
    from storage_sync.primary.hrana import HranaHttpClient, Json

__all__ = [
    "Capabilities",
    "Fingerprint",
    "LocalSource",
    "LogStand",
    "RemoteSource",
    "Source",
    "UndecodableText",
    "Wanted",
    "connect",
]

T = TypeVar("T")
Renewed = Callable[[], str | None]

FEW_KEYS = 32
"""Rows up to which an answer is compressed also on this machine: it may be the near end of a tunnel, and a server takes
a few milliseconds for it."""
KEYS_A_PIPELINE = 200
"""Rows up to which one pipeline (one request) is cheaper than a cursor and its close."""
KEYS_A_QUESTION = 2000
"""Keys that one statement names, where it answers with a short row for each."""
SMALL_BODY = 1 << 14
STEPS_A_LOOK = 20_000
"""Steps of SQLite's machine between two looks at whether to go on: well below a millisecond."""


class Fingerprint(Struct, frozen=True):
    """A cheap value that mostly differs after a change; equal ones prove nothing (docs/primary.md#change-tokens)."""

    values: tuple[object, ...]
    replication_index: int | None = None

    @property
    def schema(self) -> int | None:
        """The primary's `schema_version`, the last of the values."""
        version = self.values[-1] if self.values else None
        return version if isinstance(version, int) else None

    @property
    def token(self) -> str:
        """A digest that stands for these values where they are compared and not kept."""
        text = repr((self.values, self.replication_index)).encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()[:16]


class LogStand(Struct, frozen=True):
    """Where the log of a primary stands."""

    index: int | None = None
    """Its replication index; None where it sends none."""
    steps_back: int = 0
    """How often the index was seen to go back."""
    connections: int = 0
    """Opened so far. A server that was stopped, and may have been given another file, has closed all of them."""


class Wanted(Protocol):
    """What is to be read: a `_native.Scope`."""

    @property
    def window(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def tables(self) -> Sequence[str]: ...
    @property
    def part(self) -> tuple[int, int] | None: ...


class Source(Protocol):
    """A primary. Keys are upper-case hex of the source key's bytes (`statements.key`)."""

    @property
    def url(self) -> str:
        """As it may be shown: without secrets."""

    @property
    def source_id(self) -> str:
        """See docs/protocol.md#identities."""

    @property
    def counters(self) -> Transfer:
        """Since the source was made; zeros for a file."""

    @property
    def replication_index(self) -> int | None:
        """Newest that an answer carried; None where the server sends none."""

    @property
    def steps_back(self) -> int:
        """How often the replication index was seen to go back since the source was made."""

    known_schema: KnownSchema | None
    """What the last probe said, or before the first one what that of another process said of this primary."""

    async def probe(self) -> Capabilities:
        """Asked once, then remembered until `forget`. PrimarySchema when it is not do-memory's."""

    def forget(self) -> bool:
        """What was found out is found out again at the next call; False when that was tried last, and failed."""

    def expect_long_tags(self) -> bool:
        """After TextTooLong: from now on an episode whose tags are too long is rejected instead; False when that was
        so already."""

    async def ping(self) -> float:
        """Milliseconds of one small statement, authentication included."""

    async def fingerprint(self) -> Fingerprint: ...

    @property
    def log(self) -> LogStand:
        """As far as the answers up to now tell."""

    async def standing(self) -> LogStand:
        """Where the primary's log stands now; no row is read."""

    async def marks(self, scope: Wanted) -> Marks | None:
        """Where the tables end; None where no follow run could go on from there."""

    async def above(self, scope: Wanted, before: Marks, starts: Sequence[str]) -> Above:
        """What stands above marks that this primary gave, at one instant; only where `probe().digest` is the scope's
        or None. `starts`: keys of episodes whose start time it must say."""

    def manifest(
        self, scope: Wanted, known: str, *, imprint: str = "", beside: Sequence[str] | None = None, many: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """Body for `Comparison.feed`; only where `probe().digest` is not None, and is the scope's.

        `known`: `KeptManifest.known_families`, or `{}`. `imprint`: of the rows that are there; the primary sends no
        more than its own where it is the same. `beside`:
        keys of the embeddings that nothing leads to: only these are looked for; None: all are. `many`:
        there are more than `manifest.MANY` rows.
        """

    async def measure(self, scope: Wanted) -> Measured | None:
        """What watching costs; None where it does not say how many rows it reads, and where its digests are not the
        scope's. Reads about as much as one proof."""

    def snapshot(self, scope: Wanted, *, typed: bool = False) -> tuple[list[StepSpec], AsyncGenerator[bytes, None]]:
        """All expected rows and the counts, in one read transaction. Needs `probe` before; not for files."""

    def rows(
        self, scope: Wanted, table: str, keys: Sequence[str], *, typed: bool = False
    ) -> tuple[list[StepSpec], AsyncGenerator[bytes, None]]:
        """Rows of given keys, in the window or not. UndecodableText: again with `typed`. Not for files."""

    async def digests(self, table: str, keys: Sequence[str], digest: str) -> dict[str, str]:
        """Source digests (32 hex digits) of those of the keys that exist, in the window or not."""

    async def existing(self, table: str, keys: Sequence[str]) -> dict[str, bool]:
        """Those of the keys that exist, in the window or not; whether what the row belongs to exists too."""

    async def in_window(self, scope: Wanted, episodes: Sequence[str]) -> set[str]:
        """Those of the episodes, by id, that are among the newest."""

    async def rewritten(self) -> set[str]:
        """Cache keys of embeddings whose episode was written after them, in the primary's own seconds."""

    @property
    def proxy(self) -> str:
        """URL of the proxy on the way, without user and password; '' when there is none."""

    def use_token(self, token: str) -> None:
        """From the next request on."""

    def ask_now(self) -> None:
        """A person wants to know: a server's `Retry-After` is not waited for."""

    async def close(self) -> None: ...


def connect(
    url: str,
    token: str | None = None,
    *,
    timeout_s: float = 30.0,
    executor: Executor | None = None,
    renewed: Renewed | None = None,
    plain_http: bool = False,
) -> Source:
    """The source that a URL names; nothing is opened yet.

    ConfigError for a URL of no known kind, and for a token that would travel to another machine without TLS unless
    `plain_http` allows that. `timeout_s`: for one request. `executor`: where a file is read; a default thread
    otherwise. `renewed`: the token as it is kept now, for a server that does not take the old one.
    """
    address = parse(url)
    if address.kind == "file":
        return LocalSource(address, executor=executor)
    if token and not plain_http:
        refuse_plain(address)
    return RemoteSource(address, token, timeout_s=timeout_s, renewed=renewed)


def projection_of(scope: Wanted) -> Projection:
    return Projection(
        scope.window,
        patterns="patterns" in scope.tables,
        embeddings="embeddings" in scope.tables,
        part=scope.part,
    )


# ------------------------------------------------------------------------------------------------- server


def _require_answers(functions: Sequence[object]) -> None:
    """Raise what is wrong with the answers to `digest_probes`; a function that is not there is nothing wrong."""
    for answer in functions:
        if not isinstance(answer, StorageSyncError):
            raise PrimaryRefused("the primary's answer is not one that a database gives", hint="check --primary")
        if not isinstance(answer, PrimarySchema):
            raise answer


class RemoteSource:
    """A libSQL server. The network stack is imported at the first request."""

    def __init__(
        self, address: Address, token: str | None, *, timeout_s: float, renewed: Renewed | None = None
    ) -> None:
        self._address = address
        self._token = token
        self._renewed = renewed
        self._timeout = timeout_s
        self._made: HranaHttpClient | None = None
        self._known: Capabilities | None = None
        self._polled: Fingerprint | None = None
        self._polled_over = 0
        """Connections opened until then: a server that was given another file has closed all of them."""
        self.known_schema: KnownSchema | None = None
        self._unusable = False
        """The last probe failed, so what is wrong is not that we know something old."""
        self._probing = asyncio.Lock()
        self._long_tags = False

    def __repr__(self) -> str:
        return f"RemoteSource({self._address.text!r})"

    @property
    def url(self) -> str:
        return self._address.text

    @property
    def source_id(self) -> str:
        return self._address.source_id

    @property
    def client(self) -> HranaHttpClient:
        """The protocol client, a `libsql_client.Client`."""
        if self._made is None:
            from storage_sync.primary.hrana import HranaHttpClient

            self._made = HranaHttpClient(self._address, token=self._token, timeout=self._timeout, renewed=self._renewed)
        return self._made

    @property
    def counters(self) -> Transfer:
        return self._made.counters if self._made is not None else Transfer()

    @property
    def replication_index(self) -> int | None:
        return self._made.replication_index if self._made is not None else None

    @property
    def steps_back(self) -> int:
        return self._made.steps_back if self._made is not None else 0

    async def probe(self) -> Capabilities:
        async with self._probing:
            if self._known is None:
                self._unusable = True
                found = await self._probe()
                self._known = replace(found, schema=replace(found.schema, long_tags=self._long_tags))
                self._unusable = False
            return self._known

    async def _probe(self) -> Capabilities:
        from storage_sync.primary.hrana import execute_request, values

        known = self.known_schema
        requests = [execute_request(sql) for sql in digest_probes()]
        describe = execute_request(SCHEMA_PROBE, probe_arguments())
        if known is None:
            requests.append(describe)
        answers = await self.client.pipeline_each(requests, purpose=Purpose.PROOF)
        functions = answers[: len(digest_probes())]
        rows = [values(answer, 4, rows=1)[0] if isinstance(answer, dict) else None for answer in functions]
        digest = digest_of(rows)
        seen = seen_of(rows, digest)
        if known is not None and digest is None:
            # it digested once: unless the function is missing now, that answer is wrong
            _require_answers(functions)
        made_of, now = seen if seen is not None else ("", "")
        if known is not None and seen is not None and (known.digest, known.made_of) == (digest, made_of):
            answer: object = known.answer
        else:
            described = answers[-1]
            if known is not None:
                (described,) = await self.client.pipeline_each([describe], purpose=Purpose.PROOF)
            if isinstance(described, StorageSyncError):
                raise described
            answer = values(described, 1, rows=1)[0][0]
        schema, state, server, foreign_keys = read_probe(answer)
        self.known_schema = KnownSchema(self.source_id, digest, made_of, _string(answer)) if digest else None
        return Capabilities(
            schema=schema,
            digest=digest,
            server=server,
            foreign_keys=foreign_keys,
            replication_index=self.client.replication_index,
            # of now, where the answer is of another process
            state=now or state,
        )

    def forget(self) -> bool:
        self._known, self._polled, self.known_schema = None, None, None
        return not self._unusable

    def expect_long_tags(self) -> bool:
        if self._long_tags:
            return False
        self._long_tags, self._known = True, None
        return True

    async def ping(self) -> float:
        from storage_sync.primary.hrana import execute_request

        start = time.perf_counter()
        await self.client.pipeline([execute_request(statements.PING)], purpose=Purpose.POLL)
        return (time.perf_counter() - start) * 1000

    async def fingerprint(self) -> Fingerprint:
        """Where the server sends a replication index and it stands where it stood, nothing is read.

        An index is that of the answer's end, so one asked for before the rows is what they are remembered with.
        """
        before = self._known
        try:
            return await self._fingerprint()
        except (PrimaryChanged, PrimarySchema):
            # it was asked about the tables that it had when it was probed
            if before is None:
                raise
            if self._known is before:
                self.forget()
        return await self._fingerprint()

    async def _fingerprint(self) -> Fingerprint:
        from storage_sync.primary.hrana import execute_request, values

        sql, ping = statements.fingerprint((await self.probe()).schema), execute_request(statements.PING)
        last = self._polled
        if last is not None and last.replication_index is not None:
            (asked,) = await self.client.pipeline([ping], purpose=Purpose.POLL)
            if index_of(asked) == last.replication_index and self.log.connections == self._polled_over:
                return last
        # a server that sent none is asked for the rows alone, until it sends one
        before = [] if last is not None and last.replication_index is None else [ping]
        answers = await self.client.pipeline([*before, execute_request(sql)], purpose=Purpose.POLL)
        index = index_of(answers[0])
        if not before and index is not None:
            self._polled = None
            return await self._fingerprint()
        (row,) = values(answers[-1], rows=1)
        self._polled, self._polled_over = Fingerprint(tuple(row), index), self.log.connections
        return self._polled

    @property
    def log(self) -> LogStand:
        connections = self._made.connections if self._made is not None else 0
        return LogStand(self.replication_index, self.steps_back, connections)

    async def standing(self) -> LogStand:
        from storage_sync.primary.hrana import execute_request

        (asked,) = await self.client.pipeline([execute_request(statements.PING)], purpose=Purpose.PROOF)
        return replace(self.log, index=index_of(asked))

    async def marks(self, scope: Wanted) -> Marks | None:
        from storage_sync.primary.hrana import execute_request, values

        projection, schema = projection_of(scope), (await self.probe()).schema
        if scope.part is not None or above.missing(projection, schema):
            return None
        requests = [execute_request(statements.PING), execute_request(above.marks(projection, schema))]
        asked, answer = await self.client.pipeline(requests, purpose=Purpose.PROOF)
        return above.read_marks(values(answer, rows=1)[0], projection, schema, index_of(asked))

    async def above(self, scope: Wanted, before: Marks, starts: Sequence[str]) -> Above:
        from storage_sync.primary.hrana import execute_request, values

        capabilities, projection = await self.probe(), projection_of(scope)
        schema = capabilities.schema
        digests = capabilities.digest == scope.digest
        form = above.on_server(scope.digest) if digests else above.as_it_is
        sql = bound(above.above(projection, schema, form, before, starts))
        requests = [execute_request(statements.PING), execute_request(sql, {"state": capabilities.state})]
        asked, answer = await self.client.pipeline(requests, purpose=Purpose.FOLLOW)
        rows, index = values(answer, 4), index_of(asked)
        if digests:
            return above.read_above(rows, projection, schema, index)

        def digest_of(table: str, told: object) -> str:
            return half_digest(scope.digest, local.canonical(table, above.read_row(told)))

        return above.read_above(rows, projection, schema, index, digest_of)

    async def manifest(
        self, scope: Wanted, known: str, *, imprint: str = "", beside: Sequence[str] | None = None, many: bool = False
    ) -> AsyncGenerator[bytes, None]:
        from storage_sync.primary.hrana import execute_request, statement
        from storage_sync.primary.pages import key_list

        capabilities = await self.probe()
        if capabilities.digest != scope.digest:
            raise InternalError(f"the primary digests with {capabilities.digest}, not with {scope.digest}")
        projection, schema = projection_of(scope), capabilities.schema
        whole = beside is None or not reaches(projection, schema)
        arguments: dict[str, str | int] = {"known": known, "imprint": imprint, "state": capabilities.state}
        if beside is not None and not whole:
            arguments["beside"] = key_list(beside)
        if not many or imprint or not self.client.has_cursor:
            # Mostly the list is short, or does not come: one request. When it is longer, the server says so.
            sql = bound(manifest(projection, schema, scope.digest, whole=whole, many=many))
            # it may be a row that is too long, and not the list
            longer = (TooLarge, TextTooLong) if self.client.has_cursor or schema.long_tags else (TooLarge,)
            with suppress(*longer):
                yield await self._one(execute_request(sql, arguments), Purpose.PROOF)
                return
            if not self.client.has_cursor:
                raise TooLarge("the manifest is larger than this server sends without cursors")
        sql = bound(manifest(projection, schema, scope.digest, whole=whole, many=True))
        batch = {"steps": [{"stmt": statement(sql, arguments)}]}
        async with aclosing(self.client.stream(batch, purpose=Purpose.PROOF)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def measure(self, scope: Wanted) -> Measured | None:
        from storage_sync.primary.hrana import execute_request

        capabilities, projection = await self.probe(), projection_of(scope)
        if capabilities.digest != scope.digest:
            return None
        schema, state = capabilities.schema, {"state": capabilities.state}
        whole = not reaches(projection, schema)
        asked = [
            execute_request(statements.PING),
            execute_request(statements.fingerprint(schema)),
            execute_request(
                bound(imprint_alone(projection, schema, scope.digest, whole=whole)),
                state if whole else {**state, "beside": "[]"},
            ),
        ]
        answers = await self.client.pipeline(asked, purpose=Purpose.PROOF)
        marks = await self.marks(scope)
        if marks is not None:
            answers += await self.client.pipeline(
                self._follow_requests(scope, capabilities, marks), purpose=Purpose.FOLLOW
            )
        read = [rows_of(answer) for answer in answers]
        counted = [rows for rows in read if rows is not None]
        if len(counted) < len(read):
            return None
        ping, poll, proof, *follow = counted
        has_index = index_of(answers[0]) is not None
        return Measured(ping + poll, ping if has_index else ping + poll, ping + sum(follow), proof, has_index)

    def _follow_requests(self, scope: Wanted, known: Capabilities, marks: Marks) -> list[Json]:
        """What a run asks that takes in an episode with its embedding, and lets two such rows go."""
        from storage_sync.primary.hrana import execute_request

        # the newest row then stands above the marks of each table that has more than one
        lower = replace(marks, tables={name: anchors[1:] or anchors for name, anchors in marks.tables.items()})
        sql = above.above(projection_of(scope), known.schema, above.on_server(scope.digest), lower, ())
        requests = [execute_request(bound(sql), {"state": known.state})]
        for table in ("episodes", "embeddings"):
            for anchor in marks.tables.get(table, ())[:1]:
                keys = [anchor.key]
                asked = (statements.by_keys(table, known.schema, keys), statements.existing(table, known.schema, keys))
                requests += [execute_request(sql) for sql in asked if sql is not None]
        return requests

    def snapshot(self, scope: Wanted, *, typed: bool = False) -> tuple[list[StepSpec], AsyncGenerator[bytes, None]]:
        from storage_sync._native import StepSpec

        capabilities, projection = self._capabilities(), projection_of(scope)
        schema = capabilities.schema
        # one read transaction: what its first statement was written for is so for all of them
        reads: list[tuple[str | None, str]] = [(None, bound(statements.counts(projection, schema, announcing=True)))]
        for table in projection.tables:
            sql = statements.snapshot(table, projection, schema, typed=typed)
            if sql is not None:
                reads.append((table, sql))
        steps = [StepSpec(None)]
        steps += [StepSpec(table, typed=typed and table is not None, counts=table is None) for table, _ in reads]
        if capabilities.digest == scope.digest and scope.part is None:
            reads.append((None, bound(imprint_alone(projection, schema, scope.digest))))
            steps.append(StepSpec(None, imprint=True))
        return [*steps, StepSpec(None)], self._snapshot_body(capabilities, projection, reads, typed)

    async def _snapshot_body(
        self, known: Capabilities, projection: Projection, reads: Sequence[tuple[str | None, str]], typed: bool
    ) -> AsyncGenerator[bytes, None]:
        from storage_sync.primary.hrana import snapshot_batch, statement

        try:
            bound_to = {"state": known.state}
            batch = snapshot_batch([statement(sql, bound_to if table is None else None) for table, sql in reads])
            async with aclosing(self.client.stream(batch, purpose=Purpose.PROOF)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        except NoCursor:
            pass
        from storage_sync.primary.pages import snapshot_lines

        async with aclosing(snapshot_lines(self.client, projection, known, reads, typed=typed)) as lines:
            async for line in lines:
                yield line

    def rows(
        self, scope: Wanted, table: str, keys: Sequence[str], *, typed: bool = False
    ) -> tuple[list[StepSpec], AsyncGenerator[bytes, None]]:
        from storage_sync._native import StepSpec

        return [StepSpec(table, typed=typed)], self._rows_body(table, list(keys), typed)

    async def _rows_body(self, table: str, keys: list[str], typed: bool) -> AsyncGenerator[bytes, None]:
        from storage_sync.primary.hrana import execute_request, statement
        from storage_sync.primary.pages import row_lines

        schema = (await self.probe()).schema

        def sql(some: Sequence[str]) -> str:
            found = statements.by_keys(table, schema, some, typed=typed)
            if found is None:
                raise InternalError(f"rows of {table} were asked for, and the primary has no such table")
            return found

        if len(keys) <= KEYS_A_PIPELINE:
            with suppress(TooLarge):
                yield await self._one(execute_request(sql(keys)), Purpose.FETCH, bulky=len(keys) > FEW_KEYS)
                return
        try:
            batch = {"steps": [{"stmt": statement(sql(keys))}]}
            async with aclosing(self.client.stream(batch, purpose=Purpose.FETCH)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        except NoCursor:
            pass
        async with aclosing(row_lines(self.client, sql, keys)) as lines:
            async for line in lines:
                yield line

    async def digests(self, table: str, keys: Sequence[str], digest: str) -> dict[str, str]:
        capabilities = await self.probe()
        schema, found = capabilities.schema, dict[str, str]()
        if capabilities.digest == digest:
            for some in _pages(keys):
                sql = statements.digests(table, schema, some, digest)
                rows = await self._ask(sql, {}, 2) if sql is not None else []
                found |= {_string(key): _string(value) for key, value in rows}
            return _only(keys, found)
        for some in _pages(keys, KEYS_A_PIPELINE):
            sql = statements.by_keys(table, schema, some, typed=True, keyed=True)
            for key, *typed in await self._ask(sql, {}) if sql is not None else []:
                found[_string(key)] = half_digest(digest, local.canonical(table, typed))
        return _only(keys, found)

    async def existing(self, table: str, keys: Sequence[str]) -> dict[str, bool]:
        schema, found = (await self.probe()).schema, dict[str, bool]()
        for some in _pages(keys):
            sql = statements.existing(table, schema, some)
            rows = await self._ask(sql, {}, 2) if sql is not None else []
            found |= {_string(key): _flag(owned) for key, owned in rows}
        return _only(keys, found)

    async def in_window(self, scope: Wanted, episodes: Sequence[str]) -> set[str]:
        await self.probe()
        sql = statements.in_window(projection_of(scope))
        found: set[str] = set()
        for first in range(0, len(episodes), KEYS_A_QUESTION):
            some = json.dumps(list(episodes[first : first + KEYS_A_QUESTION]))
            found |= {_string(row[0]) for row in await self._ask(sql, {"ids": some})}
        return found & set(episodes)

    async def rewritten(self) -> set[str]:
        sql = statements.rewritten((await self.probe()).schema)
        return _keys_of(await self._ask(sql, {})) if sql is not None else set()

    @property
    def proxy(self) -> str:
        return self.client.proxy.url if self.client.proxy is not None else ""

    def use_token(self, token: str) -> None:
        self._token = token
        if self._made is not None:
            self._made.use_token(token)

    def ask_now(self) -> None:
        if self._made is not None:
            self._made.ask_now()

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()

    def _capabilities(self) -> Capabilities:
        if self._known is None:
            raise InternalError("a primary is read before it was probed")
        return self._known

    async def _ask(
        self, sql: str, arguments: dict[str, str | int], columns: int | None = None, *, rows: int | None = None
    ) -> list[list[object]]:
        """PrimaryRefused for an answer without so many columns, where that is known, or rows."""
        from storage_sync.primary.hrana import execute_request, values

        (result,) = await self.client.pipeline([execute_request(sql, arguments)], purpose=Purpose.VERIFY)
        return values(result, columns, rows=rows)

    async def _one(self, request: Json, purpose: Purpose, *, bulky: bool = False) -> bytes:
        """Body of a pipeline with one read; an error inside it is raised."""
        from storage_sync.primary.hrana import CLOSE

        body = await self.client.pipeline_body([request, CLOSE], bulky=bulky, purpose=purpose)
        if len(body) < SMALL_BODY:
            # An error takes a few hundred bytes; a larger answer is read by the data plane only.
            (answer,) = self.client.results_of(body, 1)
            if isinstance(answer, StorageSyncError):
                raise answer
        return body


def index_of(result: Json) -> int | None:
    """The replication index of one result, None where the server sends none."""
    sent = result.get("replication_index")
    return int(sent) if isinstance(sent, int) or (isinstance(sent, str) and sent.isdecimal()) else None


def rows_of(result: Json) -> int | None:
    """How many rows the server says it read for one result, None where it does not."""
    sent = result.get("rows_read")
    return sent if isinstance(sent, int) else None


def _pages(keys: Sequence[str], size: int = KEYS_A_QUESTION) -> Iterator[Sequence[str]]:
    return (keys[first : first + size] for first in range(0, len(keys), size))


Found = TypeVar("Found", dict[str, str], dict[str, bool])


def _only(asked: Sequence[str], found: Found) -> Found:
    """PrimaryRefused when the answer names keys that nobody asked for."""
    if not set(found) <= set(asked):
        raise PrimaryRefused("the primary sent rows that were not asked for", hint=NOT_LIBSQL_HINT)
    return found


def _flag(value: object) -> bool:
    """PrimaryRefused for anything but 0 and 1."""
    if value not in (0, 1):
        from storage_sync.primary.hrana import wrong_form

        raise wrong_form()
    return bool(value)


def _string(value: object) -> str:
    return bytes(value).decode() if isinstance(value, (bytes, bytearray)) else str(value)


# --------------------------------------------------------------------------------------------------- file


def _keys_of(rows: Sequence[Sequence[object]]) -> set[str]:
    return {bytes.fromhex(_string(row[0])).decode("utf-8", "replace") for row in rows}


class LocalSource:
    """A SQLite file. Each call opens it read-only, on a thread, and closes it again."""

    def __init__(self, address: Address, *, executor: Executor | None = None) -> None:
        self._address = address
        self._executor = executor
        self.known_schema: KnownSchema | None = None
        """A file is probed each time."""
        self.counts: dict[str, int] = {}
        """Rows of each source table (by cache table) in the read transaction of the last `local_rows`."""

    def __repr__(self) -> str:
        return f"LocalSource({self._address.text!r})"

    @property
    def url(self) -> str:
        return self._address.text

    @property
    def source_id(self) -> str:
        return self._address.source_id

    @property
    def path(self) -> Path:
        return self._address.path

    @property
    def counters(self) -> Transfer:
        return Transfer()

    @property
    def replication_index(self) -> int | None:
        return None

    @property
    def steps_back(self) -> int:
        return 0

    async def probe(self) -> Capabilities:
        """Read again each time: it is cheap, and a file can be replaced."""
        return await self._call(local.probe)

    def forget(self) -> bool:
        return False

    def expect_long_tags(self) -> bool:
        """A file has no such bound."""
        return False

    async def ping(self) -> float:
        start = time.perf_counter()
        await self._call(lambda connection: connection.execute("SELECT count(*) FROM sqlite_master").fetchone())
        return (time.perf_counter() - start) * 1000

    async def fingerprint(self) -> Fingerprint:
        def read(connection: sqlite3.Connection) -> tuple[object, ...]:
            row = connection.execute(statements.fingerprint(local.probe(connection).schema)).fetchone()
            return tuple(bytes(cell) if isinstance(cell, bytearray) else cell for cell in row)

        return Fingerprint(await self._call(read))

    @property
    def log(self) -> LogStand:
        return LogStand()

    async def standing(self) -> LogStand:
        return LogStand()

    async def marks(self, scope: Wanted) -> Marks | None:
        projection = projection_of(scope)

        def read(connection: sqlite3.Connection) -> Marks | None:
            connection.execute("BEGIN")
            schema = local.probe(connection).schema
            if scope.part is not None or above.missing(projection, schema):
                return None
            (row,) = local.answered(connection, above.marks(projection, schema))
            return above.read_marks(row, projection, schema, None)

        return await self._call(read)

    async def above(self, scope: Wanted, before: Marks, starts: Sequence[str]) -> Above:
        projection = projection_of(scope)

        def read(connection: sqlite3.Connection) -> Above:
            connection.execute("BEGIN")
            schema = local.probe(connection).schema
            sql = above.above(projection, schema, above.in_stock, before, starts)
            return above.read_above(local.answered(connection, sql), projection, schema, None)

        return await self._call(read)

    def manifest(
        self, scope: Wanted, known: str, *, imprint: str = "", beside: Sequence[str] | None = None, many: bool = False
    ) -> AsyncGenerator[bytes, None]:
        raise InternalError("a file: primary has no digest functions")

    def snapshot(self, scope: Wanted, *, typed: bool = False) -> tuple[list[StepSpec], AsyncGenerator[bytes, None]]:
        raise InternalError("a file: primary is read by local_rows")

    async def measure(self, scope: Wanted) -> Measured | None:
        return None

    def rows(
        self, scope: Wanted, table: str, keys: Sequence[str], *, typed: bool = False
    ) -> tuple[list[StepSpec], AsyncGenerator[bytes, None]]:
        raise InternalError("a file: primary is read by local_rows")

    async def local_rows(self, scope: Wanted) -> AsyncGenerator[tuple[str, list[local.Row]], None]:
        """Expected rows for `Staging.feed_rows`, all of one read transaction; `counts` is set before the first."""
        projection = projection_of(scope)
        reader = _Reader(self.path, self._executor)
        batches: Iterator[tuple[str, list[local.Row]]] = iter(())
        try:

            def begin(connection: sqlite3.Connection) -> Iterator[tuple[str, list[local.Row]]]:
                schema, self.counts = local.begin(connection, projection)
                return local.batches(connection, projection, schema)

            batches = await reader.call(begin)
            while (batch := await reader.call(lambda _: next(batches, None))) is not None:
                yield batch
        finally:
            # a cursor that is left to the collector would be closed after its connection
            await reader.close(first=getattr(batches, "close", None))

    async def rows_of(self, table: str, keys: Sequence[str]) -> list[local.Row]:
        """Rows of given keys for `Staging.feed_rows`, in the window or not."""
        return await self._by_keys(table, keys, "row")

    async def digests(self, table: str, keys: Sequence[str], digest: str) -> dict[str, str]:
        rows = await self._by_keys(table, keys, "typed")
        return {_string(key): half_digest(digest, local.canonical(table, typed)) for key, *typed in rows}

    async def existing(self, table: str, keys: Sequence[str]) -> dict[str, bool]:
        return {_string(key): bool(owned) for key, owned in await self._by_keys(table, keys, "key")}

    async def in_window(self, scope: Wanted, episodes: Sequence[str]) -> set[str]:
        def read(connection: sqlite3.Connection) -> set[str]:
            rows = connection.execute(statements.in_window(projection_of(scope)), {"ids": json.dumps(list(episodes))})
            return {_string(row[0]) for row in rows}

        return await self._call(read)

    async def rewritten(self) -> set[str]:
        def read(connection: sqlite3.Connection) -> set[str]:
            sql = statements.rewritten(local.probe(connection).schema)
            return _keys_of(connection.execute(sql).fetchall()) if sql is not None else set()

        return await self._call(read)

    @property
    def proxy(self) -> str:
        return ""

    def use_token(self, token: str) -> None:
        """A file needs none."""

    def ask_now(self) -> None:
        """A file never asks us to wait."""

    async def close(self) -> None:
        """Nothing stays open between calls."""

    async def _by_keys(self, table: str, keys: Sequence[str], form: statements.Form) -> list[local.Row]:
        def read(connection: sqlite3.Connection) -> list[local.Row]:
            schema = local.probe(connection).schema
            return [row for rows in local.by_keys(connection, table, schema, keys, form) for row in rows]

        return await self._call(read)

    async def _call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        reader = _Reader(self.path, self._executor)
        try:
            return await reader.call(function)
        finally:
            await reader.close()


class _Reader:
    """One connection, used by one thread at a time; a cancelled wait interrupts what it is doing."""

    def __init__(self, path: Path, executor: Executor | None) -> None:
        self._path = path
        self._executor = executor
        self._connection: sqlite3.Connection | None = None
        self._way = local.Way()
        self._lock = threading.Lock()
        self._busy: asyncio.Future[object] | None = None
        self._stopped = threading.Event()

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        def work() -> T:
            with self._lock, local.explained(self._path):
                if self._connection is None:
                    self._way = local.way_of(self._path)
                    self._connection = local.open_read_only(self._path, self._way)
                    # interrupt() alone misses a statement that has not begun yet.
                    self._connection.set_progress_handler(self._stopped.is_set, STEPS_A_LOOK)
                try:
                    return function(self._connection)
                finally:
                    # what was read, or went wrong, means nothing when somebody wrote meanwhile
                    local.check_unwritten(self._path, self._way)

        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        self._busy = future  # type: ignore[assignment]
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self._stopped.set()
            future.add_done_callback(_forget)
            raise

    async def close(self, first: Callable[[], None] | None = None) -> None:
        """Close at once, or as soon as the interrupted thread lets go; `first` is called before."""

        def work() -> None:
            with self._lock:
                if first is not None:
                    first()
                connection, self._connection = self._connection, None
                if connection is not None:
                    connection.close()

        if self._busy is None or self._busy.done():
            work()
        else:
            self._busy.add_done_callback(lambda _: work())


def _forget(future: asyncio.Future[T]) -> None:
    """The outcome of a cancelled call is of no interest to anyone."""
    if not future.cancelled():
        future.exception()
