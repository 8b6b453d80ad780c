"""A libSQL server over HTTP: Hrana 3 pipelines and cursors, Hrana 2 pipelines (docs/primary.md#endpoints).

`HranaHttpClient` is a `libsql_client.Client`, and gives the raw bodies that the data plane reads. Every network
failure comes out as one of `storage_sync.errors`; no message, repr or log line holds the token.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Literal, NamedTuple, NoReturn, TypeVar
from urllib.parse import urlsplit

import aiohttp
import libsql_client
import orjson
from libsql_client.client import Statement
from libsql_client.hrana.convert import (
    _batch_results_from_proto,
    _batch_to_proto,
    _result_set_from_proto,
    _stmt_to_proto,
)

from storage_sync.primary.errors import (
    NOT_LIBSQL_HINT,
    TLS_PORT_HINT,
    AuthRefused,
    NoCursor,
    Refusal,
    TooLarge,
    UndecodableText,
    error_for,
    error_for_status,
    names_no_database,
    quote,
    retry_after,
    tls_error,
)
from storage_sync.primary.proxy import Proxy, proxy_for
from storage_sync.primary.urls import Address
from storage_sync.values.errors import PrimaryRefused, PrimarySchema, PrimaryUnavailable, StorageSyncError
from storage_sync.values.outcome import Purpose, Transfer

SOCK_CONNECT = 5.0
SOCK_READ = 15.0
CLOSE_SECONDS = 0.7
"""A stream that is not closed ends by itself ten seconds later; a run must be over a second after its deadline."""
KEEP_ALIVE = 75.0
"""Longer than any poll interval's usual gap, or each poll pays for TCP and TLS again."""
LEAST_RATE = 1024
"""Bytes a second, over a whole timeout, below which a body counts as stalled."""
LARGEST_BODY = 64 << 20
"""Of a pipeline, which is held in memory; sqld's own limit is 10 MB a statement."""
LARGEST_PARSED = 16 << 20
"""Of a pipeline whose values are made here: a crafted one takes some twenty times as much memory."""
PIECE = 1 << 20
"""Most bytes that one step of decompression gives."""
TAIL = 4096
FAILURES_BEFORE_NEW_SESSION = 3
NO_ANSWER = "none"
"""Instead of a status, of a request that got none."""

Json = dict[str, Any]
T = TypeVar("T")

_INDEX = re.compile(rb'"replication_index":\s*"?(\d+)')
_ROWS_READ = re.compile(rb'"rows_read":\s*(\d+)')
"""Only a result's own field looks so: inside a value the quotes are escaped."""
_UNPREPARED = re.compile(rb'"message":\s*"[^"]*no such function')
"""A statement that was not even prepared: it read nothing."""
_FROM = re.compile(r"\bfrom\b", re.IGNORECASE)
_READS = re.compile(r"\s*(select|explain|pragma|values|with)\b", re.IGNORECASE)
_WRITES = re.compile(r"\b(insert|update|delete|replace|create|drop|alter)\b", re.IGNORECASE)
_TRANSIENT = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError, BrokenPipeError)


class _ForClient(libsql_client.LibsqlError):  # type: ignore[misc]
    """An error of ours as the interface of libsql_client promises it; `code` stays our code word."""

    def __init__(self, error: StorageSyncError) -> None:
        RuntimeError.__init__(self, error.message)
        self.message = self.explanation = error.message
        self.hint = error.hint
        self.step = error.step


class HranaUnavailable(_ForClient, PrimaryUnavailable):
    """`PrimaryUnavailable` for users of the client interface."""

    code = PrimaryUnavailable.code

    def __init__(self, error: PrimaryUnavailable) -> None:
        super().__init__(error)
        self.retry_after = error.retry_after


class HranaRefused(_ForClient, PrimaryRefused):
    """`PrimaryRefused` for users of the client interface."""

    code = PrimaryRefused.code


class HranaSchema(_ForClient, PrimarySchema):
    """`PrimarySchema` for users of the client interface."""

    code = PrimarySchema.code


