"""Roles, tones and the two glyph sets (docs/console.md#colours-and-signs): glyph, then word, then colour."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


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
    BAR_OK = "bar ok"
    BAR_ATTENTION = "bar attention"
    BAR_FAILED = "bar failed"
    BAR_QUIET = "bar quiet"


BARS: Mapping[Role, Tone] = {
    Role.OK: Tone.BAR_OK,
    Role.ATTENTION: Tone.BAR_ATTENTION,
    Role.FAILED: Tone.BAR_FAILED,
}
"""Tone of a bar in the colour of a role; the other roles have the quiet one."""


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
    Tone.BAR_OK: "bold $background on $text-success",
    Tone.BAR_ATTENTION: "bold $background on $text-warning",
    Tone.BAR_FAILED: "bold $background on $text-error",
    Tone.BAR_QUIET: "bold $background on $text-muted",
}
"""Tone to theme variable; the values of the variables are the themes' business."""


class GlyphSet(Struct, frozen=True):
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
    side: str
    """Left border of a panel in trouble."""

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
    side="┃",
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
    side="|",
)

_ASCII_LABELS = str.maketrans(
    {"…": "...", "·": ".", "↑": "^", "↓": "v", "✓": "ok", "✗": "x", "▲": "!", "●": "*", "○": "o", "─": "-", "→": "->"}
    | {"←": "<", "│": "|", "┤": "+", "└": "+"}
)


class Look(Struct, frozen=True):
    """How this terminal is drawn on.

    `no_color`: colour is left out (`NO_COLOR`, or a terminal without any). `few_colors`: 16 at most, so that no
    ground is a shade of another one.
    """

    glyphs: GlyphSet = UNICODE
    no_color: bool = False
    few_colors: bool = False

    @property
    def reverses(self) -> bool:
        """Whether what is chosen is told by reversing it: there are no shades."""
        return self.no_color or self.few_colors

    def style(self, tone: Tone) -> str:
        """Style of a tone; without colour a failure is told apart by weight as well."""
        if self.no_color and tone in _BAR_TONES:
            return "bold reverse"
        if self.no_color and tone is Tone.FAILED:
            return f"bold {TONE_STYLES[tone]}"
        return TONE_STYLES[tone]


_BAR_TONES = frozenset({*BARS.values(), Tone.BAR_QUIET})


def choose(setting: str, environment: Mapping[str, str], encoding: str) -> GlyphSet:
    """Glyph set for `ui.glyphs` (auto, unicode, ascii), the environment and the encoding of the output."""
    if setting == "ascii":
        return ASCII
    if setting == "unicode":
        return UNICODE
    plain_terminal = environment.get("TERM", "") in {"dumb", "linux"}
    utf8 = encoding.lower().replace("-", "").replace("_", "") == "utf8"
    return ASCII if plain_terminal or not utf8 else UNICODE
