"""A widget whose lines are kept: Textual asks for them at each picture of any neighbour, and would style them again."""

from __future__ import annotations

from typing import Self

from textual.containers import Horizontal, Vertical
from textual.geometry import NULL_REGION, Region
from textual.strip import Strip
from textual.widget import Widget

_NOTHING: tuple[Region, list[Strip]] = (NULL_REGION, [])


class Kept(Widget):
    """Its lines are made again when it asks to be drawn, or when its style is another one."""

    _kept = _NOTHING

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        self._kept = _NOTHING
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def notify_style_update(self) -> None:
        self._kept = _NOTHING
        super().notify_style_update()

    def render_lines(self, crop: Region) -> list[Strip]:
        if crop != self._kept[0]:
            self._kept = (crop, super().render_lines(crop))
        return self._kept[1]


class KeptRow(Horizontal, Kept):
    """Panels beside each other."""


class KeptColumn(Vertical, Kept):
    """Panels below each other."""
