"""One run of the protocol over the models, with the product's own decisions where they are pure.

See docs/protocol.md#steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from msgspec.structs import replace

from storage_sync.state.witness import next_generation
from storage_sync.sync import guard
from storage_sync.values import options
from storage_sync.values.errors import GuardStopped
from tests.model.cache_model import Cache, Checkpoint, Entry, File, Value
from tests.model.primary_model import EPISODES, TABLES, Key, NetworkFault, Primary, Scope, project
from tests.model.strategies import Staged, Strategy, exact_digests

ROUNDS = 5
MAX_REMOVAL_RATIO = 0.5


class End(Enum):
    """How a run ended."""

    PROVEN = "proven"
    GUARD = "guard"
    DAMAGED = "damaged"
    UNAVAILABLE = "unavailable"
    BUSY = "busy"
    KILLED = "killed"
    NOT_PROVEN = "written, not proven"
    """Somebody wrote to a row of ours between our look and the proof."""


class Kill(Enum):
    """Where the process dies."""

    NEVER = "never"
    BEFORE_COMMIT = "before commit"
    AFTER_COMMIT = "after commit"
    AFTER_WITNESS = "after witness"


@dataclass(frozen=True)
class Consent:
    adopt: bool = False
    allow_shrink: bool = False
    repair: bool = False


NO_CONSENT = Consent()


@dataclass(frozen=True)
class Ended:
    end: End
    written: bool = False
    removed: frozenset[Key] = frozenset()
    set_aside: Mapping[Key, Value] | None = None


def sync(
    primary: Primary,
    cache: Cache,
    scope: Scope,
    *,
    source: str = "here",
    consent: Consent = NO_CONSENT,
    kill: Kill = Kill.NEVER,
    strategy: Strategy = exact_digests,
) -> Ended:
    """Bring the cache to the primary's state, or change nothing."""
    for _ in range(ROUNDS):
        look = cache.file
        try:
            if _damaged(look, cache.acknowledged):
                if not consent.repair:
                    return Ended(End.DAMAGED)
                look = _rescued(look)
            ended = attempt(primary, cache, look, scope, source, consent, kill, strategy)
        except NetworkFault:
            return Ended(End.UNAVAILABLE)
        except GuardStopped:
            return Ended(End.GUARD)
        if ended is not None:
            return ended
    return Ended(End.BUSY)


def _damaged(look: File, acknowledged: int) -> bool:
    generation = look.checkpoint.generation if look.checkpoint else 0
    return look.rotten or (generation < acknowledged)


def _rescued(look: File) -> File:
    """What a repair carries over: rows that decode. Which of them are ours is judged again."""
    rows = {key: value for key, value in look.rows.items() if value.whole}
    return replace(look, rows=rows, ledger={key: entry for key, entry in look.ledger.items() if key in rows})


