"""Chunks arrive whole and in order, whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_sync.sync.streaming import Sink, pump


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
