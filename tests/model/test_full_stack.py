"""Random histories on a real server and a real redb file, through the product's own sync, judged from outside."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Sync
from storage_sync.service.performing import perform
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.session import Session
from storage_sync.values.options import USUAL, Options
from storage_sync.values.outcome import Outcome, Word
from storage_sync.values.snapshot import Run
from tests.independent.projection_check import check
from tests.model import mirror
from tests.model.primary_model import OWN_WRITES, Primary, Scope, State, project
from tests.support import hrana, size, stores
from tests.support.children import quick_children
from tests.support.command import fingerprint
from tests.support.proven_rows import is_true
from tests.support.sqld import Sqld

HISTORIES = size.of(10, 50, 300)
PARTS = size.of(2, 5, 10)
STEPS = 6
ALL = Options(adopt=True, allow_shrink=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqld]:
    """One server with do-memory's schema; each history starts by emptying it."""
    with Sqld(stores.primary("batch", tmp_path_factory.mktemp("primary"))) as running, quick_children():
        yield running


class History:
    """One primary, one cache, and the states that the primary had during the last sync."""

    def __init__(self, seed: int, server: Sqld, folder: Path) -> None:
        self.random = Random(seed)
        self.server = server
        self.folder = folder
        self.cache = folder / "cache.redb"
        self.primary = Primary(self.random)
        self.played: State = {}
        self.scope = Scope()
        self.log: list[str] = []
        self.own_writes_only = False
        self.runner = asyncio.Runner()
        self.session = Session(self.settings(), None)
        """One process for all runs, as of a service: what it remembers of the last one must be true in the next."""
        hrana.execute(server.url, ["BEGIN", *(f"DELETE FROM {table}" for table in mirror.EVERYTHING), "COMMIT"])

    def change(self, name: str) -> None:
        """One thing that happens to the primary, and every state that it passes through."""
        self.log.append(name)
        seen = len(self.primary.seen)
        getattr(self.primary, name)()
        for state in self.primary.seen[seen:]:
            mirror.play(self.server.url, mirror.statements(self.played, state))
            self.played = state

    def settings(self) -> Settings:
        return Settings(
            primary=self.server.url,
            cache=self.cache,
            state_dir=self.folder / "state",
            max_episodes_cache=self.scope.window,
            batch_size=2,
            sync_patterns=self.scope.patterns,
            sync_embeddings=self.scope.embeddings,
        )

    def close(self) -> None:
        self.runner.run(self.session.close())
        self.runner.close()

    def sync(self, options: Options = USUAL, *, busy: float = 0.0) -> Outcome:
        """One run; others write to the primary between its steps. Half of them need not read what nobody wrote to."""
        self.primary.watch()

        def others_write(_: Run) -> None:
            while self.random.random() < busy:
                self.change("write")

        before = fingerprint(self.cache)
        self.session.settings = self.settings()
        usual = options == USUAL
        options = replace(options, renews=self.random.random() < 0.5 or options.renews)
        if usual and self.random.random() < 0.4:
            options = replace(options, follows=True)
        request = Request(self.session.settings, None, options)
        outcome = self.runner.run(perform(self.session, Sync(), request, others_write, Cancel()))
        how = "renewed" if "renewed" in outcome.extra else "followed" if outcome.followed is not None else "proven"
        self.log.append(f"sync {outcome.verdict} {outcome.exit_code} {how} {outcome.extra.get('follow', '')}")
        self.judge(outcome, before)
        if outcome.proof is not None:
            scope = self.session.scope(outcome.proof.digest)
            assert is_true(self.session.proven_rows, self.cache, scope), self.story("what is remembered is not true")
        return outcome

    def judge(self, outcome: Outcome, before: str | None) -> None:
        """A proof is of one state that the primary had meanwhile; without one nothing was written."""
        assert outcome.exit_code not in (1, 70), self.story(str(outcome))
        if outcome.verdict is not Word.IN_SYNC:
            assert fingerprint(self.cache) == before, self.story("changed without a proof")
            return
        if outcome.followed is not None and not self.own_writes_only:
            # it does not see all that was deleted or updated in place, and is no proof
            return
        have = {
            key: digest
            for key, digest in mirror.content(self.cache).items()
            if self.scope.covers(key, digest_links(digest))
        }
        states = [{k: row.digest() for k, row in project(state, self.scope).items()} for state in self.primary.seen]
        assert have in states, self.story("the cache is no state that the primary had")

    def settle(self) -> None:
        """Quiet: one sync reaches the primary's state, the next writes nothing."""
        outcome = self.sync(ALL)
        assert outcome.verdict is Word.IN_SYNC, self.story(str(outcome))
        state = stores.quiet_copy(self.server.database, self.folder / "quiet")
        report = check(
            state,
            self.cache,
            window=self.scope.window,
            patterns=self.scope.patterns,
            embeddings=self.scope.embeddings,
        )
        assert report.holds(exact=True), self.story(report.text())
        file = fingerprint(self.cache)
        for options in (USUAL, Options(full=True), Options(renews=True)):
            again = self.sync(options)
            assert again.verdict is Word.IN_SYNC, self.story(str(again))
            assert fingerprint(self.cache) == file, self.story("another sync wrote")
        assert "renewed" in again.extra, self.story("a quiet primary was read again")

    def story(self, why: str) -> str:
        return "\n".join([why, *self.log])


