"""History, as the runs use it: opened once, told about each end, never in the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from msgspec import to_builtins

from storage_sync.config.settings import Settings
from storage_sync.reports import advice, budget, sentences
from storage_sync.reports.costs import PROOF_ROWS
from storage_sync.reports.document import holder_json, to_json
from storage_sync.state.directory import StateDir
from storage_sync.state.history import History, RunCost
from storage_sync.values.outcome import LockHolder, Outcome, Purpose, TableChange, Transfer, Word
from storage_sync.values.snapshot import LOCK_TAKEN, Advice, Budget, Run, RunSummary, StartFacts


class Journal:
    """What a process remembers of its runs."""

    history: History
    """While it is open."""

    def __init__(self, state: StateDir, warn: Callable[[str], None]) -> None:
        self._state = state
        self._warn = warn

    @contextmanager
    def open(self) -> Iterator[None]:
        """A history that cannot be written costs a warning, never a run."""
        with History.open(self._state.history, self._warn) as self.history:
            yield

    def record(self, outcome: Outcome, run: Run) -> RunSummary:
        """Remember how a run ended."""
        summary = summarise(outcome, run)
        self.history.record_run(
            summary,
            document=to_json(outcome),
            steps=phases(outcome),
            checks=tuple(check for check in outcome.checks if check.made_at is None),
            applied=outcome.applied,
            rows_fetched=run.done,
            fetch_s=outcome.seconds.fetch,
            retries=outcome.transfer.retries,
            lock_s=outcome.seconds.lock,
            requests_by_code=outcome.transfer.by_code,
            # polls go on during a run, and are remembered as they are made
            rows_read=_but_polls(outcome.transfer.rows_read),
            unmetered=_but_polls(outcome.transfer.unmetered),
            costs=cost_of(outcome),
        )
        for step in sentences.repair_steps(outcome):
            self.history.count("repairs", step)
        if outcome.rolled_back:
            self.history.count("rollbacks")
        self.history.count("bitrot_keys", value=sum(kinds.get("rotten", 0) for kinds in outcome.drift.values()))
        return summary

    def started(self, holder: LockHolder, facts: StartFacts, at: float) -> None:
        """Remember what a program that opened the cache by itself started with."""
        summary = RunSummary(
            id=f"h-{holder.pid}-{int(at)}",
            kind=LOCK_TAKEN,
            trigger=holder.command or "unknown",
            started_at=at,
            took_s=0.0,
            new=0,
            changed=0,
            gone=0,
            exit_code=0,
            result=facts.verdict,
        )
        document = {"schema": 1, "command": LOCK_TAKEN, "holder": holder_json(holder), "start": to_builtins(facts)}
        self.history.record_run(summary, document=document)

    def ping(self, at: float, milliseconds: float | None, read: Transfer) -> None:
        """`read`: what came from the primary since the last ping."""
        poll = Purpose.POLL
        self.history.record_ping(at, milliseconds, read.rows_read.get(poll, 0), read.unmetered.get(poll, 0))

    def budget(self, settings: Settings) -> Budget | None:
        """What `rows_read_per_day` leaves to polls and proofs now."""
        return budget.of_history(self.history, settings, time.time())

    def advice(self, settings: Settings) -> tuple[Advice, ...]:
        """What another window or batch would win. Blocking: history and file are looked at."""
        return advice.advise(advice.figures_of(self.history, settings))


def start_facts(outcome: Outcome, delay_s: float | None) -> StartFacts:
    """What a program starts with after this outcome."""
    proven = outcome.verdict is Word.IN_SYNC
    found = _rows(outcome.plan) if outcome.plan else 0 if proven else None
    behind = 0 if proven else None if found is None else found - _rows(outcome.applied)
    return StartFacts(found, behind, round(delay_s, 3) if delay_s is not None else None, outcome.verdict.value)


def _rows(changes: Mapping[str, TableChange]) -> int:
    return sum(change.rows for change in changes.values())


def summarise(outcome: Outcome, run: Run) -> RunSummary:
    new, changed, gone = sentences.sums(outcome.applied)
    return RunSummary(
        id=outcome.run_id,
        kind=outcome.command,
        trigger=run.trigger,
        started_at=run.started_at,
        took_s=outcome.seconds.total,
        new=new,
        changed=changed,
        gone=gone,
        exit_code=outcome.exit_code,
        result=sentences.result_word(outcome),
        resumable=outcome.error is not None and outcome.error.retry and bool(run.checkpoint_rows),
        generation=outcome.generation,
        bytes_received=outcome.transfer.bytes_received,
        requests=outcome.transfer.requests,
        followed=outcome.followed is not None,
        does=run.does,
        drifts=outcome.verdict is Word.DRIFT,
    )


def _but_polls(counted: Mapping[Purpose, int]) -> dict[Purpose, int]:
    return {purpose: count for purpose, count in counted.items() if purpose is not Purpose.POLL}


def cost_of(outcome: Outcome) -> RunCost | None:
    """What this run tells of the cost of the next; None where it tells nothing.

    A first sync and an audit read more than a proof does, and what comes by a cursor is not counted at all: for those
    it is what a proof reads at most.
    """
    read = outcome.transfer.rows_read
    if "renewed" in outcome.extra:
        return RunCost(renewed=True)
    if outcome.followed is not None or ("follow" in outcome.extra and outcome.proof is None):
        return RunCost(followed=sum(_but_polls(read).values()))
    if outcome.proof is None or Purpose.PROOF not in read:
        return None
    most = round(PROOF_ROWS * sum(count.expected or 0 for count in outcome.counts.values()))
    counted = outcome.transfer.read(Purpose.PROOF)
    return RunCost(proof=most if counted is None else min(counted, most))


def phases(outcome: Outcome) -> tuple[tuple[str, float], ...]:
    """Phases that took time, in seconds."""
    seconds = outcome.seconds
    named = (
        ("manifest", seconds.manifest),
        ("fetch", seconds.fetch),
        ("apply", seconds.apply),
        ("total", seconds.total),
    )
    return tuple((name, spent) for name, spent in named if spent)
