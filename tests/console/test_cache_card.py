"""What the card of the cache says beside a holder: copies that are held back, and a server that runs without it."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from console.views.frame import Frame
from console.views.stores import cache_card
from console.views.verdict import verdict
from storage_sync.values.found import Basis, Found
from storage_sync.values.outcome import (
    CacheState,
    Check,
    CheckStatus,
    FileIdentity,
    HolderKind,
    LockHolder,
    LookedAt,
)
from tests.support.scenes import snapshots
from widgets.glyphs import Look, Role
from widgets.line import text_of
from widgets.store_card import StoreCard

NOW = snapshots.NOW
SERVER = LockHolder(4711, "do-memory-mcp-server", "agent", NOW - 60, exclusive=False, kind=HolderKind.DO_MEMORY)


def card(**changes: object) -> StoreCard:
    snapshot = snapshots.scene("in_sync").snapshot
    snapshot = replace(snapshot, cache=replace(snapshot.cache, **changes))
    return cache_card(Frame(snapshot, verdict(snapshot, now=NOW, beat_age=0.1), NOW, 0.1, Look()))


def texts(of: StoreCard) -> dict[str, str]:
    return {fact.label: f"{text_of(fact.value)} {text_of(fact.extra)}" for fact in of.facts}


def test_copies_that_are_held_back_say_until_when_and_why() -> None:
    told = texts(card(waits_until=NOW + 600, copied_bytes=20 << 30))["copy"]
    assert "no new one before " in told
    assert "20.0 GiB in an hour: copy_bytes_per_hour" in told
    assert "before" not in texts(card()).get("copy", "")


def test_a_server_without_its_cache_is_trouble_of_the_cache() -> None:
    shown = card(memory_only=(SERVER,))
    assert (shown.role, shown.word) == (Role.ATTENTION, "a server runs without it")
    assert "pid 4711 in memory only" in texts(shown)["server"]
    assert "start it again" in texts(shown)["server"]
    assert "server" not in texts(card())


@pytest.mark.parametrize(
    ("in_file", "by_witness", "said"),
    [
        (4, 4, "commit g-4"),
        (3, 4, "g-3; last commit g-4"),
        (4, None, "g-4; no witness"),
        (None, 4, "? last commit g-4"),
        (None, None, "no commit of this tool yet"),
    ],
)
def test_which_commit_is_in_the_file_is_said_in_words(in_file: int | None, by_witness: int | None, said: str) -> None:
    known = snapshots.scene("in_sync").snapshot.cache.generation
    assert known is not None
    told = card(generation=None if in_file is None else replace(known, was=in_file), acked=by_witness)
    (fact,) = [one for one in told.facts if one.label == "state"]
    assert text_of(fact.value) == said


def test_a_commit_that_was_there_and_is_the_last_is_said_once() -> None:
    for was, said in ((4, "? last commit g-4"), (3, "? was g-3; last commit g-4")):
        past = Found(was, Basis(replace(snapshots.FILE, mtime_ns=1)), NOW - 9)
        (fact,) = [one for one in card(generation=past, acked=4).facts if one.label == "state"]
        assert text_of(fact.value) == said


def test_before_the_first_picture_nothing_is_said_of_a_commit() -> None:
    snapshot = replace(snapshots.scene("in_sync").snapshot, seq=0)
    snapshot = replace(snapshot, cache=replace(snapshot.cache, generation=None, acked=None))
    told = cache_card(Frame(snapshot, verdict(snapshot, now=NOW, beat_age=0.1), NOW, 0.1, Look()))
    (fact,) = [one for one in told.facts if one.label == "state"]
    assert text_of(fact.value) == "? not known"


def test_damage_is_the_greater_trouble() -> None:
    assert card(memory_only=(SERVER,), states=(CacheState.CORRUPT,)).role is Role.FAILED


def test_a_file_that_changed_is_not_called_clean_until_it_was_looked_at() -> None:
    snapshot = snapshots.scene("in_sync").snapshot
    changed = replace(snapshots.FILE, mtime_ns=snapshots.FILE.mtime_ns + 1)
    look = LookedAt("file", NOW - 9, (), snapshots.FILE)
    shown = card(identity=changed, look=look)
    assert (shown.role, shown.word) == (Role.UNKNOWN, "not looked at since it changed")
    assert card(look=look).word == "clean"
    assert card(identity=changed, look=replace(look, identity=changed)).word == "clean"
    run = snapshots.scene("running").snapshot.run
    assert run is not None
    ours = replace(
        snapshot,
        run=replace(run, cancellable=False),
        cache=replace(snapshot.cache, identity=changed, look=look),
    )
    assert cache_card(Frame(ours, verdict(ours, now=NOW, beat_age=0.1), NOW, 0.1, Look())).word == "clean"


@pytest.mark.parametrize("gone", [replace(snapshots.FILE, inode=snapshots.FILE.inode + 1), None])
def test_what_was_found_of_a_file_that_is_gone_is_not_shown(gone: FileIdentity | None) -> None:
    """A repair puts another file in its place; what redb said of the old one is nothing of the new one."""
    ok = Found(Check("cache_integrity", CheckStatus.PASS, "clean", "clean"), snapshots.OF_FILE, NOW - 247)
    changed = replace(snapshots.FILE, mtime_ns=snapshots.FILE.mtime_ns + 1)
    found = {"integrity": ok, "schema": Found(4, snapshots.OF_FILE, NOW - 247), "peek": None, "acked": 4121}
    past = texts(card(identity=changed, **found))
    assert "was ok" in past["check"]
    assert "was 4" in past["schema"]
    assert "payload was" in past["size"]
    assert "was g-" in past["state"]
    assert not any(re.search(r"\bwas\b", told) for told in texts(card(identity=gone, **found)).values())
