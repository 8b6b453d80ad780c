"""What the card of the primary says of errors that are over, and of an answer that does not come."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from console.views.frame import Frame
from console.views.freshness import freshness
from console.views.run import result_words, sync_meter
from console.views.stores import cache_card, primary_card
from console.views.verdict import verdict
from storage_sync.service import health
from storage_sync.values.errors import PrimaryUnavailable
from storage_sync.values.outcome import ErrorValue
from storage_sync.values.snapshot import CoreBeat, PrimaryHealth, PrimaryStatus, Snapshot
from tests.console.app import console, live, screen_text, settle
from tests.support.scenes import snapshots
from widgets.glyphs import Look, Role
from widgets.line import text_of

NOW = snapshots.NOW


def frame_of(snapshot: Snapshot) -> Frame:
    return Frame(snapshot, verdict(snapshot, now=NOW, beat_age=0.1), NOW, 0.1, Look())


def with_primary(**changes: object) -> Frame:
    snapshot = snapshots.scene("in_sync").snapshot
    return frame_of(replace(snapshot, primary=replace(snapshot.primary, **changes)))


def test_an_error_that_is_over_says_so_and_when_at_every_width() -> None:
    frame = with_primary(last_error="the primary refuses connections (http://127.0.0.1:1)", last_error_at=NOW - 785)
    fact = next(fact for fact in primary_card(frame).facts if fact.label == "error")
    for line in (fact.value, *fact.short):
        assert text_of(line).startswith("none now")
        assert "13m 05s ago" in text_of(line)


def test_before_the_first_picture_no_store_is_called_missing() -> None:
    starting = frame_of(Snapshot(0, NOW, CoreBeat(0.0)))
    for card in (primary_card(starting), cache_card(starting)):
        assert card.places == ("the core is starting",)
    told = frame_of(Snapshot(1, NOW, CoreBeat(0.0)))
    assert primary_card(told).places == ("no primary is set",)
    assert cache_card(told).places == ("no cache is set",)


def test_a_primary_that_does_not_answer_is_not_called_connected() -> None:
    card = primary_card(with_primary(auth_at=NOW - 17, next_at=NOW - 12))
    assert (card.role, card.word) == (Role.UNKNOWN, "no answer for 17 s")
    assert primary_card(with_primary(auth_at=NOW - 5, next_at=NOW - 0.5)).word == "connected"


@pytest.mark.parametrize(
    ("before", "since"),
    [
        (PrimaryHealth(PrimaryStatus.CONNECTED, auth_at=NOW - 17), NOW - 17),
        (PrimaryHealth(PrimaryStatus.UNREACHABLE, auth_at=NOW - 90, unreachable_since=NOW - 60), NOW - 60),
        (PrimaryHealth(), NOW),
        (PrimaryHealth(PrimaryStatus.CONNECTED, auth_at=NOW + 60), NOW),
    ],
)
def test_it_is_unreachable_since_its_last_answer(before: PrimaryHealth, since: float) -> None:
    assert health.failed(before, PrimaryUnavailable("no answer"), NOW, known=True).unreachable_since == since


def test_no_sync_is_announced_on_a_damaged_cache() -> None:
    fact = freshness(frame_of(snapshots.scene("damaged").snapshot)).next
    assert text_of(fact.value) == "after a repair; r plans one"


@pytest.mark.parametrize(("poll_s", "left", "said"), [(1.0, 0.4, "polls every 1.0 s"), (30.0, 17.0, "poll in 17 s")])
def test_short_polls_are_told_by_their_pace(poll_s: float, left: float, said: str) -> None:
    card = primary_card(with_primary(poll_s=poll_s, next_at=NOW + left))
    assert text_of(next(fact for fact in card.facts if fact.label == "next").value) == said


@pytest.mark.parametrize(
    ("poll", "sync", "compare", "left"),
    [(47, 4, None, "4 s"), (3, 40, None, "3 s"), (47, None, 9, "9 s"), (47, None, None, "47 s")],
)
def test_the_next_try_is_the_first_that_is_planned_wherever_it_is_said(
    poll: float, sync: float | None, compare: float | None, left: str
) -> None:
    """A poll and a run each ask the primary, at times of their own."""
    snapshot = snapshots.scene("primary_down").snapshot
    planned = replace(
        snapshot.freshness,
        next_sync_at=NOW + sync if sync is not None else None,
        next_compare_at=NOW + compare if compare is not None else None,
    )
    frame = frame_of(replace(snapshot, freshness=planned, primary=replace(snapshot.primary, next_at=NOW + poll)))
    card = {fact.label: text_of(fact.value) for fact in primary_card(frame).facts}
    panel = {fact.label: text_of(fact.value) for fact in sync_meter(frame).facts}
    assert card["next"] == f"tries again in {left}"
    assert panel["no run"] == f"no sync until the primary answers (6 attempts failed); next try in {left}"
    assert f"next try in {left}" in frame.verdict.next[0]


def test_while_the_primary_is_lost_the_panel_of_the_sync_says_what_it_waits_for() -> None:
    assert sync_meter(frame_of(snapshots.scene("primary_down").snapshot)).right == "waiting for the primary"


def test_a_code_that_is_no_word_is_said_in_words() -> None:
    snapshot = snapshots.scene("in_sync").snapshot
    failed = replace(snapshot.history.last[0], exit_code=4, result="primary_schema", new=0, changed=0, gone=0)
    assert result_words(frame_of(snapshot), failed) == "primary not usable"
    assert result_words(frame_of(snapshot), replace(failed, result="cache_locked")) == "cache locked"


LONG = "there is no database /var/lib/do-memory/a-folder-with-a-long-name/and-another-one/below-it/primary.db; try it"


@pytest.mark.parametrize("panel", ["primary", "sync"])
async def test_an_error_is_readable_whole_in_its_panel_alone_at_80_columns(panel: str) -> None:
    scene = snapshots.scene("primary_down")
    error = ErrorValue("primary_schema", LONG, "", retry=True, exit_code=4)
    primary = replace(scene.snapshot.primary, last_error=LONG)
    app, _ = console(replace(scene, snapshot=replace(scene.snapshot, primary=primary, error=error)))
    async with live(app, size=(80, 24)) as pilot:
        app.screen.query_one(f"#{panel}").focus()
        await pilot.press("z")
        await settle(app, pilot)
        shown = "".join(line.strip(" ┃│") for line in screen_text(app).splitlines())
    assert LONG.replace(" ", "") in shown.replace(" ", "")
