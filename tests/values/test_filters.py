"""The filter language of every list, as a table."""

from __future__ import annotations

import pytest

from storage_sync.values.errors import UsageError
from storage_sync.values.filters import AGE, NUMBER, TEXT, Field, Row, fits, parse

FIELDS = {"name": TEXT, "kind": Field(known=("fruit", "root")), "size": NUMBER, "seen": AGE}
ROW: Row = {"name": "Alpha:one", "kind": "fruit", "size": 30.0, "seen": 3600.0}
UNKNOWN: Row = {"name": "", "kind": "root", "size": None, "seen": None}


@pytest.mark.parametrize(
    ("text", "of_row", "of_unknown"),
    [
        ("", True, True),
        ("   ", True, True),
        ("!", True, True),
        ("ALPHA", True, False),
        ("alpha fruit", True, False),
        ("alpha root", False, False),
        ("!root", True, False),
        ("30", False, False),
        ("name:ALPHA", True, False),
        ("NAME:alpha", True, False),
        ("name:alpha:one", True, False),
        ("name:", True, True),
        ("!name:alpha", False, True),
        ("kind:oo", False, True),
        ("size:30", True, False),
        ("size:=30", True, False),
        ("size:3", False, False),
        ("size:<31", True, False),
        ("size:>30", False, False),
        ("!size:>30", True, True),
        ("seen:1h", True, False),
        ("seen:>59m", True, False),
        ("seen:<3601", True, False),
        ("seen:>1d", False, False),
        (":one", True, False),
        ("12:30", False, False),
    ],
)
def test_what_fits(text: str, of_row: bool, of_unknown: bool) -> None:
    terms = parse(text, FIELDS)
    assert (fits(ROW, terms), fits(UNKNOWN, terms)) == (of_row, of_unknown)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("colour:red", "the filter knows no field 'colour'", "fields: name, kind, size, seen"),
        ("!colour:red", "the filter knows no field 'colour'", "fields: name, kind, size, seen"),
        ("alpha https://x", "the filter knows no field 'https'", "fields: name, kind, size, seen"),
        ("kind:stone", "there is no kind 'stone'", "kinds: fruit, root"),
        ("!kind:stone", "there is no kind 'stone'", "kinds: fruit, root"),
        ("size:", "'' is not a number for size", "size:<0.5, size:>2, size:3"),
        ("size:many", "'many' is not a number for size", "size:<0.5, size:>2, size:3"),
        ("size:<", "'<' is not a number for size", "size:<0.5, size:>2, size:3"),
        ("size:<<3", "'<<3' is not a number for size", "size:<0.5, size:>2, size:3"),
        ("size:nan", "'nan' is not a number for size", "size:<0.5, size:>2, size:3"),
        ("seen:soon", "'soon' is not an age for seen", "seen:>1d, seen:<90m"),
        ("seen:>d", "'>d' is not an age for seen", "seen:>1d, seen:<90m"),
    ],
)
def test_what_cannot_be_understood_says_what_is_allowed(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(text, FIELDS)
    assert (raised.value.message, raised.value.hint) == (message, hint)
