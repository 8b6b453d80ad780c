"""Charts in text: spikes stay, failures show, nothing is wider than it may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widgets.chart import Chart, ChartStack, blocks, bucketed, quantile
from widgets.glyphs import ASCII, UNICODE, Look
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
    two = Chart("Duration", (), ("max 2",))
    stack = ChartStack((one, two))
    look = Look()
    assert (stack.title, stack.right) == ("Rows/s", "")
    assert len(stack.lines(40, 2, look)) == 2
    assert len(stack.lines(40, 4, look)) == 2
    five = [text_of(line) for line in stack.lines(40, 5, look)]
    assert five[1] == " min 1   median 2   max 2"
    assert "Duration" in five[2]
    assert five[3] == " nothing to draw yet"
    assert text_of(stack.lines(12, 2, look)[1]) == " max 2"
    assert ChartStack(()).lines(40, 5, look) == []
