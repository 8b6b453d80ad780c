"""The three themes. Contrast on the background is at least 4.8 for every text colour.

See docs/console.md#colours-and-signs.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.theme import Theme


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one theme as `#rrggbb`; `raised` is the ground of the cursor row and of dialogs."""

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
    Palette("calm-dark", True, "#14171c", "#1f242c", "#d5d9e0", "#8b93a1", "#7fa7d9", "#86b58f", "#d6a85c", "#e07a6b"),
    Palette(
        "calm-light", False, "#faf9f6", "#ecebe6", "#2a2d33", "#6a6f78", "#2f5f9e", "#2f7041", "#8a5a0c", "#a93a2a"
    ),
    Palette("calm-cvd", True, "#14171c", "#1f242c", "#d5d9e0", "#8b93a1", "#b9c0cc", "#6bb6ff", "#f2d15c", "#e64b6b"),
)
DEFAULT_THEME = "calm-dark"


def themes() -> tuple[Theme, ...]:
    return tuple(_theme(palette) for palette in PALETTES)


def _theme(palette: Palette) -> Theme:
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
            "block-cursor-foreground": palette.foreground,
            "input-selection-background": palette.muted,
            "input-cursor-background": palette.foreground,
            "input-cursor-foreground": palette.background,
        },
    )
