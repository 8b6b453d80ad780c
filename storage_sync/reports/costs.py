"""What the settings in force will cost a month, in rows that the primary reads. Pure."""

from __future__ import annotations

from msgspec import Struct

from storage_sync.config.settings import Settings
from storage_sync.reports.sentences import rows
from storage_sync.values.extra import Costs
from storage_sync.values.measured import Measured
from storage_sync.values.snapshot import MONTH_S, two_digits

BUSY_GAP_S = 60.0
"""A primary that is written to all the time must not be read all the time: a server bills each row."""
PROOF_ROWS = 4.5
"""A proof reads at most so many rows of the primary for each that is expected."""
DAY_S = 86_400.0


def busy_gap_s(settings: Settings) -> float:
    """Least time between two runs that are due only because the primary changed; reading a file costs nothing."""
    return 0.0 if settings.reads_a_file else min(BUSY_GAP_S, settings.interval_s / 5)


class Estimate(Struct, frozen=True):
    """Rows a month, to two digits, audits apart."""

    quiet: int
    """Nobody writes to the primary."""
    busy: int
    """Each poll sees a change."""
    halved_by: int | None
    """`interval_s` that would halve the first, or the second where the first needs no proofs; None: none up to a
    day."""


def estimate(measured: Measured, settings: Settings) -> Estimate:
    polls, proofs = MONTH_S / settings.poll_s, MONTH_S / settings.interval_s * measured.proof
    quiet, busy = polls * measured.quiet_poll, polls * (measured.poll + measured.follow)
    # with an index a proof that nothing changed since is renewed, which reads nothing
    of_polls = busy if measured.has_index else quiet
    left = (of_polls + proofs) / 2 - of_polls
    halved = settings.interval_s * proofs / left if left > 0 else None
    return Estimate(
        quiet=two_digits(quiet if measured.has_index else quiet + proofs),
        busy=two_digits(busy + proofs),
        halved_by=two_digits(halved) if halved is not None and halved <= DAY_S else None,
    )


def told(measured: Measured, settings: Settings) -> str:
    """The estimate as a sentence."""
    found = estimate(measured, settings)
    which = "second" if measured.has_index else "first"
    quiet = f"about {rows(found.quiet)}" if found.quiet else "no rows"
    text = (
        f"a poll reads {rows(measured.quiet_poll)} if nobody wrote and {measured.poll:,} after a change, a follow run "
        f"about {measured.follow:,}, a proof {measured.proof:,}; in a month: {quiet} if nobody writes, "
        f"about {found.busy:,} if each poll sees a change; audits (audit_s) are not counted"
    )
    if found.halved_by is None:
        return f"{text}; a larger poll_s would lower the {which} number of the month, but no interval_s would halve it"
    if found.halved_by <= settings.staleness_s:
        return f"{text}; interval_s = {found.halved_by} would halve the {which} number of the month"
    return (
        f"{text}; interval_s = {found.halved_by} and a staleness_s above it would halve the {which} number of the month"
    )


def to_json(measured: Measured, settings: Settings) -> Costs:
    found = estimate(measured, settings)
    return {
        "poll": measured.poll,
        "poll_quiet": measured.quiet_poll,
        "follow": measured.follow,
        "proof": measured.proof,
        "a_month_idle": found.quiet,
        "a_month_busy": found.busy,
        "interval_s_that_halves": found.halved_by,
    }
