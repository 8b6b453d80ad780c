"""The three themes, each in the colours that the terminal has: contrast is at least 4.5 for every text on every ground.

See docs/console.md#colours-and-signs.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from textual.theme import Theme


class Colors(StrEnum):
    """What a terminal can show, by the name that Rich has for it."""

    TRUE = "truecolor"
    EIGHT_BIT = "256"
    STANDARD = "standard"
    NONE = "none"

    @classmethod
    def named(cls, name: str | None) -> Colors:
        """`name`: of Rich's `Console.color_system`; an old Windows console has 16 colours."""
        return cls.NONE if name is None else next((one for one in cls if one.value == name), cls.STANDARD)

    @property
    def few(self) -> bool:
        """Whether there is no room for shades."""
        return self in {Colors.STANDARD, Colors.NONE}


class Palette(Struct, frozen=True):
    """Colours of one theme as `#rrggbb`; `raised` is the ground of the cursor row, of fields and of buttons."""

    name: str
    dark: bool
    background: str
    raised: str
    foreground: str
    muted: str
    accent: str
    ok: str
    attention: str
    failed: str


PALETTES = (
    Palette("calm-dark", True, "#16181b", "#2c2f34", "#d9dce2", "#9ba1ab", "#87afdf", "#8ec298", "#dfaf5f", "#f08c7d"),
    Palette(
        "calm-light", False, "#faf9f6", "#e2e1dd", "#22252a", "#565b64", "#1f4f92", "#1f5f32", "#6b4d00", "#992a1c"
    ),
    Palette("calm-cvd", True, "#16181b", "#2c2f34", "#d9dce2", "#9ba1ab", "#b9c0cc", "#6bb6ff", "#f2d15c", "#ff7a90"),
)
"""Of these a terminal with 256 colours shows the nearest ones."""
FEW = (
    Palette("calm-dark", True, "#000000", "#ffffff", "#ffffff", "#aaaaaa", "#55ffff", "#55ff55", "#ffff55", "#ff5555"),
    Palette(
        "calm-light", False, "#ffffff", "#000000", "#000000", "#000000", "#0000aa", "#0000aa", "#aa00aa", "#aa0000"
    ),
    Palette("calm-cvd", True, "#000000", "#ffffff", "#ffffff", "#aaaaaa", "#ff55ff", "#55ffff", "#ffff55", "#ff5555"),
)
"""The same in the 16 colours: each of them is one, and what is raised is reversed."""
DEFAULT_THEME = "calm-dark"


def themes(colors: Colors = Colors.TRUE) -> tuple[Theme, ...]:
    return tuple(_theme(palette, colors) for palette in (FEW if colors.few else PALETTES))


def after(name: str) -> str:
    """The next theme's name, from the last one to the first."""
    names = [palette.name for palette in PALETTES]
    return names[(names.index(name) + 1) % len(names)] if name in names else names[0]


def _theme(palette: Palette, colors: Colors) -> Theme:
    on_raised = palette.background if colors.few else palette.foreground
    return Theme(
        name=palette.name,
        dark=palette.dark,
        primary=palette.accent,
        secondary=palette.accent,
        accent=palette.accent,
        success=palette.ok,
        warning=palette.attention,
        error=palette.failed,
        foreground=palette.foreground,
        background=palette.background,
        surface=palette.raised,
        panel=palette.raised,
        boost=palette.raised,
        variables={
            "text": palette.foreground,
            "text-muted": palette.muted,
            "text-disabled": palette.muted,
            "text-primary": palette.accent,
            "text-accent": palette.accent,
            "text-success": palette.ok,
            "text-warning": palette.attention,
            "text-error": palette.failed,
            "block-cursor-background": palette.raised,
            "block-cursor-foreground": on_raised,
            "input-selection-background": palette.muted,
            "input-cursor-background": on_raised,
            "input-cursor-foreground": palette.raised,
        },
    )
