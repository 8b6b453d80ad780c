"""A vector as a picture: blocks, ends, numbers, and what gives way where rows are few."""

from __future__ import annotations

import struct

import pytest
from msgspec.structs import replace

from widgets.facts import Fact
from widgets.glyphs import ASCII, UNICODE, Look
from widgets.line import plain, text_of
from widgets.vector_view import VectorView, across, blocks, course, number_head, number_line, number_rows

VIEW = VectorView(
    title="key",
    right="reason",
    facts=(Fact("found in", plain("long")), Fact("why", plain("because"))),
    short=(Fact("found in", plain("short")),),
    tail=(Fact("nearest", plain("one")), Fact("", plain("two"))),
    means=(0.0, None, 1.0, 0.5),
    count=8,
    histogram=(0, 4, 2),
    bound=1.5,
    last=(Fact("actions", plain("d")),),
)


def drawn(height: int, look: Look | None = None) -> list[str]:
    return [text_of(line).rstrip() for line in VIEW.lines(60, height, look or Look())]


def test_everything_is_there_where_it_fits() -> None:
    assert drawn(7) == [
        " found in  long",
        " why       because",
        " values    ▁ █▅       4 means of 2 values",
        " histogram -1.50 ▁█▅ 1.50   8 values, 3 buckets",
        " nearest   one",
        "           two",
        " actions   d",
    ]


@pytest.mark.parametrize("height", range(1, 7))
def test_where_rows_are_few_the_short_facts_and_the_actions_stay(height: int) -> None:
    lines = drawn(height)
    assert len(lines) <= height
    assert lines[-1] == " actions   d"
    if height > 1:
        assert lines[0] == " found in  short"


def test_ascii_is_ascii() -> None:
    assert all(line.isascii() for line in drawn(7, Look(ASCII)))


def test_blocks() -> None:
    assert course((), UNICODE) == ""
    assert course((None, None), UNICODE) == "  "
    assert course((2.0, 2.0), UNICODE) == "▁▁"
    assert course((-1.0, 1.0), UNICODE) == "▁█"
    assert blocks((0.0, 1.0, 2.0), UNICODE, 0.0) == "▁▅█"


def test_every_number_in_hex_and_decimal() -> None:
    numbers = (1.0, -1.234567e-38, float("nan"), float("inf"), 0.1)
    values = struct.pack("<5f", *numbers)
    assert number_rows(values, 80) == 3
    assert across(80) == 2
    text = "".join(text_of(number_line(values, index, 80)) for index in range(3))
    for place, number in enumerate(numbers):
        assert f"{place:>6}  {struct.pack('>f', number).hex()}" in text
    for decimal in (" 1 ", "-1.234567e-38 ", " nan ", " inf ", " 0.1 "):
        assert f" {decimal}" in text
    head, first = text_of(number_head(80)), text_of(number_line(values, 0, 80))
    for word, shown in (("place", " 0 "), ("hex", "3f800000"), ("number", "1 ")):
        assert abs(head.index(word) - first.index(shown)) <= len(word), "a head stands above what it names"
    assert number_rows(b"", 80) == 0
    assert across(10) == 1


def test_the_rest_of_a_list_gives_way_before_the_reason_does() -> None:
    nearest = tuple(Fact("nearest" if not place else "", plain(f"n{place}")) for place in range(5))
    view = replace(VIEW, tail=(*nearest, Fact("same as", plain("twin"))))
    whole = [text_of(line).strip() for line in view.lines(60, 11, Look())]
    assert len(whole) == 11
    for height in (10, 9):
        lines = [text_of(line).strip() for line in view.lines(60, height, Look())]
        assert [line for line in whole if line not in lines] == ["n4", "n3"][: 11 - height][::-1]
    assert text_of(view.lines(60, 8, Look())[0]).strip() == "found in  short"
