"""F6: every fault of a network at every request of a first and of a later sync, in front of the real server.

One test is one kind of fault. Its cases run at the same time, each with a cache and a relay of its own: the fault at
the 1st, 2nd … request, once or from there on, of a first sync and of one with a little to do.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.config.token import Token
from storage_sync.reports.document import to_json
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once, quiet
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome, Word
from storage_sync.values.snapshot import Phase, Run
from tests.independent.projection_check import check
from tests.independent.redb_reader import RedbFile
from tests.support import hrana, network, size, stores
from tests.support.command import Tool, fingerprint
from tests.support.network import answer
from tests.support.proven import in_memory
from tests.support.relay import Exchange, Fault, Relay, Script
from tests.support.sqld import Sqld

TOKEN = "not-for.any.message"
SHORTEST_DEADLINE_S = 1.0
"""Of a case that hangs from its fault on; longer where this machine needs more for the same runs without a fault."""
LONGEST_DEADLINE_S = 5.0
OVER_S = 1.0
"""A run may end so much after its deadline."""
LOAD_S = 4.0
"""Allowed on top: a machine that runs other tests gives us the processor late. With it the bound stays below the 15 s
after which the network code itself would give up, so that a run which the deadline does not end is found."""
AMPLE_S = 120.0
"""A deadline that no case reaches which ends by itself."""
IMPATIENT_S = 2.0
"""Longest wait for one request where the fault hangs once."""
ATTEMPTS = 10
ABREAST = 4
"""Commands at a time."""
COMMAND_DEADLINE_S = 6
PATIENCE_S = 120
WINDOW = 10
SMALLER = (
    "DELETE FROM episodes WHERE rowid > 12",
    "DELETE FROM patterns WHERE rowid > 8 + (SELECT min(rowid) FROM patterns)",
    "DELETE FROM embeddings WHERE item_type = 'pattern' OR rowid > 12",
    "DELETE FROM episode_relationships",
    "DELETE FROM recommendation_sessions",
    "DELETE FROM episode_pattern_relationships",
)
"""What is asked matters here, not how much is answered: there are a thousand runs."""
LATE = 4_000_000_000
FIRST_REQUESTS = 4
LATER_REQUESTS = 10

CODES = {"-": {0}, "0": {0}, "3": {3}, "4": {4}, "a": {4}, "d": {13}, "?": {0, 3, 4}}
UNTOUCHED, OPEN = "-?"
WELL, UNAVAILABLE, REFUSED, DEADLINE = (f"{code * 3}- {code * 10}" for code in "034d")
"""Exit codes by request of a first and of a later sync. `-`: 0, for nothing can happen there; the last request of a
first sync closes a stream, and nobody waits for the answer. `?`: what is in this answer depends on the move before.
`a`: 4 too, but something else is asked before that."""


class Kind(Struct, frozen=True):
    """What is done to a request, and the exit code that is right for each request that it is done to."""

    fault: Fault
    lasting: str
    """When it is done to every request from the n-th on."""
    once: str
    """When only the n-th gets it. Where either is 4 the lasting run ends at the first request that it is done to, and
    is the other one as well."""
    hangs: bool = False
    shuts: Callable[[Relay], None] | None = None
    """Instead of a fault: what keeps a request from getting a connection."""

    def code(self, *, new: bool, number: int, lasting: bool) -> str:
        first, later = (self.lasting if lasting else self.once).split()
        return (first if new else later)[number - 1]

    def same(self, *, new: bool, number: int) -> bool:
        """Whether once and from there on are one case."""
        return {self.code(new=new, number=number, lasting=lasting) for lasting in (False, True)} == {"4"}


def passing(fault: Fault) -> Kind:
    """It may be over soon: worth another try."""
    return Kind(fault, UNAVAILABLE, WELL)


def final(fault: Fault) -> Kind:
    """Another try would not help."""
    return Kind(fault, REFUSED, REFUSED)


def hanging(fault: Fault) -> Kind:
    return Kind(fault, DEADLINE, WELL, hangs=True)


def cut(fault: Fault) -> Kind:
    """An answer that cannot be understood; a cursor that looks cut is worth another try."""
    return Kind(fault, REFUSED, "440- 4444444444")


def edited(edit: Callable[[network.Rows], network.Rows], lasting: str = REFUSED, once: str = "") -> Kind:
    """Rows that cannot be understood."""
    return Kind(network.rows_changed(edit), lasting, once or lasting)


HTML = "<html><body><h1>Bad gateway</h1></body></html>"
KINDS = {
    "refused": replace(passing(network.no_answer), shuts=Relay.refuse),
    "hangs at connect": replace(hanging(network.no_answer), shuts=Relay.stall),
    "hangs before the headers": hanging(network.hang_before_headers),
    "hangs in the headers": hanging(network.hang_in_headers),
    "hangs in the body": hanging(network.hang_in_body),
    "one byte a second": hanging(network.one_byte_a_second),
    "no answer": passing(network.no_answer),
    "reset, no answer": passing(network.reset_unanswered),
    "reset in the body": passing(network.reset_in_body),
    "closed in the body": passing(network.cut_in_body),
    "429 with Retry-After": passing(answer(429, "slow down", "text/plain", Retry_After="1")),
    "500": passing(answer(500, '{"error":"Internal Error: boom"}')),
    "502 of a proxy": passing(answer(502, HTML, "text/html")),
    "503 without a word": passing(answer(503)),
    "gzip, half of it": passing(network.gzip_cut),
    "stream expired": passing(answer(404, '{"message":"the stream has expired","code":"STREAM_EXPIRED"}')),
    "invalid baton": passing(answer(400, "Received an invalid baton", "text/plain")),
    "database is locked": passing(network.failing("SQLITE_BUSY", "database is locked")),
    "response twice": Kind(network.twice, WELL, WELL),
    # found where it matters; a fetched row may come twice, and a row that the primary still has be set aside
    "a row less": edited(network.a_row_less, "44a- 44aaaa?000", "440- 44400000-0"),
    "a row twice": edited(network.a_row_twice, "444- 4440000000", "440- 44400000-0"),
    "null everywhere": edited(network.cells(network.nothing), once="444- 444404?4-4"),
    "numbers too large": edited(network.cells(network.too_large), "444- 444444?444", "-44- -444-4?4-4"),
    "not a number": edited(network.cells(network.not_a_number), "444- 444444?444", "-44- -444-4?4-4"),
    "404": Kind(answer(404, "no such page", "text/plain"), REFUSED, "040- 0444444444"),
    "a column less": edited(network.a_column_less, once="444- 44444444-4"),
    "a column more": edited(network.a_column_more, once="444- 44444444-4"),
    "cells of no type": edited(network.cells(network.of_no_type), once="444- 44444444-4"),
    "empty body": cut(answer(200)),
    "wrong shape": cut(answer(200, '{"results":7,"baton":[]}')),
    "cut JSON": cut(network.cut_json),
    "401": final(answer(401, json.dumps({"error": f"the JWT {TOKEN} has expired"}))),
    "403": final(answer(403, '{"error":"forbidden"}')),
    "404 database": final(answer(404, '{"error":"Namespace `x` doesn\'t exist"}')),
    "409": final(answer(409, '{"error":"conflict"}')),
    "a redirect": final(answer(307, "", "text/plain", Location="http://127.0.0.1:1/")),
    "a web page": final(answer(200, HTML, "text/html")),
    "an unknown encoding": final(answer(200, b"\x0b\x02\x80", Content_Encoding="br")),
    "a list": Kind(answer(200, "[]\n"), "44a- 4444444444", REFUSED),
    "gzip garbage": final(network.gzip_garbage),
    "chunks without length": final(network.bad_chunks),
    "not HTTP": final(network.raw(b"SSH-2.0-OpenSSH_9.6\r\n")),
    "quota": Kind(network.failing("BLOCKED", "Operation was blocked: quota"), "44a- 4444444444", REFUSED),
}
"""Those with the most cases first: a lane that a kind does not need has to catch up for the next one."""


class Tries:
    """Hears of the progress of a run, and calls `second` when it tries again."""

    def __init__(self, second: Callable[[], None]) -> None:
        self._second = second
        self._step: str | None = None
        self._begun = 0

    def __call__(self, run: Run) -> None:
        if run.step == Phase.LEASE != self._step:
            self._begun += 1
            if self._begun == 2:
                self._second()
        self._step = run.step


class Lane(Struct):
    """A cache with a relay in front of the common server."""

    folder: Path
    relay: Relay
    hit: list[bool] = field(default_factory=list)
    """Requests that a fault was done to: whether anybody waited for their answer."""
    took_s: float = 0.0
    """Of the last run, to the moment at which the command would end."""
    proven_at: int = 0
    """Moves of the primary when this cache was last proven."""

    @property
    def cache(self) -> Path:
        return self.folder / "cache.redb"

    def settings(self, timeout_s: float = 30.0) -> Settings:
        return Settings(
            primary=self.relay.url,
            cache=self.cache,
            state_dir=self.folder / "state",
            timeout_s=timeout_s,
            max_episodes_cache=WINDOW,
        )

    async def sync(
        self, deadline: float = AMPLE_S, *, timeout_s: float = 30.0, attempts: int = 3, opens: bool = False
    ) -> Outcome:
        """`opens`: what keeps connections out is over when the second try begins."""
        token = Token(TOKEN, "a test")
        clock = asyncio.get_running_loop().time
        started = clock()
        request = Request(self.settings(timeout_s), token, deadline=deadline, max_attempts=attempts)
        outcome = await once(Sync(), request, Tries(self.relay.listen) if opens else quiet)
        self.took_s = clock() - started
        return outcome

    def empty(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()

    def close_door(self, shut: Callable[[Relay], None], number: int) -> None:
        """The request of this number and those after it get no connection."""
        self.hit = []
        self.relay.play(lambda at, path: network.last_before(shut) if at == number - 1 else None)
        if number == 1:
            shut(self.relay)

    def script(self, fault: Fault, first: int, last: float) -> Script:
        self.hit = []

        def faulty(exchange: Exchange) -> None:
            at = len(self.hit)
            self.hit.append(not network.is_close(exchange))
            fault(exchange)
            self.hit[at] = self.hit[at] and not exchange.left_alone

        return lambda number, path: faulty if first <= number <= last else None


class Case(Struct, frozen=True):
    """One run with a fault."""

    lane: Lane
    number: int
    lasting: bool
    new: bool

    def code(self, kind: Kind) -> str:
        return kind.code(new=self.new, number=self.number, lasting=self.lasting)

    @property
    def name(self) -> str:
        which = "first" if self.new else "later"
        return f"{which} sync, request {self.number}{' and on' if self.lasting else ''}"


class Bench(Struct):
    """The server, and a lane for each case."""

    server: Sqld
    folder: Path
    first: list[Lane]
    later: list[Lane]
    moves: int = 0
    deadline_s: float = SHORTEST_DEADLINE_S

    def move(self) -> None:
        """The primary moves: rows that change, one that goes and one that comes, and the edge of the window."""
        self.moves += 1
        hrana.execute(
            self.server.url,
            [
                "BEGIN",
                f"UPDATE episodes SET task_description = 'move {self.moves}' WHERE rowid % 3 = {self.moves % 3}",
                "UPDATE patterns SET occurrence_count = occurrence_count + 1",
                f"UPDATE episodes SET start_time = {LATE if self.moves % 2 else 0} WHERE rowid = 1",
                "UPDATE heuristics SET heuristic_id = lower(hex(randomblob(4))) || '-' || lower(hex(randomblob(2)))"
                " || '-4000-8000-' || lower(hex(randomblob(6))) WHERE rowid = (SELECT min(rowid) FROM heuristics)",
                "COMMIT",
            ],
        )

    def copy(self) -> Path:
        return stores.quiet_copy(self.server.database, self.folder / "copy")

    def catch_up(self, lanes: Iterable[Lane]) -> None:
        """Prove those again that a move went past."""
        stale = [lane for lane in lanes if lane.proven_at != self.moves]
        assert all(run.verdict is Word.IN_SYNC for run in gathered(*(lane.sync() for lane in stale)))
        for lane in stale:
            lane.proven_at = self.moves

    def cases(self, kind: Kind) -> list[Case]:
        """Every request, once and from there on, where these are two cases; daily one in three of both."""

        def wanted(requests: int, *, new: bool) -> list[tuple[int, bool]]:
            every = [
                (number, lasting)
                for number in range(1, requests + 1)
                for lasting in (True, False)
                if lasting or not kind.same(new=new, number=number)
            ]
            return every[:: size.of(3, 1, 1)]

        return [
            *(
                Case(lane, *which, True)
                for lane, which in zip(self.first, wanted(FIRST_REQUESTS, new=True), strict=False)
            ),
            *(
                Case(lane, *which, False)
                for lane, which in zip(self.later, wanted(LATER_REQUESTS, new=False), strict=False)
            ),
        ]


def gathered(*runs: Coroutine[None, None, Outcome]) -> list[Outcome]:
    async def all_of() -> list[Outcome]:
        return list(await asyncio.gather(*runs))

    return asyncio.run(all_of())


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with in_memory() as folder, Sqld(stores.primary("small", folder)) as server, ExitStack() as ends:
        hrana.execute(server.url, SMALLER)
        lanes = [
            Lane(folder / f"lane-{number}", ends.enter_context(Relay(server.port)))
            for number in range(2 * (FIRST_REQUESTS + LATER_REQUESTS))
        ]
        for lane in lanes:
            lane.empty()
        made = Bench(server, folder, lanes[: 2 * FIRST_REQUESTS], lanes[2 * FIRST_REQUESTS :])
        for _ in range(3):
            made.move()
            made.catch_up(made.later)
        needed = max(lane.took_s for lane in made.later)
        made.deadline_s = min(max(SHORTEST_DEADLINE_S, 2 * needed), LONGEST_DEADLINE_S)
        yield made


def test_a_sync_has_so_many_requests(bench: Bench) -> None:
    """Or the cases below would not reach each of them."""
    for lane, requests in ((bench.first[0], FIRST_REQUESTS), *((bench.later[0], LATER_REQUESTS),) * 3):
        bench.move()
        if requests == FIRST_REQUESTS:
            lane.empty()
            bench.catch_up(bench.later[:1])
        lane.relay.play()
        assert gathered(lane.sync())[0].verdict is Word.IN_SYNC
        lane.proven_at = bench.moves
        assert len(lane.relay.paths) == requests


@pytest.mark.parametrize("name", KINDS)
def test_each_fault_at_each_request(bench: Bench, name: str) -> None:
    kind = KINDS[name]
    cases = bench.cases(kind)
    bench.catch_up(case.lane for case in cases if not case.new)
    bench.move()
    for lane in bench.first:
        lane.empty()
    before = [fingerprint(case.lane.cache) for case in cases]
    outcomes = gathered(*(begun(case, kind, bench.deadline_s) for case in cases))
    if kind.hangs:
        over = max(case.lane.took_s for case in cases if case.lasting) - bench.deadline_s
        logging.getLogger(__name__).info("%s: %.2f s after a deadline of %.2f s", name, over, bench.deadline_s)
    wrong = [
        f"{case.name}: {why}"
        for case, outcome, old in zip(cases, outcomes, before, strict=True)
        for why in judged(case, kind, outcome, old, bench.deadline_s)
    ]
    for case in cases:
        case.lane.relay.play()
    failed = [case for case, outcome in zip(cases, outcomes, strict=True) if outcome.exit_code != 0]
    again = gathered(*(case.lane.sync() for case in failed))
    for case, outcome in zip(failed, again, strict=True):
        if (outcome.verdict, outcome.exit_code, outcome.error) != (Word.IN_SYNC, 0, None):
            wrong.append(f"{case.name}: the next run: {outcome.exit_code} {outcome.error}")
    assert not wrong, "\n".join(wrong)
    for case in cases:
        case.lane.proven_at = bench.moves
    # the primary is where it was all the time, so one look at it judges each of the caches
    assert len({outcome.proof.root for outcome in (*outcomes, *again) if outcome.proof and not outcome.error}) == 1
    caches = [case.lane.cache for case in cases]
    report = check(bench.copy(), caches[0], window=WINDOW)
    assert report.holds(exact=True), report.text()
    rows = held(caches[0], report.expected)
    assert [case.name for case in cases if held(case.lane.cache, report.expected) != rows] == []


def held(cache: Path, tables: Iterable[str]) -> dict[str, list[tuple[bytes, bytes]]]:
    """The rows of do-memory's tables as they are in the file."""
    file = RedbFile(cache)
    return {table: [(bytes(key), bytes(value)) for key, value in file.rows(table)] for table in tables}


