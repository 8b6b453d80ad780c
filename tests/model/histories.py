"""Random histories of a primary, its cache and our runs, with the truths that must hold after every step."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from storage_sync.values.errors import GuardStopped
from storage_sync.values.followed import FollowEnded
from tests.model.cache_model import Cache, File, Value
from tests.model.follow_model import Since, follow, marks_of
from tests.model.primary_model import Digest, Key, NetworkFault, Primary, Scope, project
from tests.model.strategies import Strategy, exact_digests
from tests.model.sync_model import Consent, End, Ended, Kill, sync

NONE = Consent()
ALL = Consent(adopt=True, allow_shrink=True, repair=True)


class Diverged(AssertionError):
    """A truth of docs/protocol.md#invariants does not hold."""


class World:
    """One primary, one cache, the settings, and what happened."""

    def __init__(
        self, random: Random, strategy: Strategy = exact_digests, *, index: bool = True, scope: Scope | None = None
    ) -> None:
        """`index`: whether the server sends a replication index."""
        self.random = random
        self.strategy = strategy
        self.index = index
        self.scope = scope or Scope()
        self.log: list[str] = []
        self.since: Since | None = None
        self.primary = Primary(random)
        self.cache = Cache(random)

    # -------------------------------------------------------------------------------------- steps

    def act(self, name: str, action: Callable[[], None]) -> None:
        self.log.append(name)
        action()

    def write(self) -> None:
        self.act("primary: write", self.primary.write)

    def reconfigure(self) -> None:
        self.scope = Scope(self.random.choice((1, 3, 4, 6)), self.random.random() < 0.8, self.random.random() < 0.8)
        self.log.append(f"settings: {self.scope}")

    def run(self, *, consent: Consent = NONE, kill: Kill = Kill.NEVER, faults: float = 0.0, busy: float = 0.0) -> End:
        """One sync among writers, faults and kills, and the invariants at its end."""
        primary, cache = self.primary, self.cache
        before, acknowledged = cache.file, cache.acknowledged
        primary.faults, primary.busy, cache.busy = faults, busy, busy / 2
        primary.watch()
        # taken before the rows of the proof are read
        marks = marks_of(primary.state, self.scope, primary.replication_index if self.index else None)
        try:
            ended = sync(primary, cache, self.scope, consent=consent, kill=kill, strategy=self.strategy)
        finally:
            primary.faults = primary.busy = cache.busy = 0.0
        self.log.append(f"sync: {ended.end.value}{' (written)' if ended.written else ''}")
        self._judge(ended, before, acknowledged, quiet=busy == 0.0, consent=consent)
        stamped = cache.file.checkpoint
        proven = ended.end is End.PROVEN and stamped is not None
        self.since = Since(marks, self.scope, stamped.generation) if proven and stamped is not None else None
        return ended.end

    def follow(self, *, faults: float = 0.0, busy: float = 0.0) -> bool:
        """One follow run; False where it ended, and a proof is due."""
        primary, cache, since = self.primary, self.cache, self.since
        before, acknowledged = cache.file, cache.acknowledged
        primary.faults, primary.busy, cache.busy = faults, busy, busy / 2
        primary.watch()
        try:
            if before.rotten:
                return False
            ended, self.since = follow(primary, cache, self.scope, since, index=self.index)
        except (FollowEnded, NetworkFault, GuardStopped) as why:
            self.log.append(f"follow ended: {why}")
            if cache.file != before or cache.acknowledged != acknowledged:
                self._fail("a follow run ended, and something was written")
            return False
        finally:
            primary.faults = primary.busy = cache.busy = 0.0
        self.log.append(f"follow: {ended.end.value if ended is not None else 'the file changed meanwhile'}")
        if ended is None or ended.end is not End.PROVEN:
            self.since = None
            return False
        if busy == 0.0:
            self._cache_only_kept(before, cache.file)
        return True

    def verify(self) -> None:
        """An IN_SYNC answer must be true, whatever happened since (never by the ledger alone)."""
        expected = project(self.primary.state, self.scope)
        says = all(self.cache.file.current(key, row.digest()) for key, row in expected.items())
        listed = {k for k, entry in self.cache.file.ledger.items() if self.scope.covers(k, entry.links)}
        says = says and listed == expected.keys()
        true = self._content(self.cache.file) == {key: row.digest() for key, row in expected.items()}
        if says and not true:
            self._fail("verify says IN_SYNC and the cache is not the projection")

    def settle(self) -> None:
        """Nobody writes any more: one sync makes the cache the projection, the next writes nothing."""
        if self.run(consent=ALL) is not End.PROVEN:
            self._fail("a quiet sync with every consent is not proven")
        file = self.cache.file
        if self._content(file) != {k: row.digest() for k, row in project(self.primary.state, self.scope).items()}:
            self._fail("after a quiet sync the cache is not the projection of the primary")
        if self.run() is not End.PROVEN or self.cache.file != file:
            self._fail("a second sync of a quiet primary changed the cache")

    # ------------------------------------------------------------------------------------- truths

    def _content(self, file: File) -> dict[Key, Digest]:
        """What of the file claims to be the primary's, within the scope."""
        covered = {key for key, entry in file.ledger.items() if self.scope.covers(key, entry.links)}
        return {key: value.shared for key, value in file.rows.items() if key in covered}

    def _judge(self, ended: Ended, before: File, acknowledged: int, *, quiet: bool, consent: Consent) -> None:
        file = self.cache.file
        if not ended.written and quiet and file != before:
            self._fail("the run ended without writing, and the file changed")
        if ended.end is not End.PROVEN and not ended.written and self.cache.acknowledged != acknowledged:
            self._fail("nothing was proven, and the witness moved")
        if ended.written and file.checkpoint is None:
            self._fail("written without a checkpoint")
        generation = file.checkpoint.generation if file.checkpoint else 0
        if ended.written and self.cache.acknowledged > generation:
            self._fail("the witness is ahead of the file")
        if ended.end is End.PROVEN:
            states = [{k: row.digest() for k, row in project(s, self.scope).items()} for s in self.primary.seen]
            if self._content(file) not in states:
                self._fail("a proven cache equals no state that the primary had during the run")
        if ended.written and quiet and not consent.adopt and not consent.repair:
            self._cache_only_kept(before, file)

    def _cache_only_kept(self, before: File, after: File) -> None:
        kept: dict[Key, Value] = before.cache_only
        lost = [key for key in kept if key not in after.rows]
        if lost:
            self._fail(f"rows that only the cache had are gone: {lost}")

    def _fail(self, why: str) -> None:
        raise Diverged("\n".join([why, *self.log]))


