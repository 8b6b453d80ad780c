"""What the core advises on the command line, the console advises by its keys."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import storage_sync
from console.flows.sync import dialog_advice
from console.keys.table import KEYS as TABLE
from console.link.requests import Desk
from console.views.hints import KEYS, hint_in, hint_of, reason_and_hint
from storage_sync.cache.holders import advice_for
from storage_sync.reports.document import error_json
from storage_sync.service.commands import Do
from storage_sync.service.operations import Verify
from storage_sync.values.errors import CacheDamaged, LocalIO
from storage_sync.values.events import Refused
from storage_sync.values.next_step import COMMANDS, NextStep, in_commands
from storage_sync.values.outcome import HolderKind, LockHolder, error_value
from tests.console.app import console

CORE = Path(storage_sync.__file__).parent
ON_THE_WAY_IN = {"config", "packaging", "demo", "recording.py"}
"""Where errors end the program before the console is there."""
NO_KEY = (
    *("storage-sync --help", "storage-sync config init", "storage-sync exec", "storage-sync doctor"),
    *(
        "storage-sync repair --yes",
        "storage-sync rebuild --staged",
        "storage-sync verify --help",
        "storage-sync record",
    ),
)
"""Commands for which there is no key."""
DOES = "on|says|syncs|plans|shows|names|lists|looks|builds|takes|empties"
KEY_IN_A_HINT = re.compile(rf"(?<![\w-])([a-zA-Z0-9])(?= (?:{DOES})\b|\)|$)")


def hints() -> Iterator[str]:
    """Every text that the core gives as a hint, as it stands there."""
    for file in sorted(CORE.rglob("*.py")):
        if ON_THE_WAY_IN & set(file.relative_to(CORE).parts):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                yield from _texts(node.value)
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(ast.unparse(one).lower().endswith("hint") for one in targets):
                    yield from _texts(node.value)


def _texts(node: ast.expr) -> Iterator[str]:
    return (one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str))


def test_a_hint_with_a_command_that_has_a_key_is_a_value() -> None:
    found = [hint for hint in hints() if "storage-sync " in hint or " --plan" in hint or "--wait" in hint]
    assert [hint for hint in found if not any(one in hint for one in (*NO_KEY, "works with it"))] == []


@pytest.mark.parametrize("step", NextStep)
def test_each_front_end_words_each_step(step: NextStep) -> None:
    assert "storage-sync " in COMMANDS[step] or "--" in COMMANDS[step]
    assert not re.search(r"storage-sync [a-z]|--(?!token-file)", KEYS[step])
    known = {key.shown for key in TABLE}
    named = {found[1] for found in KEY_IN_A_HINT.finditer(KEYS[step])}
    assert named <= known
    assert named or step in (NextStep.WAIT_FOR_DO_MEMORY, NextStep.ASK_HOLDER)


def test_the_console_says_the_key_and_a_document_the_command() -> None:
    damaged = error_value(CacheDamaged("a page is damaged"))
    assert damaged.hint == "storage-sync repair --plan"
    assert hint_of(damaged) == "r says what can be saved"
    assert hint_in(error_json(damaged)) == "r says what can be saved"
    assert reason_and_hint(Refused.of(1, damaged)) == "a page is damaged; r says what can be saved"


@pytest.mark.parametrize("kind", HolderKind)
def test_who_holds_the_cache_is_judged_alike_by_the_dialog_and_the_commands(kind: HolderKind) -> None:
    holder = LockHolder(7, "python", "mem", None, True, kind)
    shown = dialog_advice(holder)
    assert ("normal" in shown) == (kind is HolderKind.DO_MEMORY)
    if kind is not HolderKind.DO_MEMORY:
        assert shown.removesuffix(".").lower() in in_commands(advice_for(holder)).lower()


def test_a_hint_that_is_no_step_is_said_as_it_is() -> None:
    full = error_value(LocalIO("the disk is full", hint="free some space"))
    assert (full.step, hint_of(full), hint_in(error_json(full))) == (None, "free some space", "free some space")
    assert hint_in({"hint": "storage-sync repair --plan", "step": "of a newer version"}) == "storage-sync repair --plan"
    assert reason_and_hint(Refused(1, "no", "")) == "no"


def test_who_asked_hears_the_step() -> None:
    _, bridge = console()
    heard: list[str] = []
    desk = Desk(bridge, lambda refused: heard.append(hint_of(refused)))
    number = desk.ask(Do(Verify()))
    desk.hear(Refused.of(number, CacheDamaged("damaged")))
    assert heard == ["r says what can be saved"]