def begun(case: Case, kind: Kind, deadline_s: float) -> Coroutine[None, None, Outcome]:
    """The run with its fault, not awaited."""
    lane = case.lane
    if kind.shuts is not None:
        lane.close_door(kind.shuts, case.number)
    else:
        lane.relay.play(lane.script(kind.fault, case.number, float("inf") if case.lasting else case.number))
    opens = kind.shuts is not None and not case.lasting
    if not kind.hangs:
        return lane.sync(opens=opens)
    if case.lasting:
        return lane.sync(deadline_s)
    return lane.sync(timeout_s=IMPATIENT_S, attempts=ATTEMPTS, opens=opens)


def judged(case: Case, kind: Kind, outcome: Outcome, old: str | None, deadline_s: float) -> Iterator[str]:
    """What is wrong with the end of a run."""
    code = case.code(kind)
    if outcome.exit_code not in CODES[code]:
        yield f"exit {outcome.exit_code}, not {code}: {outcome.error}"
    done = fault_done(case, kind, outcome)
    if code != OPEN and done != (code != UNTOUCHED):
        yield f"the fault was {'' if done else 'not '}done"
    yield from told(outcome, done)
    if outcome.exit_code == 0:
        if outcome.verdict is not Word.IN_SYNC:
            yield f"{outcome.verdict}"
    elif outcome.verdict is Word.IN_SYNC or fingerprint(case.lane.cache) != old:
        yield f"{outcome.verdict}; the cache is not what it was"
    if kind.same(new=case.new, number=case.number) and sum(case.lane.hit) != 1:
        yield f"it went on after the fault: {case.lane.hit}"
    if kind.hangs and case.lasting and case.lane.took_s > deadline_s + OVER_S + LOAD_S:
        yield f"took {case.lane.took_s:.1f} s"


