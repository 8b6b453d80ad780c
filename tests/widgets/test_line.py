"""Lines are cut and padded by cells, whatever is in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage_sync.values import visible
from widgets.glyphs import ASCII, UNICODE, Look, Role, Tone, choose
from widgets.line import Piece, cell, fit, plain, rule, spread, text_of, to_content, toned, width_of

TEXT = st.text(alphabet="ab 名é\u0301漢🙂…[/]", max_size=40)


@given(st.lists(TEXT, max_size=5), st.integers(1, 60))
def test_a_line_fits_exactly(texts: list[str], width: int) -> None:
    line = tuple(Piece(visible.clean(text)) for text in texts)
    for glyphs in (UNICODE, ASCII):
        assert width_of(fit(line, width, glyphs)) == width


@given(TEXT, TEXT, st.integers(1, 60))
def test_spread_keeps_its_width(left: str, right: str, width: int) -> None:
    assert width_of(spread(plain(left), plain(right), width, UNICODE)) == width


@given(TEXT, TEXT, st.integers(2, 80))
def test_a_rule_keeps_its_width(title: str, right: str, width: int) -> None:
    assert width_of(rule(title, right, width, Look())) == width


def test_a_long_state_leaves_the_title_in_its_rule() -> None:
    """The reason of a run that was stopped is longer than a panel of 40 or 80 cells."""
    for width in (40, 80):
        shown = text_of(
            rule("Sync", "idle · last s-1 the log went back: 5 rows differ, 0 are gone; nothing", width, Look())
        )
        assert shown.startswith("─ Sync ")
        assert "idle" in shown
        assert "…" in shown or width == 80


def test_what_is_cut_says_so() -> None:
    assert text_of(fit(plain("abcdef"), 4, UNICODE)) == "abc…"
    assert text_of(fit(plain("abcdefgh"), 6, ASCII)) == "abc..."


def test_a_wide_character_is_never_halved() -> None:
    assert text_of(fit(plain("名前名前"), 4, UNICODE)) == "名 …"


def test_cells_align() -> None:
    assert text_of(cell("7", 3, UNICODE, right=True)) == "  7"
    assert text_of(cell("7", 3, UNICODE)) == "7  "


def test_text_is_never_markup() -> None:
    content = to_content([plain("[/b] [red]x[/red]"), plain("$text-error")], Look())
    assert content.plain == "[/b] [red]x[/red]\n$text-error"
    assert not content.spans


def test_only_the_glyph_is_coloured() -> None:
    mark, word = toned(Role.OK, "connected", glyphs=UNICODE)
    assert (mark.tone, word.tone) == (Tone.OK, Tone.PLAIN)


def test_without_colour_a_failure_is_bold() -> None:
    assert "bold" in Look(no_color=True).style(Tone.FAILED)
    assert "bold" not in Look().style(Tone.FAILED)


def test_glyph_sets_have_a_mark_for_each_role() -> None:
    for glyphs in (UNICODE, ASCII):
        assert set(glyphs.roles) == set(Role)
        assert {len(glyphs.of(role)) for role in Role} == {glyphs.role_width}
    assert all(text.isascii() for text in (*ASCII.roles.values(), ASCII.sparks, ASCII.rule, ASCII.edge, ASCII.bar_half))
    assert ASCII.plain("Sync… · ↑ ✓").isascii()


def test_ascii_is_chosen_where_nothing_else_can_be_drawn() -> None:
    assert choose("auto", {"TERM": "xterm-256color"}, "utf-8") is UNICODE
    assert choose("auto", {"TERM": "xterm"}, "ANSI_X3.4-1968") is ASCII
    assert choose("auto", {"TERM": "linux"}, "utf-8") is ASCII
    assert choose("ascii", {"TERM": "xterm"}, "utf-8") is ASCII
    assert choose("unicode", {"TERM": "dumb"}, "ascii") is UNICODE
