"""Memory that Textual would keep, and memory that stays anyway."""

from __future__ import annotations

import gc

from textual._styles_cache import StylesCache


def forget_gone_widgets() -> None:
    """Let go of what dialogs and toasts drew that are long gone.

    Textual's `StylesCache.get_inner_outer` is a cached method: its cache holds the last 1,024 widgets' lines for ever.
    """
    StylesCache.get_inner_outer.cache_clear()


def keep_for_good() -> None:
    """What is there now stays: looking for garbage among it would hold up a key by 25 ms now and then."""
    gc.freeze()
