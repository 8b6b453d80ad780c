"""Sizes and looks of the pictures, and a console dressed in one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from console.app.app import Console
from tests.console.app import console
from tests.support.scripted_bridge import ScriptedBridge
from widgets.glyphs import ASCII, UNICODE, GlyphSet

Compare = Callable[..., bool]
SIZES = [(80, 24), (100, 30), (140, 45)]


@dataclass(frozen=True, slots=True)
class Dress:
    """One look other than dark colours with all glyphs."""

    theme: str = "calm-dark"
    glyphs: GlyphSet = UNICODE
    colour: bool = True


LOOKS = {
    "light": Dress(theme="calm-light"),
    "cvd": Dress(theme="calm-cvd"),
    "no-colour": Dress(colour=False),
    "ascii": Dress(glyphs=ASCII),
}


def each_size() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


def each_look() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("look", LOOKS)


def dressed(look: str, state: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Console, ScriptedBridge]:
    """The console on a scene in one of `LOOKS`."""
    dress = LOOKS[look]
    if not dress.colour:
        monkeypatch.setenv("NO_COLOR", "1")
    app, bridge = console(state, theme=dress.theme, glyphs=dress.glyphs)
    assert app.look.no_color is not dress.colour
    return app, bridge
