"""What an operator who looks elsewhere is told: the verdict in the window's title, and a bell when it got worse."""

from __future__ import annotations

import sys
import termios
from collections.abc import Callable

from console.views.verdict import Verdict
from storage_sync.values import visible
from widgets.glyphs import GlyphSet, Role

_RANKS = {Role.OK: 0, Role.UNKNOWN: 1, Role.ATTENTION: 2, Role.FAILED: 3}
"""How bad a verdict is; the others are no worse than none."""


class Attention:
    """`title`, `bell`: do it. The first verdict is no change, so it rings nothing."""

    def __init__(self, glyphs: GlyphSet, title: Callable[[str], None], bell: Callable[[], None]) -> None:
        self._glyphs = glyphs
        self._title = title
        self._bell = bell
        self._told: tuple[str, Role] | None = None

    def tell(self, verdict: Verdict, profile: str, *, ring: bool) -> None:
        """At every tick; only a change is told."""
        now = (verdict.word, verdict.role)
        if now == self._told:
            return
        before, self._told = self._told, now
        shown = f"{self._glyphs.roles[verdict.role]} {verdict.word} {self._glyphs.plain('·')} {profile or 'default'}"
        self._title(visible.clean(shown, ascii_only=self._glyphs.is_ascii))
        if ring and before is not None and _RANKS.get(verdict.role, 0) > _RANKS.get(before[1], 0):
            self._bell()


def terminal_lives() -> bool:
    """Whether there is still a terminal behind the standard input."""
    try:
        termios.tcgetattr(sys.__stdin__.fileno() if sys.__stdin__ is not None else 0)
    except (termios.error, OSError, ValueError):
        return False
    return True
