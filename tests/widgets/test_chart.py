"""Charts in text: spikes stay, failures show, nothing is wider than it may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widgets.chart import NOTHING, Chart, ChartStack, blocks, bucketed, quantile, round_up, round_up_s
from widgets.glyphs import ASCII, UNICODE, Look, Tone
from widgets.line import text_of

samples = st.lists(st.none() | st.floats(0, 1e6, allow_nan=False), max_size=300)


@given(values=samples, width=st.integers(1, 80))
def test_buckets_keep_the_largest_and_the_newest(values: list[float | None], width: int) -> None:
    found = bucketed(values, width)
    assert len(found) <= width
    known = [value for value in values if value is not None]
    assert max((value for value in found if value is not None), default=None) == max(known, default=None)
    if len(values) <= width:
        assert found == values


@given(values=samples, width=st.integers(1, 80))
def test_blocks_are_as_wide_as_they_may_be(values: list[float | None], width: int) -> None:
    for glyphs in (UNICODE, ASCII):
        assert len(blocks(values, width, glyphs)) == width


def test_a_spike_and_a_failure_are_seen() -> None:
    drawn = blocks([1.0] * 50 + [9.0] + [1.0] * 49, 20, UNICODE)
    assert drawn.count("█") == 1
    assert blocks([1.0, None, 1.0], 9, UNICODE) == "      █✗█"
    assert blocks([1.0, None, 1.0], 9, ASCII)[-2] == "x"


@pytest.mark.parametrize(("share", "expected"), [(0.5, 3.0), (0.95, 4.0), (0.0, 1.0)])
def test_quantiles(share: float, expected: float) -> None:
    assert quantile([4.0, None, 1.0, 2.0, 3.0], share) == expected
    assert quantile([None], share) is None


def test_a_stack_draws_what_fits() -> None:
    one = Chart("Rows/s", (1.0, 2.0), ("min 1   median 2   max 2", "max 2"))
    two = Chart("Duration", (), ("max 2",), empty="nothing has run yet")
    stack = ChartStack((one, two))
    look = Look()
    assert (stack.title, stack.right) == ("Rows/s", "")
    assert len(stack.lines(40, 2, look)) == 2
    assert len(stack.lines(40, 4, look)) == 4
    assert len(stack.lines(40, 11, look)) == 11
    five = [text_of(line) for line in stack.lines(40, 5, look)]
    assert five[1] == " min 1   median 2   max 2"
    assert "Duration" in five[2]
    assert five[3] == " nothing has run yet"
    assert text_of(stack.lines(12, 2, look)[1]) == " max 2"
    assert ChartStack(()).lines(40, 5, look) == []


def _drawn(chart: Chart, width: int, height: int, look: Look | None = None) -> list[str]:
    return [text_of(line) for line in chart.body(width, height, look or Look())]


def _ms(amount: float) -> str:
    return f"{amount:g} ms"


def test_a_graph_has_its_unit_and_its_time_on_its_axes() -> None:
    values = (*(10.0,) * 20, 90.0, *(10.0,) * 6)
    lines = _drawn(Chart("Latency", values, (), word=_ms, step_s=10.0), 40, 7)
    assert lines[0].startswith(" 100 ms ┤")
    assert lines[2].startswith("  50 ms ┤")
    assert lines[4].startswith("      0 ┤")
    assert lines[5] == "        └" + "─" * 30
    # the spike was a minute ago
    place = lines[1].index("█")
    assert lines[6][place : place + 3] == "now" or place == len(lines[4]) - 7
    assert lines[6].endswith("now")
    assert "-2m" in lines[6]


def test_what_failed_what_is_zero_and_what_is_not_known_look_different() -> None:
    lines = _drawn(Chart("Latency", (5.0, NOTHING, None, 0.0), (), step_s=10.0), 20, 4)
    assert lines[2][-4:] == "█ ✗▁"
    assert lines[0][-4:] == "█   "


def test_what_is_above_its_limit_stands_out() -> None:
    chart = Chart("Age", (100.0, 400.0), (), step_s=10.0, limit=300.0)
    bottom = chart.body(30, 4, Look())[2]
    assert [piece.tone for piece in bottom[-2:]] == [Tone.MUTED, Tone.ATTENTION]


def test_a_few_runs_are_bars_since_the_first() -> None:
    lines = _drawn(Chart("Duration", (1.0, 2.0), (), oldest="2 Sep 14:20Z"), 40, 6)
    assert lines[3].rstrip().endswith("▅▅▅▅▅▅▅ ███████") or "███████" in lines[3]
    assert lines[-1].split() == ["2", "Sep", "14:20Z", "last"]


def test_a_series_without_a_sample_says_why() -> None:
    assert _drawn(Chart("Rows read", (NOTHING, NOTHING), (), empty="it does not say"), 40, 6)[0] == " it does not say"


@given(values=samples, width=st.integers(24, 120), height=st.integers(4, 30), timed=st.booleans())
def test_a_graph_is_never_wider_than_it_may_be(
    values: list[float | None], width: int, height: int, timed: bool
) -> None:
    for glyphs in (UNICODE, ASCII):
        chart = Chart("x", tuple(values), ("x",), step_s=10.0 if timed else None, oldest="2 Sep 14:20Z", empty="none")
        lines = _drawn(chart, width, height, Look(glyphs))
        assert len(lines) == height
        assert all(len(line) <= width for line in lines)
        assert all(line.isascii() for line in lines) or glyphs is UNICODE


@pytest.mark.parametrize(("value", "top"), [(0, 1), (0.3, 0.5), (1, 1), (3, 5), (61, 100), (1_001, 2_000)])
def test_the_top_of_an_axis_is_a_round_number(value: float, top: float) -> None:
    assert round_up(value) == pytest.approx(top)


@pytest.mark.parametrize(("seconds", "top"), [(0, 1), (3, 5), (41, 60), (290, 300), (100_000, 172_800)])
def test_the_top_of_an_axis_of_spans_is_a_round_span(seconds: float, top: float) -> None:
    assert round_up_s(seconds) == pytest.approx(top)