def digest_links(digest: tuple[object, ...]) -> tuple[str, ...]:
    links = digest[3]
    assert isinstance(links, tuple)
    return links


def follow_alone(history: History) -> None:
    """After one proof nothing but follow runs, of what do-memory writes by itself: a proof finds nothing to do."""
    random = history.random
    history.own_writes_only = True
    history.scope = Scope(random.choice((1, 3, 5)), random.random() < 0.8, random.random() < 0.8)
    history.change("bulk")
    assert history.sync(ALL).verdict is Word.IN_SYNC
    for _ in range(STEPS):
        for _ in range(random.randrange(5)):
            history.change(random.choice(OWN_WRITES))
        outcome = history.sync(Options(follows=True))
        assert outcome.followed is not None or "follow" in outcome.extra, history.story(str(outcome))
    before = fingerprint(history.cache)
    history.settle()
    assert fingerprint(history.cache) == before, history.story("a proof found what the follow runs did not")


CHANGES = ("write", "write", "bulk", "back_dated", "delete_newest_and_insert", "back_up", "restore")


def play(seed: int, server: Sqld, folder: Path) -> None:
    with closing(History(seed, server, folder)) as history:
        live(history)


def live(history: History) -> None:
    random = history.random
    history.change("bulk")
    for _ in range(STEPS):
        for _ in range(random.randrange(4)):
            history.change(random.choice(CHANGES))
        if random.random() < 0.2:
            history.scope = Scope(random.choice((1, 3, 5)), random.random() < 0.8, random.random() < 0.8)
            history.log.append(str(history.scope))
        if random.random() < 0.6:
            history.sync(busy=random.choice((0.0, 0.2, 0.5)))
    history.settle()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_follow_runs_alone_leave_nothing_to_a_proof(part: int, server: Sqld, tmp_path: Path) -> None:
    ended: list[object] = []
    for seed in range(part * HISTORIES // PARTS, (part + 1) * HISTORIES // PARTS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        with closing(History(seed, server, folder)) as history:
            follow_alone(history)
            ended += [line for line in history.log if "ended" in line]
    assert len(ended) * 10 <= HISTORIES * STEPS // PARTS, ended


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_history_diverges(part: int, server: Sqld, tmp_path: Path) -> None:
    for seed in range(part * HISTORIES // PARTS, (part + 1) * HISTORIES // PARTS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        play(seed, server, folder)
        shutil.rmtree(folder)
