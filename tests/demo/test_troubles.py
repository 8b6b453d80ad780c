"""What goes wrong in the demo when somebody asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.flows.lessons import LESSONS
from storage_sync.demo.demo import Demo
from storage_sync.demo.troubles import TROUBLES, troublemaker
from tests.cli.conftest import Cli, clean_environment, cli

__all__ = ["clean_environment", "cli"]

FOUND = {
    "damage": ("verify", 5, "DAMAGED"),
    "hold": ("sync", 6, "STALE"),
    "stop_primary": ("sync", 4, "UNKNOWN"),
    "delete_most": ("sync", 9, "REFUSED"),
    "break_row": ("sync", 7, "IN_SYNC"),
    "orphan": ("verify", 1, "IN_SYNC"),
}


def test_every_trouble_has_a_lesson_and_every_lesson_its_trouble() -> None:
    assert [one.id for one in LESSONS] == list(TROUBLES) == list(FOUND)


@pytest.mark.parametrize("name", FOUND)
def test_a_trouble_is_what_the_tool_then_finds(name: str, tmp_path: Path, cli: Cli) -> None:
    demo = Demo.create(tmp_path, 3, 60)
    given = ("--config", str(demo.config_file))
    assert cli.json("sync", *given)[0] == 0
    command, code, word = FOUND[name]
    with troublemaker(demo) as troubles:
        if name == "hold":
            demo.grow(2, 1_900_000_000)
        troubles.cause(name)
        if name != "hold":
            troubles.end()
        else:
            wait_until_held(demo)
        found, document = cli.json(command, *given)
    assert (found, document["verdict"]) == (code, word)


def wait_until_held(demo: Demo) -> None:
    from storage_sync.cache.lease import cache_holders

    while not cache_holders(str(demo.cache)):
        pass


def test_a_primary_that_was_stopped_is_started_again(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, 3, 10)
    before = demo.primary.read_bytes()
    with troublemaker(demo) as troubles:
        troubles.cause("stop_primary")
        troubles.end()
        assert not demo.primary.exists()
        troubles.cause("stop_primary")
    assert demo.primary.read_bytes() == before


def test_what_nobody_knows_is_not_caused(tmp_path: Path) -> None:
    with troublemaker(Demo.create(tmp_path, 3, 10)) as troubles, pytest.raises(KeyError):
        troubles.cause("nothing")