def _for_client(error: StorageSyncError) -> StorageSyncError:
    if isinstance(error, PrimaryUnavailable):
        return HranaUnavailable(error)
    if isinstance(error, PrimarySchema):
        return HranaSchema(error)
    return HranaRefused(error) if isinstance(error, PrimaryRefused) else error


def statement(sql: str, arguments: Mapping[str, str | int] | None = None, *, want_rows: bool = True) -> Json:
    """A Hrana statement with named arguments."""
    named = [
        {"name": name, "value": {"type": "integer", "value": str(value)} if isinstance(value, int) else _text(value)}
        for name, value in (arguments or {}).items()
    ]
    return {"sql": sql, "named_args": named, "want_rows": want_rows}


def _text(value: str) -> Json:
    return {"type": "text", "value": value}


def execute_request(sql: str, arguments: Mapping[str, str | int] | None = None) -> Json:
    return {"type": "execute", "stmt": statement(sql, arguments)}


CLOSE: Json = {"type": "close"}


def snapshot_batch(statements: Sequence[Json]) -> Json:
    """`BEGIN; …; COMMIT` as a batch in which each step needs the one before: one read transaction."""
    steps: list[Json] = [{"stmt": statement("BEGIN", want_rows=False)}]
    for stmt in [*statements, statement("COMMIT", want_rows=False)]:
        steps.append({"condition": {"type": "ok", "step": len(steps) - 1}, "stmt": stmt})
    return {"steps": steps}


def values(result: Json, columns: int | None = None, *, rows: int | None = None) -> list[list[object]]:
    """Rows of one execute result as plain values (integers as int, blobs as bytes).

    PrimaryRefused when it has not so many columns (None: as many as it names), or not so many rows.
    """
    answer = _result_set(result)
    found = [list(row.astuple()) for row in answer.rows]
    width = len(answer.columns) if columns is None else columns
    if any(len(row) != width for row in found) or (rows is not None and len(found) != rows):
        raise wrong_form()
    return found


def _result_set(result: Json) -> libsql_client.ResultSet:
    return _of_form(lambda: _result_set_from_proto(result))


def _of_form(read: Callable[[], T]) -> T:
    """What is read out of an answer; PrimaryRefused when the answer has not the form for that."""
    try:
        return read()
    except (libsql_client.LibsqlError, LookupError, TypeError, ValueError, AttributeError, OverflowError):
        raise wrong_form() from None


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise wrong_form()
    return value


def wrong_form() -> PrimaryRefused:
    """For an answer that does not answer what was asked."""
    return PrimaryRefused("the primary sent an answer of the wrong form", hint=NOT_LIBSQL_HINT)


