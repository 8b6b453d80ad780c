"""Roles, tones and the two glyph sets (docs/console.md#colours-and-signs): glyph, then word, then colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a fact means; each has a glyph, words and a colour."""

    OK = "ok"
    ATTENTION = "attention"
    FAILED = "failed"
    UNKNOWN = "unknown"
    RUNNING = "running"
    OFF = "off"
    NONE = "none"


class Tone(StrEnum):
    """How a piece of text is drawn: the roles, and a few tones without meaning of their own."""

    OK = "ok"
    ATTENTION = "attention"
    FAILED = "failed"
    UNKNOWN = "unknown"
    RUNNING = "running"
    OFF = "off"
    NONE = "none"
    PLAIN = "plain"
    MUTED = "muted"
    STRONG = "strong"
    ACCENT = "accent"


TONE_STYLES: Mapping[Tone, str] = {
    Tone.OK: "$text-success",
    Tone.ATTENTION: "$text-warning",
    Tone.FAILED: "$text-error",
    Tone.UNKNOWN: "bold $text-muted",
    Tone.RUNNING: "$text-primary",
    Tone.OFF: "$text-muted",
    Tone.NONE: "$text-muted",
    Tone.PLAIN: "",
    Tone.MUTED: "$text-muted",
    Tone.STRONG: "bold",
    Tone.ACCENT: "bold $text-accent",
}
"""Tone to theme variable; the values of the variables are the themes' business."""


@dataclass(frozen=True, slots=True)
class GlyphSet:
    """One set of drawing characters. `roles` may be wider than one cell; `role_width` is the column's width."""

    name: str
    roles: Mapping[Role, str]
    role_width: int
    mark: str
    cursor: str
    folded: str
    opened: str
    bar_full: str
    bar_half: str
    bar_empty: str
    sparks: str
    rule: str
    rule_active: str
    ellipsis: str
    up: str
    down: str
    edge: str

    @property
    def is_ascii(self) -> bool:
        return self.name == "ascii"

    def of(self, role: Role) -> str:
        """Glyph of a role, padded to the glyph column."""
        return self.roles[role].ljust(self.role_width)

    def plain(self, label: str) -> str:
        """One of our own labels, in the characters of this set. Never for data."""
        return label.translate(_ASCII_LABELS) if self.is_ascii else label


UNICODE = GlyphSet(
    name="unicode",
    roles={
        Role.OK: "✓",
        Role.ATTENTION: "▲",
        Role.FAILED: "✗",
        Role.UNKNOWN: "?",
        Role.RUNNING: "●",
        Role.OFF: "○",
        Role.NONE: "-",
    },
    role_width=1,
    mark="+",
    cursor="▌",
    folded="▸",
    opened="-",
    bar_full="━",
    bar_half="╸",
    bar_empty="─",
    sparks="▁▂▃▄▅▆▇█",
    rule="─",
    rule_active="━",
    ellipsis="…",
    up="↑",
    down="↓",
    edge="▏",
)

ASCII = GlyphSet(
    name="ascii",
    roles={
        Role.OK: "ok",
        Role.ATTENTION: "!",
        Role.FAILED: "x",
        Role.UNKNOWN: "?",
        Role.RUNNING: "*",
        Role.OFF: "o",
        Role.NONE: "-",
    },
    role_width=2,
    mark="+",
    cursor=">",
    folded=">",
    opened="-",
    bar_full="=",
    bar_half=">",
    bar_empty="-",
    sparks=".:-=+*#@",
    rule="-",
    rule_active="=",
    ellipsis="...",
    up="^",
    down="v",
    edge="|",
)

_ASCII_LABELS = str.maketrans(
    {"…": "...", "·": ".", "↑": "^", "↓": "v", "✓": "ok", "✗": "x", "▲": "!", "●": "*", "○": "o", "─": "-", "→": "->"}
)


@dataclass(frozen=True, slots=True)
class Look:
    """How this terminal is drawn on: glyph set, and whether colour is to be left out (`NO_COLOR`)."""

    glyphs: GlyphSet = UNICODE
    no_color: bool = False

    def style(self, tone: Tone) -> str:
        """Style of a tone; without colour a failure is told apart by weight as well."""
        if self.no_color and tone is Tone.FAILED:
            return f"bold {TONE_STYLES[tone]}"
        return TONE_STYLES[tone]


def choose(setting: str, environment: Mapping[str, str], encoding: str) -> GlyphSet:
    """Glyph set for `ui.glyphs` (auto, unicode, ascii), the environment and the encoding of the output."""
    if setting == "ascii":
        return ASCII
    if setting == "unicode":
        return UNICODE
    plain_terminal = environment.get("TERM", "") in {"dumb", "linux"}
    utf8 = encoding.lower().replace("-", "").replace("_", "") == "utf8"
    return ASCII if plain_terminal or not utf8 else UNICODE
