"""Which rows of the index, in which order: filter, sort and group (docs/console.md#orphans). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from storage_sync.embeddings.index import CODES, REASONS, Bools, Floats, Ints, Label, OrphanIndex, Owner
from storage_sync.embeddings.reason import Reason
from storage_sync.embeddings.wanted import FIELDS, LABELS, Wanted
from storage_sync.values.filters import Limit, Term, parse

Order = npt.NDArray[np.int32]


class Group(Struct, frozen=True):
    """`rows` and `bytes` of all that are in it, folded or not."""

    name: str
    rows: int
    bytes: int


class View(Struct, frozen=True, eq=False):
    """The answer: `order` holds row numbers, and -1 for the first group, -2 for the second, before their rows."""

    index: OrphanIndex
    wanted: Wanted
    order: Order
    groups: tuple[Group, ...]
    matched: Bools
    """By row."""
    rows: int
    bytes: int

    def __len__(self) -> int:
        return len(self.order)

    def at(self, place: int) -> int:
        """The row at a place of the list; below 0 for a group's head."""
        return int(self.order[place])

    def rows_before(self, place: int) -> int:
        """Embeddings, without the heads of groups, above a place of the list."""
        return int(np.count_nonzero(self.order[:place] >= 0))

    def group_at(self, place: int) -> Group | None:
        """The group whose head stands there."""
        row = self.at(place)
        return self.groups[-row - 1] if row < 0 else None

    def members(self, name: str) -> Bools:
        """Whether each row of the index is in the group of this name, folded or not."""
        return _frozen_mask(self.matched & in_group(self.index, self.wanted.group, name))

    def identities(self) -> Identities:
        """What stands at each place, for a cursor that stays on it."""
        return Identities(self)

    @property
    def first(self) -> int:
        """Where the first row stands."""
        rows = np.flatnonzero(self.order >= 0)
        return int(rows[0]) if len(rows) else 0


class Identities(Struct, frozen=True):
    """What stands at each place of a view, whatever its number is there: (True, name) of a group's head, else
    (False, key).
    """

    view: View

    def __getitem__(self, place: int) -> tuple[bool, str]:
        group = self.view.group_at(place)
        return (True, group.name) if group is not None else (False, self.view.index.keys[self.view.at(place)])

    def index(self, held: object) -> int:
        """Where it stands now; ValueError when it does not."""
        numbers = {(True, group.name): -place for place, group in enumerate(self.view.groups, start=1)}
        number = numbers[held] if held in numbers else self._number(held)
        places = np.flatnonzero(self.view.order == number)
        if not len(places):
            raise ValueError(held)
        return int(places[0])

    def _number(self, held: object) -> int:
        if not isinstance(held, tuple) or held[0]:
            raise ValueError(held)
        return self.view.index.keys.index(held[1])


def select(index: OrphanIndex, wanted: Wanted, now: float) -> View:
    """`now`: UTC epoch seconds, for ages. UsageError for a filter with a field that there is not."""
    matched = matching(index, wanted.filter, now)
    rows = np.flatnonzero(matched)
    groups = _group_codes(index, wanted.group, rows)
    order = rows[np.lexsort((*_sort_keys(index, wanted, rows, now), groups))]
    listed, heads = _grouped(index, wanted, order)
    return View(
        index=index,
        wanted=wanted,
        order=_frozen(listed.astype(np.int32)),
        groups=heads,
        matched=_frozen_mask(matched),
        rows=len(rows),
        bytes=int(index.sizes[rows].sum()),
    )


def matching(index: OrphanIndex, text: str, now: float) -> Bools:
    """Whether each row fits every word. Attached ones only where the filter names that reason."""
    terms = parse(text, FIELDS)
    rows = np.arange(len(index))
    if not any(term.field == "reason" and not term.inverted and _names_attached(term.wanted) for term in terms):
        rows = np.flatnonzero(index.reasons != CODES[Reason.ATTACHED])
    # numbers first: they leave fewer rows whose texts are looked into
    for term in sorted(terms, key=lambda term: term.field in (None, "key", "owner")):
        rows = rows[_fits(index, term, rows, now) != term.inverted]
    fits = np.zeros(len(index), bool)
    fits[rows] = True
    return fits