def attempt(
    primary: Primary,
    cache: Cache,
    look: File,
    scope: Scope,
    source: str,
    consent: Consent,
    kill: Kill,
    strategy: Strategy,
) -> Ended | None:
    """None: the file changed between look and transaction, try again."""
    stamped = look.checkpoint
    before = cache.file
    epoch = epoch_of(primary, stamped, source)
    if consent.adopt and stamped is not None and (stamped.source, stamped.epoch) != (source, epoch):
        look = File(
            checkpoint=stamped
        )  # another primary: the old file is kept aside, none of its rows are carried over
    listed = {key: entry.mark for key, entry in look.ledger.items() if scope.covers(key, entry.links)}
    staged = strategy(primary, scope, look.current, stamped.notes if stamped else {}, listed)
    root = frozenset(staged.marks.items())
    gone = [key for key in listed if key not in staged.marks]
    _guard(primary, look, staged, gone, source, epoch, consent)
    rows, ledger, aside = _merged(look, staged, gone)
    unchanged = rows == before.rows and ledger == before.ledger and stamped is not None and stamped.root == root
    unchanged = unchanged and stamped is not None and (stamped.source, stamped.epoch) == (source, epoch)
    # a file that was put back holds an older generation, which nothing acknowledges any more
    unchanged = unchanged and stamped is not None and stamped.generation >= cache.acknowledged
    if unchanged and stamped is not None:
        cache.acknowledged = max(cache.acknowledged, stamped.generation)
        return Ended(End.PROVEN)
    cache.others_write()
    touched = {key for key in rows.keys() | before.rows.keys() if rows.get(key) != before.rows.get(key)}
    touched |= ledger.keys() ^ before.ledger.keys()
    if any(cache.file.rows.get(key) != before.rows.get(key) for key in touched):
        return None
    if kill is Kill.BEFORE_COMMIT:
        return Ended(End.KILLED)
    generation = next_generation(stamped.generation if stamped else None, cache.acknowledged or None)
    now = dict(cache.file.rows)
    for key in touched:
        now.pop(key, None)
        if key in rows:
            now[key] = rows[key]
    checkpoint = Checkpoint(source, epoch, generation, root, primary.replication_index, staged.notes)
    cache.file = File(now, ledger, checkpoint)
    removed = frozenset(before.rows.keys() - now.keys())
    if kill is Kill.AFTER_COMMIT:
        return Ended(End.KILLED, written=True, removed=removed, set_aside=aside)
    if any(not cache.file.current(key, mark) for key, mark in staged.marks.items()):
        return Ended(End.NOT_PROVEN, written=True, removed=removed, set_aside=aside)
    cache.acknowledged = generation
    if kill is Kill.AFTER_WITNESS:
        return Ended(End.KILLED, written=True, removed=removed, set_aside=aside)
    return Ended(End.PROVEN, written=True, removed=removed, set_aside=aside)


def epoch_of(primary: Primary, stamped: Checkpoint | None, source: str) -> int:
    if stamped is None or stamped.source != source:
        return 0
    return stamped.epoch + (primary.replication_index < stamped.replication_index)


def _guard(
    primary: Primary, look: File, staged: Staged, gone: list[Key], source: str, epoch: int, consent: Consent
) -> None:
    stamped = look.checkpoint
    state = primary.state
    whole = project(state, Scope(window=len(state)))
    same_root = stamped is not None and stamped.root == frozenset(staged.marks.items())
    facts = guard.Facts(
        expected_episodes=sum(key[0] == EPISODES for key in staged.marks),
        cached_episodes=sum(key[0] == EPISODES for key in (look.ledger if stamped else look.rows)),
        tables={
            table: guard.Share(
                sum(key[0] == table and key not in whole for key in gone), sum(key[0] == table for key in look.ledger)
            )
            for table in TABLES
        },
    )
    said = options.Consent(adopt=consent.adopt, allow_shrink=consent.allow_shrink)
    now = (source, epoch)
    then = (stamped.source, stamped.epoch) if stamped else now
    error = guard.source_error(stamped=then, now=now, same_root=same_root, consent=said)
    error = error or guard.shrink_error(facts, said, MAX_REMOVAL_RATIO)
    if stamped is None and not consent.adopt:
        cached = [key for key in look.rows if key[0] == EPISODES]
        why = guard.implausible(len(cached), sum(key in state for key in cached), 4, wrong_types=False)
        error = error or (GuardStopped(why) if why else None)
    if error is not None:
        raise error


def _merged(look: File, staged: Staged, gone: list[Key]) -> tuple[dict[Key, Value], dict[Key, Entry], dict[Key, Value]]:
    """Rows and ledger after the transaction, and what is set aside because nobody could give it back."""
    rows, ledger, aside = dict(look.rows), dict(look.ledger), {}
    for key, row in staged.rows.items():
        old = rows.get(key)
        if old is None or not old.whole or old.shared != row.digest():
            if old is not None and key not in ledger:
                aside[key] = old
            rows[key] = Value(row.digest(), old.local if old is not None and old.whole else "")
        ledger[key] = Entry(staged.marks[key], rows[key], row.links)
    for key in gone:
        if key in rows:
            aside[key] = rows.pop(key)
        ledger.pop(key, None)
    return rows, ledger, aside
