"""What the quarantine lists: runs, quarantined rows, rejected rows, old files; filtered, page by page."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from storage_sync.config.places import state_directory
from storage_sync.demo.demo import Demo
from storage_sync.service.commands import Execute, ExportQuarantine, ListBuilds, ListQuarantine, MakePlan, Pause
from storage_sync.service.operations import QuarantineOrphans, Rebuild
from storage_sync.service.quarantine_queries import FIELDS, aside_rows, row_of
from storage_sync.service.service import SyncService
from storage_sync.state.directory import StateDir, open_state_dir
from storage_sync.state.quarantine import Removed, SetAside
from storage_sync.values.answers import Exported, QuarantineEntry, QuarantineKind, QuarantinePage, UnfinishedBuild
from storage_sync.values.events import Answer
from storage_sync.values.filters import fits, parse
from storage_sync.values.outcome import Outcome, Plan
from tests.service.test_orphan_queries import LOST, lose
from tests.service.test_service import NOW, Watcher, proven, running, settings_of


async def page(
    service: SyncService, watcher: Watcher, text: str = "", first: int = 0, count: int = 500
) -> QuarantinePage:
    answer = await watcher.answer(watcher.ask(service, ListQuarantine(text, first, count)))
    assert isinstance(answer, Answer), answer
    assert isinstance(answer.value, QuarantinePage)
    return answer.value


def state_of(demo: Demo) -> StateDir:
    folder = state_directory(settings_of(demo))
    assert folder is not None
    return open_state_dir(folder, str(demo.cache))


def read(path: str) -> str:
    return Path(path).read_text()


def leave_build(demo: Demo) -> None:
    Path(f"{demo.cache}.build-0123456789ab").write_bytes(b"x" * 10)


def of_kind(found: QuarantinePage, kind: QuarantineKind) -> list[QuarantineEntry]:
    return [entry for entry in found.entries if entry.kind is kind]


async def test_runs_rows_files_and_builds_of_a_real_cache(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    with sqlite3.connect(demo.primary) as primary:
        primary.execute("UPDATE episodes SET reward = '{[/b]' WHERE rowid = 3")
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        plan = await watcher.answer(watcher.ask(service, MakePlan(Rebuild())))
        assert isinstance(plan, Answer)
        assert isinstance(plan.value, Plan)
        done = await watcher.answer(watcher.ask(service, Execute(plan.value.id, "default")))
        assert isinstance(done, Answer)
        assert isinstance(done.value, Outcome)
        with SetAside.open(state_of(demo).set_aside) as store:
            store.put([Removed("episodes", f"k{n}", b"x" * n, "gone") for n in range(3)], "s-x", 1, NOW, pending=False)
        leave_build(demo)
        found = await page(service, watcher)
        assert (found.aside, found.refused, found.files, found.problem) == (3, 1, 1, "")
        assert done.value.run_id in {entry.id for entry in of_kind(found, QuarantineKind.RUN)}
        (refused,) = of_kind(found, QuarantineKind.REFUSED)
        assert refused.table == "episodes"
        assert refused.reason
        assert found.matching["rejected:"] == ((QuarantineKind.REFUSED, refused.id),)
        assert set(found.matching) <= {head.id for head in of_kind(found, QuarantineKind.HEAD)}
        assert found.bytes == 3
        heads = of_kind(found, QuarantineKind.HEAD)
        kinds = [entry.reason for entry in heads]
        assert kinds == [QuarantineKind.ASIDE, QuarantineKind.REFUSED, QuarantineKind.FILE, QuarantineKind.RUN]
        assert found.total == len(heads) + found.runs + 3 + 1 + 1
        only = await page(service, watcher, text="kind:aside !epis", first=1, count=1)
        assert (only.total, only.first, len(only.entries)) == (0, 1, 0)
        only = await page(service, watcher, text="run:s-x !k1", first=1, count=1)
        assert only.total == 3
        assert [entry.key for entry in only.entries] == ["k0"]
        assert only.matching == {"quarantined:s-x": ((QuarantineKind.ASIDE, "1"), (QuarantineKind.ASIDE, "3"))}
        written = await watcher.answer(watcher.ask(service, ExportQuarantine(filter="run:s-x", folder=str(tmp_path))))
        assert isinstance(written, Answer)
        assert isinstance(written.value, Exported)
        assert written.value.rows == 3
        assert '"key": "k0"' in read(written.value.path)
        answer = await watcher.answer(watcher.ask(service, ListBuilds()))
        assert isinstance(answer, Answer)
        assert isinstance(answer.value, tuple)
        assert [type(one) for one in answer.value] == [UnfinishedBuild]
        assert answer.value[0].bytes == 10


async def test_a_run_can_be_taken_back_as_soon_as_it_has_ended(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        lose(demo.cache)
        plan = await watcher.told(service, MakePlan(QuarantineOrphans((LOST,))))
        assert isinstance(plan, Plan)
        done = await watcher.told(service, Execute(plan.id, plan.phrase or ""))
        assert isinstance(done, Outcome)
        found = await page(service, watcher)
        assert done.run_id in {entry.id for entry in of_kind(found, QuarantineKind.RUN)}


async def test_a_damaged_cache_hides_nothing_that_was_set_aside(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        with SetAside.open(state_of(demo).set_aside) as store:
            store.put([Removed("episodes", "k", b"x", "gone")], "s-x", 1, NOW, pending=False)
        content = bytearray(demo.cache.read_bytes())
        content[4096:] = bytes(len(content) - 4096)
        demo.cache.write_bytes(content)
        found = await page(service, watcher)
        assert found.aside == 1
        assert found.problem


def test_rows_of_the_newest_run_come_first(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    with SetAside.open(state.set_aside) as store:
        for run, at in (("s-old", 10.0), ("s-new", 20.0), ("s-old", 11.0)):
            store.put([Removed("episodes", run, b"", "gone")], run, 1, at, pending=False)
    assert [row.run_id for row in aside_rows(state)] == ["s-new", "s-old", "s-old"]


def test_filters() -> None:
    entry = QuarantineEntry(QuarantineKind.ASIDE, "7", table="episodes", key="Key [/b]", reason="bit rot", run_id="s-x")
    for text in ("", "rot", "key:[/b]", "ROT table:epi", "!patterns", "run:s-x", "kind:quarantined"):
        assert fits(row_of(entry), parse(text, FIELDS)), text
    for text in ("!rot", "table:patterns", "rot nothing", "!key:key", "kind:rejected"):
        assert not fits(row_of(entry), parse(text, FIELDS)), text
