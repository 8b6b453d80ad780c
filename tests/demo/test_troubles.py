"""What goes wrong in the demo when somebody asks for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from console.flows.lessons import LESSONS
from storage_sync.cache.lease import cache_holders
from storage_sync.demo.beginning import begin
from storage_sync.demo.demo import Demo
from storage_sync.demo.troubles import TROUBLES, Caused, troublemaker
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
        assert asyncio.run(troubles.cause(name)) == Caused()
        found, document = cli.json(command, *given)
    assert (found, document["verdict"]) == (code, word)


ENDED = ("stop_primary", "delete_most", "break_row")
"""Troubles of the primary that the same ends."""


@pytest.mark.parametrize("name", ENDED)
def test_a_trouble_of_the_primary_is_ended_by_the_same_again(name: str, tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, 3, 40)
    asked = "SELECT episode_id, steps = '{broken' FROM episodes ORDER BY 1"
    tags = "SELECT count(*) FROM episode_tags"
    before, tagged = rows(demo.primary, asked), rows(demo.primary, tags)
    with troublemaker(demo) as troubles:
        assert not troubles.stands(name)
        assert asyncio.run(troubles.cause(name)) == Caused()
        assert troubles.stands(name)
        assert not demo.primary.exists() or rows(demo.primary, asked) != before
        assert asyncio.run(troubles.cause(name)) == Caused(ended=True)
        assert not troubles.stands(name)
        assert (rows(demo.primary, asked), rows(demo.primary, tags)) == (before, tagged)
        assert asyncio.run(troubles.cause(name)) == Caused()
        assert not demo.primary.exists() or rows(demo.primary, asked) != before


def test_a_lesson_says_one_way_and_has_words_for_the_other_where_there_is_one() -> None:
    for one in LESSONS:
        assert (one.end is not None) is (one.id in {"hold", *ENDED})
        assert " or " not in f"{one.make.hint} {one.end.hint if one.end is not None else ''}".lower()


def test_the_demo_begins_with_a_broken_row_which_the_first_choice_repairs(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, 3, 10)
    begin(demo)
    with troublemaker(demo) as troubles:
        assert asyncio.run(troubles.cause("break_row")) == Caused(ended=True)


def test_a_cache_that_is_held_is_let_go_by_the_same_again(tmp_path: Path, cli: Cli) -> None:
    demo = Demo.create(tmp_path, 3, 10)
    cli.json("sync", "--config", str(demo.config_file))
    with troublemaker(demo) as troubles:
        assert asyncio.run(troubles.cause("hold")) == Caused()
        assert cache_holders(str(demo.cache))
        assert troubles.stands("hold")
        assert asyncio.run(troubles.cause("hold", ends=True)) == Caused(ended=True)
        assert not troubles.stands("hold")
        troubles.end()
        # its process may have ended by itself since somebody read that it stands
        assert asyncio.run(troubles.cause("hold", ends=True)) == Caused(ended=True)
        assert not cache_holders(str(demo.cache))
        assert asyncio.run(troubles.cause("hold")) == Caused()
        assert cache_holders(str(demo.cache))


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
        asyncio.run(troubles.cause("nothing"))


def test_a_primary_that_cannot_come_back_is_said(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, 3, 10)
    with troublemaker(demo) as troubles:
        assert asyncio.run(troubles.cause("stop_primary")) == Caused()
        for name in ("many", "delete_most", "break_row"):
            assert asyncio.run(troubles.cause(name)) == Caused(prevented="the primary is stopped; start it again first")
        assert not demo.primary.exists()
        demo.primary.touch()
        said = asyncio.run(troubles.cause("stop_primary"))
        assert said == Caused(prevented=f"there is already a file {demo.primary}; move it away first")
        demo.primary.unlink()
        assert asyncio.run(troubles.cause("stop_primary")) == Caused(ended=True)
    assert rows(demo.primary, "SELECT count(*) FROM episodes") == [(10,)]


def test_what_a_held_cache_keeps_from_happening_is_said(tmp_path: Path, cli: Cli) -> None:
    demo = Demo.create(tmp_path, 3, 10)
    cli.json("sync", "--config", str(demo.config_file))
    with troublemaker(demo) as troubles:
        assert asyncio.run(troubles.cause("hold")) == Caused()
        assert asyncio.run(troubles.cause("orphan")).prevented


def test_nothing_of_the_tool_makes_a_file_at_the_primarys_place(tmp_path: Path, cli: Cli) -> None:
    """It would keep the primary from coming back."""
    demo = Demo.create(tmp_path, 3, 10)
    given = ("--config", str(demo.config_file))
    assert cli.json("sync", *given)[0] == 0
    TROUBLES["stop_primary"](demo)
    for command in (("sync",), ("sync", "--dry-run"), ("verify",), ("diff",), ("doctor",), ("status",), ("ping",)):
        cli.json(*command, *given)
        assert not demo.primary.exists(), command
    TROUBLES["stop_primary"](demo)
    assert cli.json("sync", *given)[0] == 0
