"""A command that the tests fork is the one that an operator starts: the same files, document, messages and end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import forker, stores
from tests.support.command import TIMEOUT, Result, Tool

COMMANDS = (
    ("status",),
    ("sync",),
    ("verify",),
    ("history",),
    ("rebuild",),
    ("quarantine", "list"),
    ("sync", "--no-such-option"),
)


def started(tool: Tool, *words: str) -> Result:
    with tool.start(*words) as process:
        out, err = process.communicate(timeout=TIMEOUT)
    return Result(process.returncode, out, err)


def forked(tool: Tool, *words: str) -> Result:
    ended = forker.run([*words, *tool.arguments], tool.variables, TIMEOUT)
    assert ended is not None
    return Result(*ended)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_both_ways_end_alike(words: tuple[str, ...], tmp_path: Path) -> None:
    primary = stores.primary("small", tmp_path / "primary")
    results, files = [], []
    for run in (started, forked):
        tool = Tool.at(tmp_path / run.__name__, f"file:{primary}")
        result = run(tool, *words, "--json")
        document = result.document
        said = (document.get("verdict"), document.get("counts"), sorted(document))
        # what it takes is told in other words by its length
        told = re.sub(r"\d[\d.]*", "#", re.sub(r"takes: .*", "", result.stderr.replace(str(tool.folder), "")))
        results.append((result.exit_code, told, *said))
        files.append({path.relative_to(tool.folder) for path in tool.folder.rglob("*")})
    assert results[0] == results[1]
    assert files[0] == files[1]


def test_a_variable_that_an_interpreter_reads_asks_for_a_start(tmp_path: Path) -> None:
    tool = Tool.at(tmp_path, "file:none", PYTHONOPTIMIZE="1")
    assert forker.run(["--version"], tool.variables, TIMEOUT) is None
    assert tool.run("status").exit_code == started(tool, "status").exit_code
