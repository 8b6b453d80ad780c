"""The guards that stand for the question "are you sure" (docs/protocol.md#guards). Pure decisions over numbers."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from storage_sync.reports.sentences import plural, rows
from storage_sync.values.errors import GuardStopped
from storage_sync.values.next_step import NextStep
from storage_sync.values.options import Consent

FREE_LOSSES = 10
"""How many rows of a table, and of all tables, may always be removed."""
SMALL_CACHE = 10
"""Below this many episodes all of them must be in the primary for a take-over."""


class Share(Struct, frozen=True):
    """Rows of a table that would leave because the primary lost them or what they belong to, of those proven in it.

    What leaves because the window slid on, or a setting made it smaller, is not lost.
    """

    lost: int
    proven: int

    def exceeds(self, limit: float) -> bool:
        return self.lost > FREE_LOSSES and self.lost > limit * self.proven

    def __str__(self) -> str:
        return f"{self.lost:,} of {self.proven:,}"


class Facts(Struct, frozen=True):
    """What the shrink guard looks at."""

    expected_episodes: int
    cached_episodes: int
    tables: Mapping[str, Share]

    @property
    def lost(self) -> int:
        return self.total.lost

    @property
    def total(self) -> Share:
        shares = self.tables.values()
        return Share(sum(share.lost for share in shares), sum(share.proven for share in shares))


def source_error(
    *, stamped: tuple[str, int], now: tuple[str, int], same_root: bool, consent: Consent
) -> GuardStopped | None:
    """The cache was proven against another primary, or the primary's log went back.

    `stamped`, `now`: (source id, epoch). The very same content lifts it: only the address changed.
    """
    if stamped == now or same_root or consent.adopt:
        return None
    if stamped[0] != now[0]:
        return GuardStopped(
            "this cache was built from another primary; nothing was changed",
            hint=NextStep.ADOPT,
        )
    return stepped_back()


def stepped_back(differ: int | None = None, gone: int = 0, *, exact: bool = True) -> GuardStopped:
    """The primary's log began again. `differ`: rows that it has otherwise, where it was asked; `gone`: those that
    went; both at most when not `exact`. They are all that tells a crash from a restore."""
    told = ""
    if differ is not None:
        differing = f"{rows(differ)} {'differs' if differ == 1 else 'differ'}"
        told = f": {'' if exact else 'up to '}{differing}, {gone:,} {'is' if gone == 1 else 'are'} gone"
    return GuardStopped(
        f"the primary's log went back{told}; nothing was changed",
        hint=NextStep.COMPARE,
    )


def shrink_error(facts: Facts, consent: Consent, max_removal_ratio: float) -> GuardStopped | None:
    """The primary looks empty, or it lost too much of a table or of all rows."""
    if consent.allow_shrink or consent.adopt:
        return None
    if facts.expected_episodes == 0 and facts.cached_episodes > 0:
        return GuardStopped(
            f"the primary has no episodes while the cache holds {facts.cached_episodes:,}; nothing was changed",
            hint=NextStep.ALLOW_EMPTY,
        )
    over = [f"{share} {table}" for table, share in facts.tables.items() if share.exceeds(max_removal_ratio)]
    if over or facts.total.exceeds(max_removal_ratio):
        named = f" ({', '.join(over)})" if over else ""
        of = "a table" if over else "all rows"
        return GuardStopped(
            f"the primary lost {facts.total} proven rows or what they belong to{named}, "
            f"more than {max_removal_ratio:.0%} of {of}; nothing was changed",
            hint=NextStep.ALLOW_SHRINK,
        )
    return None


def largest_share(facts: Facts) -> float:
    """Of a table, and of all, that the primary lost; what it lost of a table counts when it is more than may always
    leave."""
    shares = (*facts.tables.values(), facts.total)
    return max((share.lost / share.proven for share in shares if share.exceeds(0.0)), default=0.0)


def implausible(cached_episodes: int, known_to_primary: int, schema: int | None, wrong_types: bool) -> str | None:
    """Why an unstamped cache is not taken over by itself (docs/protocol.md#recovery), or None when it is plausible."""
    if wrong_types:
        return "its tables are not of do-memory's types"
    if schema != 4 and cached_episodes:
        return f"its schema version is {schema if schema is not None else 'absent'}, not 4"
    if cached_episodes and cached_episodes < SMALL_CACHE and known_to_primary < cached_episodes:
        return f"this primary has only {known_to_primary} of its {plural(cached_episodes, 'episode')}"
    if cached_episodes >= SMALL_CACHE and known_to_primary * 2 < cached_episodes:
        return f"this primary has only {known_to_primary:,} of its {plural(cached_episodes, 'episode')}"
    return None