def _names_attached(wanted: str) -> bool:
    return bool(wanted) and wanted in Reason.ATTACHED.value


def _fits(index: OrphanIndex, term: Term, rows: Ints, now: float) -> Bools:
    """For each of these rows."""
    wanted = term.wanted
    match term.field:
        case None:
            keys = _in_key(index, wanted, rows)
            return keys | _in_reason(index, wanted, rows) | _in_owner(index, wanted, rows, keys)
        case "key":
            return _in_key(index, wanted, rows)
        case "owner":
            return _in_owner(index, wanted, rows, _in_key(index, wanted, rows))
        case "reason":
            return _in_reason(index, wanted, rows)
        case "domain":
            return _in_label(index, rows, lambda label: label is not None and wanted in label[0].lower())
        case "tag":
            return _in_label(
                index, rows, lambda label: any(wanted in tag.lower() for tag in (label[1] if label else ()))
            )
        case "dim":
            return _within(index.dimensions[rows], index.dimensions[rows] >= 0, term.limit)
        case "norm":
            return _within(index.norms[rows], ~np.isnan(index.norms[rows]), term.limit)
        case "bytes":
            return _within(index.sizes[rows], np.ones(len(rows), bool), term.limit)
        case "seen":
            ages = now - index.first_seen[rows]
            return _within(ages, ~np.isnan(ages), term.limit)
        case _:
            return _expected(index, wanted)[rows]


def _within(values: Ints | Floats, known: Bools, wanted: Limit | None) -> Bools:
    if wanted is None:
        return np.zeros(len(values), bool)
    with np.errstate(invalid="ignore"):
        if wanted.sign == "<":
            fits = values < wanted.number
        else:
            fits = values > wanted.number if wanted.sign == ">" else values == wanted.number
    found: Bools = fits & known
    return found


def _in_key(index: OrphanIndex, wanted: str, rows: Ints) -> Bools:
    keys = index.lower_keys
    return np.array([wanted in keys[row] for row in rows.tolist()], bool)


def _in_owner(index: OrphanIndex, wanted: str, rows: Ints, in_key: Bools) -> Bools:
    """In the kind, the id or the title of the owner; the id is the end of the key."""
    found: Bools = np.array([wanted in kind for kind in Owner.KINDS])[index.owners[rows]]
    named = np.isin(index.owners[rows], (Owner.EPISODE, Owner.PATTERN, Owner.EPISODE_GONE, Owner.PATTERN_GONE))
    for place in np.flatnonzero(named & in_key & ~found).tolist():
        found[place] = wanted in index.lower_keys[int(rows[place])][-36:]
    titles = index.lower_titles
    for place in np.flatnonzero(index.titled[rows] & ~found).tolist():
        found[place] = wanted in titles[int(rows[place])]
    return found


def _in_label(index: OrphanIndex, rows: Ints, fits: Callable[[Label | None], bool]) -> Bools:
    """Each label is looked into once; an unknown one is None, and the last here."""
    fitting = np.array([fits(label) for label in (*index.labels, None)])
    found: Bools = fitting[index.label_places()[rows]]
    return found


def _in_reason(index: OrphanIndex, wanted: str, rows: Ints) -> Bools:
    found: Bools = np.array([wanted in reason.value for reason in REASONS])[index.reasons[rows]]
    return found


def _expected(index: OrphanIndex, wanted: str) -> Bools:
    """`yes` and `no`, else part of the note."""
    found = np.zeros(len(index), bool)
    rows = [row for row, note in index.expected.items() if wanted in ("yes", "no") or wanted in note.lower()]
    found[rows] = True
    return ~found if wanted == "no" else found


