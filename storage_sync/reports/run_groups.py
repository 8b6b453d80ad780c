"""Which runs a list shows as one line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TypeVar

from storage_sync.values.snapshot import RunSummary

T = TypeVar("T")


def in_a_row(newest_first: Iterable[T], summary: Callable[[T], RunSummary]) -> list[tuple[T, ...]]:
    """Follow runs in a row that ended well and alike are one group, each other run is its own; those that one run undid
    are apart from those that stand."""

    def alike(one: T) -> tuple[str, ...]:
        run = summary(one)
        folds = run.followed and run.exit_code == 0 and run.start is None
        return (run.word, run.trigger, run.result, run.undone_by) if folds else (run.id,)

    return [tuple(group) for _, group in itertools.groupby(newest_first, alike)]