def fault_done(case: Case, kind: Kind, outcome: Outcome) -> bool:
    """Whether somebody waited for an answer that the fault was done to."""
    if kind.shuts is None:
        return any(case.lane.hit)
    # nothing came through the closed door, and somebody was at it
    came = len(case.lane.relay.paths)
    return outcome.error is not None and came == case.number - 1 if case.lasting else outcome.transfer.retries > 0


def told(outcome: Outcome, done: bool) -> Iterator[str]:
    """What is wrong with the words."""
    document = json.dumps(to_json(outcome))
    if TOKEN in document or "Traceback" in document:
        yield f"the document says {document}"
    if outcome.error is not None and done and "primary" not in outcome.error.message:
        yield f"the message does not name the primary: {outcome.error.message}"


# ------------------------------------------------------------------------------ the server itself goes, or goes back


class Alone(Struct, frozen=True):
    """A server of its own, which may be killed, and a proven cache of it."""

    server: Sqld
    lane: Lane

    def at(self, number: int, act: Callable[[], None]) -> None:
        """Let `act` happen to the server before it answers the request of this number."""

        def fault(exchange: Exchange) -> None:
            act()
            with suppress(OSError):
                exchange.send(exchange.ask())
                return
            exchange.end()

        self.lane.relay.play(self.lane.script(fault, number, number))


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Alone]:
    with Sqld(stores.primary("small", tmp_path)) as server, Relay(server.port) as relay:
        hrana.execute(server.url, SMALLER)
        lane = Lane(tmp_path / "lane", relay)
        lane.empty()
        assert gathered(lane.sync())[0].verdict is Word.IN_SYNC
        yield Alone(server, lane)


