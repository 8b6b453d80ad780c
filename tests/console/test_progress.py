"""What is said of a run agrees with its steps: percent, remaining time, what is staged, what is kept."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from console.views.frame import Frame
from console.views.run import sync_meter
from console.views.verdict import verdict as judge
from storage_sync.values.snapshot import Phase, Promise, RunSummary, StepState
from tests.console.app import console, live, screen_text
from tests.support.scenes import snapshots
from widgets.glyphs import UNICODE, Look
from widgets.line import text_of


async def shown_at(
    phase: Phase,
    kept: int | None = None,
    writes: int | None = None,
    kind: str = "sync",
    promise: Promise = Promise.NOTHING,
) -> str:
    """The screen while that step of the scene's run is at work, 98 % of its rows being there."""
    scene = snapshots.scene("running")
    run = scene.snapshot.run
    assert run is not None
    order = list(Phase)
    steps = tuple(
        (
            str(one),
            StepState.DONE if index < order.index(phase) else StepState.RUNNING if one is phase else StepState.WAITING,
        )
        for index, one in enumerate(order)
    )
    run = replace(
        run,
        step=str(phase),
        steps=steps,
        done=597,
        total=603,
        eta_s=None,
        checkpoint_rows=kept,
        writes=writes,
        kind=kind,
        promise=promise,
    )
    app, _ = console(replace(scene, snapshot=replace(scene.snapshot, run=run)))
    async with live(app, size=(120, 40)):
        return screen_text(app)


async def test_the_percent_is_of_the_step_beside_it() -> None:
    assert "sync fetch 99 %" in await shown_at(Phase.FETCH)


@pytest.mark.parametrize("phase", [Phase.GUARD, Phase.COMMIT, Phase.READ_BACK, Phase.WITNESS])
async def test_after_the_rows_no_percent_is_said(phase: Phase) -> None:
    shown = await shown_at(phase, kept=0, writes=6)
    assert f"sync {phase}" in shown.splitlines()[0]
    assert "99 %" not in shown
    assert "597 rows read" in shown
    assert "staged   6 rows to write" in shown
    assert "staged   0" not in shown


async def test_a_run_that_may_have_no_proof_promises_none() -> None:
    """One that follows, a quarantine and an undo write a witness too."""
    assert "notes the commit" in await shown_at(Phase.WITNESS)


@pytest.mark.parametrize("kind", ["orphans", "quarantine", "undo"])
async def test_what_a_person_chose_is_written_and_nothing_is_staged(kind: str) -> None:
    before = await shown_at(Phase.HASH, kind=kind)
    assert "not known yet" in before
    at_work = await shown_at(Phase.COMMIT, writes=1, kind=kind)
    assert "change   1 row" in at_work
    assert "staged" not in at_work


@pytest.mark.parametrize("kind", ["sync", "repair", "rebuild", "undo", "orphans", "quarantine"])
async def test_nothing_is_said_to_be_written_before_that_is_known(kind: str) -> None:
    before = await shown_at(Phase.COPY, kind=kind)
    assert "not known yet what is written" in before
    assert "written at" not in before
    assert "6 to write" in await shown_at(Phase.FETCH, writes=6, kind=kind)
    assert "nothing to write" in await shown_at(Phase.FETCH, writes=0, kind=kind)


async def test_a_plan_is_not_said_to_write() -> None:
    for writes in (None, 6):
        assert "nothing is written" in await shown_at(Phase.FETCH, writes=writes, promise=Promise.PLAN)


async def test_a_time_that_is_not_known_is_not_said() -> None:
    assert "ETA" not in await shown_at(Phase.FETCH)


async def test_staged_and_kept_rows_have_two_names() -> None:
    shown = await shown_at(Phase.FETCH, kept=300)
    assert "kept     300 of 603 rows, proven" in shown
    assert "staged   300" not in shown


