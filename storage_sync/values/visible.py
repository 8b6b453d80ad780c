"""What people read: data from outside without anything that a terminal would act on or hide."""

from __future__ import annotations

import re

LONGEST = 4096
"""Characters of one datum that are looked at; nothing on a screen is wider."""

_HIDDEN = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u20e3\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff"
    "\U000e0000-\U000e0fff"
)
_ONE = f"[{_HIDDEN}]"
# compiled where they are first used: each would be a part of the start of every command
_IN_LINES = f"(?!\n)[{_HIDDEN}]"
_IN_PAINTED_LINES = f"(?!\n|\x1b\\[[0-9;]*m)[{_HIDDEN}]"
_PLACE = r" ?\([\w./+-]+\.rs:\d+\)"
_NAMES = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\x1b": "\\e"}


def clean(text: str, *, ascii_only: bool = False) -> str:
    """One datum made harmless: C0, C1, bidi marks and other invisible characters become visible escapes.

    So do signs that one terminal joins with their neighbour and another does not: the columns behind them would move.
    What is longer than a screen is cut.
    """
    visible = re.sub(_ONE, _escape, text[:LONGEST])
    if ascii_only:
        return visible.replace("…", "...").encode("ascii", "backslashreplace").decode("ascii")
    return visible


def spoken(text: str) -> str:
    """The same for words of others, such as a server's message: its line ends are blanks."""
    return clean(" ".join(text[: 2 * LONGEST].split()))


def without_place(text: str) -> str:
    """A message without the place in the source where a library gave up: that belongs into the log."""
    return re.sub(_PLACE, "", text)


def printable(text: str, *, painted: bool = False) -> str:
    """Whole lines as they may be printed, the last thing before they are; `painted`: colours of ours are among them."""
    return re.sub(_IN_PAINTED_LINES if painted else _IN_LINES, _escape, text)


def printable_json(text: str) -> str:
    """Encoded JSON with the same characters in JSON's own escapes: it means what it meant."""
    return re.sub(_IN_LINES, _json_escape, text)


def without_hidden(text: str) -> str:
    """The text without the characters that `clean` would escape."""
    return re.sub(_ONE, "", text)


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    if character in _NAMES:
        return _NAMES[character]
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    units = match.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
