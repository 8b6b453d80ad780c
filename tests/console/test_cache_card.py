"""What the card of the cache says beside a holder: copies that are held back, and a server that runs without it."""

from __future__ import annotations

from dataclasses import replace

from console.views.frame import Frame
from console.views.stores import cache_card
from console.views.verdict import verdict
from storage_sync.values.outcome import CacheState, HolderKind, LockHolder
from tests.support.scenes import snapshots
from widgets.glyphs import Look, Role
from widgets.line import text_of
from widgets.store_card import StoreCard

NOW = snapshots.NOW
SERVER = LockHolder(4711, "do-memory-mcp-server", "agent", NOW - 60, exclusive=False, kind=HolderKind.DO_MEMORY)


def card(**changes: object) -> StoreCard:
    snapshot = snapshots.scene("in_sync").snapshot
    snapshot = replace(snapshot, cache=replace(snapshot.cache, **changes))  # type: ignore[arg-type]
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


def test_damage_is_the_greater_trouble() -> None:
    assert card(memory_only=(SERVER,), states=(CacheState.CORRUPT,)).role is Role.FAILED
