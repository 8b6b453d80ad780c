"""What a flow may use of the application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from console.dialogs.dialog import Dialog
from console.keys.table import Key
from console.link.requests import Desk
from console.views.log_buffer import Journal
from console.views.ui_settings import Clock
from storage_sync.values.snapshot import Snapshot
from widgets.glyphs import Look

T = TypeVar("T")


class Stage(Protocol):
    """The application, as the flows see it."""

    look: Look
    desk: Desk
    journal: Journal
    clock: Clock
    key_table: tuple[Key, ...]

    @property
    def snapshot(self) -> Snapshot:
        """The newest picture of the core."""
        ...

    @property
    def running(self) -> bool:
        """Whether an operation runs now."""
        ...

    def show(self, dialog: Dialog[T], answered: Callable[[T | None], None] | None = None) -> None:
        """Open a dialog; `answered` gets its result."""
        ...

    def say(self, text: str, *, failed: bool = False) -> None:
        """A toast."""
        ...
