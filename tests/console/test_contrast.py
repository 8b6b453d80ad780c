"""What is written can be read, in the colours that a terminal really has: all of them, 256, 16 or none."""

from __future__ import annotations

import pytest
from rich.color import Color, ColorSystem
from rich.terminal_theme import TerminalTheme
from textual.color import Color as Shade
from textual.widget import Widget
from textual.widgets import Button, Input

from console.views.themes import FEW, PALETTES, Colors, Palette
from tests.console.app import console as opened
from tests.console.app import live
from widgets.verdict_line import VerdictLine

LEAST = 4.5
VGA = TerminalTheme(
    (0, 0, 0),
    (170, 170, 170),
    [(0, 0, 0), (170, 0, 0), (0, 170, 0), (170, 85, 0), (0, 0, 170), (170, 0, 170), (0, 170, 170), (170, 170, 170)],
    [(red, green, blue) for blue in (85, 255) for green in (85, 255) for red in (85, 255)],
)
XTERM = TerminalTheme(
    (0, 0, 0),
    (229, 229, 229),
    [(0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229)],
    [
        *((127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0)),
        *((92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255)),
    ],
)
"""The 16 colours, as a screen of old and xterm have them."""
SYSTEMS = {Colors.TRUE: ColorSystem.TRUECOLOR, Colors.EIGHT_BIT: ColorSystem.EIGHT_BIT}
WRITTEN = ("foreground", "muted", "accent", "ok", "attention", "failed")


def shown(value: str, system: ColorSystem) -> Shade:
    """What the terminal draws for a colour that it was asked for."""
    return Shade(*Color.parse(value).downgrade(system).get_truecolor(XTERM))


def ratio(one: Shade, other: Shade) -> float:
    """Contrast of two colours (WCAG 2), 1 to 21."""
    dark, bright = sorted((_luminance(one), _luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def _luminance(shade: Shade) -> float:
    parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in shade.normalized]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("colors", SYSTEMS)
@pytest.mark.parametrize("palette", PALETTES, ids=lambda one: one.name)
def test_every_text_can_be_read_on_every_ground(palette: Palette, colors: Colors) -> None:
    system = SYSTEMS[colors]
    found = {
        (name, ground): ratio(shown(getattr(palette, name), system), shown(getattr(palette, ground), system))
        for name in WRITTEN
        for ground in ("background", "raised")
    }
    assert {pair: value for pair, value in found.items() if value < LEAST} == {}


@pytest.mark.parametrize("colors", SYSTEMS)
@pytest.mark.parametrize("palette", PALETTES, ids=lambda one: one.name)
def test_a_field_and_the_selected_row_are_seen_on_their_ground(palette: Palette, colors: Colors) -> None:
    system = SYSTEMS[colors]
    assert ratio(shown(palette.raised, system), shown(palette.background, system)) >= 1.2


@pytest.mark.parametrize("drawn", [VGA, XTERM], ids=["vga", "xterm"])
@pytest.mark.parametrize("palette", FEW, ids=lambda one: one.name)
def test_sixteen_colours_are_what_is_asked_for(palette: Palette, drawn: TerminalTheme) -> None:
    ground = shown(palette.background, ColorSystem.STANDARD)
    for name in WRITTEN:
        asked = Color.parse(getattr(palette, name))
        assert ratio(Shade(*asked.downgrade(ColorSystem.STANDARD).get_truecolor(drawn)), ground) >= LEAST, name
    assert ratio(shown(palette.raised, ColorSystem.STANDARD), ground) >= LEAST


@pytest.mark.parametrize("theme", [palette.name for palette in FEW])
@pytest.mark.parametrize("colors", [*SYSTEMS, Colors.STANDARD])
async def test_fields_buttons_and_focus_are_seen(colors: Colors, theme: str) -> None:
    system = SYSTEMS.get(colors, ColorSystem.STANDARD)
    app, _ = opened("running", theme=theme, colors=colors)
    async with live(app) as pilot:
        await pilot.press("4", "slash")
        field = app.screen.query_one(Input)
        assert _grounds(field, system) >= 1.2
        assert _written(field, system) >= LEAST
        await pilot.press("escape", "q")
        focused, other, *_ = sorted(app.screen.query(Button), key=lambda button: not button.has_focus)
        assert focused.has_focus
        for button in (focused, other):
            assert _grounds(button, system) >= 1.2
            assert _written(button, system) >= LEAST
        assert shown(focused.styles.background.hex6, system) != shown(other.styles.background.hex6, system)


async def test_without_any_colour_fields_buttons_and_focus_are_told_by_their_style() -> None:
    app, _ = opened("running", colors=Colors.NONE)
    async with live(app) as pilot:
        await pilot.press("4", "slash")
        assert app.screen.query_one(Input).styles.text_style.reverse
        await pilot.press("escape", "q")
        focused, other, *_ = sorted(app.screen.query(Button), key=lambda button: not button.has_focus)
        assert focused.styles.text_style.reverse
        assert other.styles.text_style.underline
        assert not other.styles.text_style.reverse


@pytest.mark.parametrize("colors", Colors)
async def test_the_verdict_is_a_bar_over_the_whole_width(colors: Colors) -> None:
    app, _ = opened("damaged", colors=colors)
    async with live(app, size=(100, 30)):
        strip = app.screen.query_one(VerdictLine).render_line(0)
        assert "✗ DAMAGED" in strip.text
        assert strip.cell_length == 100
        styles = [segment.style for segment in strip if segment.style is not None]
        assert len(styles) == len(list(strip))
        for style in styles:
            assert style.bold
            if colors is Colors.NONE:
                assert style.reverse
                continue
            assert style.color is not None
            assert style.bgcolor is not None
            system = SYSTEMS.get(colors, ColorSystem.STANDARD)
            text, ground = (Shade(*one.downgrade(system).get_truecolor(VGA)) for one in (style.color, style.bgcolor))
            assert ratio(text, ground) >= LEAST


def _grounds(widget: Widget, system: ColorSystem) -> float:
    """Contrast of a widget's ground with that of the screen."""
    return ratio(shown(widget.styles.background.hex6, system), shown(_background(widget), system))


def _background(widget: Widget) -> str:
    return widget.app.theme_variables["background"]


def _written(widget: Widget, system: ColorSystem) -> float:
    return ratio(shown(widget.styles.color.hex6, system), shown(widget.styles.background.hex6, system))


def test_a_terminal_is_taken_by_its_word() -> None:
    named = {"truecolor": Colors.TRUE, "256": Colors.EIGHT_BIT, "standard": Colors.STANDARD, "windows": Colors.STANDARD}
    assert {name: Colors.named(name) for name in named} == named
    assert Colors.named(None) is Colors.NONE
