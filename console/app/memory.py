"""Memory that Textual would keep, and memory that stays anyway."""

from __future__ import annotations

import gc
from collections.abc import Iterable

from textual._styles_cache import StylesCache
from textual.geometry import Region
from textual.screen import Screen

PLACES = (
    Region.intersection,
    Region.shrink,
    Region.grow,
    Region.union,
    Region.translate,
    Region.overlaps,
    Region.contains_region,
)
"""What Textual keeps thousands of results of, each of a size that the terminal once had."""
NEVER = 1_000_000
ENOUGH = 11
"""Collections of the middle generation since the last whole one: what Python itself waits for."""
MUCH = 15


def forget_gone_widgets() -> None:
    """Let go of what dialogs and toasts drew that are long gone.

    Textual's `StylesCache.get_inner_outer` is a cached method: its cache holds the last 1,024 widgets' lines for ever.
    """
    StylesCache.get_inner_outer.cache_clear()


def keep_for_good() -> None:
    """What is there now stays: no collection looks at it again, and whole ones happen in `collect_when_calm` only."""
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)


def collect_when_calm(calm: bool) -> bool:
    """A whole collection stands in the way of a key for some 20 ms: made while nobody types, or when much has come.

    Whether it was made.
    """
    waiting = gc.get_count()[2]
    if waiting < (ENOUGH if calm else MUCH):
        return False
    gc.collect()
    return True


def forget_drawings(unseen: Iterable[Screen[object]]) -> None:
    """Let go of the lines of screens that nobody sees, which keep up to 16 cuts of each, and of computed places.

    They are drawn again at the next visit.
    """
    for screen in unseen:
        for widget in screen.query("*"):
            widget.refresh()
    for computed in PLACES:
        computed.cache_clear()
