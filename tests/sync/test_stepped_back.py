"""A primary whose log went back: its server was killed, or a backup was restored. Which one, an operator can see."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from console.views.states import adoptable
from console.views.verdict import verdict
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import generate
from storage_sync.service.commands import Execute, MakePlan
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.service.service import SyncService
from storage_sync.values.events import Answer, RunEnded
from storage_sync.values.options import Options
from storage_sync.values.outcome import Plan, Word
from tests.service.test_service import Watcher, running
from tests.support import hrana, processes, stores
from tests.support.command import Tool, fingerprint
from tests.support.sqld import Sqld

CHANGED = 3
NEWER = ("ffffffff-ffff-4fff-8fff-000000000001", "ffffffff-ffff-4fff-8fff-000000000002")
LOST = len(NEWER)


@dataclass(frozen=True)
class Place:
    """A proven cache of a server, and the primary as it was before the newest rows came."""

    server: Sqld
    tool: Tool
    backup: Path
    held: ExitStack

    def settings(self) -> Settings:
        return Settings(
            primary=self.server.url,
            cache=self.tool.cache,
            state_dir=self.tool.folder / "state",
            interval_s=86_400.0,
            staleness_s=3_600.0,
            poll_s=0.2,
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    generate(tmp_path / "primary.db", 7, 30)
    with ExitStack() as held, Sqld(tmp_path / "primary.db") as server:
        tool = Tool.at(tmp_path / "tool", server.url)
        server.stop()
        backup = stores.quiet_copy(server.database, tmp_path / "backup")
        server.start()
        for number in range(LOST):
            hrana.execute(server.url, [_copied(NEWER[number])])
        for number in range(10):
            hrana.execute(server.url, [f"UPDATE tag_metadata SET usage_count = {number}"])
        tool.sync()
        yield Place(server, tool, backup, held)


def _copied(key: str) -> str:
    names = (
        "task_type, task_description, context, start_time, end_time, steps, outcome, reward, reflection, patterns, "
        "heuristics, checkpoints, metadata, domain, language, created_at, archived_at"
    )
    newest = "(SELECT max(episode_id) FROM episodes)"
    return (
        f"INSERT INTO episodes (episode_id, {names}) SELECT '{key}', {names} FROM episodes WHERE episode_id = {newest}"
    )


def crash(place: Place) -> None:
    """The server dies after a change that no sync has seen."""
    some = f"(SELECT episode_id FROM episodes ORDER BY episode_id LIMIT {CHANGED})"
    hrana.execute(place.server.url, [f"UPDATE episodes SET task_description = 'late' WHERE episode_id IN {some}"])
    place.server.stop(kill=True)
    place.server.start()


def restore(place: Place) -> None:
    """Another server under the same address, with the backup."""
    place.server.stop()
    place.held.enter_context(Sqld(place.backup, port=place.server.port))


@pytest.mark.parametrize("restored", [False, True], ids=["crashed", "restored"])
def test_which_rows_differ_tells_a_crash_from_a_restore(place: Place, restored: bool) -> None:
    (restore if restored else crash)(place)
    before = fingerprint(place.tool.cache)
    exact = "0 rows differ, 2 are gone" if restored else "3 rows differ, 0 are gone"

    refused = place.tool.json("sync")
    assert (refused.exit_code, refused.document["verdict"]) == (9, "REFUSED")
    assert f"up to {exact}" in refused.document["error"]["message"]

    for words in (("diff", "--keys"), ("verify",), ("status", "--check"), ("sync", "--plan")):
        looked = place.tool.json(*words)
        assert (looked.exit_code, looked.document["verdict"]) == (9, "REFUSED"), words
        assert exact in looked.document["error"]["message"], words
        assert "proof" not in looked.document or looked.document["proof"] is None
        plan = looked.document["plan"]["episodes"]
        assert plan == {"insert": 0, "update": 0 if restored else CHANGED, "remove": LOST if restored else 0}, words
    rows = place.tool.json("diff", "--keys").document["differences"]
    assert {row["kind"] for row in rows} == {"surplus" if restored else "differs"}
    if restored:
        assert [row["key"] for row in rows] == list(NEWER)
    assert fingerprint(place.tool.cache) == before

    request = Request(place.settings(), None, Options(plan_only=True))
    proposal = asyncio.run(once(Sync(), request)).proposal
    assert proposal is not None
    assert proposal.consent is None, "no option takes on what it is not known to be"

    status = place.tool.json("status").document
    assert (status["verdict"], status["next_action"]) == ("UNKNOWN", "storage-sync status --check")
    assert any("ended with REFUSED" in text for text in status["warnings"])


def test_a_crash_that_took_nothing_is_over_with_the_next_proof(place: Place) -> None:
    """What the primary does after it is its own business again, as far as the other guards go."""
    place.server.stop(kill=True)
    place.server.start()
    after = place.tool.json("sync")
    assert (after.exit_code, after.document["verdict"], after.document["proof"]["epoch"]) == (0, "IN_SYNC", 1)
    hrana.execute(place.server.url, [f"DELETE FROM episodes WHERE episode_id = '{NEWER[0]}'"])
    later = place.tool.json("sync")
    assert (later.exit_code, later.document["applied"]["episodes"]["remove"]) == (0, 1), later.document["error"]
    assert later.document["proof"]["epoch"] == 1
    assert place.tool.json("sync").document["proof"]["epoch"] == 1


def test_the_log_of_a_crashed_server_may_grow_beyond_where_it_was(place: Place) -> None:
    """Its epoch stays the one that was proven, and a second crash is noticed."""
    before = fingerprint(place.tool.cache)
    place.server.stop(kill=True)
    place.server.start()
    assert place.tool.json("sync").document["proof"]["epoch"] == 1
    for number in range(40):
        hrana.execute(place.server.url, [f"UPDATE tag_metadata SET usage_count = {number}"])
    assert place.tool.json("sync").document["proof"]["epoch"] == 1
    assert fingerprint(place.tool.cache) == before, "nothing changed"
    place.server.stop(kill=True)
    place.server.start()
    hrana.execute(place.server.url, [f"DELETE FROM episodes WHERE episode_id = '{NEWER[0]}'"])
    assert place.tool.json("sync").exit_code == 9


def test_rows_wait_for_a_held_cache_whose_primary_crashed(place: Place) -> None:
    with processes.running(processes.HOLD_REDB, place.tool.cache, "write"):
        place.server.stop(kill=True)
        place.server.start()
        assert place.tool.json("sync").document["verdict"] == "IN_SYNC"
        hrana.execute(place.server.url, ["UPDATE episodes SET reward = NULL WHERE rowid % 3 = 0"])
        waits = place.tool.json("sync")
        assert (waits.exit_code, waits.document["waiting"]["rows"] > 0) == (6, True), waits.document["error"]
    place.server.stop()
    place.tool.json("sync")
    place.server.start()
    assert place.tool.json("status", "--check").exit_code == 0


def test_what_differs_is_also_printed(place: Place) -> None:
    restore(place)
    shown = place.tool.run("diff", "--keys")
    assert shown.exit_code == 9
    assert NEWER[0] in shown.stdout
    assert "2 are gone" in shown.stderr


def test_the_doctor_finds_it_too(place: Place) -> None:
    assert place.tool.json("doctor").exit_code == 0
    restore(place)
    document = place.tool.json("doctor").document
    assert [check["name"] for check in document["checks"] if check["status"] == "fail"] == ["source"]
    assert document["exit_code"] == 9


def test_taking_it_on_is_planned_done_and_taken_back(place: Place) -> None:
    restore(place)
    plan = place.tool.json("sync", "--adopt", "--plan")
    assert plan.exit_code == 0
    assert plan.document["plan"]["episodes"] == {"insert": 0, "update": 0, "remove": LOST}
    assert plan.document["next_action"] == "storage-sync sync --adopt"
    assert place.tool.json("sync").exit_code == 9

    place.tool.sync("--adopt")
    assert place.tool.json("status", "--check").exit_code == 0
    assert place.tool.json("undo", "--yes").exit_code == 0
    assert place.tool.json("sync").exit_code == 9


async def test_the_console_keeps_the_way_out_open(place: Place) -> None:
    """A plan that was only read changes no verdict; and what was taken on is called in sync."""
    restore(place)
    async with running(place.settings()) as (service, watcher):
        refused = await watcher.until(lambda now: now.verdict is Word.REFUSED)
        assert adoptable(refused)
        shown = verdict(refused, now=time.time(), beat_age=0.0)
        assert (shown.word, shown.exit_code, shown.key) == ("REFUSED", 9, "2")
        assert "went back: up to 0 rows differ, 2 are gone" in shown.sentence[0]
        plan = await _planned(watcher, service)
        assert plan.phrase is not None
        assert any("2 rows that the primary no longer has" in text for text in plan.lost)
        assert sum(row.rows for row in plan.rows if row.step == "fetch") > LOST
        still = watcher.snapshots[-1]
        assert still.verdict is Word.REFUSED
        assert adoptable(still)

        again = await _planned(watcher, service)
        number = watcher.ask(service, Execute(again.id, again.phrase or ""))
        answer = await watcher.answer(number)
        assert isinstance(answer, Answer), answer
        proven = await watcher.until(lambda now: now.verdict is Word.IN_SYNC)
        assert verdict(proven, now=time.time(), beat_age=0.0).word == "IN SYNC"

    async with running(place.settings()) as (_, watcher):
        await watcher.heard(lambda event: isinstance(event, RunEnded))
        proven = await watcher.until(lambda now: now.verdict is Word.IN_SYNC)
        assert verdict(proven, now=time.time(), beat_age=0.0).word == "IN SYNC"


async def _planned(watcher: Watcher, service: SyncService) -> Plan:
    number = watcher.ask(service, MakePlan(Sync(), Options(adopt=True)))
    answer = await watcher.answer(number)
    assert isinstance(answer, Answer), answer
    assert isinstance(answer.value, Plan)
    return answer.value
