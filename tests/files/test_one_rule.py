"""One room makes, replaces, renames and opens files for writing; nothing else in the tree does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOM = ROOT / "storage_sync" / "files"
SOURCES = [
    path
    for folder in ("storage_sync", "console", "widgets")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.is_relative_to(ROOM)
]

_OF_OS = {"rename", "renames", "replace", "link", "symlink", "mkfifo", "mknod", "creat"}
_OF_PATHS = {"write_text", "write_bytes", "touch", "rename", "hardlink_to", "symlink_to", "link_to"}
_OF_OTHERS = {"copyfile", "copy2", "copytree", "move", "mkstemp", "NamedTemporaryFile", "mktemp", "FileHandler"}
_CREATING = {"O_CREAT", "O_TRUNC", "O_TMPFILE", "O_APPEND"}


def writes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each call that makes, renames or opens a file for writing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in _CREATING and not _passed_on(node, tree):
            yield node.lineno, node.attr
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in _OF_OS:
                yield node.lineno, f"os.{name}"
            case ast.Attribute(attr=name) if name in _OF_PATHS | _OF_OTHERS:
                yield node.lineno, name
            case ast.Attribute(attr="replace") if len(node.args) == 1 and not node.keywords:
                yield node.lineno, "Path.replace"
            case ast.Name(id="open") | ast.Attribute(attr="open" | "fdopen"):
                if any(set(mode) & set("wax+") for mode in _modes(node)):
                    yield node.lineno, "open for writing"
            case _:
                pass


def _modes(call: ast.Call) -> Iterator[str]:
    """The texts among the arguments that can be a mode."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    for value in (*call.args, *named):
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and set(value.value) <= set("rwaxbt+"):
            yield value.value


def _passed_on(flag: ast.Attribute, tree: ast.AST) -> bool:
    """Whether the flag is only handed to `own_file`, which does the opening."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "own_file"
        and any(part is flag for part in ast.walk(node))
        for node in ast.walk(tree)
    )


ALLOWED = {
    ("console/cli/log_file.py", "open for writing"),  # the descriptor is that of `own_file`
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_one_room_writes_files(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    found = [(line, what) for line, what in writes(ast.parse(path.read_text())) if (name, what) not in ALLOWED]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "os.replace(a, b)",
        "os.rename(a, b)",
        "path.rename(other)",
        "path.replace(other)",
        "path.write_text('x')",
        "path.write_bytes(b'x')",
        "path.open('wb')",
        "open(path, 'a')",
        "open(path, mode='r+b')",
        "os.fdopen(d, 'w')",
        "os.open(p, os.O_WRONLY | os.O_CREAT)",
        "shutil.copyfile(a, b)",
        "tempfile.mkstemp()",
        "logging.FileHandler(p)",
        "gzip.open(p, 'wb')",
        "os.link(a, b)",
    ],
)
def test_the_rule_sees_each_way_to_write(text: str) -> None:
    assert list(writes(ast.parse(text)))


@pytest.mark.parametrize("text", ["text.replace('a', 'b')", "replace(value, a=1)", "path.open('rb')", "os.open(p, 0)"])
def test_the_rule_leaves_the_rest_alone(text: str) -> None:
    assert not list(writes(ast.parse(text)))
