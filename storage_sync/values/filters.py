"""The one filter language of lists, on the screens and on the command line (docs/console.md#filter)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum, auto

from msgspec import Struct

from storage_sync.values.errors import UsageError

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class Kind(Enum):
    """What a field holds."""

    TEXT = auto()
    NUMBER = auto()
    AGE = auto()
    """Seconds, written as `1d`, `90m`, `30`."""


class Field(Struct, frozen=True):
    """`known`: all that a text field can hold, where that is a list."""

    kind: Kind = Kind.TEXT
    known: tuple[str, ...] = ()


TEXT = Field()
NUMBER = Field(Kind.NUMBER)
AGE = Field(Kind.AGE)
Fields = Mapping[str, Field]
Row = Mapping[str, str | float | None]
"""Texts and numbers of a row by field; None: not known."""


class Limit(Struct, frozen=True):
    """What a number must be: `sign` is <, > or =."""

    sign: str
    number: float

    def fits(self, value: float) -> bool:
        if self.sign == "<":
            return value < self.number
        return value > self.number if self.sign == ">" else value == self.number


class Term(Struct, frozen=True):
    """One word. `field` is None for a bare one; `wanted` is in lower case; `limit`: of a number or an age."""

    field: str | None
    wanted: str
    inverted: bool
    limit: Limit | None = None


def parse(text: str, fields: Fields) -> tuple[Term, ...]:
    """UsageError, with what is allowed, for a field that is none of `fields` and for a word that can fit nothing."""
    return tuple(_term(word, fields) for word in text.split() if word != "!")


def fits(row: Row, terms: Sequence[Term]) -> bool:
    """Whether the row fits every word: a bare one is part of any text, a text is part of its field, a number is within
    its limit."""
    return all(_fits(row, term) != term.inverted for term in terms)


def _fits(row: Row, term: Term) -> bool:
    if term.field is None:
        return any(isinstance(value, str) and term.wanted in value.lower() for value in row.values())
    value = row.get(term.field)
    if term.limit is not None:
        return not isinstance(value, str) and value is not None and term.limit.fits(value)
    return isinstance(value, str) and term.wanted in value.lower()


def _term(word: str, fields: Fields) -> Term:
    inverted = word.startswith("!")
    bare = word.removeprefix("!").lower()
    name, colon, wanted = bare.partition(":")
    field = fields.get(name) if colon else None
    if field is not None:
        return Term(name, wanted, inverted, _checked(name, wanted, field))
    if colon and name.isidentifier():
        raise UsageError(f"the filter knows no field {name!r}", hint=f"fields: {', '.join(fields)}")
    return Term(None, bare, inverted)


def _checked(name: str, wanted: str, field: Field) -> Limit | None:
    """The limit of a number or an age; a word that can fit nothing is a slip of the pen, and no answer of "none"."""
    if field.kind is Kind.TEXT:
        if field.known and not any(wanted in word for word in field.known):
            raise UsageError(f"there is no {name} {wanted!r}", hint=f"{name}s: {', '.join(field.known)}")
        return None
    unit = UNITS.get(wanted[-1:]) if field.kind is Kind.AGE else None
    sign = wanted[:1] if wanted[:1] in ("<", ">") else "="
    figure = (wanted if unit is None else wanted[:-1]).removeprefix(wanted[:1] if wanted[:1] in ("<", ">", "=") else "")
    try:
        number = float(figure)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        allowed = f"{name}:>1d, {name}:<90m" if field.kind is Kind.AGE else f"{name}:<0.5, {name}:>2, {name}:3"
        raise UsageError(
            f"{wanted!r} is not {'an age' if field.kind is Kind.AGE else 'a number'} for {name}", hint=allowed
        )
    return Limit(sign, number * (unit or 1.0))
