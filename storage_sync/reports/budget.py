"""What `rows_read_per_day` leaves to polls and proofs. Pure: what was read and costs in, least times out.

A day is a calendar day in the local time of this process. The rows that are left for it are spread over the rest of
it: polls and proofs get half each, and what one of them does not need goes to the other. A run that reads more than
the one before it takes from what is left, and the rest comes less often.
"""

from __future__ import annotations

import time

from storage_sync.config.settings import Settings
from storage_sync.reports.sentences import rows, span
from storage_sync.state.history import History
from storage_sync.values.snapshot import Budget, Hold, ReadCosts, RowsRead

SLACK = 1.1
"""A delay up to this factor does not count as holding back: the schedule itself varies by as much."""


def day_end(now: float) -> float:
    """The next midnight where this process runs; both in epoch seconds."""
    today = time.localtime(now)
    return time.mktime((today.tm_year, today.tm_mon, today.tm_mday + 1, 0, 0, 0, 0, 0, -1))


def budget_of(
    settings: Settings, read: RowsRead | None, costs: ReadCosts, now: float, *, unmetered: bool = False
) -> Budget | None:
    """None where no budget is set, or the primary is a file. `unmetered`: the primary never said what it read."""
    a_day = settings.rows_read_per_day
    if a_day is None or settings.reads_a_file:
        return None
    until, spent = day_end(now), read.today if read is not None else 0
    asked = Budget(a_day, spent, Hold.NOT, settings.poll_s, settings.interval_s, until, costs.proof)
    if unmetered:
        return _held(asked, Hold.UNMETERED)
    left, poll, proof = a_day - spent, costs.poll or 0.0, costs.proof or 0
    if left <= 0 or left < poll:
        return _held(asked, Hold.USED_UP)
    rate = left / max(until - now, 1.0)
    polls, proofs = poll / settings.poll_s, 0.0 if costs.renews or proof > left else proof / settings.interval_s
    for_polls, for_proofs = max(rate / 2, rate - proofs), max(rate / 2, rate - polls)
    poll_s, proof_s = max(settings.poll_s, poll / for_polls), proof / for_proofs
    if proof > left:
        return _held(asked, Hold.NO_PROOF, poll_s, until - now)
    spread = poll_s > SLACK * settings.poll_s or (proof_s > SLACK * settings.interval_s and not costs.renews)
    return _held(asked, Hold.SPREAD if spread else Hold.NOT, poll_s, proof_s)


def of_history(history: History, settings: Settings, now: float) -> Budget | None:
    """The same by what the history remembers. Blocking."""
    if settings.rows_read_per_day is None:
        return None
    read, costs = history.rows_read(now), history.read_costs()
    return budget_of(settings, read, costs, now, unmetered=history.is_unmetered())


def _held(asked: Budget, hold: Hold, poll_s: float | None = None, proof_s: float | None = None) -> Budget:
    poll_s = asked.poll_s if poll_s is None else poll_s
    proof_s = asked.proof_s if proof_s is None else proof_s
    return Budget(asked.a_day, asked.read, hold, poll_s, proof_s, asked.until, asked.proof)


def told(budget: Budget, settings: Settings) -> str:
    """What the budget does now, as a sentence."""
    name = f"rows_read_per_day = {budget.a_day:,}"
    match budget.hold:
        case Hold.NOT:
            return f"{name} holds nothing back"
        case Hold.UNMETERED:
            return f"{name} cannot be kept: the primary does not say how many rows it reads"
        case Hold.USED_UP:
            return f"{name} is used up: the primary is not asked automatically before midnight"
        case Hold.NO_PROOF if budget.proof_never_fits:
            return f"a proof reads {rows(budget.proof or 0)}, more than {name}: no proof starts automatically"
        case Hold.NO_PROOF:
            left = rows(budget.a_day - budget.read)
            proof = f"a proof reads {budget.proof:,}"
            return f"{name} leaves {left}, and {proof}: no proof starts automatically before midnight"
        case Hold.SPREAD:
            proofs = f", a proof every {span(budget.proof_s)}" if budget.proof_s > settings.interval_s else ""
            text = f"{name} holds polls and proofs back: a poll every {span(budget.poll_s)}{proofs}"
            if budget.proof_s <= settings.staleness_s:
                return text
            return f"{text}; when the proof is older than staleness_s, the verdict is not IN_SYNC"