def _sort_keys(index: OrphanIndex, wanted: Wanted, rows: Ints, now: float) -> list[Ints | Floats]:
    """For `lexsort`, the last one first in rank; what is not known stays at the end in both directions."""
    if wanted.sort == "key":
        return [-rows if wanted.reverse else rows]
    columns: Mapping[str, Ints | Floats] = {
        "owner": index.title_ranks,
        "reason": index.reasons.astype(np.int64),
        "seen": now - index.first_seen,
        "dim": index.dimensions,
        "norm": index.norms,
        "bytes": index.sizes,
    }
    values = columns[wanted.sort][rows]
    unknown = _unknown(index, wanted.sort, rows, values)
    signed = np.where(unknown, 0, values).astype(np.float64) * (-1 if wanted.reverse else 1)
    return [rows, signed, unknown.astype(np.int64)]


def _unknown(index: OrphanIndex, sort: str, rows: Ints, values: Ints | Floats) -> Bools:
    if sort == "owner":
        return ~index.titled[rows]
    found: Bools = np.isnan(values) if sort in ("seen", "norm") else values < 0
    return found


def _group_codes(index: OrphanIndex, group: str, rows: Ints) -> Ints:
    if group == "reason":
        return index.reasons[rows].astype(np.int64)
    if group == "owner":
        kinds = {kind: place for place, kind in enumerate(("episode", "pattern", "none"))}
        return np.array([kinds[kind] for kind in Owner.KINDS])[index.owners[rows]]
    if group in LABELS:
        ranks = {name: rank for rank, name in enumerate(sorted({label_name(group, label) for label in index.labels}))}
        # an unknown one is the last here, and the last of the list
        by_place = np.array([*(ranks[label_name(group, label)] for label in index.labels), len(ranks)])
        codes: Ints = by_place[index.label_places()[rows]]
        return codes
    return np.zeros(len(rows), np.int64)


def label_name(group: str, label: Label | None) -> str:
    """The name of a group by domain or by tags."""
    if label is None:
        return f"{group} unknown"
    return (label[0] if group == "domain" else ", ".join(label[1])) or f"no {group}"


def _grouped(index: OrphanIndex, wanted: Wanted, order: Ints) -> tuple[Ints, tuple[Group, ...]]:
    """The order with heads in it and without the rows of folded groups."""
    if wanted.group == "none" or not len(order):
        return order, ()
    codes = _group_codes(index, wanted.group, order)
    starts = np.flatnonzero(np.diff(codes, prepend=codes[0] - 1))
    parts: list[Ints] = []
    heads: list[Group] = []
    for number, rows in enumerate(np.split(order, starts[1:])):
        name = _group_name(index, wanted.group, int(rows[0]))
        heads.append(Group(name, len(rows), int(index.sizes[rows].sum())))
        parts.append(np.array([-number - 1]))
        if name not in wanted.folded:
            parts.append(rows)
    return np.concatenate(parts), tuple(heads)


def _group_name(index: OrphanIndex, group: str, row: int) -> str:
    if group in LABELS:
        return label_name(group, index.label(row))
    return index.reason(row).value if group == "reason" else Owner.KINDS[int(index.owners[row])]


def in_group(index: OrphanIndex, group: str, name: str) -> Bools:
    """Whether each row is in the group of this name, whatever the filter."""
    if group in LABELS:
        return _in_label(index, np.arange(len(index)), lambda label: label_name(group, label) == name)
    names = [reason.value for reason in REASONS] if group == "reason" else Owner.KINDS
    found: Bools = np.array([one == name for one in names])[index.reasons if group == "reason" else index.owners]
    return found


def _frozen(order: Order) -> Order:
    order.setflags(write=False)
    return order


def _frozen_mask(mask: Bools) -> Bools:
    mask.setflags(write=False)
    return mask
