"""The core at work without a screen, so that somebody sees it later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from storage_sync.values.events import CoreDied
from storage_sync.values.outcome import ErrorValue, Outcome, Word

if TYPE_CHECKING:
    from console.link.bridge import Bridge
    from storage_sync.sync.cancel import Cancel

EVERY_S = 0.25
LEAVE_S = 5.0


async def until_cancelled(bridge: Bridge, cancel: Cancel, seconds: float | None) -> Outcome:
    """Let the core work until `cancel` is asked or for `seconds`; its last verdict.

    Exit 0 when the time was over or a person stopped it, 70 when the core ended by itself.
    """
    loop = asyncio.get_running_loop()
    ends = None if seconds is None else loop.time() + seconds
    died = ""
    bridge.start()
    while not died and not cancel.asked and (ends is None or loop.time() < ends):
        died = next((event.report for event in bridge.drain() if isinstance(event, CoreDied)), "")
        left = EVERY_S if ends is None else min(EVERY_S, max(0.0, ends - loop.time()))
        await asyncio.sleep(left)
    last = bridge.latest()
    bridge.stop(LEAVE_S)
    word = last.verdict if last is not None else Word.UNKNOWN
    if died:
        error = ErrorValue("internal", f"the sync core has ended: {died}", "this is a bug; please report it", False, 70)
        return Outcome("record", word, 70, error=error, next_action=error.hint)
    return Outcome("record", word, 0)
