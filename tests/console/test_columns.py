"""Columns of every list: none lies beyond what the smallest terminal shows."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import console.screens
import console.views
from console.views.columns import Column, table_row
from widgets.glyphs import UNICODE
from widgets.line import plain, width_of

SMALLEST = 72
"""Cells of a list in a dialog at 80 columns."""


def tables() -> dict[str, tuple[Column, ...]]:
    found = {}
    for package in (console.views, console.screens):
        for one in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(one.name)
            for name, value in vars(module).items():
                if isinstance(value, tuple) and value and isinstance(value[0], Column):
                    found[f"{one.name}.{name}"] = value
    return found


@pytest.mark.parametrize(("name", "columns"), tables().items(), ids=list(tables()))
def test_all_columns_are_inside(name: str, columns: tuple[Column, ...]) -> None:
    row = [plain("x" * 200) for _ in columns]
    for width in range(SMALLEST, 220):
        assert width_of(table_row(columns, row, width, UNICODE)) <= width, name
