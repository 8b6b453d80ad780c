"""The value of a running operation: phases, rows, rate and remaining time (docs/console.md#screens)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from itertools import pairwise

from msgspec.structs import replace

from storage_sync.values.snapshot import Phase, Promise, Run, StepState

Progress = Callable[[Run], None]
SYNC_STEPS: tuple[str, ...] = tuple(Phase)
_RATE_SAMPLES = 60
_SAMPLE_SECONDS = 0.25
_LEAST_SECONDS = 0.1
"""A rate over less than this is none."""


class Tracker:
    """Keeps one Run up to date and hands each new value to `report`."""

    def __init__(
        self,
        run_id: str,
        kind: str,
        trigger: str,
        report: Progress,
        *,
        does: str = "",
        steps: tuple[str, ...] = SYNC_STEPS,
        promise: Promise = Promise.NOTHING,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._clock = clock
        self._monotonic = monotonic
        self._samples: deque[tuple[float, int, int]] = deque(maxlen=_RATE_SAMPLES + 1)
        """Moment, rows, bytes."""
        self._since = monotonic()
        """When the running step began."""
        self.run = Run(
            id=run_id,
            kind=kind,
            path="in_place",
            trigger=trigger,
            started_at=clock(),
            steps=tuple((name, StepState.WAITING) for name in steps),
            promise=promise,
            does=does,
        )
        self._publish()

    def path(self, path: str) -> None:
        self.run = replace(self.run, path=path)

    def step(self, name: Phase) -> None:
        """Everything before `name` is done, `name` is running."""
        names = [step for step, _ in self.run.steps]
        at = names.index(name)
        steps = tuple(
            (step, StepState.DONE if index < at else StepState.RUNNING if index == at else StepState.WAITING)
            for index, step in enumerate(names)
        )
        cancellable = name not in (Phase.COMMIT, Phase.READ_BACK, Phase.WITNESS, Phase.HISTORY)
        if self.run.step != name:
            spent, since = self._spent(), self._clock()
            # what was left of the rows says nothing of another step
            self.run = replace(self.run, step=str(name), spent=spent, step_since=since, eta_s=None)
        self.run = replace(self.run, steps=steps, cancellable=cancellable)
        self._publish()

    def _spent(self) -> tuple[tuple[str, float], ...]:
        """Seconds of each step so far, one that came twice (a second round) together. Another step begins now."""
        now = self._monotonic()
        before, self._since = self._since, now
        if not self.run.step:
            return self.run.spent
        seconds = dict(self.run.spent)
        seconds[self.run.step] = seconds.get(self.run.step, 0.0) + now - before
        return tuple((name, seconds[name]) for name, _ in self.run.steps if name in seconds)

    def note(self, text: str) -> None:
        """Something that is to be heard before the end."""
        self.run = replace(self.run, notes=(*self.run.notes, text))
        self._publish()

    def expect(self, total: int | None, *, done: int = 0, batch_rows: int = 0) -> None:
        """How many rows will arrive; `done` of them are there already (a resume)."""
        self._samples.clear()
        batches = -(-total // batch_rows) if total is not None and batch_rows else None
        self.run = replace(self.run, total=total, done=done, batches=batches)
        self._publish()

    def compared(self, writes: int) -> None:
        """How many rows are to be written or removed, of those that arrived."""
        self.run = replace(self.run, writes=writes)
        self._publish()

    def estimate(self, total: int) -> None:
        """About how many rows there will be, learned while they arrive."""
        if self.run.total != total:
            self.run = replace(self.run, total=total)

    def rows(
        self, done: int, received: int, *, batch_rows: int = 0, checkpoint: int | None = None, round_: int = 1
    ) -> None:
        """Rows and bytes so far; rates and remaining time come from the last samples, never from resumed rows."""
        now = self._monotonic()
        if not self._samples or now - self._samples[-1][0] >= _SAMPLE_SECONDS:
            self._samples.append((now, done, received))
        (since, rows, octets), rate, byte_rate = self._samples[0], None, None
        if now - since >= _LEAST_SECONDS:
            rate, byte_rate = (done - rows) / (now - since), (received - octets) / (now - since)
        rates = tuple((r1 - r0) / (t1 - t0) for (t0, r0, _), (t1, r1, _) in pairwise(self._samples))
        left = self.run.total - done if self.run.total is not None else None
        eta = left / rate if rate and left is not None and left >= 0 else None
        changed_checkpoint = checkpoint is not None and checkpoint != self.run.checkpoint_rows
        self.run = replace(
            self.run,
            done=done,
            bytes=received,
            batch=done // batch_rows if batch_rows else 0,
            rate=rate,
            rates=rates,
            byte_rate=byte_rate,
            eta_s=eta,
            round=round_,
            checkpoint_rows=checkpoint if checkpoint is not None else self.run.checkpoint_rows,
            checkpoint_at=self._clock() if changed_checkpoint else self.run.checkpoint_at,
        )
        self._publish()

    def end(self, result: str, exit_code: int, *, failed: bool) -> None:
        steps = tuple(
            (
                name,
                StepState.FAILED if failed and state is StepState.RUNNING else StepState.DONE if not failed else state,
            )
            for name, state in self.run.steps
        )
        self.run = replace(
            self.run,
            steps=steps,
            spent=self._spent(),
            step_since=None,
            ended_at=self._clock(),
            result=result,
            exit_code=exit_code,
            cancellable=False,
            eta_s=None,
        )
        self._publish()

    def _publish(self) -> None:
        self._report(self.run)
