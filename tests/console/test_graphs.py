"""What the graphs of Overview are made of, and what they say where there is nothing to draw."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from console.views import graphs
from console.views.frame import Frame
from console.views.verdict import verdict
from storage_sync.values.snapshot import HistoryView, Sample, Snapshot
from tests.console.app import console, live, screen_text
from tests.support.scenes import snapshots
from widgets.chart import Chart
from widgets.glyphs import Look
from widgets.line import text_of

BASE = snapshots.scene("in_sync").snapshot
DRAWN = (graphs.latency, graphs.proof_age, graphs.changes, graphs.rows_read, graphs.durations)


def frame(snapshot: Snapshot) -> Frame:
    return Frame(snapshot, verdict(snapshot, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())


def of(*samples: Sample) -> Frame:
    return frame(replace(BASE, samples=samples))


def words(chart: Chart, width: int = 36) -> str:
    return text_of(chart.body(width, 8, Look())[0]).strip()


def test_changes_are_those_of_the_minute_before() -> None:
    samples = (Sample(float(at), changes=6 if at in {2, 3} else 0) for at in range(12))
    assert graphs.changes(of(*samples)).samples == (0, 0, 6, 12, 12, 12, 12, 12, 6, 0, 0, 0)


def test_a_ping_that_failed_is_no_latency_and_none_at_all_is_a_blank() -> None:
    chart = graphs.latency(of(Sample(1.0, 40.0), Sample(2.0, failed=True), Sample(3.0), Sample(4.0, 90.0, True)))
    known, failed, blank, slow = chart.samples
    assert (known, failed, slow) == (40.0, None, 90.0)
    assert blank is not None
    assert blank != blank
    assert chart.right == "now 44 ms   1 failed"


def test_a_primary_that_counts_no_rows_says_so_and_draws_no_zero() -> None:
    chart = graphs.rows_read(of(Sample(1.0), Sample(2.0)))
    assert words(chart) == "the primary does not report them"
    assert chart.right == ""


def test_a_run_that_failed_has_no_duration() -> None:
    chart = graphs.durations(frame(BASE))
    assert chart.samples == (0.1, 0.1, None, 16.4, 1.1, 0.4, 1.2)


@pytest.mark.parametrize("draw", DRAWN)
def test_before_the_first_sample_nothing_is_claimed(draw: object) -> None:
    assert callable(draw)
    chart = draw(frame(replace(BASE, samples=(), history=HistoryView())))
    assert words(chart) in {graphs.FIRST, "nothing has been proven yet", "nothing has run yet"}


@pytest.mark.parametrize(("size", "there"), [((140, 45), True), ((139, 45), False), ((140, 44), False)])
async def test_wide_screens_have_graphs_and_what_the_last_runs_changed(size: tuple[int, int], there: bool) -> None:
    app, _ = console("in_sync")
    async with live(app, size=size):
        text = screen_text(app)
        for title in ("Latency", "Age of the proof", "Changes a minute", "Rows read", "Duration of runs", "Last runs"):
            assert (title in text) is there, title
        assert "Activity" in text
