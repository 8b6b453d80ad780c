"""Textual's bindings, made from the key table."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from console.keys import EVERYWHERE, KEYS


def bindings(where: str) -> list[BindingType]:
    """Bindings of the application (`EVERYWHERE`) or of one screen; their ids allow a keymap."""
    scope = "" if where == EVERYWHERE else "app."
    return [
        Binding(key.keys, _scoped(key.action, scope), key.label, show=False, id=key.id, tooltip=key.tooltip)
        for key in KEYS
        if key.where == where and key.bound
    ]


def _scoped(action: str, scope: str) -> str:
    return action if action.startswith("screen.") else f"{scope}{action}"
