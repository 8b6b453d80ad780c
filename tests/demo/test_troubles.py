"""What goes wrong in the demo when somebody asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.flows.lessons import LESSONS
from storage_sync.cache.lease import cache_holders
from storage_sync.demo.beginning import begin
from storage_sync.demo.demo import Demo
from storage_sync.demo.troubles import TROUBLES, troublemaker
from tests.cli.conftest import Cli, clean_environment, cli
from tests.demo.test_demo import rows

__all__ = ["clean_environment", "cli"]

FOUND = {
    "many": ("sync", 0, "IN_SYNC"),
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
    while not cache_holders(str(demo.cache)):
        pass


@pytest.mark.parametrize("name", ["stop_primary", "delete_most", "break_row"])
def test_a_trouble_of_the_primary_is_ended_by_the_same_again(name: str, tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, 3, 40)
    asked = "SELECT episode_id, steps = '{broken' FROM episodes ORDER BY 1"
    tags = "SELECT count(*) FROM episode_tags"
    before, tagged = rows(demo.primary, asked), rows(demo.primary, tags)
    TROUBLES[name](demo)
    assert not demo.primary.exists() or rows(demo.primary, asked) != before
    TROUBLES[name](demo)
    assert (rows(demo.primary, asked), rows(demo.primary, tags)) == (before, tagged)
    TROUBLES[name](demo)
    assert not demo.primary.exists() or rows(demo.primary, asked) != before


def test_a_cache_that_is_held_is_let_go_by_the_same_again(tmp_path: Path, cli: Cli) -> None:
    demo = Demo.create(tmp_path, 3, 10)
    cli.json("sync", "--config", str(demo.config_file))
    with troublemaker(demo) as troubles:
        troubles.cause("hold")
        wait_until_held(demo)
        troubles.cause("hold")
        troubles.end()
        assert not cache_holders(str(demo.cache))
        troubles.cause("hold")
        wait_until_held(demo)


def test_the_cache_is_damaged_where_rows_are(tmp_path: Path, cli: Cli) -> None:
    """Also when commits left free pages behind: zeros there would be no damage."""
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        demo = Demo.create(folder, seed, 30)
        begin(demo)
        TROUBLES["damage"](demo)
        code, document = cli.json("verify", "--config", str(demo.config_file))
        assert (code, document["verdict"]) == (5, "DAMAGED")


def test_what_nobody_knows_is_not_caused(tmp_path: Path) -> None:
    with troublemaker(Demo.create(tmp_path, 3, 10)) as troubles, pytest.raises(KeyError):
        troubles.cause("nothing")
