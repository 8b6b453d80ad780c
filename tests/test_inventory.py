"""Whatever the product offers has somebody who uses it, and a test: settings, metrics, states, events, exit codes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import fields
from vulture import Vulture

from storage_sync import _native
from storage_sync.config.settings import FIELDS, Field
from storage_sync.reports.metrics import Facts, render
from storage_sync.values import errors, events, extra
from storage_sync.values.outcome import CacheState, CheckStatus, HolderKind, Purpose, Word
from storage_sync.values.snapshot import LockState, Phase, PrimaryStatus, StepState

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = {path: path.read_text(encoding="utf-8") for name in ("storage_sync", "console", "widgets")
           for path in sorted((ROOT / name).rglob("*.py"))}  # fmt: skip
TESTS = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__)
)
DOCUMENTS = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
FIELDS_OF_DOCUMENTS = ROOT / "storage_sync" / "values" / "extra.py"
"""Names that are read by whoever reads a document."""
CALLED_BY_OTHERS = [
    *("on_*", "action_*", "key_*", "watch_*", "validate_*", "compose", "discover", "control", "delay", "delay_update"),
    *("BINDINGS", "COMMANDS", "TITLE", "CSS_PATH", "DEFAULT_CSS", "AUTO_FOCUS", "COMPONENT_CLASSES", "*_BREAKPOINTS"),
    *("border_title", "border_subtitle", "can_focus", "virtual_size", "max_height", "_run_input_thread"),
    *("command_class", "group_class", "handleError", "text_factory", "explanation", "closed", "details", "__call__"),
    "__getattr__",
    *("tool", "primary_url", "ctime_ns", "EIGHT_BIT"),
]
"""Names that Textual, click, logging, sqlite3, libsql_client and scripts call or read, fields that are stored or
compared with their whole value, and members of an enum that are made of a value."""
VALUES = (CacheState, Word, CheckStatus, HolderKind, Purpose, LockState, Phase, PrimaryStatus, StepState)


@cache
def trees() -> dict[Path, ast.Module]:
    """What the product's files say, parsed by whoever needs it first and not when tests are collected."""
    return {path: ast.parse(text) for path, text in PRODUCT.items()}


def nodes(kind: type[ast.AST], outside: str = "") -> Iterator[ast.AST]:
    """Those of the product; `outside`: but for this file."""
    for path, tree in trees().items():
        if not outside or not str(path).endswith(outside):
            yield from (node for node in ast.walk(tree) if isinstance(node, kind))


def test_nothing_of_the_product_is_there_for_tests_alone() -> None:
    search = Vulture(ignore_names=CALLED_BY_OTHERS, ignore_decorators=["@*.command*"])
    search.scavenge([str(path) for path in PRODUCT if path != FIELDS_OF_DOCUMENTS])
    unused = [f"{item.filename}:{item.first_lineno} {item.name}" for item in search.get_unused_code(60)]
    assert unused == []


def test_each_field_of_a_document_is_written() -> None:
    typed = {name for kind in vars(extra).values() for name in getattr(kind, "__annotations__", ())}
    written = "\n".join(text for path, text in PRODUCT.items() if path != FIELDS_OF_DOCUMENTS)
    assert len(typed) > 100
    assert [name for name in sorted(typed) if not re.search(rf'"{name}"|\b{name}[=:]', written)] == []


def test_each_native_function_has_a_caller() -> None:
    stub = ast.parse((ROOT / "storage_sync" / "_native.pyi").read_text(encoding="utf-8"))
    offered = [node.name for node in ast.walk(stub) if isinstance(node, ast.FunctionDef)]
    used = "\n".join(PRODUCT.values())
    assert [name for name in offered if not name.startswith("__") and not re.search(rf"\b{name}\b", used)] == []
    assert {node.name for node in stub.body if isinstance(node, ast.FunctionDef)} <= set(dir(_native))


@cache
def read() -> set[str]:
    """Names of the settings that something reads."""
    return {
        node.attr
        for node in nodes(ast.Attribute, outside="config/settings.py")
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith(("settings", "ui"))
    }


