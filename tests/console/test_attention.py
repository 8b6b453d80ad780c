"""An operator who looks elsewhere: the window's title, and the bell."""

from __future__ import annotations

import pytest

from console.app.attention import Attention, Window
from console.views.verdict import Verdict
from tests.console.app import console, live
from widgets.glyphs import ASCII, UNICODE, GlyphSet, Role

FINE = Verdict("IN SYNC", Role.OK, ("",), ("",))
STALE = Verdict("STALE", Role.ATTENTION, ("",), ("",))
BROKEN = Verdict("DAMAGED", Role.FAILED, ("",), ("",))


class Desk:
    def __init__(self, glyphs: GlyphSet = UNICODE) -> None:
        self.titles: list[str] = []
        self.rings = 0
        self.notices: list[str] = []
        self.attention = Attention(glyphs, Window(self.titles.append, self.ring, self.notices.append))

    def ring(self) -> None:
        self.rings += 1

    def hear(self, *verdicts: Verdict, ring: bool = True, notify: bool = True, profile: str = "prod") -> None:
        for verdict in verdicts:
            self.attention.tell(verdict, profile, ring=ring, notify=notify)


def test_the_title_says_each_verdict_once() -> None:
    window = Desk()
    window.hear(FINE, FINE, STALE, FINE)
    assert window.titles == ["✓ IN SYNC · prod", "▲ STALE · prod", "✓ IN SYNC · prod"]


@pytest.mark.parametrize(
    ("verdicts", "rings"), [((BROKEN,), 0), ((FINE, STALE), 1), ((FINE, STALE, BROKEN, STALE, FINE), 2)]
)
def test_the_bell_rings_when_it_gets_worse(verdicts: tuple[Verdict, ...], rings: int) -> None:
    window = Desk()
    window.hear(*verdicts)
    assert window.rings == rings


def test_the_bell_is_silent_unless_it_is_wanted() -> None:
    window = Desk()
    window.hear(FINE, BROKEN, ring=False)
    assert window.rings == 0


def test_a_notice_says_what_got_worse_and_why() -> None:
    window = Desk()
    window.hear(FINE, Verdict("DAMAGED", Role.FAILED, ("The cache file is corrupt.",), ("r plans a repair",)), FINE)
    assert window.notices == ["Storage Sync · prod: DAMAGED. The cache file is corrupt."]
    window.hear(BROKEN, notify=False)
    assert len(window.notices) == 1


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_nothing_of_a_message_gets_out_of_a_notice(glyphs: GlyphSet) -> None:
    window = Desk(glyphs)
    window.hear(FINE, Verdict("UNKNOWN", Role.FAILED, ("4;1\x07\x1b]0;t\x9c\n\u202e",), ("",)), profile="\x1b[31m")
    (notice,) = window.notices
    assert notice.startswith("Storage Sync")
    assert notice.isprintable()


def test_nothing_that_a_profile_is_called_gets_out_of_the_title() -> None:
    window = Desk(ASCII)
    window.hear(STALE, profile="a\x07\x1b[31m名")
    (title,) = window.titles
    assert title.isascii()
    assert title.isprintable()


async def test_a_console_in_a_test_writes_no_title() -> None:
    app, _ = console("damaged")
    async with live(app):
        app.title_terminal("nobody sees it")
