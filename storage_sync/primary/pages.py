"""Reading without cursors: pages of keys inside one held transaction, given out as cursor lines.

Only for a server that answers 404 to `/v3/cursor`. The data plane sees the same lines as from a cursor.

See docs/primary.md#endpoints.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise

import orjson

from storage_sync.primary import statements
from storage_sync.primary.capabilities import Capabilities
from storage_sync.primary.errors import NOT_LIBSQL_HINT, TooLarge
from storage_sync.primary.hrana import CLOSE, CLOSE_SECONDS, HranaHttpClient, Json, execute_request, values, wrong_form
from storage_sync.primary.schema import Projection, Schema
from storage_sync.values.errors import PrimaryRefused, PrimaryUnavailable, StorageSyncError
from storage_sync.values.outcome import Purpose

KEYS_A_PAGE = 20_000
"""Keys that a server without cursors lists in one answer."""
ROWS_A_PAGE = 200
FIRST = b'{"baton":null,"base_url":null}\n'
LAST = b'{"type":"replication_index","replication_index":null}\n'


def key_list(keys: Sequence[str]) -> str:
    """The parameter `:beside` of a manifest."""
    return orjson.dumps(list(keys)).decode()


def _begin(step: int) -> bytes:
    return orjson.dumps({"type": "step_begin", "step": step, "cols": []}) + b"\n"


def _end(step: int) -> bytes:
    return orjson.dumps({"type": "step_end", "step": step, "affected_row_count": 0, "last_insert_rowid": None}) + b"\n"


def _rows(result: Json) -> bytes:
    try:
        return b"".join(orjson.dumps({"type": "row", "row": row}) + b"\n" for row in result["rows"])
    except (KeyError, TypeError):
        raise wrong_form() from None


ByKeys = Callable[[Sequence[str]], str]
"""The statement that reads rows of given keys."""


async def row_lines(client: HranaHttpClient, sql: ByKeys, keys: Sequence[str]) -> AsyncGenerator[bytes, None]:
    """Rows of given keys, each page a read of its own: every row is proven by its digest."""
    yield FIRST + _begin(0)
    stream = _Stream(client, held=False, purpose=Purpose.FETCH)
    for first in range(0, len(keys), ROWS_A_PAGE):
        for result in await stream.fetch(sql, keys[first : first + ROWS_A_PAGE]):
            yield _rows(result)
            await asyncio.sleep(0)
    yield _end(0) + LAST


async def snapshot_lines(
    client: HranaHttpClient,
    projection: Projection,
    known: Capabilities,
    reads: Sequence[tuple[str | None, str]],
    *,
    typed: bool,
) -> AsyncGenerator[bytes, None]:
    """The steps of a snapshot (BEGIN, the reads, COMMIT) from one held stream, less than 10 s between two requests."""
    stream = _Stream(client, held=True, purpose=Purpose.PROOF)
    try:
        await stream.ask("BEGIN", {})
        yield FIRST + _begin(0) + _end(0)
        for step, (table, sql) in enumerate(reads, start=1):
            yield _begin(step)
            if table is None:
                yield _rows(await stream.ask(sql, {"state": known.state}))
            else:
                listing = statements.expected_keys(table, projection, known.schema) or ""
                fetch = partial(_by_keys, table, known.schema, typed)
                after = ""
                while keys := await stream.keys(listing, after):
                    after = keys[-1]
                    for first in range(0, len(keys), ROWS_A_PAGE):
                        for result in await stream.fetch(fetch, keys[first : first + ROWS_A_PAGE]):
                            yield _rows(result)
            yield _end(step)
        await stream.ask("COMMIT", {})
        last = len(reads) + 1
        yield _begin(last) + _end(last) + LAST
    finally:
        await stream.close()


def _by_keys(table: str, schema: Schema, typed: bool, keys: Sequence[str]) -> str:
    return statements.by_keys(table, schema, keys, typed=typed) or ""


class _Stream:
    """Requests one after the other, on one stream of the server when `held`."""

    def __init__(self, client: HranaHttpClient, *, held: bool, purpose: Purpose) -> None:
        self._client = client
        self._held = held
        self._purpose = purpose
        self._baton: str | None = None

    async def ask(self, sql: str, arguments: dict[str, str | int]) -> Json:
        requests = [execute_request(sql, arguments)]
        if not self._held:
            requests.append(CLOSE)
        # On a held stream a repeated request would find its baton used up.
        body = await self._client.pipeline_body(
            requests, baton=self._baton, read_only=not self._held, bulky=True, purpose=self._purpose
        )
        if self._held:
            self._baton = _baton(body)
        (answer,) = self._client.results_of(body, 1)
        if isinstance(answer, StorageSyncError):
            raise answer
        return answer

    async def keys(self, sql: str, after: str) -> list[str]:
        """The keys after this one; PrimaryRefused for a server that repeats a page, which would never end."""
        result = await self.ask(sql, {"after": after, "size": KEYS_A_PAGE})
        keys = [str(key) for (key,) in values(result, 1)]
        if any(key <= before for before, key in pairwise([after, *keys])):
            raise PrimaryRefused("the primary repeats a page of keys that it has sent", hint=NOT_LIBSQL_HINT)
        return keys

    async def fetch(self, sql: ByKeys, keys: Sequence[str]) -> list[Json]:
        """Rows of some keys; in halves when the answer would be too large."""
        try:
            return [await self.ask(sql(keys), {})]
        except TooLarge:
            if len(keys) == 1:
                raise
        middle = len(keys) // 2
        return [*await self.fetch(sql, keys[:middle]), *await self.fetch(sql, keys[middle:])]

    async def close(self) -> None:
        baton, self._baton = self._baton, None
        if baton is not None:
            with suppress(PrimaryUnavailable, PrimaryRefused, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._client.pipeline_body([CLOSE], baton=baton, read_only=False)


def _baton(body: bytes) -> str:
    try:
        baton = orjson.loads(body)["baton"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        baton = None
    if not isinstance(baton, str):
        raise PrimaryUnavailable("the primary did not keep the stream of a transaction open")
    return baton
