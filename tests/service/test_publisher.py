"""Pictures and events keep their order, and there are not too many pictures."""

from __future__ import annotations

from storage_sync.service.publisher import Board
from storage_sync.values.events import Event
from storage_sync.values.snapshot import Snapshot
from tests.support.scenes import snapshots

FIRST = snapshots.scene("in_sync").snapshot


class Heard:
    def __init__(self) -> None:
        self.all: list[Snapshot | Event] = []
        self.now = 100.0
        self.board = Board(FIRST, self.all.append, self.all.append, clock=lambda: self.now, monotonic=lambda: self.now)


def test_an_event_comes_after_the_picture_that_it_speaks_of() -> None:
    heard = Heard()
    heard.board.flush()
    heard.board.update(paused=True)
    heard.board.log("info", "sync", "the timer rests")
    first, second, event = heard.all
    assert isinstance(first, Snapshot)
    assert isinstance(second, Snapshot)
    assert (first.paused, second.paused) == (False, True)
    assert not isinstance(event, Snapshot)


def test_pictures_wait_for_each_other_and_lines_without_news_make_none() -> None:
    heard = Heard()
    heard.board.flush()
    for _ in range(10):
        heard.board.update(paused=not heard.board.snapshot.paused)
        heard.now += 0.001
    assert len(heard.all) == 1
    for _ in range(10):
        heard.board.log("info", "sync", "one line")
    assert sum(isinstance(one, Snapshot) for one in heard.all) <= 2
