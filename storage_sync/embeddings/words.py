"""What a person asks of the embeddings. A filter: words, `key:word`, `norm:<0.5`, `!` inverts.

See docs/console.md#orphans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage_sync.embeddings.reason import Reason
from storage_sync.values.errors import UsageError

TEXTS = ("key", "owner", "reason")
"""Fields that a bare word is looked for in."""
NUMBERS = ("dim", "norm", "bytes")
AGES = ("seen",)
MARKS = ("expected",)
OWNERS = ("domain", "tag")
"""Of the owner, where they are known."""
FIELDS = (*TEXTS, *OWNERS, *NUMBERS, *AGES, *MARKS)
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

SORTS = ("key", "owner", "reason", "seen", "dim", "norm", "bytes")
LABELS = ("domain", "tags")
GROUPS = ("reason", "owner", *LABELS, "none")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for. `sort` is one of `SORTS`, `group` one of `GROUPS`; `folded`: names of closed groups."""

    filter: str = ""
    sort: str = "key"
    reverse: bool = False
    group: str = "reason"
    folded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Marks:
    """Marked rows: all that fit a filter when `filter` is not None, those of `groups` (filter, grouping, name), and
    those of `keys` turned round."""

    filter: str | None = None
    keys: frozenset[str] = frozenset()
    groups: frozenset[tuple[str, str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Term:
    """One word. `field` is None for a bare one; `wanted` is in lower case for texts."""

    field: str | None
    wanted: str
    inverted: bool


@dataclass(frozen=True, slots=True)
class Limit:
    """What a number must be: `sign` is <, > or =."""

    sign: str
    number: float

    def fits(self, value: float) -> bool:
        if self.sign == "<":
            return value < self.number
        return value > self.number if self.sign == ">" else value == self.number


def parse(text: str, fields: Sequence[str] = FIELDS) -> tuple[Term, ...]:
    """UsageError for a field that is not one of `fields`, a number that is none, and a reason that no row can have."""
    terms = tuple(_term(word, fields) for word in text.split() if word != "!")
    for term in terms:
        _require_sense(term)
    return terms


def _require_sense(term: Term) -> None:
    """A word that can fit nothing is a slip of the pen, and no answer of "none"."""
    if term.field in NUMBERS and limit(term.wanted) is None:
        raise UsageError(f"{term.wanted!r} is no number for {term.field}", hint=f"{term.field}:<0.5, {term.field}:>2")
    if term.field in AGES and age_limit(term.wanted) is None:
        raise UsageError(f"{term.wanted!r} is no age", hint=f"{term.field}:>1d, {term.field}:<90m")
    if term.field == "reason" and not any(term.wanted in reason.value for reason in Reason):
        raise _no_reason(term.wanted)


def reason_named(name: str) -> Reason:
    """UsageError with the list for any other word."""
    try:
        return Reason(name.strip().lower())
    except ValueError:
        raise _no_reason(name) from None


def _no_reason(name: str) -> UsageError:
    return UsageError(f"there is no reason {name!r}", hint=f"reasons: {', '.join(Reason)}")


def _term(word: str, fields: Sequence[str]) -> Term:
    inverted = word.startswith("!")
    bare = word.removeprefix("!")
    name, colon, wanted = bare.partition(":")
    if colon and name in fields:
        return Term(name, wanted.lower(), inverted)
    if colon and name.isidentifier():
        raise UsageError(f"the filter knows no field {name!r}", hint=f"fields: {', '.join(fields)}")
    return Term(None, bare.lower(), inverted)


def limit(wanted: str) -> Limit | None:
    """`<0.5`, `>2`, `384`; None for what is no number."""
    return _limit(wanted, 1.0)


def age_limit(wanted: str) -> Limit | None:
    """Like `limit`, in seconds: `>1d`, `<90m`, `30` (seconds)."""
    unit = UNITS.get(wanted[-1:])
    return _limit(wanted if unit is None else wanted[:-1], unit or 1.0)


def _limit(wanted: str, unit: float) -> Limit | None:
    sign = wanted[:1] if wanted[:1] in ("<", ">") else "="
    try:
        return Limit(sign, float(wanted.lstrip("<>=")) * unit)
    except ValueError:
        return None
