"""What the settings in force will cost a month, in rows that the primary reads. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from storage_sync.config.settings import Settings
from storage_sync.values.snapshot import MONTH_S, two_digits

BUSY_GAP_S = 60.0
"""A primary that is written to all the time must not be read all the time: a server bills each row."""


def busy_gap_s(settings: Settings) -> float:
    """Least time from one run to the next that is due only because the primary moved; reading a file costs nothing."""
    local = (settings.primary or "").startswith("file:")
    return 0.0 if local else min(BUSY_GAP_S, settings.interval_s / 5)


@dataclass(frozen=True, slots=True)
class Measured:
    """One poll and one proof, in rows read by the primary's own word; `has_index`: whether it tells by a replication
    index that nobody wrote."""

    poll: int
    proof: int
    has_index: bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """Rows a month, to two digits: while nobody writes to the primary, and while somebody does all the time."""

    idle: int
    busy: int
    halved_by: int | None
    """`interval_s` that would halve `idle`; None where no interval would."""


def estimate(measured: Measured, settings: Settings, busy_gap_s: float) -> Estimate:
    """`busy_gap_s`: least time between two proofs that are due because the primary moved."""
    polls = MONTH_S / settings.poll_s * measured.poll
    busy = polls + MONTH_S / max(busy_gap_s, 1.0) * measured.proof
    if measured.has_index:
        # then polls read nothing, and only an audit reads the rows again
        return Estimate(two_digits(MONTH_S / settings.audit_s * measured.proof), two_digits(busy), None)
    proofs = MONTH_S / settings.interval_s * measured.proof
    left = (polls + proofs) / 2 - polls
    halved = two_digits(MONTH_S * measured.proof / left) if left > 0 else None
    return Estimate(two_digits(polls + proofs), two_digits(busy), halved)


def told(measured: Measured, settings: Settings, busy_gap_s: float) -> str:
    """The estimate as a sentence."""
    found = estimate(measured, settings, busy_gap_s)
    text = (
        f"a poll reads {measured.poll:,} rows, a proof {measured.proof:,}; about {found.idle:,} a month while nobody "
        f"writes, {found.busy:,} while somebody does all the time"
    )
    if found.halved_by is not None:
        return f"{text}; interval_s = {found.halved_by} would halve the first"
    return text if measured.has_index else f"{text}; a larger poll_s makes it less, interval_s would not halve it"
