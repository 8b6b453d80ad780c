"""What a person may choose about the screen, and the clock that it runs on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from console.views.themes import DEFAULT_THEME, PALETTES
from storage_sync.values.snapshot import ConfigView

REFRESH_STEPS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between two pictures that `+` and `-` walk through."""


class UiSettings(Struct, frozen=True):
    """`refresh_s`: seconds between two pictures of the panels. `glyphs`: auto, unicode or ascii."""

    theme: str = DEFAULT_THEME
    refresh_s: float = 0.5
    glyphs: str = "auto"
    bell: bool = False
    notify: bool = False
    profile: str = ""
    keymap: Mapping[str, str] = field(default_factory=dict)


class Clock(Struct, frozen=True):
    """`now`: UTC seconds; `monotonic`: seconds that never go back. Tests give frozen ones."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


def ui_in_effect(ui: UiSettings, config: ConfigView) -> UiSettings:
    """The same after the configuration was read again; glyphs and keys need a restart."""
    values = {setting.key: setting.value for setting in config.settings}
    try:
        refresh_s = float(values.get("ui.refresh", ""))
    except ValueError:
        refresh_s = ui.refresh_s
    bell, notify = (
        values.get(f"ui.{name}", f"{was}").lower() == "true" for name, was in (("bell", ui.bell), ("notify", ui.notify))
    )
    theme = known_theme(values.get("ui.theme", ui.theme))
    return replace(ui, theme=theme, refresh_s=refresh_s, bell=bell, notify=notify)


def known_theme(name: str) -> str:
    known = {palette.name for palette in PALETTES} | {"textual-ansi"}
    return name if name in known else UiSettings().theme


def next_refresh(refresh_s: float, step: int) -> float:
    """The interval so many steps further, of those that can be had."""
    place = min(range(len(REFRESH_STEPS)), key=lambda index: abs(REFRESH_STEPS[index] - refresh_s))
    return REFRESH_STEPS[max(0, min(len(REFRESH_STEPS) - 1, place + step))]
