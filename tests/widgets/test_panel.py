"""A panel paints again what changed, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region

from widgets.glyphs import UNICODE, Look
from widgets.line import Line, plain
from widgets.panel import Panel


@dataclass(frozen=True)
class Text:
    rows: tuple[str, ...]
    title: str = "Ages"
    right: str = ""

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        return [plain(row) for row in self.rows]


class Counting(Panel):
    """Remembers which rows it was asked to paint again; None: all of it."""

    asked: list[tuple[int, ...] | None]

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Counting:
        self.asked = [*getattr(self, "asked", []), tuple(region.y for region in regions) or None]
        super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        return self


class Room(App[None]):
    def compose(self) -> ComposeResult:
        panel = Counting(Look(UNICODE))
        panel.styles.height = 4
        yield panel


@pytest.mark.parametrize(
    ("rows", "asked"),
    [
        (("a", "b"), []),
        (("a", "c"), [(2,)]),
        (("c", "c"), [(1, 2)]),
        (("a",), [(2,)]),
        (("a", "b", "hidden", "below"), [(3,)]),
    ],
)
async def test_only_changed_lines_are_painted(rows: tuple[str, ...], asked: list[tuple[int, ...] | None]) -> None:
    async with Room().run_test(size=(40, 10)) as pilot:
        panel = pilot.app.query_one(Counting)
        panel.value = Text(("a", "b"))
        await pilot.pause()
        panel.asked = []
        panel.value = Text(rows)
        assert panel.asked == asked
        await pilot.pause()
        shown = [strip.text.rstrip() for strip in panel.render_lines(Region(0, 0, 40, 4))]
        assert shown[1 : 1 + len(rows)] == list(rows)[:3]
