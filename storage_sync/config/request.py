"""What a front end asks the core for, as one value; light to import."""

from __future__ import annotations

from msgspec import Struct

from storage_sync.config.settings import Settings
from storage_sync.config.token import Token
from storage_sync.values.options import USUAL, Options


class Request(Struct, frozen=True):
    """One run's stores, its options and its limits. `deadline`: seconds from the start of the command."""

    settings: Settings
    token: Token | None
    options: Options = USUAL
    deadline: float | None = None
    max_attempts: int = 3
    trigger: str = "manual"
    """Why it runs (`schedule.Trigger`)."""