@pytest.mark.parametrize("setting", FIELDS, ids=lambda setting: setting.name)
def test_each_setting_has_an_effect_and_a_test(setting: Field) -> None:
    name = setting.name.rpartition(".")[2]
    assert name in read()
    forms = (name, setting.key, setting.variable, f"--{name.removesuffix('_s').replace('_', '-')}")
    assert any(re.search(rf"(?<![\w-]){re.escape(form)}\b", TESTS) for form in forms)


METRICS = re.findall(r"^# HELP (\S+)", render(Facts()).decode(), re.MULTILINE)


@pytest.mark.parametrize("metric", METRICS)
def test_each_metric_is_documented_and_has_a_test(metric: str) -> None:
    assert re.search(rf"`{metric}`", DOCUMENTS)
    assert re.search(metric.removeprefix("storage_sync_").removesuffix("_total"), TESTS)


def test_each_fact_of_the_metrics_has_a_producer() -> None:
    given = {
        keyword.arg
        for path, tree in trees().items()
        if path.name == "metric_facts.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Facts", "replace")
        for keyword in node.keywords
    }
    assert {field.name for field in fields(Facts)} - given == set()


@cache
def made() -> set[str]:
    """Members of enums that are given to a call."""
    return {
        ast.unparse(part)
        for node in nodes(ast.Call)
        if isinstance(node, ast.Call) and ast.unparse(node.func) not in ("frozenset", "set")
        for argument in (*node.args, *(keyword.value for keyword in node.keywords))
        for part in (argument, *([argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else ()))
        if isinstance(part, ast.Attribute)
    }


@cache
def named() -> set[str]:
    """Whatever the product names with a dot."""
    return {ast.unparse(node) for node in nodes(ast.Attribute, outside="values/outcome.py")}


@cache
def called() -> set[str]:
    """Whatever the product calls."""
    return {ast.unparse(node.func) for node in nodes(ast.Call) if isinstance(node, ast.Call)}


@cache
def tabulated() -> set[str]:
    """The values of all tables: what is made of one that is looked up."""
    return {ast.unparse(value) for node in nodes(ast.Dict) if isinstance(node, ast.Dict) for value in node.values}


@pytest.mark.parametrize("state", CacheState)
def test_each_state_of_the_cache_can_occur_is_documented_and_has_a_test(state: CacheState) -> None:
    assert f"CacheState.{state.name}" in made() or f"str(CacheState.{state.name})" in made()
    assert f"`{state}`" in DOCUMENTS
    assert re.search(rf"\b{state}\b", TESTS)


@pytest.mark.parametrize("word", Word)
def test_each_verdict_is_documented_and_has_a_test(word: Word) -> None:
    assert f"| `{word}` |" in DOCUMENTS
    assert f"Word.{word}" in TESTS


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_each_member_of_an_enum_is_named_somewhere(kind: type) -> None:
    members = [member.name for member in kind]  # type: ignore[attr-defined]
    assert [name for name in members if f"{kind.__name__}.{name}" not in named()] == []


EVENTS = events.Event.__args__


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_each_event_is_sent_and_heard(event: type) -> None:
    heard = re.compile(rf"isinstance\([^)]*\b{event.__name__}\b|case {event.__name__}\b")
    listeners = "".join(
        text for path, text in PRODUCT.items() if path.parts[len(ROOT.parts)] == "console" or path.parts[-2] == "watch"
    )
    assert event.__name__ in called()
    assert heard.search(listeners)


ERRORS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.StorageSyncError)
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_each_error_is_raised_and_its_exit_code_documented(error: type[errors.StorageSyncError]) -> None:
    assert error.__name__ in called() | tabulated()
    assert re.search(rf"^\| [^|]*\b{error.exit_code}\b", DOCUMENTS, re.MULTILINE)
    assert f"`{error.code}`" in DOCUMENTS
    assert re.search(rf"\b{error.code}\b|{error.__name__}", TESTS)
