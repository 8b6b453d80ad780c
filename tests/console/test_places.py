"""Which panels of Overview stand first, and that they do not jump with each run."""

from __future__ import annotations

from msgspec.structs import replace

from console.views.frame import Frame
from console.views.troubles import CALM_S, Places, Troubles, placed
from console.views.verdict import verdict
from storage_sync.values.snapshot import Behind, Run, Snapshot
from tests.console.app import console, live, settle
from tests.support.scenes import snapshots
from widgets.glyphs import Look, Role

NOW = snapshots.NOW
GOOD = snapshots.scene("in_sync").snapshot
BAD = Troubles(checks=Role.FAILED)
RUN = Run("s-1", "sync", "in_place", "interval", NOW)


def frame(at: float = 0.0, snapshot: Snapshot = GOOD, run: Run | None = None) -> Frame:
    shown = replace(snapshot, run=run)
    return Frame(shown, verdict(shown, now=NOW + at, beat_age=0.1), NOW + at, 0.1, Look())


def test_trouble_moves_a_panel_at_once() -> None:
    assert placed(BAD, Places(), frame()).roles == BAD
    worse = replace(BAD, freshness=Role.ATTENTION)
    assert placed(worse, Places(BAD), frame(run=RUN)).roles == worse, "during a run too"


def test_what_a_run_has_not_found_again_yet_keeps_its_place() -> None:
    places = placed(BAD, Places(), frame())
    for at in (1.0, 2.0, 2.0 + CALM_S, 3.0 + CALM_S):
        places = placed(Troubles(), places, frame(at, run=RUN))
        assert places.roles == BAD
    ended = replace(RUN, ended_at=NOW)
    assert placed(BAD, places, frame(4.0 + CALM_S, run=ended)).roles == BAD


def test_a_panel_that_stays_well_gives_its_place_up() -> None:
    places = placed(BAD, Places(), frame())
    places = placed(Troubles(), places, frame(1.0))
    places = placed(Troubles(), places, frame(CALM_S))
    assert places.roles == BAD
    assert placed(Troubles(), places, frame(1.0 + CALM_S)).roles == Troubles()


def test_trouble_that_comes_back_begins_anew() -> None:
    places = placed(Troubles(), placed(BAD, Places(), frame()), frame(1.0))
    places = placed(BAD, places, frame(2.0))
    assert placed(Troubles(), places, frame(2.0 + CALM_S)).roles == BAD


def test_rows_that_the_next_run_takes_in_by_itself_move_nothing() -> None:
    behind = snapshots.behind({"episodes": Behind(3, 0, 0)})
    stale = replace(GOOD, freshness=replace(GOOD.freshness, behind=behind, next_sync_at=NOW + 5))
    found = Troubles(freshness=Role.ATTENTION)
    assert placed(found, Places(), frame(snapshot=stale)).roles == Troubles()
    alone = replace(stale, freshness=replace(stale.freshness, next_sync_at=None))
    assert placed(found, Places(), frame(snapshot=alone)).roles == found


async def test_a_failed_sync_that_is_tried_again_leaves_the_panels_where_they_are() -> None:
    scene = snapshots.scene("damaged")
    app, bridge = console(scene)
    async with live(app) as pilot:
        await settle(app, pilot)
        body = app.screen.query_one("#body")
        before = [child.id for child in body.children]
        run = replace(RUN, started_at=NOW)
        bridge.show(replace(scene.snapshot, run=run))
        await settle(app, pilot)
        assert [child.id for child in body.children] == before
