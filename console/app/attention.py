"""What an operator who looks elsewhere is told: the verdict in the title; a bell and a notice when it got worse."""

from __future__ import annotations

import re
import sys
import termios
from collections.abc import Callable

from msgspec import Struct

from console.views.verdict import Verdict
from storage_sync.values import visible
from storage_sync.values.outcome import Outcome, Word
from widgets.glyphs import GlyphSet, Role
from widgets.line import first_that_fits

_RANKS = {Role.OK: 0, Role.UNKNOWN: 1, Role.ATTENTION: 2, Role.FAILED: 3}
"""How bad a verdict is; the others are no worse than none."""
NOTICE_MOST = 160
"""Characters of a notice's sentence, where it has a shorter wording."""


class Window(Struct, frozen=True):
    """What can be done to be noticed. `title`, `notice`: with a text that is clean."""

    title: Callable[[str], None]
    bell: Callable[[], None]
    notice: Callable[[str], None]


class Attention:
    """The first verdict is no change: nothing rings."""

    def __init__(self, glyphs: GlyphSet, window: Window) -> None:
        self._glyphs = glyphs
        self._window = window
        self._told: tuple[str, Role] | None = None

    def tell(self, verdict: Verdict, profile: str, *, ring: bool, notify: bool) -> None:
        """At every tick; only a change is told. `ring`, `notify`: what is wanted when it is for the worse."""
        now = (verdict.word, verdict.role)
        if now == self._told:
            return
        before, self._told = self._told, now
        name = f"{self._glyphs.plain('·')} {profile or 'default'}"
        self._window.title(self._clean(f"{self._glyphs.roles[verdict.role]} {verdict.word} {name}"))
        if before is None or _RANKS.get(verdict.role, 0) <= _RANKS.get(before[1], 0):
            return
        if ring:
            self._window.bell()
        if notify:
            # a text that begins with a digit is a command to some terminals
            said = first_that_fits(verdict.sentence, NOTICE_MOST)
            self._window.notice(self._clean(f"Storage Sync {name}: {verdict.word}. {said}"))

    def _clean(self, text: str) -> str:
        return visible.clean(text, ascii_only=self._glyphs.is_ascii)


class Failures:
    """Tells a failure once: the next one is new when it says something else, or a run was in sync in between."""

    def __init__(self) -> None:
        self._last = ""

    def is_new(self, outcome: Outcome) -> bool:
        """Of each run that ended."""
        # its figures may differ at each try
        failure = re.sub(r"[\d.,]+", "", outcome.error.message) if outcome.error is not None else ""
        is_new = bool(failure) and failure != self._last
        if failure or outcome.verdict is Word.IN_SYNC:
            self._last = failure
        return is_new


def terminal_lives() -> bool:
    """Whether there is still a terminal behind the standard input."""
    try:
        termios.tcgetattr(sys.__stdin__.fileno() if sys.__stdin__ is not None else 0)
    except (termios.error, OSError, ValueError):
        return False
    return True
