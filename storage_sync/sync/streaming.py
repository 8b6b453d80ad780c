"""Body chunks from the network into the data plane: read ahead on the loop, decoded on the cache thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Protocol

QUEUE_CHUNKS = 8
"""Bounds what waits between the socket and the decoder (a chunk is at most some 64 KiB to 256 KiB)."""
FEED_BYTES = 512 * 1024
"""Most bytes that are fed in one call, if so many have arrived."""


class Sink(Protocol):
    """Takes pieces of a body in their order."""

    def __call__(self, *chunks: bytes) -> None: ...


class CacheCall(Protocol):
    """Runs the sink with these chunks on the cache thread."""

    def __call__(self, sink: Sink, /, *chunks: bytes) -> Awaitable[None]: ...


async def pump(chunks: AsyncGenerator[bytes, None], sink: Sink, on_cache_thread: CacheCall) -> int:
    """Feed every chunk to `sink` in order while the next ones are being read. Returns the bytes fed.

    An error of either side stops the other; the iterator is always closed.
    """
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_CHUNKS)

    async def read() -> None:
        async with aclosing(chunks) as source:
            async for chunk in source:
                await queue.put(chunk)
        await queue.put(None)

    async def decode() -> int:
        fed = 0
        done = False
        while not done:
            parts: list[bytes] = []
            size = 0
            chunk = await queue.get()
            while True:
                if chunk is None:
                    done = True
                    break
                parts.append(chunk)
                size += len(chunk)
                if size >= FEED_BYTES or queue.empty():
                    break
                chunk = queue.get_nowait()
            if parts:
                await on_cache_thread(sink, *parts)
                fed += size
        return fed

    reader = asyncio.ensure_future(read())
    decoder = asyncio.ensure_future(decode())
    try:
        await asyncio.wait({reader, decoder}, return_when=asyncio.FIRST_EXCEPTION)
        if reader.done() and not reader.cancelled() and (error := reader.exception()) is not None:
            raise error
        return await decoder
    finally:
        for task in (reader, decoder):
            task.cancel()
        await asyncio.gather(reader, decoder, return_exceptions=True)
