"""What is drawn in which cells of a row, for clicks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")
Span = tuple[T, int, int]
"""What is drawn, its first cell, and the cell after its last."""


def under(spans: Iterable[Span[T]], x: int) -> T | None:
    """What a click in cell `x` is on."""
    return next((drawn for drawn, first, after in spans if first <= x < after), None)
