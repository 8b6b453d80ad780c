"""What each failure of a server becomes, and that none of them takes long, leaks a token or leaves a stream open."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import aiohttp
import libsql_client
import pytest

from storage_sync.primary.errors import AccessRefused, AuthRefused, NoCursor, TooLarge, UndecodableText
from storage_sync.primary.hrana import HranaHttpClient, HranaRefused, execute_request, snapshot_batch, statement
from storage_sync.primary.source import RemoteSource
from storage_sync.primary.urls import parse
from storage_sync.values.errors import PrimaryRefused, PrimarySchema, PrimaryUnavailable, StorageSyncError
from tests.primary.scripted import Answer, Request, Scripted
from tests.support.sqld import free_port

TOKEN = "secret.token.value"
ONE = execute_request("SELECT 1")
BATCH = snapshot_batch([statement("SELECT 1")])
FIRST = b'{"baton":"B1","base_url":null}\n{"type":"step_begin","step":0,"cols":[]}\n'
ROW = b'{"type":"row","row":[{"type":"text","value":"x"}]}\n'
LAST = b'{"type":"replication_index","replication_index":7}\n'


def ok(*rows: list[Any], index: int | None = None) -> bytes:
    result = {
        "cols": [{"name": "c", "decltype": None}],
        "rows": list(rows),
        "affected_row_count": 0,
        "last_insert_rowid": None,
        "replication_index": None if index is None else str(index),
    }
    return json.dumps(
        {"baton": None, "results": [{"type": "ok", "response": {"type": "execute", "result": result}}]}
    ).encode()


def failed(code: str, message: str) -> bytes:
    return json.dumps(
        {"baton": None, "results": [{"type": "error", "error": {"message": message, "code": code}}]}
    ).encode()


def always(answer: Answer | None) -> Callable[[Request], Answer | None]:
    return lambda _: answer


def client_of(url: str, timeout: float = 5.0) -> HranaHttpClient:
    return HranaHttpClient(parse(url), token=TOKEN, timeout=timeout)


async def pipeline_error(script: Callable[[Request], Answer | None], seconds: float = 5.0) -> StorageSyncError:
    async with Scripted(script) as server, client_of(server.url, seconds) as client:
        with pytest.raises(StorageSyncError) as caught:
            await client.pipeline([ONE])
    error = caught.value
    assert TOKEN not in f"{error} {error!r} {error.hint} {error.__cause__!r}"
    return error


async def drain(client: HranaHttpClient) -> bytes:
    async with aclosing(client.stream(BATCH)) as chunks:
        return b"".join([chunk async for chunk in chunks])


def body(text: str) -> tuple[bytes]:
    return (text.encode(),)


STATUSES = [
    (Answer(401, body('{"error":"Unauthorized: `The JWT has expired`"}')), AuthRefused, "The JWT has expired"),
    (Answer(403, body('{"error":"Authorization forbidden"}')), AuthRefused, "Authorization forbidden"),
    (Answer(401, body(f'{{"error":"bad {TOKEN}"}}')), AuthRefused, "[token]"),
    (Answer(404, body('{"error":"Namespace `default` doesn\'t exist"}')), PrimaryRefused, "Namespace"),
    (Answer(404), PrimaryRefused, "404"),
    (Answer(404, body('{"message":"gone","code":"STREAM_EXPIRED"}')), PrimaryUnavailable, "gone"),
    (Answer(400, body("Received an invalid baton")), PrimaryUnavailable, "invalid baton"),
    (Answer(400, body("expected a borrowed string")), PrimaryRefused, "borrowed"),
    (Answer(307, headers={"Location": "http://127.0.0.1:1/x"}), PrimaryRefused, "redirect"),
    (Answer(429, headers={"Retry-After": "7"}), PrimaryUnavailable, "429"),
    (Answer(500, body('{"error":"Internal Error: boom"}')), PrimaryUnavailable, "boom"),
    (Answer(500, body('{"error":"invalid utf-8 sequence of 1 bytes"}')), UndecodableText, "UTF-8"),
    (Answer(500, body('{"error":"SQL string could not be parsed: x"}')), PrimaryRefused, "parse"),
    (Answer(502, body("<html>bad gateway</html>"), {"Content-Type": "text/html"}), PrimaryUnavailable, "502"),
    (Answer(503), PrimaryUnavailable, "503"),
    (Answer(200, body("<html>log in</html>"), {"Content-Type": "text/html"}), PrimaryRefused, "web page"),
    (Answer(200, body("not json")), PrimaryRefused, "wrong form"),
    (Answer(200, body('{"results":[]}')), PrimaryRefused, "too few"),
    (Answer(200, body('{"results":[{"type":"ok"}]}')), PrimaryRefused, "wrong form"),
    (Answer(200, body("junk"), {"Content-Encoding": "gzip"}), PrimaryRefused, "gzip"),
    (Answer(200, body("junk"), {"Content-Encoding": "br"}), PrimaryRefused, "br"),
    (Answer(200, (gzip.compress(ok())[:40],), {"Content-Encoding": "gzip"}), PrimaryUnavailable, "cut"),
    (Answer(200, (ok()[:20],), end="cut"), PrimaryUnavailable, "cut"),
    (Answer(200, (ok()[:20],), end="reset"), PrimaryUnavailable, ""),
    (Answer(200, (failed("SQLITE_BUSY", "database is locked"),)), PrimaryUnavailable, "locked"),
    (Answer(200, (failed("SQLITE_UNKNOWN", "no such table: episodes"),)), PrimarySchema, "episodes"),
    (Answer(200, (failed("BLOCKED", "Operation was blocked: quota"),)), AccessRefused, "quota"),
    (Answer(200, (failed("RESPONSE_TOO_LARGE", "too large"),)), TooLarge, "too large"),
    (Answer(200, (failed("SQL_PARSE_ERROR", "near x"),)), PrimaryRefused, "near x"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), STATUSES)
async def test_what_a_pipeline_answers(answer: Answer, kind: type[StorageSyncError], words: str) -> None:
    error = await pipeline_error(always(answer))
    assert type(error) is kind
    assert words in error.message
    if answer.status == 429:
        assert isinstance(error, PrimaryUnavailable)
        assert error.retry_after == 7.0


TEXT = {"type": "text", "value": "x"}


def each(request: Request, *rows: list[Any]) -> Answer:
    """The same rows to each statement of a pipeline."""
    result = {"cols": [{"name": "c"}], "rows": list(rows), "affected_row_count": 0, "last_insert_rowid": None}
    asked = json.loads(request.body)["requests"]
    results = [{"type": "ok", "response": {"type": "execute", "result": result}} for _ in asked]
    return Answer(body=(json.dumps({"baton": None, "results": results}).encode(),))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [[]],
        [[TEXT]],
        [[TEXT, TEXT], [TEXT, TEXT]],
        [[TEXT, {"type": "vector"}]],
        [[TEXT, {"type": "integer", "value": "12x"}]],
        [[TEXT, {"type": "blob", "base64": "é"}]],
        [[TEXT, 7]],
        [7],
    ],
)
async def test_rows_that_are_no_answer_to_a_probe(rows: list[Any]) -> None:
    async with Scripted(lambda request: each(request, *rows)) as server:
        source = RemoteSource(parse(server.url), TOKEN, timeout_s=5.0)
        with pytest.raises(PrimaryRefused, match="wrong form"):
            await source.probe()
        await source.close()


async def test_a_client_of_the_interface_is_told_so_too() -> None:
    async with Scripted(lambda request: each(request, [7])) as server, client_of(server.url) as client:
        with pytest.raises(HranaRefused, match="wrong form"):
            await client.execute("SELECT 1")


async def test_chunks_that_end_in_nothing_are_a_cut_body() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"res\r\nno length\r\n')
        writer.close()

    broken = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = broken.sockets[0].getsockname()[1]
    async with broken, client_of(f"http://127.0.0.1:{port}") as client:
        for ask in (client.pipeline([ONE]), drain(client)):
            with pytest.raises(StorageSyncError):
                await ask


async def test_nobody_listens() -> None:
    async with client_of(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(PrimaryUnavailable, match="refuses connections"):
            await client.pipeline([ONE])
        assert client.counters.retries == 0


async def test_tls_to_a_server_without() -> None:
    async with Scripted(always(Answer())) as server, client_of(server.url.replace("http:", "https:")) as client:
        with pytest.raises(PrimaryRefused, match="TLS"):
            await client.pipeline([ONE])


@pytest.mark.parametrize(
    "answer",
    [
        Answer(end="hang"),
        Answer(body=(ok()[:9],), end="hang"),
        Answer(body=[b" "] * 600, pause=0.05, end="hang"),
    ],
    ids=["no body", "stops", "trickles"],
)
async def test_a_pipeline_that_does_not_end(answer: Answer) -> None:
    start = time.monotonic()
    error = await pipeline_error(always(answer), seconds=0.4)
    assert type(error) is PrimaryUnavailable
    assert time.monotonic() - start < 2


async def test_a_cursor_that_trickles() -> None:
    def script(request: Request) -> Answer:
        if request.path == "/v3/cursor":
            return Answer(body=[FIRST, *[b" "] * 600], pause=0.05, end="hang")
        return Answer(body=(ok(),))

    async with Scripted(script) as server, client_of(server.url, 0.4) as client:
        start = time.monotonic()
        with pytest.raises(PrimaryUnavailable, match="bytes in"):
            await drain(client)
        assert time.monotonic() - start < 2


async def test_a_connection_that_died_in_the_pool_is_tried_once_more() -> None:
    answers = [Answer(body=(ok(),)), None, Answer(body=(ok(),)), None, None]
    async with Scripted(lambda _: answers.pop(0)) as server, client_of(server.url) as client:
        await client.pipeline([ONE])
        await client.pipeline([ONE])
        assert client.counters.retries == 1
        with pytest.raises(PrimaryUnavailable):
            await client.pipeline([ONE])
        assert client.counters.requests == 5


async def test_a_write_is_never_repeated() -> None:
    async with Scripted(always(None)) as server, client_of(server.url) as client:
        with pytest.raises(libsql_client.LibsqlError) as caught:
            await client.execute("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x")
        assert isinstance(caught.value, PrimaryUnavailable)
        assert len(server.requests) == 1


async def test_encodings_and_the_token_in_its_header_only() -> None:
    def script(request: Request) -> Answer:
        if request.path == "/v3/cursor":
            return Answer(body=(FIRST, ROW, LAST))
        return Answer(body=(gzip.compress(ok(index=5)),), headers={"Content-Encoding": "gzip"})

    async with Scripted(script) as server:
        async with client_of(server.url) as client:
            await client.pipeline([ONE])
            assert client.replication_index == 5
            assert client.counters.bytes_received == len(gzip.compress(ok(index=5)))
            await drain(client)
            assert client.replication_index == 7
            assert TOKEN not in repr(client)
        asked = {request.path: request.headers["accept-encoding"] for request in server.requests[:2]}
        assert asked == {"/v3/pipeline": "gzip", "/v3/cursor": "identity"}
        assert all(request.headers["authorization"] == f"Bearer {TOKEN}" for request in server.requests)
        assert not any(TOKEN.encode() in request.body for request in server.requests)
        closing = json.loads(server.requests[-1].body)
        assert closing == {"baton": "B1", "requests": [{"type": "close"}]}


@pytest.mark.parametrize(
    ("cursor", "pipeline", "kind"),
    [
        (Answer(body=(FIRST, ROW)), Answer(body=(ok(),)), PrimaryUnavailable),
        (Answer(body=(FIRST, ROW), end="cut"), Answer(403, body('{"error":"no Write permission"}')), AuthRefused),
        (Answer(body=(FIRST, ROW), end="cut"), Answer(500, body('{"error":"invalid utf-8"}')), UndecodableText),
        (Answer(body=(FIRST, ROW), end="cut"), Answer(body=(failed("RESPONSE_TOO_LARGE", "x"),)), UndecodableText),
        (Answer(body=(FIRST, ROW), end="cut"), None, PrimaryUnavailable),
        (Answer(body=(FIRST, ROW), end="reset"), None, PrimaryUnavailable),
        (Answer(401, body('{"error":"expired"}')), None, AuthRefused),
        (Answer(500, body('{"error":"SQL string could not be parsed"}')), None, PrimaryRefused),
    ],
)
async def test_a_cursor_that_was_cut_is_looked_into(
    cursor: Answer, pipeline: Answer | None, kind: type[StorageSyncError]
) -> None:
    script = {"/v3/cursor": cursor, "/v3/pipeline": pipeline}
    async with Scripted(lambda request: script[request.path]) as server, client_of(server.url) as client:
        with pytest.raises(StorageSyncError) as caught:
            await drain(client)
    assert type(caught.value) is kind


async def test_an_error_line_is_the_end_of_a_cursor() -> None:
    line = b'{"type":"error","error":{"message":"x","code":"SQLITE_BUSY"}}\n'
    async with Scripted(always(Answer(body=(FIRST, line)))) as server, client_of(server.url) as client:
        assert (await drain(client)).endswith(line)


async def test_a_server_without_version_3() -> None:
    def script(request: Request) -> Answer:
        return Answer(body=(ok(),)) if request.path == "/v2/pipeline" else Answer(404)

    async with Scripted(script) as server, client_of(server.url) as client:
        await client.pipeline([ONE])
        await client.pipeline([ONE])
        assert server.paths == ["/v3/pipeline", "/v2/pipeline", "/v2/pipeline"]
        assert not client.has_cursor
        with pytest.raises(NoCursor):
            await drain(client)


async def test_cancelling_is_immediate_and_closes_the_stream() -> None:
    closed = asyncio.Event()

    def script(request: Request) -> Answer:
        if request.path == "/v3/cursor":
            return Answer(body=(FIRST, ROW), end="hang")
        closed.set()
        return Answer(body=(ok(),))

    async with Scripted(script) as server, client_of(server.url) as client:
        started = asyncio.Event()

        async def read() -> None:
            async with aclosing(client.stream(BATCH)) as chunks:
                async for _ in chunks:
                    started.set()

        task = asyncio.create_task(read())
        await started.wait()
        start = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - start < 0.5
        await asyncio.wait_for(closed.wait(), 2)


async def test_connections_are_thrown_away_after_three_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[aiohttp.ClientSession] = []
    session = aiohttp.ClientSession

    def make(**options: Any) -> aiohttp.ClientSession:
        made.append(session(**options))
        return made[-1]

    monkeypatch.setattr("storage_sync.primary.hrana.aiohttp.ClientSession", make)
    answers: list[Answer | None] = [Answer(end="reset") for _ in range(3)]
    answers.append(Answer(body=(ok(),)))
    async with Scripted(lambda _: answers.pop(0)) as server, client_of(server.url) as client:
        for _ in range(3):
            with pytest.raises(PrimaryUnavailable):
                await client.pipeline([ONE], read_only=False)
        await client.pipeline([ONE])
    assert len(made) == 2
    assert all(session.closed for session in made)


async def test_a_smaller_index_in_a_later_answer_is_a_step_back() -> None:
    indexes = [5, 9, 4, 6]
    async with Scripted(lambda _: Answer(body=(ok(index=indexes.pop(0)),))) as server, client_of(server.url) as client:
        seen = []
        for _ in range(4):
            await client.pipeline([ONE])
            seen.append((client.replication_index, client.steps_back))
    assert seen == [(5, 0), (9, 0), (4, 1), (6, 1)]
