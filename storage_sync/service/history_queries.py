"""Questions about earlier runs (docs/console.md#screens). They read what is remembered of them, never a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from storage_sync.state.history import ALL_RUNS, History, speaks
from storage_sync.state.undoable import why_not
from storage_sync.values.answers import CheckRun, PastRun, RunDetail, Runs
from storage_sync.values.errors import LocalIO, UsageError
from storage_sync.values.snapshot import RunSummary

if TYPE_CHECKING:
    from storage_sync.service.commands import ListCheckRuns, ListRuns, ShowRun
    from storage_sync.service.question import Asked

T = TypeVar("T")

PINGS_SHOWN = 2_000


async def runs(_: ListRuns, asked: Asked) -> Runs:
    """All runs that are remembered, newest first, with what the charts need."""

    def look(history: History) -> Runs:
        found = with_ages(history.runs(limit=ALL_RUNS), history.fetch_rates())
        return Runs(found, history.timed_pings(PINGS_SHOWN), str(history.path))

    return await _read(asked, look)


async def run_detail(question: ShowRun, asked: Asked) -> RunDetail:
    """The steps and the document of one run. UsageError for one that is not remembered."""
    run_id = question.run_id

    def look(history: History) -> RunDetail | None:
        document = history.document(run_id)
        if document is None:
            return None
        try:
            off = why_not(asked.state.folder, str(asked.settings.cache), run_id)
        except LocalIO as error:
            # the run itself is remembered elsewhere
            off = error.message
        return RunDetail(run_id, history.steps(run_id), document, off)

    found = await _read(asked, look)
    if found is None:
        raise UsageError(f"no run {run_id!r} is remembered", hint="the history keeps the newest runs only")
    return found


async def check_runs(_: ListCheckRuns, asked: Asked) -> tuple[CheckRun, ...]:
    """How the checks ended in the newest runs that had some, newest first."""
    return await _read(asked, lambda history: history.check_runs())


async def _read(asked: Asked, look: Callable[[History], T]) -> T:
    def work() -> T:
        with History.open(asked.state.history, lambda _: None, read_only=True) as history:
            return look(history)

    return await asked.aside(work)


def with_ages(newest_first: Iterable[RunSummary], rates: dict[str, float]) -> tuple[PastRun, ...]:
    """The runs with their rates, and with the age of the last proof when each began."""
    found: list[PastRun] = []
    proof_at: float | None = None
    for run in reversed(tuple(newest_first)):
        age = run.started_at - proof_at if proof_at is not None else None
        found.append(PastRun(run, rates.get(run.id), max(age, 0.0) if age is not None else None))
        if speaks(run) and not run.followed:
            proof_at = run.started_at + run.took_s
    return tuple(reversed(found))
