"""What a plan says in numbers: one source for the button, the total and the steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from console.views import plan as words
from storage_sync.values.outcome import Plan, PlanRow
from tests.support.scenes.plans import plan_of
from widgets.glyphs import Look
from widgets.line import text_of

BESIDE = frozenset({words.PRIMARY, "aside", "same", "refuse", "file", "open", "compact"})
"""Steps that write and remove no row of their own: old bytes of rows that another step writes, and what stays."""

REPOSITORY = Path(__file__).resolve().parents[2]


def kinds() -> Iterator[Plan]:
    yield from (plan_of(kind) for kind in ("sync", "repair", "rebuild"))
    made = plan_of("repair")
    steps = {
        "quarantine": (PlanRow("restore", "restore", 3, 9, ""), PlanRow("same", "already there", 2, None, "")),
        "orphans": (PlanRow("set-aside", "take out", 4, 40, ""), PlanRow("set-aside", "take out", 1, 10, "")),
        "undo": tuple(PlanRow(step, step, 5, None, "") for step in ("insert", "update", "remove")),
        "adopt": (PlanRow("fetch", "build a new file", 70, None, ""), PlanRow("refuse", "reject", 2, None, "")),
    }
    for kind, rows in steps.items():
        yield replace(made, kind=kind, rows=(*rows, PlanRow(words.PRIMARY, "primary", 0, 0, "never written")))


@pytest.mark.parametrize("plan", kinds(), ids=lambda plan: plan.kind)
def test_the_button_and_the_total_say_the_same_number(plan: Plan) -> None:
    label = words.run_label("Run", plan)
    text = "\n".join(text_of(line) for line in words.lines(plan, 96, "", Look()))
    found = re.search(r"total +([\d,]+) written +([\d,]+) removed", text)
    assert found is not None, text
    written, removed = (int(number.replace(",", "")) for number in found.groups())
    assert label == f"Run {written + removed:,}"
    stated = {"quarantine": (3, 0), "orphans": (0, 5), "undo": (10, 5), "adopt": (70, 0), "repair": (2_887, 0)}
    assert (written, removed) == stated.get(plan.kind, (written, removed))


def test_each_step_of_a_plan_writes_removes_or_does_neither() -> None:
    """A step that the core invents without a place here would be missing in the total."""
    places = (words.WRITES, words.REMOVES, BESIDE)
    assert sum(map(len, places)) == len(frozenset().union(*places))
    sources = "\n".join(file.read_text() for file in (REPOSITORY / "storage_sync").rglob("*.py"))
    steps = set(re.findall(r'PlanRow\(\s*"([a-z-]+)"', sources))
    assert len(steps) > 10
    assert steps <= frozenset().union(*places)


def test_a_plan_says_that_syncs_wait_for_it_only_where_they_do() -> None:
    for holds in (True, False):
        text = "\n".join(text_of(line) for line in words.lines(plan_of("sync"), 76, "rw", Look(), holds=holds))
        assert ("Automatic syncs wait while this is open, at most 2 min." in text) == holds
