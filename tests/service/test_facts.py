"""What was found on a file is told of that file only: removed, damaged or written to, it is the past."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from console.views.checks import check_list
from console.views.frame import Frame
from console.views.stores import cache_card
from console.views.verdict import verdict
from storage_sync.demo.demo import Demo
from storage_sync.service.commands import Do, Pause
from storage_sync.service.operations import Verify
from storage_sync.values.events import LogLine
from storage_sync.values.found import Found
from storage_sync.values.outcome import FileIdentity
from storage_sync.values.snapshot import Snapshot
from tests.service.test_service import NOW, proven, running, settings_of
from tests.support.scenes import snapshots
from widgets.glyphs import Look, Role
from widgets.line import text_of

FILE = FileIdentity(1, 2, 3, 4, 5)


def frame_of(snapshot: Snapshot) -> Frame:
    found = verdict(snapshot, now=snapshots.NOW, beat_age=0.1)
    return Frame(snapshot, found, snapshots.NOW, 0.1, Look())


def test_a_fact_is_read_against_what_is_there_now() -> None:
    found = Found("ok", FILE, NOW)
    assert found.now(FILE) == "ok"
    assert found.now(None) is None
    assert found.now(replace(FILE, inode=9)) is None
    assert Found("ok", None, NOW).now(None) is None
    assert found.was == "ok"


@pytest.mark.parametrize("changed", ["inode", "size", "mtime_ns", "ctime_ns", "gone"])
def test_another_file_makes_every_remembered_fact_the_past(changed: str) -> None:
    snapshot = snapshots.scene("in_sync").snapshot
    others = {name: replace(snapshots.FILE, **{name: 7}) for name in ("inode", "size", "mtime_ns", "ctime_ns")}
    other = others.get(changed)
    now = replace(snapshot, cache=replace(snapshot.cache, identity=other))
    card = "\n".join(text_of(line) for fact in cache_card(frame_of(now)).facts for line in (fact.value, fact.extra))
    assert "integrity was ok, 12m 00s ago" in card
    assert "integrity ok" not in card
    rows = check_list(frame_of(now)).rows
    assert not [row for row in rows if row.role in (Role.OK, Role.FAILED)]
    assert "integrity ok 12m 00s ago" in "\n".join(text_of(fact.value) for fact in cache_card(frame_of(snapshot)).facts)


async def test_a_removed_cache_is_a_warning_and_nothing_is_remembered_of_the_new_one(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        await watcher.answer(watcher.ask(service, Do(Verify(deep=True))))
        deep = await watcher.until(lambda snapshot: snapshot.cache.integrity is not None)
        assert deep.cache.integrity is not None
        first = deep.cache.integrity.on
        assert deep.cache.integrity.now(first) is not None
        watcher.ask(service, Pause(True))
        demo.cache.unlink()
        gone = await watcher.until(lambda snapshot: snapshot.cache.identity != first)
        assert gone.cache.integrity is not None
        assert gone.cache.integrity.now(gone.cache.identity) is None
        watcher.ask(service, Pause(False))
        again = await watcher.until(lambda snapshot: proven(snapshot) and snapshot.cache.identity not in (first, None))
        assert again.cache.integrity is not None
        assert again.cache.integrity.now(again.cache.identity) is None
        said = [event for event in watcher.events if isinstance(event, LogLine) and event.level == "warn"]
        assert any("was removed" in line.text for line in said), said
