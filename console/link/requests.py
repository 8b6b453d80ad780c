"""Questions to the core and who waits for their answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from console.link.bridge import Bridge
from storage_sync.service.commands import Command
from storage_sync.values.events import Accepted, Answer, Event, Progressed, Refused

T = TypeVar("T")
OnRefused = Callable[[Refused], None]
OnProgress = Callable[[Progressed], None]
CORE_ENDED = "the sync core has ended before it answered"


class _Waiting(Struct, frozen=True):
    answered: Callable[[Any], None] | None
    refused: OnRefused
    progressed: OnProgress | None = None


class Desk:
    """Gives each question to the bridge and its answer to the one who asked; a refusal is never lost."""

    def __init__(self, bridge: Bridge, on_refused: OnRefused) -> None:
        self._bridge = bridge
        self._on_refused = on_refused
        self._waiting: dict[int, _Waiting] = {}

    def ask(
        self, command: Command[T], answered: Callable[[T], None] | None = None, refused: OnRefused | None = None
    ) -> int:
        number = self._bridge.submit(command)
        self._waiting[number] = _Waiting(answered, refused or self._on_refused)
        return number

    def follow(self, number: int, progressed: OnProgress) -> None:
        """Who hears how far a question is, until it is answered."""
        if number in self._waiting:
            self._waiting[number] = replace(self._waiting[number], progressed=progressed)

    def forget(self, number: int) -> None:
        """The answer is no longer wanted; a late one is dropped."""
        if number in self._waiting:
            self._waiting[number] = _Waiting(None, _drop)

    def give_up(self) -> None:
        """Nobody will answer now: say so to everyone who waits."""
        waiting, self._waiting = self._waiting, {}
        for number, one in waiting.items():
            if one.answered is not None:
                one.refused(Refused(number, CORE_ENDED, "q quits; start the console again"))

    def hear(self, event: Event) -> bool:
        """Route an event that answers a question; whether it was one."""
        if isinstance(event, Accepted):
            return True
        if isinstance(event, Answer):
            waiting = self._waiting.pop(event.command_id, None)
            if waiting is not None and waiting.answered is not None:
                waiting.answered(event.value)
            return True
        if isinstance(event, Progressed):
            waiting = self._waiting.get(event.command_id)
            if waiting is not None and waiting.progressed is not None:
                waiting.progressed(event)
            return True
        if isinstance(event, Refused):
            waiting = self._waiting.pop(event.command_id, None)
            (waiting.refused if waiting is not None else self._on_refused)(event)
            return True
        return False


def _drop(_: Refused) -> None:
    """Nobody waits for it now."""
