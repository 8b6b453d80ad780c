"""Streams that nobody may read: what a full pipe or a stopped terminal does not take is lost, and no service waits."""

from __future__ import annotations

import os
import select
from typing import TextIO

AT_ONCE = select.PIPE_BUF
"""Octets that a pipe which is ready takes without waiting for its reader."""
SHORTLY_MS = 100
"""How long a busy reader is waited for before a line is lost; after a loss there is no waiting."""


def offer(stream: TextIO, data: bytes, wait_ms: int = 0) -> int:
    """Write what is taken within `wait_ms`; gives how many octets were not. OSError."""
    stream.flush()
    try:
        descriptor = stream.fileno()
    except ValueError:
        # not a stream of the system
        stream.write(data.decode("utf-8"))
        return 0
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    while data and ready.poll(wait_ms):
        data = data[os.write(descriptor, data[:AT_ONCE]) :]
    return len(data)
