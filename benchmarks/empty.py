"""The floor of the console's figures: a Textual application of five screens that only draw fixed text."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static


class Fixed(Screen[None]):
    def __init__(self, number: str) -> None:
        super().__init__()
        self._number = number

    def compose(self) -> ComposeResult:
        yield Static(f"screen {self._number}")
        yield Static(id="clock")


class Empty(App[None]):
    """Draws the time once a second, as the console draws its clock."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *((number, f"switch_mode('{number}')", number) for number in "12345"),
        ("q", "quit", "Quit"),
    ]

    def on_mount(self) -> None:
        for number in "12345":
            self.add_mode(number, lambda number=number: Fixed(number))  # type: ignore[misc]
        self.switch_mode("1")
        self.set_interval(1.0, self._draw)

    def _draw(self) -> None:
        self.screen.query_one("#clock", Static).update(time.strftime("%H:%M:%S"))


if __name__ == "__main__":
    Empty().run()
