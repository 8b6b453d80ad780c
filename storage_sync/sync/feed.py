"""Body chunks from the network into the data plane: read ahead on the loop, decoded on the cache thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

QUEUE_CHUNKS = 8
"""Bounds what waits between the socket and the decoder (a chunk is at most some 64 KiB to 256 KiB)."""
JOIN_BYTES = 512 * 1024

CacheCall = Callable[[Callable[[bytes], None], bytes], Awaitable[None]]


async def pump(chunks: AsyncGenerator[bytes, None], sink: Callable[[bytes], None], on_cache_thread: CacheCall) -> int:
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
                if size >= JOIN_BYTES or queue.empty():
                    break
                chunk = queue.get_nowait()
            if parts:
                await on_cache_thread(sink, parts[0] if len(parts) == 1 else b"".join(parts))
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
