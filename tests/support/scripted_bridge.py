"""A bridge without a core: it shows what it is given and records what is asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from console.link.bridge import ANSWERS, Mailbox
from storage_sync.service.commands import Command, Do
from storage_sync.values.events import Event
from storage_sync.values.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Asked:
    """One command and its number."""

    id: int
    command: Command[Any]

    @property
    def kind(self) -> type[object]:
        return kind_of(self.command)


def kind_of(command: Command[Any]) -> type[object]:
    """Its type; of an operation that needs no plan the operation's."""
    return type(command.operation) if isinstance(command, Do) else type(command)


class ScriptedBridge:
    """What the screens take for the bridge."""

    def __init__(
        self,
        snapshots: Sequence[Snapshot] = (),
        events: Iterable[Event] = (),
        *,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        self._snapshots = deque(snapshots)
        self._mailbox = Mailbox()
        self._monotonic = monotonic
        self.started = False
        self.stopped = False
        self.asked: list[Asked] = []
        self._answered: Callable[[], object] | None = None
        for event in events:
            self._mailbox.post(event)

    def start(self, answered: Callable[[], object] | None = None) -> None:
        self.started = True
        self._answered = answered

    def latest(self) -> Snapshot | None:
        """The next snapshot of the script; the last one stays. With a clock its heart beats by itself."""
        if self._snapshots:
            self._mailbox.put(self._snapshots[0])
            if len(self._snapshots) > 1:
                self._snapshots.popleft()
        return self._mailbox.newest(None if self._monotonic is None else self._monotonic())

    def show(self, snapshot: Snapshot) -> None:
        """Replace what is left of the script."""
        self._snapshots = deque((snapshot,))

    def post(self, event: Event) -> None:
        self._mailbox.post(event)
        if self._answered is not None and isinstance(event, ANSWERS):
            self._answered()

    def drain(self) -> list[Event]:
        return self._mailbox.take()

    def submit(self, command: Command[object]) -> int:
        self.asked.append(Asked(len(self.asked) + 1, command))
        return len(self.asked)

    def stop(self, timeout: float) -> bool:
        self.stopped = True
        return True
