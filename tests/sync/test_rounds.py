"""A cache that somebody writes to while it is changed is compared again, and not for ever."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from storage_sync import _native
from storage_sync.sync.context import Context
from storage_sync.sync.outcome_builder import Draft
from storage_sync.sync.run import ROUNDS, in_rounds
from storage_sync.values.errors import CacheLocked


@pytest.mark.parametrize("conflicts", [0, 1, ROUNDS - 1])
async def test_what_conflicts_is_tried_again(conflicts: int) -> None:
    context, tries = cast("Context", SimpleNamespace(draft=Draft("sync"))), list[int]()

    async def attempt() -> str:
        tries.append(len(tries))
        if len(tries) <= conflicts:
            raise _native.Conflict("another wrote it")
        return "done"

    assert await in_rounds(context, attempt) == "done"
    assert len(tries) == conflicts + 1
    said = "the cache was written to meanwhile, so it was compared again"
    assert context.draft.outcome().warnings == ((said,) if conflicts else ())


async def test_a_cache_that_is_written_to_all_the_time_is_given_up() -> None:
    context, tries = cast("Context", SimpleNamespace(draft=Draft("sync"))), list[int]()

    async def attempt() -> None:
        tries.append(len(tries))
        raise _native.Conflict("another wrote it")

    with pytest.raises(CacheLocked) as caught:
        await in_rounds(context, attempt)
    message = f"the cache changed during each of {len(tries)} tries: another process keeps writing to it"
    assert (caught.value.message, caught.value.hint) == (message, "stop the writer for a moment, or try again later")