@pytest.mark.parametrize(("width", "fewer"), [(220, False), (100, True)])
async def test_the_steps_of_a_run_stay_readable_in_their_order(width: int, fewer: bool) -> None:
    scene = snapshots.scene("in_sync")
    run = snapshots.scene("running").snapshot.run
    assert run is not None
    spent = tuple((str(phase), 5.0 if phase is Phase.FETCH else 0.1) for phase in Phase)
    steps = tuple((str(phase), StepState.DONE) for phase in Phase)
    newest = scene.snapshot.history.last[0].id
    run = replace(run, id=newest, steps=steps, spent=spent, step_since=None, ended_at=snapshots.NOW - 1, exit_code=0)
    app, _ = console(replace(scene, snapshot=replace(scene.snapshot, run=run)))
    async with live(app, size=(width, 45)):
        (said,) = (line for line in screen_text(app).splitlines() if " time " in line)
    shown = [phase for phase in Phase if f"✓ {phase} " in said]
    places = [said.index(f"✓ {phase} ") for phase in shown]
    assert places == sorted(places)
    assert "✓ fetch 5.0 s" in said
    assert (len(shown) < len(Phase)) is fewer


async def test_a_run_that_started_on_a_damaged_cache_is_not_denied() -> None:
    app, _ = console("damaged")
    async with live(app, size=(120, 40)):
        assert "syncs cannot write to a damaged cache; r plans a repair" in screen_text(app)


async def test_without_a_time_no_plan_is_denied() -> None:
    scene = snapshots.scene("in_sync")
    none = replace(scene.snapshot.freshness, next_sync_at=None, next_sync_reason="")
    app, _ = console(replace(scene, snapshot=replace(scene.snapshot, freshness=none)))
    async with live(app, size=(120, 40)):
        assert "no time is set yet; s plans one now" in screen_text(app)


async def test_a_run_that_found_the_file_held_is_not_what_was_changed_last() -> None:
    scene = snapshots.scene("in_sync")
    wrote = RunSummary("s-2", "sync", "interval", snapshots.NOW - 60, 0.09, 4, 0, 0, 0, "in_sync")
    held = replace(wrote, id="s-3", started_at=snapshots.NOW - 20, took_s=0.0, new=0, exit_code=6, result="stale")
    taken = replace(held, id="h-4", kind="start", exit_code=0, result="in_sync")
    history = replace(scene.snapshot.history, last=(taken, held, wrote))
    app, _ = console(replace(scene, snapshot=replace(scene.snapshot, history=history)))
    async with live(app, size=(120, 40)):
        text = screen_text(app)
        assert "+4  ~0  -0  in 90 ms" in text
        assert "no row changed" not in text


@pytest.mark.parametrize("ended", ["undo", "orphans", "verify", "sync"])
def test_all_that_is_said_of_the_last_run_is_of_the_same(ended: str) -> None:
    """Title, rows and times; a look at the cache is no run of this panel."""
    scene = snapshots.scene("in_sync")
    run = snapshots.scene("running").snapshot.run
    assert run is not None
    wrote = RunSummary("s-2", "sync", "interval", snapshots.NOW - 60, 0.09, 4, 0, 0, 0, "IN_SYNC")
    newest = replace(wrote, id="s-3", kind=ended, started_at=snapshots.NOW - 5, new=0, gone=7)
    run = replace(run, id="s-3", kind=ended, ended_at=snapshots.NOW - 4, spent=((Phase.COPY, 0.4),))
    history = replace(scene.snapshot.history, last=(newest, wrote))
    shown = replace(scene.snapshot, run=run, history=history)
    found = judge(shown, now=snapshots.NOW, beat_age=0.1)
    meter = sync_meter(Frame(shown, found, snapshots.NOW, 0.1, Look(UNICODE)))
    facts = {fact.label: text_of(fact.value) for fact in meter.facts}
    own = ended != "verify"
    assert f"last {'s-3' if own else 's-2'} " in meter.right
    assert facts["last"].startswith("+0  ~0  -7" if own else "+4  ~0  -0")
    assert ("time" in facts) is own


async def test_how_the_last_run_ended_is_not_cut_on_a_small_terminal() -> None:
    """In the words of the list of runs, also while it is the run that has just ended."""
    scene = snapshots.scene("in_sync")
    wrote = RunSummary("s-2", "sync", "interval", snapshots.NOW - 61, 1.0, 4, 0, 0, 7, "IN_SYNC", followed=True)
    run = snapshots.scene("running").snapshot.run
    assert run is not None
    result = "followed without a proof; in sync, except for 1 rejected row"
    ended = replace(run, id="s-2", ended_at=snapshots.NOW - 60, result=result, exit_code=7)
    history = replace(scene.snapshot.history, last=(wrote,))
    app, _ = console(replace(scene, snapshot=replace(scene.snapshot, history=history, run=ended)))
    async with live(app, size=(80, 24)):
        assert "last s-2 followed, in sync, rejected rows, 1m 00s ago" in screen_text(app)