@pytest.mark.parametrize("number", range(1, LATER_REQUESTS + 1))
@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_server_that_ends_between_two_requests(alone: Alone, number: int, kill: bool, tmp_path: Path) -> None:
    server, lane = alone.server, alone.lane
    for moves in range(2):
        Bench(server, tmp_path, [], [], moves=moves).move()
    old = fingerprint(lane.cache)
    alone.at(number, lambda: server.stop(kill=kill))
    (outcome,) = gathered(lane.sync())
    assert lane.hit, "the run was over before"
    assert (outcome.exit_code, fingerprint(lane.cache)) == (3, old), outcome.error
    assert not list(told(outcome, True))
    server.start()
    lane.relay.play()
    (again,) = gathered(lane.sync())
    if kill and again.exit_code == 9:
        # sqld numbers its log anew after a kill, which from here is what a restore looks like (docs/protocol.md#guards)
        again = asyncio.run(once(Sync(), Request(lane.settings(), None, Options(adopt=True))))
    assert (again.verdict, again.exit_code) == (Word.IN_SYNC, 0), again.error
    assert check(stores.quiet_copy(server.database, tmp_path / "copy"), lane.cache, window=WINDOW).holds(exact=True)


def test_a_server_that_is_back_before_the_next_try(alone: Alone, tmp_path: Path) -> None:
    server, lane = alone.server, alone.lane
    hrana.execute(server.url, ["UPDATE episodes SET task_description = 'again'"])
    alone.at(2, server.restart)
    (outcome,) = gathered(lane.sync())
    assert (outcome.verdict, outcome.exit_code) == (Word.IN_SYNC, 0), outcome.error
    assert check(stores.quiet_copy(server.database, tmp_path / "copy"), lane.cache, window=WINDOW).holds(exact=True)