def step(world: World) -> None:
    """One random thing that happens."""
    random, primary, cache = world.random, world.primary, world.cache
    roll = random.random()
    if roll < 0.40:
        world.write()
    elif roll < 0.50:
        world.follow(faults=random.choice((0.0, 0.0, 0.2)), busy=random.choice((0.0, 0.3, 0.6)))
    elif roll < 0.70:
        world.run(
            consent=random.choice((Consent(), Consent(), Consent(), ALL)),
            kill=random.choice((Kill.NEVER,) * 6 + tuple(Kill)),
            faults=random.choice((0.0, 0.0, 0.0, 0.2)),
            busy=random.choice((0.0, 0.3, 0.6)),
        )
    elif roll < 0.74:
        world.verify()
    elif roll < 0.78:
        world.reconfigure()
    else:
        actions = (
            primary.bulk, primary.vacuum, primary.clock_jump, primary.back_up, primary.restore, primary.update,
            cache.app_edits, cache.app_edits, cache.app_marks, cache.app_adds, cache.app_adds, cache.app_deletes,
            cache.app_clears, cache.bit_flip, cache.keep_copy, cache.put_back_copy,
        )  # fmt: skip
        action = random.choice(actions)
        world.act(f"{type(getattr(action, '__self__', None)).__name__}: {action.__name__}", action)


def play(seed: int, strategy: Strategy = exact_digests, steps: int = 20) -> None:
    """One whole history; Diverged tells what did not hold and what led there."""
    world = World(Random(seed), strategy, index=seed % 2 == 0)
    world.primary.bulk()
    if world.random.random() < 0.3:
        world.act("do-memory: write a cache", lambda: world.cache.written_by_do_memory(world.primary.state))
    for _ in range(steps):
        step(world)
    world.verify()
    world.settle()
