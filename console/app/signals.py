"""SIGTERM and SIGHUP for a console that owns its process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from console.app.attention import terminal_lives


def catch_signals(
    *, end: Callable[[int], object], read_again: Callable[[], object], let_go: Callable[[], object]
) -> None:
    """From within the running loop. `end` gets the exit code of SIGTERM, `read_again` answers SIGHUP; where it was the
    terminal that went, `let_go` is called and the process ends without drawing."""
    loop = asyncio.get_running_loop()

    def hung_up() -> None:
        if terminal_lives():
            loop.call_soon_threadsafe(read_again)
            return
        let_go()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGHUP)

    loop.add_signal_handler(signal.SIGTERM, lambda: end(128 + signal.SIGTERM))
    # not through the loop: once the terminal is gone, the loop may wait for it for ever
    signal.signal(signal.SIGHUP, lambda *_: hung_up())
