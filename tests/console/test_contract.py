"""Borders of the house: who imports whom, where threads are, where colours and keys are written."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONSOLE = [path for path in sorted((ROOT / "console").rglob("*.py")) if "cli" not in path.relative_to(ROOT).parts]
WIDGETS = sorted((ROOT / "widgets").rglob("*.py"))


def loaded_after(statement: str) -> set[str]:
    program = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def packages(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_widgets_know_neither_the_console_nor_the_core() -> None:
    modules = ", ".join(f"widgets.{path.stem}" for path in WIDGETS if path.stem != "__init__")
    assert not packages(loaded_after(f"import {modules}")) & {"console", "storage_sync"}


def test_the_core_imports_no_textual() -> None:
    modules = loaded_after("import storage_sync.values.snapshot, storage_sync.service.service")
    assert not packages(modules) & {"textual", "rich", "console", "widgets"}


def test_the_console_imports_the_core_only_in_its_thread() -> None:
    modules = loaded_after("import console.app.app")
    assert not packages(modules) & {"aiohttp", "watchfiles", "libsql_client", "numpy", "prometheus_client"}
    assert "storage_sync.service.service" not in modules
    assert "storage_sync._native" not in modules


def test_keys_are_listed_without_textual() -> None:
    assert "textual" not in packages(loaded_after("import console.keys.table"))


def names_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg


@pytest.mark.parametrize("path", [*CONSOLE, *WIDGETS], ids=lambda path: str(path.relative_to(ROOT)))
def test_threads_are_in_the_bridge_only(path: Path) -> None:
    forbidden = {"threading", "concurrent.futures", "call_from_thread", "to_thread", "run_in_executor", "thread"}
    found = forbidden & set(names_in(path))
    assert not found or path.name == "bridge.py"


def test_there_is_one_timer() -> None:
    timers = [
        path.name for path in [*CONSOLE, *WIDGETS] for name in names_in(path) if name in {"set_interval", "set_timer"}
    ]
    assert timers == ["app.py"]


@pytest.mark.parametrize("path", [*CONSOLE, *WIDGETS], ids=lambda path: str(path.relative_to(ROOT)))
def test_colours_are_in_the_themes_only(path: Path) -> None:
    colours = re.findall(r"#[0-9a-fA-F]{6}\b", path.read_text(encoding="utf-8"))
    assert not colours or path.name == "themes.py"


def test_the_stylesheet_has_no_colour_of_its_own() -> None:
    text = (ROOT / "console" / "app" / "console.tcss").read_text(encoding="utf-8")
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b(?=\s*[;%])", text)


NO_PUBLIC_WAY = {("textual_overrides.py", "_handle_exception"), ("driver.py", "_handle_exception")}
"""Textual offers no other hook; `test_a_bug_of_the_screen` notices when the name goes."""


@pytest.mark.parametrize("path", [*CONSOLE, *WIDGETS], ids=lambda path: str(path.relative_to(ROOT)))
def test_only_textuals_public_names_are_used(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    private = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
        and (path.name, node.attr) not in NO_PUBLIC_WAY
    ]
    assert private == []


@pytest.mark.parametrize("path", WIDGETS, ids=lambda path: path.name)
def test_a_widget_never_touches_the_application(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "app"]


def test_files_stay_small_enough_to_hold_in_the_mind() -> None:
    long = [path.name for path in [*CONSOLE, *WIDGETS] if len(path.read_text(encoding="utf-8").splitlines()) > 560]
    assert long == []
