"""The modules of the crate: what each names of the others goes one way, as between the rooms of the core."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "native" / "src"
NAMED = re.compile(r"\bcrate::(\w+|\{)")


def arrows() -> dict[str, set[str]]:
    """Each module with those that it names; a folder is one module, and `lib.rs`, which names all, is none."""
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.rs"):
        module = path.relative_to(SOURCE).parts[0].removesuffix(".rs")
        code = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
        if module != "lib":
            found.setdefault(module, set()).update(set(NAMED.findall(code)) - {module})
    return found


def test_no_module_of_the_crate_is_in_a_circle() -> None:
    named = arrows()
    assert set().union(*named.values()) <= set(named), "a grouped import hides what it names"
    assert len(list(TopologicalSorter(named).static_order())) == len(named) > 20
