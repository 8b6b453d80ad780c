"""Formatters: units, ages, bars, and data made harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from widgets import fmt
from widgets.glyphs import ASCII, UNICODE


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (float("nan"), "?"),
        (-3, "0 s"),
        (17.9, "17 s"),
        (60, "1m 00s"),
        (580, "9m 40s"),
        (11_400, "3h 10m"),
        (273_600, "3d 04h"),
    ],
)
def test_age_has_two_units_at_most(seconds: float | None, text: str) -> None:
    assert fmt.age(seconds) == text


def test_what_comes_within_a_second_comes_now() -> None:
    assert [fmt.due(left) for left in (95, 1.0, 0.9, -3)] == ["in 1m 35s", "in 1 s", "now", "now"]


def test_short_age_has_one_unit() -> None:
    assert [fmt.short_age(value) for value in (5, 580, 11_400, 273_600)] == ["5 s", "9m", "3h", "3d"]


@pytest.mark.parametrize(
    ("amount", "text"),
    [(None, "?"), (float("inf"), "?"), (0, "0 B"), (1023, "1023 B"), (1538, "1.5 KiB"), (10_276_045, "9.8 MiB")],
)
def test_sizes_are_binary_with_one_decimal(amount: float | None, text: str) -> None:
    assert fmt.size(amount) == text


def test_unknown_is_never_zero() -> None:
    assert fmt.count(None) == "?"
    assert fmt.signed(None, "+") == "?"
    assert fmt.clock(None) == "?"
    assert fmt.when(float("inf")) == "?"
    assert fmt.tenths(None) == "?"


def test_percent_is_never_100_before_the_end() -> None:
    assert fmt.percent(999, 1000) == "99 %"
    assert fmt.percent(99_999, 100_000) == "99 %"
    assert fmt.percent(1000, 1000) == "100 %"
    assert fmt.percent(1, None) == "?"


def test_times_are_utc() -> None:
    assert fmt.clock(1_788_359_527) == "14:32:07Z"
    assert fmt.when(1_788_359_527) == "2 Sep 14:32Z"


def test_what_began_today_has_seconds_and_what_began_before_has_its_day() -> None:
    now = 1_795_444_327.0
    assert fmt.day_or_clock(now - 60, now) == fmt.clock(now - 60)
    assert fmt.day_or_clock(now - 86_400, now) == fmt.when(now - 86_400)
    assert fmt.day_or_clock(None, now) == fmt.UNKNOWN


@pytest.mark.parametrize(
    ("seconds", "text"), [(300, "5m"), (3600, "1h"), (90, "1m 30s"), (20, "20 s"), (86_400, "1d"), (900, "15m")]
)
def test_configured_spans(seconds: float, text: str) -> None:
    assert fmt.target(seconds) == text


def test_long_keys_are_shortened_and_short_ones_kept() -> None:
    key = "episode_7f3a91c2-5b0e-4c11-9a77-2d10e0f34d18"
    assert fmt.short_key(key, UNICODE) == "episode_7f3a91c2…4d18"
    assert fmt.short_key("legacy-note-17", UNICODE) == "legacy-note-17"


@given(st.one_of(st.none(), st.floats(-1, 2)), st.integers(0, 80))
def test_bars_have_their_width(fraction: float | None, width: int) -> None:
    for glyphs in (UNICODE, ASCII):
        filled, rest = fmt.bar(fraction, width, glyphs)
        assert len(filled) + len(rest) == width


def test_a_bar_is_full_only_at_the_end() -> None:
    assert fmt.bar(1, 10, UNICODE) == ("━" * 10, "")
    assert fmt.bar(0.99, 10, UNICODE)[1] != ""
    assert fmt.bar(None, 10, UNICODE) == ("", "─" * 10)


def test_a_failed_sample_is_a_mark_and_no_sample_a_blank() -> None:
    assert fmt.spark((1.0, None, 8.0), 5, UNICODE, failed="✗") == "  ▂✗█"
    assert fmt.spark((), 3, UNICODE, failed="✗") == "   "
    assert fmt.spark((0.0, 0.0), 2, UNICODE, failed="✗") == "▁▁"


def test_sparks_keep_the_newest() -> None:
    assert fmt.spark((8.0, 1.0, 1.0), 2, UNICODE, failed="✗") == "██"


@given(st.lists(st.one_of(st.none(), st.floats()), max_size=30), st.integers(0, 40))
def test_sparks_have_their_width(samples: list[float | None], width: int) -> None:
    assert cell_len(fmt.spark(samples, width, ASCII, failed="x")) == width