class HranaHttpClient(libsql_client.Client):  # type: ignore[misc]
    """One database of one server. Make it anywhere; use and close it inside one event loop.

    `timeout`: seconds for one pipeline in all; a cursor may take longer as long as it moves. `renewed`: the token as
    it is kept now, asked for when the server does not take the one that it was sent.
    """

    def __init__(
        self,
        address: Address,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        renewed: Callable[[], str | None] | None = None,
    ) -> None:
        self._address = address
        self._token = token or None
        self._renewed = renewed
        self._timeout = timeout
        self._proxy = proxy_for(address)
        self._told_to_wait: tuple[float, PrimaryUnavailable] | None = None
        """Until when the server does not want to be asked (the loop's clock), and its words."""
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._version: Literal["v3", "v2"] | None = None
        self._no_cursor = False
        self._failures = 0
        self._requests = 0
        self._bytes = 0
        self._retries = 0
        self._by_code: Counter[str] = Counter()
        self._rows_read: Counter[Purpose] = Counter()
        self._unmetered: Counter[Purpose] = Counter()
        self._closing: set[asyncio.Task[None]] = set()
        self.replication_index: int | None = None
        """Newest one that an answer carried; None where the server sends none."""
        self.connections = 0
        """How many were opened so far."""
        self.steps_back = 0
        """How often it went back: an answer to a later request carried a smaller one (docs/protocol.md#identities)."""

    def __repr__(self) -> str:
        return f"HranaHttpClient({self._address.text!r})"

    @property
    def counters(self) -> Transfer:
        """Since the client was made."""
        unmetered = {purpose: count for purpose, count in self._unmetered.items() if count}
        return Transfer(
            self._requests, self._bytes, self._retries, dict(self._by_code), dict(self._rows_read), unmetered
        )

    @property
    def has_cursor(self) -> bool:
        """False once the server said that it has none."""
        return not self._no_cursor

    @property
    def proxy(self) -> Proxy | None:
        return self._proxy

    def use_token(self, token: str | None) -> None:
        """From the next request on."""
        self._token = token or None

    def ask_now(self) -> None:
        """A person wants to know: the server's wish to be left alone is not waited for."""
        self._told_to_wait = None

    # -------------------------------------------------------------------------- libsql_client's interface

    async def execute(
        self, stmt: libsql_client.InStatement, args: libsql_client.InArgs = None
    ) -> libsql_client.ResultSet:
        converted = Statement.convert(stmt, args)
        request = {"type": "execute", "stmt": _stmt_to_proto(converted)}
        try:
            (result,) = await self.pipeline([request], read_only=is_read(converted.sql))
            return _result_set(result)
        except StorageSyncError as error:
            raise _for_client(error) from error

    async def batch(self, stmts: list[libsql_client.InStatement]) -> list[libsql_client.ResultSet]:
        request = {"type": "batch", "batch": _batch_to_proto(stmts)}
        read_only = all(is_read(Statement.convert(stmt).sql) for stmt in stmts)
        try:
            (result,) = await self.pipeline([request], read_only=read_only)
            for error in _of_form(lambda: list(result["step_errors"])):
                if error is not None:
                    raise self._told(error)
            return list(_of_form(lambda: _batch_results_from_proto(result, len(stmts))))
        except StorageSyncError as error:
            raise _for_client(error) from error

    def transaction(self) -> NoReturn:
        """Not offered: a stream of this protocol dies after ten idle seconds. Use `batch`, which is atomic."""
        raise libsql_client.LibsqlError("use batch() for a transaction", "TRANSACTIONS_NOT_SUPPORTED")

    @property
    def closed(self) -> bool:
        return self._closed

    async def close(self) -> None:
        """End the streams that are still being closed (0.7 s at most), then the connections."""
        if self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await asyncio.gather(*self._closing, return_exceptions=True)
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # -------------------------------------------------------------------------------------- pipelines

    async def pipeline(
        self, requests: Sequence[Json], *, read_only: bool = True, purpose: Purpose = Purpose.VERIFY
    ) -> list[Json]:
        """Results of one stateless pipeline (the closing request is added here); a request's error is raised."""
        results = await self.pipeline_each(requests, read_only=read_only, purpose=purpose)
        for result in results:
            if isinstance(result, StorageSyncError):
                raise result
        return [result for result in results if isinstance(result, dict)]

    async def pipeline_each(
        self, requests: Sequence[Json], *, read_only: bool = True, purpose: Purpose = Purpose.VERIFY
    ) -> list[Json | StorageSyncError]:
        """As `pipeline`, but a request's error takes the place of its result."""
        body = await self.pipeline_body(
            [*requests, CLOSE], read_only=read_only, purpose=purpose, largest=LARGEST_PARSED
        )
        return self.results_of(body, len(requests))

    def results_of(self, body: bytes, count: int) -> list[Json | StorageSyncError]:
        """The first `count` results of a pipeline's body."""
        try:
            found = orjson.loads(body)["results"]
            answers: list[Json | StorageSyncError] = []
            for entry in found[:count]:
                if entry["type"] == "ok":
                    response = entry["response"]
                    answers.append(_object(response.get("result", response)))
                else:
                    answers.append(self._told(entry["error"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise wrong_form() from None
        if len(answers) != count:
            raise self._not_libsql("too few results")
        return answers

    async def pipeline_body(
        self,
        requests: Sequence[Json],
        *,
        baton: str | None = None,
        read_only: bool = True,
        bulky: bool = False,
        purpose: Purpose = Purpose.VERIFY,
        largest: int = LARGEST_BODY,
    ) -> bytes:
        """Whole body of one pipeline, decompressed. A `bulky` one is not compressed where bytes cost nothing.

        TooLarge for a body of more than `largest` bytes: it is not read to its end.
        """
        encoding = "identity" if bulky and self._address.loopback else "gzip"
        payload = orjson.dumps({"baton": baton, "requests": list(requests)})
        asked = _Asked(purpose, sum(_readers_in(request) for request in requests), largest)
        for version in self._versions():
            path = f"/{version}/pipeline"
            try:
                body = await self._post_once_more(path, payload, encoding, asked, read_only=read_only)
            except _NoPath as none:
                self._unmetered[purpose] -= asked.readers
                if version == "v2" or self._version is not None:
                    raise error_for_status(Refusal(404, none.said, path)) from None
                continue
            self._version = version
            self._no_cursor = self._no_cursor or version == "v2"
            return body
        raise error_for_status(Refusal(404, "", "/v2/pipeline"))

    def _versions(self) -> tuple[Literal["v3", "v2"], ...]:
        return ("v3", "v2") if self._version is None else (self._version,)

    async def _post_once_more(
        self, path: str, payload: bytes, encoding: str, asked: _Asked, *, read_only: bool
    ) -> bytes:
        """A read that a dying idle connection lost is repeated once, at once; a write never is."""
        try:
            return await self._post(path, payload, encoding, asked)
        except _Lost as lost:
            if not read_only or not lost.transient:
                raise lost.error from lost.__cause__
        self._retries += 1
        try:
            return await self._post(path, payload, encoding, asked)
        except _Lost as lost:
            raise lost.error from lost.__cause__

    async def _post(self, path: str, payload: bytes, encoding: str, asked: _Asked) -> bytes:
        floor = self.replication_index
        # what an answer does not say, lost ones included, stays unknown
        self._unmetered[asked.purpose] += asked.readers
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._timeout), aclosing(self._chunks(path, payload, encoding)) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > asked.largest:
                        raise TooLarge(f"the primary's answer is longer than {asked.largest >> 20} MB")
                    parts.append(chunk)
        except TimeoutError as error:
            self._failed()
            raise _Lost(PrimaryUnavailable(f"the primary did not answer within {self._timeout:g} s")) from error
        body = b"".join(parts)
        said = [int(rows) for rows in _ROWS_READ.findall(body)]
        if said:
            self._rows_read[asked.purpose] += sum(said)
            answered = len(said) + len(_UNPREPARED.findall(body))
            self._unmetered[asked.purpose] -= min(answered, asked.readers)
        self._note_index(body[-TAIL:], floor)
        return body

    # ---------------------------------------------------------------------------------------- cursors

    async def stream(self, batch: Json, *, purpose: Purpose = Purpose.VERIFY) -> AsyncGenerator[bytes, None]:
        """The lines of one cursor as raw, decompressed chunks, cut anywhere; its stream is closed afterwards.

        Ends normally only when the server's last entry has arrived. A body that was cut is looked into once
        through the pipeline, because a refusal and text that is not UTF-8 look like a cut here:
        see docs/primary.md#answers-that-look-right-and-are-not.
        NoCursor before the first chunk where the server has no cursors.
        """
        if self._no_cursor:
            raise NoCursor("the primary has no cursors")
        payload = orjson.dumps({"baton": None, "batch": batch})
        encoding = "identity" if self._address.loopback else "gzip"
        readers = _readers_in({"type": "batch", "batch": batch})
        for attempt in (1, 2):
            floor = self.replication_index
            watch = _Cursor()
            # a cursor's answer does not say how many rows were read for it
            self._unmetered[purpose] += readers
            try:
                async with aclosing(self._chunks("/v3/cursor", payload, encoding)) as chunks:
                    async for chunk in chunks:
                        watch.see(chunk)
                        yield chunk
                        # A fast server never lets the reader wait, so others would wait for us.
                        await asyncio.sleep(0)
                self._version = "v3"
                if not watch.complete:
                    await self._explain(batch, PrimaryUnavailable("the primary's answer was cut short"), purpose)
                self._note_index(watch.tail, floor)
                return
            except _NoPath:
                self._unmetered[purpose] -= readers
                self._no_cursor = True
                raise NoCursor("the primary has no cursors") from None
            except _Lost as lost:
                if lost.transient and not watch.seen and attempt == 1:
                    self._retries += 1
                    continue
                if lost.cut and watch.seen:
                    await self._explain(batch, lost.error, purpose)
                raise lost.error from lost.__cause__
            finally:
                self._close_later(watch.baton)

    async def _explain(self, batch: Json, cut: StorageSyncError, purpose: Purpose) -> NoReturn:
        """Why a cursor was cut: ask each of its reads again through the pipeline, which can say so."""
        suspicious = False
        for step in batch["steps"]:
            stmt = step["stmt"]
            if not is_read(stmt["sql"]):
                continue
            try:
                await self.pipeline([{"type": "execute", "stmt": stmt}], purpose=purpose)
            except TooLarge:
                suspicious = True
            except PrimaryUnavailable:
                raise cut from None
        if suspicious:
            # The server lives and the pipeline is too narrow to tell; typed columns succeed in either case.
            raise UndecodableText("the primary cut its answer, perhaps at a text that is not UTF-8", suspected=True)
        raise cut

    def _close_later(self, baton: str | None) -> None:
        """Close a stream without waiting: an unclosed one holds a connection of the server for ten seconds."""
        if baton is None or self._session is None:
            return
        self._requests += 1
        task = asyncio.get_running_loop().create_task(self._close_stream(baton))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_stream(self, baton: str) -> None:
        payload = orjson.dumps({"baton": baton, "requests": [CLOSE]})
        with suppress(StorageSyncError, _Lost, _NoPath, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                async with aclosing(self._chunks("/v3/pipeline", payload, "identity", counted=True)) as chunks:
                    async for _ in chunks:
                        pass

    # ------------------------------------------------------------------------------------ one request

    async def _chunks(
        self, path: str, payload: bytes, encoding: str, *, counted: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """As `_body`; a request that was refused is made again when the token is another one by now.

        Not at all while the server wants to be left alone: PrimaryUnavailable with what is left of that time.
        """
        self._honour_wait()
        used = self._token
        try:
            async with aclosing(self._body(path, payload, encoding, counted=counted)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        except AuthRefused:
            # nothing was given out yet: a refusal comes instead of a body
            if self._renewed is not None:
                self.use_token(self._renewed())
            if self._token == used:
                raise
            self._retries += 1
        except PrimaryUnavailable as error:
            if error.retry_after:
                self._told_to_wait = (asyncio.get_running_loop().time() + error.retry_after, error)
            raise
        async with aclosing(self._body(path, payload, encoding)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _honour_wait(self) -> None:
        if self._told_to_wait is None:
            return
        until, error = self._told_to_wait
        left = until - asyncio.get_running_loop().time()
        if left > 0:
            raise PrimaryUnavailable(error.message, hint=error.step or error.hint, retry_after=left)
        self._told_to_wait = None

    async def _body(
        self, path: str, payload: bytes, encoding: str, *, counted: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """Body of one POST, decompressed. Raises `_Lost` for the network, `_NoPath`, or what the status means."""
        headers = {"Accept-Encoding": encoding, "Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        limits = aiohttp.ClientTimeout(
            total=None, connect=2 * SOCK_CONNECT, sock_connect=SOCK_CONNECT, sock_read=self._read_limit()
        )
        if not counted:
            self._requests += 1
        code = NO_ANSWER
        try:
            session = self._open_session()
            async with session.post(
                self._address.base + path,
                data=payload,
                headers=headers,
                timeout=limits,
                allow_redirects=False,
                proxy=self._proxy.url if self._proxy is not None else None,
                proxy_auth=_authority(self._proxy),
            ) as response:
                code = str(response.status)
                try:
                    if response.status != 200:
                        await self._refuse(response, path)
                    unpack = self._unpacker(response)
                    async with aclosing(self._read(response)) as raw:
                        async for chunk in raw:
                            for piece in unpack(chunk):
                                yield piece
                    unpack.finish()
                finally:
                    if not response.content.at_eof():
                        # Given back to the pool it would be a dirty connection; closed, the server stops the query.
                        response.close()
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise tls_error(self._clean(str(error))) from error
        except aiohttp.ClientHttpProxyError as error:
            self._failed()
            raise self._proxy_refused(error) from error
        except aiohttp.ClientResponseError as error:
            hint = TLS_PORT_HINT if self._address.base.startswith("http:") else NOT_LIBSQL_HINT
            raise PrimaryRefused("the primary sent something that is not HTTP", hint=hint) from error
        except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, OSError) as error:
            self._failed()
            cut = isinstance(error, aiohttp.ClientPayloadError)
            raise _Lost(self._lost(error), transient=_is_transient(error), cut=cut) from error
        finally:
            self._by_code[code] += 1
        self._failures = 0

    async def _read(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        """Raw chunks; a body that moves too slowly counts as stalled. Our waiting counts, not the consumer's time."""
        clock = asyncio.get_running_loop().time
        waited, received = 0.0, 0
        while True:
            start = clock()
            try:
                chunk = await response.content.readany()
            except RuntimeError as error:
                # what aiohttp says of a body whose connection ended after chunks that it could not read
                raise aiohttp.ClientPayloadError(str(error)) from error
            waited += clock() - start
            if not chunk:
                return
            self._bytes += len(chunk)
            received += len(chunk)
            if waited >= self._timeout:
                if received < LEAST_RATE * self._timeout:
                    self._failed()
                    raise _Lost(PrimaryUnavailable(f"the primary sent only {received} bytes in {waited:.0f} s"))
                waited, received = 0.0, 0
            yield chunk

    def _read_limit(self) -> float:
        return max(SOCK_READ, self._timeout / 2) if self._timeout > 2 * SOCK_READ else min(SOCK_READ, self._timeout)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise PrimaryUnavailable("the connection to the primary was closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=16, keepalive_timeout=KEEP_ALIVE, resolver=_Resolver()),
                auto_decompress=False,
                read_bufsize=1 << 18,
                headers={"User-Agent": "storage-sync"},
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[self._counting_connections()],
            )
        return self._session

    def _counting_connections(self) -> aiohttp.TraceConfig:
        async def opened(*_: object) -> None:
            self.connections += 1

        config = aiohttp.TraceConfig()
        config.on_connection_create_end.append(opened)
        return config

    def _failed(self) -> None:
        """After some failures in a row the connections are thrown away: a client can be wedged for good otherwise."""
        self._failures += 1
        if self._failures >= FAILURES_BEFORE_NEW_SESSION and self._session is not None:
            session, self._session, self._failures = self._session, None, 0
            task = asyncio.get_running_loop().create_task(session.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _unpacker(self, response: aiohttp.ClientResponse) -> _Plain | _Gzip:
        if response.content_type == "text/html":
            raise self._not_libsql("a web page")
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if coding in ("", "identity"):
            return _Plain()
        if coding in ("gzip", "x-gzip"):
            return _Gzip(self._not_libsql)
        raise self._not_libsql(f"an answer encoded as {quote(coding)}")

    async def _refuse(self, response: aiohttp.ClientResponse, path: str) -> NoReturn:
        raw = b""
        async with aclosing(self._read(response)) as chunks:
            async for chunk in chunks:
                raw += chunk
                if len(raw) > 16 * TAIL:
                    break
        said, code = self._words(response, raw)
        if response.status == 404 and path.startswith(("/v3/", "/v2/")) and not code and not names_no_database(said):
            raise _NoPath(said)
        if code and code.startswith("STREAM_"):
            raise error_for(code, said)
        wait = retry_after(response.headers.get("Retry-After"), response.headers.get("Date"))
        raise error_for_status(Refusal(response.status, said, path, wait, self._redirected(response)))

    def _redirected(self, response: aiohttp.ClientResponse) -> str:
        """Scheme and host that a redirect leads to; '' without one."""
        try:
            parts = urlsplit(response.headers.get("Location", ""))
            host, port = parts.hostname, parts.port
        except ValueError:
            return ""
        return self._clean(f"{parts.scheme}://{host}{f':{port}' if port else ''}") if host else ""

    def _proxy_refused(self, refused: aiohttp.ClientHttpProxyError) -> StorageSyncError:
        """The proxy made no connection: what it stands before may be down, or it wants to know who asks."""
        status, headers = refused.status, refused.headers
        wait = retry_after(headers.get("Retry-After"), headers.get("Date")) if headers is not None else None
        error = error_for_status(Refusal(status, "", "", wait))
        if isinstance(error, PrimaryUnavailable):
            return PrimaryUnavailable(f"{error.message} (said by the proxy)", retry_after=wait)
        where = self._proxy.url if self._proxy is not None else ""
        return PrimaryRefused(
            f"the proxy {where} does not let us through to the primary ({status})",
            hint="check HTTPS_PROXY, its user and password, or name the primary's host in NO_PROXY",
        )

    def _told(self, error: Json) -> StorageSyncError:
        """An error that the server sent inside an answer."""
        return error_for(str(error.get("code") or ""), self._clean(str(error["message"])))

    def _words(self, response: aiohttp.ClientResponse, raw: bytes) -> tuple[str, str]:
        """(the server's own words, its code) of a refusal; a web page has neither."""
        if "gzip" in response.headers.get("Content-Encoding", "").lower():
            with suppress(zlib.error):
                raw = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(raw, 16 * TAIL)
        text = raw.decode("utf-8", "replace")
        with suppress(orjson.JSONDecodeError):
            found = orjson.loads(raw)
            if isinstance(found, dict):
                return self._clean(str(found.get("message") or found.get("error") or "")), str(found.get("code") or "")
        if "<" in text[:200]:
            # of a web page only the one sentence that helps
            return "The plain HTTP request was sent to an HTTPS port" if "HTTPS port" in text else "", ""
        return self._clean(text), ""

    def _clean(self, text: str) -> str:
        """Somebody else's words without our token, in case they repeat it."""
        return quote(text.replace(self._token, "[token]") if self._token else text)

    def _not_libsql(self, what: str) -> PrimaryRefused:
        return PrimaryRefused(f"the primary sent {what}", hint=NOT_LIBSQL_HINT)

    def _lost(self, error: Exception) -> PrimaryUnavailable:
        place = self._address.text
        if isinstance(error, aiohttp.ClientProxyConnectionError) and self._proxy is not None:
            return PrimaryUnavailable(
                f"the proxy {self._proxy.url} before the primary cannot be reached ({place})",
                hint="check HTTPS_PROXY, or name the primary's host in NO_PROXY",
            )
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return PrimaryUnavailable(f"the name of the primary cannot be resolved ({place})")
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return PrimaryUnavailable(f"no connection to the primary within {SOCK_CONNECT:g} s ({place})")
        if isinstance(error, aiohttp.SocketTimeoutError):
            return PrimaryUnavailable(f"the primary sent nothing for {self._read_limit():g} s ({place})")
        if isinstance(error, aiohttp.ClientConnectorError):
            return PrimaryUnavailable(f"the primary refuses connections ({place})")
        if isinstance(error, aiohttp.ClientPayloadError):
            return PrimaryUnavailable(f"the primary's answer was cut short ({place})")
        return PrimaryUnavailable(f"the connection to the primary broke ({place}): {self._clean(str(error))}")

    def _note_index(self, tail: bytes, floor: int | None) -> None:
        found = _INDEX.findall(tail)
        if not found:
            return
        index = int(found[-1])
        if floor is not None and index < floor:
            self.steps_back += 1
            self.replication_index = index
        elif self.replication_index is None or index > self.replication_index:
            self.replication_index = index


def is_read(sql: str) -> bool:
    """Whether a statement can be repeated without harm."""
    return bool(_READS.match(sql)) and not _WRITES.search(sql)


def _is_transient(error: Exception) -> bool:
    """A pooled connection that died under us, not a server that is not there."""
    return isinstance(error, _TRANSIENT) and not isinstance(error, (aiohttp.ClientConnectorError, TimeoutError))


def _authority(proxy: Proxy | None) -> aiohttp.BasicAuth | None:
    return aiohttp.BasicAuth(proxy.user, proxy.password) if proxy is not None and proxy.user is not None else None


class _Resolver(aiohttp.ThreadedResolver):
    """`*.localhost` is this machine (RFC 6761), whether the system's resolver knows that or not."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        return await super().resolve("localhost" if host.endswith(".localhost") else host, port, family)


class _NoPath(Exception):
    """404 on an endpoint, not on a database. `said`: the server's own words."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


class _Lost(Exception):
    """The network failed (never leaves this module).

    `error`: what to tell. `transient`: repeating at once makes sense. `cut`: a body ended early.
    """

    def __init__(self, error: PrimaryUnavailable, *, transient: bool = False, cut: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.transient = transient
        self.cut = cut


class _Asked(NamedTuple):
    """What the rows of one request are read for, how many of its results should say how many they are, and the most
    bytes that its answer may have."""

    purpose: Purpose
    readers: int
    largest: int


def _readers_in(request: Json) -> int:
    """Statements that read rows: one that names no table reads none, whatever its answer says."""
    steps = request["batch"]["steps"] if request["type"] == "batch" else [request]
    return sum(bool(_FROM.search(step["stmt"]["sql"])) for step in steps if "stmt" in step)


class _Plain:
    def __call__(self, chunk: bytes) -> Sequence[bytes]:
        return (chunk,)

    def finish(self) -> None:
        """Nothing can be missing that the framing does not know of."""


class _Gzip:
    """Decompression piece by piece: who reads decides how much of a bomb unfolds."""

    def __init__(self, wrong: Callable[[str], PrimaryRefused]) -> None:
        self._unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._wrong = wrong

    def __call__(self, chunk: bytes) -> Iterator[bytes]:
        left = chunk
        while left:
            try:
                piece = self._unzip.decompress(left, PIECE)
            except zlib.error:
                raise self._wrong("an answer that is not the gzip that it claims to be") from None
            left = self._unzip.unconsumed_tail
            if piece:
                yield piece

    def finish(self) -> None:
        """`_Lost` when the end of the stream has not come."""
        if not self._unzip.eof:
            raise _Lost(PrimaryUnavailable("the primary's answer was cut short"), cut=True)


class _Cursor:
    """What must be known of a cursor's lines while they pass: the baton of the first, whether the last one came."""

    def __init__(self) -> None:
        self.baton: str | None = None
        self.seen = False
        self.tail = b""
        self._head: bytes | None = b""

    def see(self, chunk: bytes) -> None:
        self.seen = True
        self.tail = chunk[-TAIL:] if len(chunk) >= TAIL else (self.tail + chunk)[-TAIL:]
        if self._head is None:
            return
        self._head += chunk[: 4 * TAIL]
        line, newline, _ = self._head.partition(b"\n")
        if not newline and len(self._head) < 4 * TAIL:
            return
        self._head = None
        with suppress(orjson.JSONDecodeError, AttributeError):
            baton = orjson.loads(line).get("baton")
            self.baton = baton if isinstance(baton, str) else None

    @property
    def complete(self) -> bool:
        """The last line is the terminator or an error of the whole cursor; quotes inside values are escaped."""
        last = self.tail.rstrip(b"\n").rpartition(b"\n")[2]
        return b'"replication_index"' in last or b'"type":"error"' in last
