"""Chunks arrive whole and in order, whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_sync.sync.streaming import FEED_BYTES, Sink, pump


async def direct(sink: Sink, /, *chunks: bytes) -> None:
    await asyncio.sleep(0)
    sink(*chunks)


def nothing(*chunks: bytes) -> None:
    """Takes and forgets."""


class Body:
    """An answer in pieces; knows whether it was closed."""

    def __init__(self, pieces: list[bytes], error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.closed = False

    async def read(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self.pieces:
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=200))
def test_all_bytes_arrive_in_order(pieces: list[bytes]) -> None:
    body, got = Body(pieces), bytearray()

    def take(*chunks: bytes) -> None:
        for chunk in chunks:
            got.extend(chunk)

    fed = asyncio.run(pump(body.read(), take, direct))
    assert bytes(got) == b"".join(pieces)
    assert fed == len(got)
    assert body.closed


async def test_an_error_of_the_network_ends_it() -> None:
    body = Body([b"x"], OSError("cut"))
    with pytest.raises(OSError, match="cut"):
        await pump(body.read(), nothing, direct)
    assert body.closed


async def test_an_error_of_the_decoder_closes_the_network() -> None:
    body = Body([b"x"] * 1000)

    def refuse(*chunks: bytes) -> None:
        raise ValueError("no row")

    with pytest.raises(ValueError, match="no row"):
        await pump(body.read(), refuse, direct)
    assert body.closed


async def test_a_cancelled_reader_closes_the_network() -> None:
    started, closed = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x"
                started.set()
                await asyncio.Event().wait()
        finally:
            closed.set()

    task = asyncio.create_task(pump(endless(), nothing, direct))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()


async def test_an_error_is_told_when_the_network_is_closed_and_not_before() -> None:
    closed = asyncio.Event()

    async def reluctant() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x"
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            closed.set()

    def refuse(*chunks: bytes) -> None:
        raise ValueError("no row")

    with pytest.raises(ValueError, match="no row"):
        await pump(reluctant(), refuse, direct)
    assert closed.is_set()


async def test_what_has_come_is_fed_in_one_call_up_to_a_bound() -> None:
    calls: list[int] = []

    def take(*chunks: bytes) -> None:
        calls.append(sum(map(len, chunks)))

    piece = b"x" * (FEED_BYTES // 4)
    assert await pump(Body([piece] * 17).read(), take, direct) == 17 * len(piece)
    assert max(calls) == FEED_BYTES, "not one piece at a time, and not more than the bound"
    assert sum(calls) == 17 * len(piece)
