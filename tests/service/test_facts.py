"""What was found of cache and primary is told of those only: after a change of either it is the past."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from msgspec import Struct
from msgspec.structs import fields, replace

from console.launch.plain import state_lines
from console.views import differences, freshness
from console.views.checks import check_list, ordered
from console.views.frame import Frame
from console.views.stores import cache_card
from console.views.top import tabs
from console.views.verdict import verdict
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import Demo
from storage_sync.reports.metric_facts import seen_now
from storage_sync.reports.metrics import Facts
from storage_sync.service.commands import Do, Pause
from storage_sync.service.operations import Verify
from storage_sync.values.events import LogLine
from storage_sync.values.found import Basis, Found, PrimaryStand
from storage_sync.values.outcome import FileIdentity, Word
from storage_sync.values.snapshot import CacheHealth, CheckResult, Freshness, QuarantineView, Snapshot
from tests.service.test_service import NOW, Watcher, proven, running, settings_of
from tests.support import hrana, stores
from tests.support.scenes import snapshots
from tests.support.sqld import Sqld
from widgets.glyphs import Look, Role
from widgets.line import text_of

FILE = FileIdentity(1, 2, 3, 4, 5)
STAND = PrimaryStand("source", 0, 7, "token")


def frame_of(snapshot: Snapshot) -> Frame:
    found = verdict(snapshot, now=snapshots.NOW, beat_age=0.1)
    return Frame(snapshot, found, snapshots.NOW, 0.1, Look())


def found_in(value: object) -> Iterator[Found[Any]]:
    """Each fact of a picture."""
    if isinstance(value, Found):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from found_in(one)
    elif isinstance(value, Struct):
        for field in fields(value):
            yield from found_in(getattr(value, field.name))


def test_a_fact_is_read_against_what_is_there_now() -> None:
    of_file = Found("ok", Basis(FILE), NOW)
    assert of_file.now(Basis(FILE)) == of_file.now(Basis(FILE, STAND)) == "ok"
    assert of_file.now(Basis(None, STAND)) is None
    assert of_file.now(Basis(replace(FILE, inode=9))) is None
    assert Found("ok", Basis(None), NOW).now(Basis(None)) is None
    assert of_file.was == "ok"


@pytest.mark.parametrize("changed", ["source_id", "epoch", "schema", "token", "unknown"])
def test_a_fact_of_both_is_read_against_the_primary_too(changed: str) -> None:
    of_both = Found("ok", Basis(FILE, STAND), NOW)
    assert of_both.now(Basis(FILE, STAND)) == "ok"
    others: dict[str, PrimaryStand] = {
        "source_id": replace(STAND, source_id="other"),
        "epoch": replace(STAND, epoch=1),
        "schema": replace(STAND, schema=8),
        "token": replace(STAND, token="other"),
    }
    assert of_both.now(Basis(FILE, others.get(changed))) is None


PLAIN: dict[Any, set[str]] = {
    CacheHealth: {
        # seen from outside at each look, so that they are of the file that is there
        "size", "disk_free", "looked_at",
        # of the state folder and of this process
        "acked", "waits_until", "copied_bytes",
    },
    Freshness: {"max_age_s", "moved_at", "next_compare_at", "next_sync_at"},
    QuarantineView: set[str](),
    CheckResult: set[str](),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.__name__)
def test_each_figure_of_the_content_carries_what_it_was_found_on(kind: type[Any]) -> None:
    """A new figure is a `Found`, or it is said here why it need not be."""
    hints = get_type_hints(kind)
    figures = {name for name, hint in hints.items() if any(word in str(hint) for word in ("int", "float", "Check]"))}
    loose = {name for name in figures if "Found" not in str(hints[name]) and "trend" not in name}
    assert loose == PLAIN[kind]


@pytest.mark.parametrize("changed", ["inode", "size", "mtime_ns", "ctime_ns", "gone"])
def test_another_file_makes_every_remembered_fact_the_past(changed: str) -> None:
    snapshot = snapshots.scene("in_sync").snapshot
    others = {name: replace(snapshots.FILE, **{name: 7}) for name in ("inode", "size", "mtime_ns", "ctime_ns")}
    other = others.get(changed)
    now = replace(snapshot, cache=replace(snapshot.cache, identity=other))
    card = "\n".join(text_of(line) for fact in cache_card(frame_of(now)).facts for line in (fact.value, fact.extra))
    # of the file that was there nothing is told once another one has its name
    same = changed not in ("inode", "gone")
    for told in ("integrity was ok, 12m 00s ago", "payload was 6.1 MiB"):
        assert (told in card) == same
    assert "integrity ok" not in card
    # the witness's, whatever lies there
    assert "? last commit g-4120" in card
    assert "commit g-4120" not in card.replace("last commit g-4120", "")
    rows = check_list(frame_of(now)).rows
    assert not [row for row in rows if row.role in (Role.OK, Role.FAILED)]
    assert bool(rows) == same
    assert any(tab.badge for tab in tabs(frame_of(now), "overview").tabs) == same
    assert ("checks: not known now" in state_lines(now, snapshots.NOW, snapshots.NOW)) == same
    assert "integrity ok 12m 00s ago" in "\n".join(text_of(fact.value) for fact in cache_card(frame_of(snapshot)).facts)


def says_nothing_of_now(snapshot: Snapshot, of_primary: bool) -> None:
    """No view and no metric tells what was found as what is."""
    facts = [one for one in found_in(snapshot) if one.on.primary is not None or not of_primary]
    assert facts
    assert [one for one in facts if one.now(snapshot.present) is not None] == []
    frame = replace(frame_of(snapshot), now=snapshot.taken_at)
    fresh = freshness.freshness(frame)
    assert fresh.behind is None
    assert fresh.tables == ()
    assert not any(fact.label == "compared" for fact in fresh.notes)
    told = differences.tables(frame)
    assert not any("equal" in text_of(fact.value) or "differ" in text_of(fact.value) for fact in told.facts)
    compared = {"episode_count", "latest_episodes", "pattern_counts", "content_digests"}
    shown = dict(zip([one.name for one in ordered(frame)], check_list(frame).rows, strict=True))
    assert not [name for name, row in shown.items() if name in compared and row.role in (Role.OK, Role.FAILED)]
    assert not [tab for tab in tabs(frame, "overview").tabs if tab.role is Role.FAILED]
    assert "checks: none failed" not in state_lines(snapshot, snapshot.taken_at, snapshot.beat.at)
    if not of_primary:
        assert seen_now(Facts(payload_bytes=1), snapshot, snapshot.verdict, NOW).payload_bytes is None


async def proven_and_paused(service: Any, watcher: Watcher) -> Snapshot:
    """After a proof and a check of all; nothing is looked at from here on, but for the polls."""
    await watcher.until(proven)
    await watcher.answer(watcher.ask(service, Do(Verify(deep=True))))
    await watcher.until(lambda now: now.primary.stand is not None and bool(now.checks))
    watcher.ask(service, Pause(True))
    done = await watcher.until(lambda now: now.paused)
    assert [one for one in found_in(done) if one.now(done.present) is None] == []
    assert freshness.freshness(frame_of(done)).behind is not None
    return done


def rewritten(server: Sqld) -> None:
    hrana.execute(server.url, ["UPDATE episodes SET task_description = 'other'"])


def another_schema(server: Sqld) -> None:
    hrana.execute(server.url, ["CREATE INDEX later ON episodes(task_description)"])


def restored(server: Sqld) -> None:
    """From a copy of an earlier day, by another server process at the same address."""
    earlier = Path(shutil.copyfile(server.database, server.database.with_name("earlier")))
    stores.execute(earlier, ["DELETE FROM heuristics WHERE rowid = (SELECT max(rowid) FROM heuristics)"])
    server.stop()
    server.replace(earlier)
    server.start()


@pytest.mark.parametrize("change", [rewritten, another_schema, restored])
async def test_another_primary_makes_what_was_compared_the_past(tmp_path: Path, change: Callable[[Sqld], None]) -> None:
    with Sqld(stores.primary("v47-small", tmp_path / "primary")) as server:
        settings = Settings(primary=server.url, cache=tmp_path / "cache.redb", state_dir=tmp_path / "state", poll_s=0.2)
        async with running(settings) as (service, watcher):
            before = await proven_and_paused(service, watcher)
            change(server)
            after = await watcher.until(
                lambda now: now.primary.stand not in (None, before.primary.stand) and now.verdict is not Word.IN_SYNC
            )
            says_nothing_of_now(after, of_primary=True)
            assert after.freshness.behind is not None
            assert after.cache.integrity is not None
            assert after.cache.integrity.now(after.present) is not None, "the file is the same one"
            if change is not rewritten:
                return
            watcher.ask(service, Do(Verify()))
            again = await watcher.until(lambda now: now.freshness.behind != before.freshness.behind)
            assert freshness.freshness(frame_of(again)).behind is not None


async def test_a_primary_that_does_not_answer_is_not_known(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await proven_and_paused(service, watcher)
        demo.primary.rename(tmp_path / "away")
        after = await watcher.until(lambda now: now.present.primary is None)
        says_nothing_of_now(after, of_primary=True)


def rewrite(demo: Demo) -> None:
    """The same bytes, in the same file."""
    demo.cache.write_bytes(demo.cache.read_bytes())


def replace_file(demo: Demo) -> None:
    copy = Path(shutil.copyfile(demo.cache, demo.cache.with_name("copy")))
    copy.replace(demo.cache)


@pytest.mark.parametrize("change", [rewrite, replace_file, lambda demo: demo.cache.unlink()])
async def test_another_file_makes_all_that_was_found_the_past(tmp_path: Path, change: Callable[[Demo], None]) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        before = await proven_and_paused(service, watcher)
        change(demo)
        after = await watcher.until(lambda now: now.cache.identity != before.cache.identity)
        says_nothing_of_now(after, of_primary=False)
        watcher.ask(service, Pause(False))
        again = await watcher.until(lambda now: proven(now) and now.cache.identity not in (None, before.cache.identity))
        assert freshness.freshness(frame_of(again)).behind is not None


async def test_a_removed_cache_is_a_warning(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        before = await proven_and_paused(service, watcher)
        demo.cache.unlink()
        await watcher.until(lambda snapshot: snapshot.cache.identity != before.cache.identity)
        said = [event for event in watcher.events if isinstance(event, LogLine) and event.level == "warn"]
        assert any("was removed" in line.text for line in said), said
