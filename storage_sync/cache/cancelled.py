"""How blocking work of this package learns that it should stop."""

from __future__ import annotations

from typing import Protocol


class Cancelled(Protocol):
    """What `threading.Event` offers; set once the work should be given up."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool:
        """Returns True as soon as it is set, False after `timeout` seconds."""
        ...
