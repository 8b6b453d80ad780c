"""The filter of a list: words, `field:word`, `!` inverts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Keep = Callable[[Mapping[str, str]], bool]


def matcher(text: str, fields: frozenset[str]) -> Keep:
    """Whether a row fits: every word is in one of its `fields`, or in the named one; `!word` when it is in none.

    A name before a colon that is no field is part of the word.
    """
    wanted = [_word(word, fields) for word in text.lower().split()]

    def keep(row: Mapping[str, str]) -> bool:
        lowered = {name: value.lower() for name, value in row.items()}
        whole = "\x00".join(lowered.values())
        return all(_fits(lowered[name] if name else whole, word) != inverted for name, word, inverted in wanted)

    return keep


def _fits(value: str, word: str) -> bool:
    """A number fits the very same number, any other text what is part of it."""
    return value == word if value.isdigit() and word.isdigit() else word in value


def _word(word: str, fields: frozenset[str]) -> tuple[str, str, bool]:
    inverted = word.startswith("!") and len(word) > 1
    bare = word[1:] if inverted else word
    name, colon, rest = bare.partition(":")
    return (name, rest, inverted) if colon and rest and name in fields else ("", bare, inverted)
