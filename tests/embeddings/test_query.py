"""Filter, order and groups against a model that loops over rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from console.cli.core import row_of
from storage_sync.embeddings.index import REASONS, OrphanIndex, Row
from storage_sync.embeddings.query import Identities, matching, select
from storage_sync.embeddings.reason import Reason
from storage_sync.embeddings.wanted import FIELDS, GROUPS, SORTS, Marks, Wanted
from storage_sync.service.orphan_queries import resolve
from storage_sync.values.errors import UsageError
from storage_sync.values.filters import fits as fits_all
from storage_sync.values.filters import parse
from storage_sync.values.outcome import Orphan
from tests.support.scenes import orphans
from tests.support.scenes.snapshots import NOW

MADE = orphans.index()
ROWS = [MADE.row(number) for number in range(len(MADE))]

WORDS = st.sampled_from(
    (
        "episode",
        "7c1e",
        "retry",
        "Policy",
        "nowhere",
        "legacy",
        "none",
        "zzz",
        ":",
        *("reason:owner", "reason:attached", "reason:missing", "owner:pattern", "owner:retry", "key:b0b0", "key:NOTE"),
        *("dim:384", "dim:>384", "norm:>1", "norm:<1", "bytes:1536", "bytes:0"),
        *("domain:web", "domain:STO", "domain:", "tag:async", "tag:S3", "tag:zzz"),
        *("seen:>1d", "seen:<1d", "seen:>3d", "expected:yes", "expected:no", "expected:plug"),
    )
)
FILTERS = st.lists(st.tuples(st.booleans(), WORDS), max_size=3).map(
    lambda parts: " ".join(("!" if inverted else "") + word for inverted, word in parts)
)


GROUPED = (("reason", "owner nowhere"), ("owner", "pattern"), ("domain", "web"), ("tags", "no tags"))


def number_fits(value: float | None, wanted: str, unit: float = 1.0) -> bool:
    try:
        bound = float(wanted.lstrip("<>=")) * unit
    except ValueError:
        return False
    if value is None:
        return False
    return value < bound if wanted[0] == "<" else value > bound if wanted[0] == ">" else value == bound


def word_fits(row: Row, word: str) -> bool:
    name, _, rest = word.partition(":")
    rest = rest.lower()
    owner = (row.owner_kind, row.owner_id, (row.title or "").lower())
    match name:
        case "key":
            return rest in row.key.lower()
        case "owner":
            return any(rest in text for text in owner)
        case "reason":
            return rest in row.reason.value
        case "domain":
            return row.label is not None and rest in row.label[0].lower()
        case "tag":
            return row.label is not None and any(rest in tag.lower() for tag in row.label[1])
        case "dim":
            return number_fits(row.dimension, rest)
        case "norm":
            return number_fits(row.norm, rest)
        case "bytes":
            return number_fits(row.bytes, rest)
        case "seen":
            age = None if row.first_seen is None else NOW - row.first_seen
            return number_fits(age, rest[:-1], 86400.0)
        case "expected":
            if rest in ("yes", "no"):
                return (row.expected is not None) == (rest == "yes")
            return row.expected is not None and rest in row.expected.lower()
    word = word.lower()
    return any(word in text for text in (row.key.lower(), row.reason.value, *owner))


def fits(row: Row, text: str) -> bool:
    words = [(word.startswith("!"), word.removeprefix("!")) for word in text.split()]
    named = any(
        not inverted and word.startswith("reason:") and word[7:] and word[7:] in "attached" for inverted, word in words
    )
    if row.reason is Reason.ATTACHED and not named:
        return False
    return all(word_fits(row, word) != inverted for inverted, word in words)


@settings(max_examples=150, deadline=None)
@given(FILTERS)
def test_the_filter_is_that_of_a_loop(text: str) -> None:
    expected = [fits(row, text) for row in ROWS]
    assert matching(MADE, text, NOW).tolist() == expected


def group_of(row: Row, group: str) -> str:
    known = {"domain": "domain unknown", "tags": "tags unknown"}
    if row.label is not None:
        known = {"domain": row.label[0] or "no domain", "tags": ", ".join(row.label[1]) or "no tags"}
    return {"reason": row.reason.value, "owner": row.owner_kind, **known}[group]


def sort_value(row: Row, sort: str) -> float | str | None:
    return {
        "owner": None if row.title is None else row.title.lower(),
        "reason": REASONS.index(row.reason),
        "seen": None if row.first_seen is None else NOW - row.first_seen,
        "dim": row.dimension,
        "norm": row.norm,
        "bytes": row.bytes,
    }[sort]


@settings(max_examples=150, deadline=None)
@given(
    FILTERS,
    st.sampled_from(SORTS),
    st.booleans(),
    st.sampled_from(GROUPS),
    st.sets(st.sampled_from([*REASONS, "episode", "web", "domain unknown", "async, retry", "no tags"])),
)
def test_order_and_groups_are_those_of_a_loop(
    text: str, sort: str, reverse: bool, group: str, folded: set[str]
) -> None:
    view = select(MADE, Wanted(text, sort, reverse, group, frozenset(str(name) for name in folded)), NOW)
    wanted = [number for number, row in enumerate(ROWS) if fits(row, text)]
    assert (view.rows, view.bytes) == (len(wanted), sum(ROWS[number].bytes for number in wanted))
    assert sum(one.rows for one in view.groups) == (0 if group == "none" else len(wanted))
    shown: list[int] = []
    current = None
    for place in range(len(view)):
        head = view.group_at(place)
        if head is not None:
            current = head.name
            continue
        row = ROWS[view.at(place)]
        assert group == "none" or current == group_of(row, group)
        shown.append(view.at(place))
    closed = {number for number in wanted if group != "none" and group_of(ROWS[number], group) in folded}
    assert sorted(shown) == [number for number in wanted if number not in closed]
    for name in {one.name for one in view.groups} or {""}:
        part = [n for n in shown if group == "none" or name == group_of(ROWS[n], group)]
        if group != "none":
            members = [number for number in wanted if group_of(ROWS[number], group) == name]
            assert np.flatnonzero(view.members(name)).tolist() == members, "folded or not"
        if sort == "key":
            assert part == sorted(part, reverse=reverse)
            continue
        values = [sort_value(ROWS[number], sort) for number in part]
        known = [value for value in values if value is not None]
        assert values == known + [None] * (len(values) - len(known)), "what is not known comes last"
        assert known == sorted(known, reverse=reverse)


def test_the_command_line_filters_the_same() -> None:
    def as_orphan(row: Row) -> Orphan:
        told = (row.owner_kind, row.owner_id, row.owner_in_primary, row.dimension, row.norm, row.bytes)
        return Orphan(row.key, row.reason.value, *told)

    index = replace(MADE, lower_titles=("",) * len(MADE), titled=np.zeros(len(MADE), bool))
    for text in ("episode", "!7c1e", "reason:nowhere", "norm:<1 dim:384", "key:b0b0 owner:episode", "bytes:>0"):
        expected = [
            fits_all(row_of(as_orphan(row)), parse(text, FIELDS)) and row.reason is not Reason.ATTACHED for row in ROWS
        ]
        assert matching(index, text, NOW).tolist() == expected, text


def test_a_field_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="colour"):
        select(MADE, Wanted("colour:red"), NOW)


def test_places_of_rows() -> None:
    view = select(MADE, Wanted(), NOW)
    assert view.group_at(0) is not None
    assert view.first == 1
    there = Identities(view)
    assert there[3] == (False, MADE.keys[view.at(3)])
    assert [there.index(there[place]) for place in range(len(view))] == list(range(len(view)))
    for absent in ((False, "absent"), (True, "absent"), None):
        with pytest.raises(ValueError, match=r"absent|tuple|None"):
            there.index(absent)
    with pytest.raises(ValueError, match="False"):
        Identities(select(MADE, Wanted("zzz"), NOW)).index(there[3])
    with pytest.raises(ValueError, match="read-only"):
        view.order[0] = 1


@settings(max_examples=80, deadline=None)
@given(
    st.none() | FILTERS,
    st.sets(st.integers(0, len(ROWS) - 1), max_size=4),
    st.sets(
        st.tuples(
            FILTERS,
            st.sampled_from(
                (("reason", "owner nowhere"), ("owner", "pattern"), ("domain", "web"), ("tags", "no tags"))
            ),
        ),
        max_size=2,
    ),
)
def test_marks_are_filters_and_groups_with_rows_turned_round(
    text: str | None, turned: set[int], groups: set[tuple[str, tuple[str, str]]]
) -> None:
    keys = frozenset({MADE.keys[number] for number in turned} | {"gone"})
    found = resolve(MADE, Marks(text, keys, frozenset((one, *group) for one, group in groups)), NOW)
    by_filter = {number for number, row in enumerate(ROWS) if text is not None and fits(row, text)}
    for one, (group, name) in groups:
        by_filter |= {n for n, row in enumerate(ROWS) if fits(row, one) and group_of(row, group) == name}
    expected = sorted(by_filter ^ turned)
    assert list(found.numbers) == expected
    assert found.keys == tuple(MADE.keys[number] for number in expected)
    assert found.bytes == sum(ROWS[number].bytes for number in expected)
    assert sum(one.rows for one in found.reasons.values()) == len(expected)


def test_a_scene_has_every_reason_but_one() -> None:
    assert set(MADE.counts) == set(REASONS) - {Reason.OWNER_UNKNOWN}
    assert sum(one.rows for one in MADE.counts.values()) == len(MADE)
    assert isinstance(MADE, OrphanIndex)
    assert not math.isnan(MADE.norms[0])
    assert np.isnan(MADE.norms[-1])