@pytest.mark.parametrize("number", range(1, LATER_REQUESTS + 1))
def test_a_server_that_goes_back_to_an_older_copy(alone: Alone, number: int, tmp_path: Path) -> None:
    """It is one of its two states that is proven, or nothing is said; a mixture never."""
    server, lane = alone.server, alone.lane
    server.stop()
    older = stores.quiet_copy(server.database, tmp_path / "older")
    server.start()
    for moves in range(4):
        Bench(server, tmp_path, [], [], moves=moves).move()
    newer = stores.quiet_copy(server.database, tmp_path / "newer")
    old = fingerprint(lane.cache)

    def restore() -> None:
        server.stop(kill=True)
        server.replace(older)
        server.start()

    alone.at(number, restore)
    (outcome,) = gathered(lane.sync())
    assert lane.hit, "the run was over before"
    assert not list(told(outcome, True))
    states = [check(state, lane.cache, window=WINDOW).holds(exact=True) for state in (older, newer)]
    if outcome.exit_code == 0:
        assert outcome.verdict is Word.IN_SYNC
        assert states.count(True) == 1
    else:
        assert (outcome.exit_code in (3, 9), fingerprint(lane.cache)) == (True, old), outcome.error
    lane.relay.play()
    (again,) = gathered(lane.sync())
    if again.exit_code == 9:
        # the primary's history went back: taking that on is a decision (docs/protocol.md#guards)
        assert again.verdict is Word.REFUSED
        again = asyncio.run(once(Sync(), Request(lane.settings(), None, Options(adopt=True))))
    assert again.verdict is Word.IN_SYNC, again.error
    assert check(older, lane.cache, window=WINDOW).holds(exact=True)


