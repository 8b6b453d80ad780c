"""The metrics endpoint among clients that mean no good: bounded in number and time, quiet, only for its own name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from storage_sync.watch.metrics_server import Address, Limits, exposing

HERE = Address("127.0.0.1", 0)


async def rendered() -> bytes:
    return b"up 1\n"


@asynccontextmanager
async def connected(at: Address) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(at.host, at.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(at: Address, request: bytes) -> bytes:
    async with connected(at) as (reader, writer):
        writer.write(request)
        return await reader.read()


async def let_go(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends without an answer."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


def get(host: str = "localhost", path: str = "/metrics", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


async def test_a_scrape_is_answered() -> None:
    async with exposing(HERE, rendered) as at:
        assert (await ask(at, get())).endswith(b"\r\n\r\nup 1\n")
        assert (await ask(at, get(method="HEAD"))).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get(path="/"), b"404"),
        (get(method="POST"), b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"\x16\x03\x01\r\n\r\n", b"400"),
        (get(host="evil.example"), b"421"),
        (get(host="evil.example:9200"), b"421"),
        (get(host="127.0.0.1:9200"), b"200"),
        (get(host="[::1]:9200"), b"200"),
    ],
)
async def test_what_is_no_scrape_of_ours_is_refused_and_not_logged(
    request_bytes: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with exposing(HERE, rendered) as at:
        assert (await ask(at, request_bytes)).startswith(b"HTTP/1.1 " + status)
    assert [record for record in caplog.records if record.name != "asyncio"] == []


async def test_clients_that_send_nothing_make_room_for_one_that_asks() -> None:
    async with exposing(HERE, rendered, Limits(clients=4, seconds=60)) as at:
        idle = [await asyncio.open_connection(at.host, at.port) for _ in range(20)]
        assert (await ask(at, get())).endswith(b"up 1\n")
        assert all([await let_go(reader) for reader, _ in idle[:15]])
        for _, writer in idle:
            writer.close()


async def test_a_client_that_stays_half_open_is_let_go() -> None:
    async with exposing(HERE, rendered, Limits(seconds=0.05)) as at, connected(at) as (reader, writer):
        writer.write(b"GET /metrics HTTP/1.1\r\nX: ")
        assert await let_go(reader)


async def test_a_head_without_an_end_is_let_go() -> None:
    async with exposing(HERE, rendered) as at, connected(at) as (reader, writer):
        writer.write(b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 4000)
        assert await let_go(reader)


async def test_those_who_are_served_are_let_go_at_the_end() -> None:
    asked, never = asyncio.Event(), asyncio.Event()

    async def stuck() -> bytes:
        asked.set()
        await never.wait()
        return b""

    async with asyncio.timeout(20), exposing(HERE, stuck) as at:
        reader, writer = await asyncio.open_connection(at.host, at.port)
        writer.write(get())
        await writer.drain()
        await asked.wait()
    assert await let_go(reader)
    writer.close()


def test_who_can_reach_it() -> None:
    assert Address("127.0.0.1", 1).local
    assert Address("::1", 1).local
    assert Address("localhost", 1).local
    assert not Address("0.0.0.0", 1).local
    assert Address("0.0.0.0", 1).is_called("metrics.example:9200")
