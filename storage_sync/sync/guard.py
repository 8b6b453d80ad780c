"""The guards that stand for the question "are you sure" (docs/protocol.md#guards). Pure decisions over numbers."""

from __future__ import annotations

from dataclasses import dataclass

from storage_sync.values.errors import GuardStopped

FREE_REMOVALS = 10
"""The ratio counts only above this many removals."""
SMALL_CACHE = 10
"""Below this many episodes all of them must be in the primary for a take-over."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the shrink guard looks at. Rows are counts over all tables in scope unless said otherwise."""

    expected_episodes: int
    cached_episodes: int
    listed_rows: int
    removals: int
    """Rows that would leave because the primary no longer has them."""


@dataclass(frozen=True, slots=True)
class Consent:
    adopt: bool = False
    allow_shrink: bool = False


def source_error(
    *, stamped: tuple[str, int], now: tuple[str, int], same_root: bool, consent: Consent
) -> GuardStopped | None:
    """The cache was proven against another primary, or the primary went back in time.

    `stamped`, `now`: (source id, epoch). The very same content lifts it: only the address changed.
    """
    if stamped == now or same_root or consent.adopt:
        return None
    if stamped[0] != now[0]:
        return GuardStopped(
            "this cache was built from another primary; nothing was changed",
            hint="check the URL (storage-sync config show); sync --adopt builds the cache anew from this primary",
        )
    return stepped_back()


def stepped_back(differ: int | None = None, gone: int = 0, *, exact: bool = True) -> GuardStopped:
    """The primary's log began anew. `differ`: rows that it has otherwise, where it was asked; `gone`: those that it has
    no longer; both at most when not `exact`. They are all that tells a crash from a restore."""
    rows = f": {'' if exact else 'up to '}{differ:,} rows differ, {gone:,} are gone" if differ is not None else ""
    return GuardStopped(
        f"the primary's log went back{rows}; nothing was changed",
        hint="a crash of its server takes no rows, a restore may: storage-sync diff names them; "
        "sync --adopt builds the cache anew",
    )


def shrink_error(facts: Facts, consent: Consent, max_removal_ratio: float) -> GuardStopped | None:
    """The primary looks empty, or too many rows would leave."""
    if consent.allow_shrink or consent.adopt:
        return None
    if facts.expected_episodes == 0 and facts.cached_episodes > 0:
        return GuardStopped(
            f"the primary has no episodes while the cache holds {facts.cached_episodes:,}; nothing was changed",
            hint="check that the URL names the right database; sync --allow-shrink empties the cache",
        )
    if facts.removals > FREE_REMOVALS and facts.removals > max_removal_ratio * facts.listed_rows:
        return GuardStopped(
            f"{facts.removals:,} of {facts.listed_rows:,} proven rows would be removed, "
            f"more than the limit of {max_removal_ratio:.0%}; nothing was changed",
            hint="sync --plan lists them; sync --allow-shrink removes them",
        )
    return None


def removal_ratio(facts: Facts) -> float:
    return facts.removals / facts.listed_rows if facts.listed_rows else 0.0


def implausible(cached_episodes: int, known_to_primary: int, schema: int | None, wrong_types: bool) -> str | None:
    """Why an unstamped cache is not taken over by itself (docs/protocol.md#recovery), or None when it is plausible."""
    if wrong_types:
        return "its tables are not of do-memory's types"
    if schema != 4 and cached_episodes:
        return f"its schema version is {schema if schema is not None else 'absent'}, not 4"
    if cached_episodes and cached_episodes < SMALL_CACHE and known_to_primary < cached_episodes:
        return f"only {known_to_primary} of its {cached_episodes} episodes are in this primary"
    if cached_episodes >= SMALL_CACHE and known_to_primary * 2 < cached_episodes:
        return f"only {known_to_primary:,} of its {cached_episodes:,} episodes are in this primary"
    return None
