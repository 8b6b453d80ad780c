"""What the pings say about the primary, as values."""

from __future__ import annotations

import statistics

from msgspec.structs import replace

from storage_sync.primary.errors import AccessRefused, NoFile
from storage_sync.values.errors import PrimaryRefused, PrimarySchema, StorageSyncError
from storage_sync.values.outcome import error_value
from storage_sync.values.snapshot import PrimaryHealth, PrimaryStatus

PINGS_KEPT = 60


def answered(health: PrimaryHealth, milliseconds: float, at: float) -> PrimaryHealth:
    """The primary answered a ping at `at` after `milliseconds`."""
    pings = (*health.pings, milliseconds)[-PINGS_KEPT:]
    return replace(
        health,
        status=PrimaryStatus.CONNECTED,
        ping_ms=milliseconds,
        pings=pings,
        p95_ms=percentile_95(pings),
        auth="none needed" if health.token_origin in ("", "not set") else "accepted",
        auth_at=at,
        unreachable_since=None,
        retries=0,
        backoff_s=None,
        error=None,
    )


def proven(health: PrimaryHealth, at: float) -> PrimaryHealth:
    """A run proved the cache against the primary, so it answers, whatever the last ping saw."""
    if not health.status.failed:
        return health
    return replace(
        health,
        status=PrimaryStatus.CONNECTED,
        auth="none needed" if health.token_origin in ("", "not set") else "accepted",
        auth_at=at,
        unreachable_since=None,
        retries=0,
        backoff_s=None,
        error=None,
    )


def failed(health: PrimaryHealth, error: StorageSyncError, at: float, *, known: bool) -> PrimaryHealth:
    """The primary did not answer, refused us, or is not what it was. `known`: it has been read before."""
    pings = (*health.pings, None)[-PINGS_KEPT:]
    return replace(
        health,
        status=_status(error, known=known),
        ping_ms=None,
        pings=pings,
        p95_ms=percentile_95(pings),
        auth="refused" if isinstance(error, AccessRefused) else health.auth,
        last_error=error.message,
        last_error_at=at,
        unreachable_since=_since(health, at),
        retries=health.retries + 1,
        error=error_value(error),
    )


def _status(error: StorageSyncError, *, known: bool) -> PrimaryStatus:
    if not isinstance(error, PrimaryRefused | PrimarySchema):
        return PrimaryStatus.UNREACHABLE
    if isinstance(error, AccessRefused) or not known:
        return PrimaryStatus.REFUSED
    return PrimaryStatus.GONE if isinstance(error, NoFile) else PrimaryStatus.UNUSABLE


def _since(health: PrimaryHealth, at: float) -> float:
    """Since when there is no answer: the last one, since the time that a request waits in vain is part of it."""
    if health.unreachable_since is not None:
        return health.unreachable_since
    answered_at = health.auth_at if health.status is PrimaryStatus.CONNECTED else None
    return answered_at if answered_at is not None and answered_at <= at else at


def percentile_95(pings: tuple[float | None, ...]) -> float | None:
    """95th percentile of the answered pings in milliseconds; None when none was answered."""
    values = [ping for ping in pings if ping is not None]
    if not values:
        return None
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=20, method="inclusive")[-1]
