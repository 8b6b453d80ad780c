"""A line to type in. Characters that cannot be seen do not get into it: not by a paste, not from a file."""

from __future__ import annotations

from textual.widgets import Input

from storage_sync.values.visible import without_hidden


class Entry(Input):
    """As `Input`; its value is what is seen."""

    def validate_value(self, value: str) -> str:
        return without_hidden(value)
