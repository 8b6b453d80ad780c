"""Memory that Textual would keep."""

from __future__ import annotations

from textual._styles_cache import StylesCache


def forget_gone_widgets() -> None:
    """Let go of what dialogs and toasts drew that are long gone.

    Textual's `StylesCache.get_inner_outer` is a cached method: its cache holds the last 1,024 widgets' lines for ever.
    """
    StylesCache.get_inner_outer.cache_clear()
