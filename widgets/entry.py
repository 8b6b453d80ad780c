"""A line to type in. Characters that cannot be seen do not get into it: not by a paste, not from a file."""

from __future__ import annotations

from textual.widgets import Input

from widgets import fmt


class Entry(Input):
    """As `Input`; its value is what is seen."""

    def validate_value(self, value: str) -> str:
        return fmt.without_hidden(value)
