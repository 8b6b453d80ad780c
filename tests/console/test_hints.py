"""What the core advises on the command line, the console advises by its keys."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import storage_sync
from console.link.requests import Desk
from console.views.hints import in_keys
from storage_sync.service.commands import Do
from storage_sync.service.operations import Verify
from storage_sync.values.events import Refused
from tests.console.app import console

CORE = Path(storage_sync.__file__).parent
ON_THE_WAY_IN = {"config.py", "first_run.py", "recording.py"}
"""Modules whose errors end the program before the console is there."""
NO_KEY = ("storage-sync --help", "storage-sync config init", "storage-sync exec")


def hints() -> Iterator[str]:
    """Every text that the core gives as a hint."""
    for file in sorted(CORE.rglob("*.py")):
        if file.name in ON_THE_WAY_IN:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = [node.arg] if isinstance(node, ast.keyword) else []
            if isinstance(node, ast.Assign):
                named = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if named and named[0] in {"hint", "default_hint"} and isinstance(node, ast.keyword | ast.Assign):
                yield from _texts(node.value)


def _texts(node: ast.expr) -> Iterator[str]:
    return (one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str))


def test_every_command_of_a_hint_has_its_key() -> None:
    found = [hint for hint in hints() if "storage-sync " in hint]
    assert len(found) > 8
    said = [in_keys(hint) for hint in found]
    assert [hint for hint in said if "storage-sync" in hint and not any(one in hint for one in NO_KEY)] == []


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("storage-sync repair --plan says what can be saved", "r says what can be saved"),
        (
            "wait with --wait SECONDS, or look through a copy with storage-sync peek",
            "wait, or look through a copy with p on 1",
        ),
        ("storage-sync undo, or quarantine restore: the same bytes", "u, or quarantine restore: the same bytes"),
        ("sync --plan lists them; sync --allow-shrink removes them", "s lists them; s removes them"),
        ("storage-sync sync --plan shows what would change", "s shows what would change"),
        (
            "check the URL (storage-sync config show); sync --adopt builds a new one",
            "check the URL (5); A on 1 builds a new one",
        ),
        ("check the path", "check the path"),
        ("storage-sync synchronise", "storage-sync synchronise"),
    ],
)
def test_a_hint_names_the_key(hint: str, said: str) -> None:
    assert in_keys(hint) == said


def test_who_asked_hears_the_key() -> None:
    _, bridge = console()
    heard: list[str] = []
    desk = Desk(bridge, lambda refused: heard.append(refused.hint))
    number = desk.ask(Do(Verify()))
    desk.hear(Refused(number, "damaged", "storage-sync repair --plan says what can be saved"))
    assert heard == ["r says what can be saved"]
