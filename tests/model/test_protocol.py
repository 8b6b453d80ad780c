"""The protocol at model level: no divergence in many histories, and every known hole is found when it is put back."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.model import strategies
from tests.model.histories import ALL, Diverged, World, play
from tests.model.primary_model import OWN_WRITES, Scope
from tests.model.sync_model import Consent, End, Kill
from tests.support import size

HISTORIES = size.of(500, 2_000, 10_000)
TO_FIND = 300
STEPS = 6


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(10))
def test_no_history_diverges(part: int) -> None:
    for seed in range(part * HISTORIES // 10, (part + 1) * HISTORIES // 10):
        play(seed)


def divergence(strategy: strategies.Strategy, histories: int) -> str | None:
    """What the first history says in which the cache became something that the primary never was."""
    for seed in range(histories):
        try:
            play(seed, strategy)
        except Diverged as found:
            if "no state that the primary had" in str(found) or "not the projection" in str(found):
                return str(found)
    return None


@pytest.mark.parametrize("name", strategies.UNSOUND)
def test_a_known_hole_is_found(name: str) -> None:
    """Were a rowid, fingerprint, time watermark or snapshot-less paging put back, the suite would fail."""
    assert divergence(strategies.UNSOUND[name], TO_FIND), f"{name} was not caught in {TO_FIND} histories"


def followed(seed: int, hole: str = "", *, index: bool = True) -> tuple[World, int]:
    """A history of do-memory's own writes in which one proof is followed by follow runs alone, and at the end `hole`;
    and how many of them followed."""
    random = Random(seed)
    scope = Scope(random.choice((1, 3, 5)), random.random() < 0.8, random.random() < 0.8)
    world = World(random, index=index, scope=scope)
    world.primary.bulk()
    world.run(consent=ALL)
    taken = 0
    for step in range(STEPS):
        for _ in range(random.randrange(5)):
            name = random.choice(OWN_WRITES)
            world.act(f"primary: {name}", getattr(world.primary, name))
        if step == STEPS - 1 and hole:
            world.act(f"primary: {hole}", getattr(world.primary, hole))
        taken += world.follow()
    return world, taken


@pytest.mark.timeout(600)
@pytest.mark.parametrize("index", [True, False], ids=["index", "no index"])
@pytest.mark.parametrize("part", range(5))
def test_follow_runs_alone_leave_nothing_to_a_proof(part: int, index: bool) -> None:
    taken = 0
    for seed in range(part * HISTORIES // 10, (part + 1) * HISTORIES // 10):
        world, times = followed(seed, index=index)
        taken += times
        if world.since is not None:
            file = world.cache.file
            assert world.run() is End.PROVEN
            assert world.cache.file == file, "\n".join(["a proof found what the follow runs did not", *world.log])
        world.settle()
    assert taken * 10 >= HISTORIES // 10 * STEPS * 8, "most runs follow"


@pytest.mark.parametrize("hole", ["delete", "update", "delete_newest_and_insert"])
def test_a_known_hole_of_a_follow_run_is_found_by_a_proof(hole: str) -> None:
    """Deletions, updates in place and a highest rowid that was given again: a follow run may pass over them where the
    server sends no index, and the next proof does not."""
    missed = 0
    for seed in range(TO_FIND):
        world, _ = followed(seed, hole, index=False)
        file = world.cache.file
        followed_on = world.since is not None
        world.settle()
        missed += followed_on and world.cache.file != file
    assert missed, f"no history in which {hole} is passed over"


class Machine(RuleBasedStateMachine):
    """The same world under Hypothesis, which shrinks what it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Random(0))

    @rule(seed=st.integers(0, 2**32))
    def reseed(self, seed: int) -> None:
        self.world.random.seed(seed)

    @rule()
    def write(self) -> None:
        self.world.write()

    @rule(what=st.sampled_from(("bulk", "vacuum", "back_up", "restore", "delete_newest_and_insert", "back_dated")))
    def primary(self, what: str) -> None:
        self.world.act(f"primary: {what}", getattr(self.world.primary, what))

    @rule(
        what=st.sampled_from(
            (
                "app_edits",
                "app_marks",
                "app_adds",
                "app_deletes",
                "app_clears",
                "bit_flip",
                "keep_copy",
                "put_back_copy",
            )
        )
    )
    def cache(self, what: str) -> None:
        self.world.act(f"cache: {what}", getattr(self.world.cache, what))

    @rule()
    def reconfigure(self) -> None:
        self.world.reconfigure()

    @rule(
        consent=st.sampled_from((Consent(), ALL)),
        kill=st.sampled_from(Kill),
        faults=st.sampled_from((0.0, 0.2)),
        busy=st.sampled_from((0.0, 0.3, 0.6)),
    )
    def sync(self, consent: Consent, kill: Kill, faults: float, busy: float) -> None:
        self.world.run(consent=consent, kill=kill, faults=faults, busy=busy)

    @rule(faults=st.sampled_from((0.0, 0.2)), busy=st.sampled_from((0.0, 0.3, 0.6)))
    def follow(self, faults: float, busy: float) -> None:
        self.world.follow(faults=faults, busy=busy)

    @invariant()
    def verdict_is_true(self) -> None:
        self.world.verify()

    def teardown(self) -> None:
        self.world.settle()


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=150,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