# -------------------------------------------------------------------------------------------- the command itself


def test_the_command_says_it_in_one_document(bench: Bench) -> None:
    """What the cases above see inside one process, seen from outside: exit code, document, standard error."""
    names = list(KINDS)[::2]
    waves = [names[first : first + ABREAST] for first in range(0, len(names), ABREAST)]
    for wave in waves:
        lanes = bench.later[: len(wave)]
        bench.catch_up(lanes)
        bench.move()
        before = [fingerprint(lane.cache) for lane in lanes]
        for lane, name in zip(lanes, wave, strict=True):
            kind = KINDS[name]
            if kind.shuts is not None:
                lane.close_door(kind.shuts, 2)
            else:
                lane.relay.play(lane.script(kind.fault, 2, float("inf")))
        tools = [Tool.at(lane.folder, lane.relay.url, TURSO_AUTH_TOKEN=TOKEN) for lane in lanes]
        words = ("--window", str(WINDOW), "--deadline", str(COMMAND_DEADLINE_S), "--json")
        running = [tool.start("sync", *words) for tool in tools]
        ends = [(*process.communicate(timeout=PATIENCE_S), process.returncode) for process in running]
        for name, lane, old, (out, err, code) in zip(wave, lanes, before, ends, strict=True):
            error = json.loads(out)["error"]
            expected = KINDS[name].code(new=False, number=2, lasting=True)
            assert code in CODES[expected], f"{name}: {code} {error}"
            assert TOKEN not in out + err, name
            assert "Traceback" not in err, f"{name}: {err}"
            assert code == 0 or fingerprint(lane.cache) == old, name
        for lane in lanes:
            lane.relay.play()
