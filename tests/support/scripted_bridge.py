"""A bridge without a core: it shows what it is given and records what is asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from console.link.bridge import ANSWERS, Mailbox
from storage_sync.values.commands import Command
from storage_sync.values.events import Event
from storage_sync.values.snapshot import Snapshot


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
        self.asked: list[Command] = []
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

    def submit(self, kind: str, /, **arguments: object) -> int:
        command = Command(len(self.asked) + 1, kind, arguments)
        self.asked.append(command)
        return command.id

    def stop(self, timeout: float) -> bool:
        self.stopped = True
        return True
