"""Textual's bindings, made from the key table."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from console.keys.table import EVERYWHERE, KEYS

OPENS_BOX = "screen.filter"
"""Done before the next key is looked at: what was typed in the same burst belongs into the box."""


def bindings(where: str) -> list[BindingType]:
    """Bindings of the application (`EVERYWHERE`) or of one screen; their ids allow a keymap."""
    scope = "" if where == EVERYWHERE else "app."
    return [
        Binding(
            key.keys,
            _scoped(key.action, scope),
            key.label,
            show=False,
            id=key.id,
            tooltip=key.tooltip,
            priority=key.action == OPENS_BOX,
        )
        for key in KEYS
        if key.where == where and key.bound
    ]


def _scoped(action: str, scope: str) -> str:
    return action if action.startswith("screen.") else f"{scope}{action}"
