"""Text from outside, as it may be shown."""

from __future__ import annotations

from storage_sync.values import visible
from widgets.glyphs import Look


def clean_text(text: str, look: Look) -> str:
    """Made harmless for the terminal of this look."""
    return visible.clean(text, ascii_only=look.glyphs.is_ascii)
