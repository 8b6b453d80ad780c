"""One word for one thing, in plain English: texts, help, docstrings, comments, documents."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BANNED = re.compile(
    r"""
      \bset(s|ting)?\ (rows\ |it\ |them\ )?aside\b | \bset-aside\ rows | \bput(s)?\ ([\w{}]+\ ){0,4}back\b | \banew\b
    | \bonce\ more\b | \ball\ the\ same\b | \brefused\ rows?\b | \brows?\ (is|are|was|were)\ refused\b
    | \bhas\ moved\b | \bnothing\ vouches\b | \bstand\ on\ it\b | \bis\ at\ it\b | \b1\ rows\b | \btaken?\ for\ known\b
    | \bmoved\ since\ this\ plan\b | \bvoid\ if\ it\ moves\b | \brows\ that\ are\ not\ ours\ do\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What docs/glossary.md has another word for, and what a reader has to read twice."""
READ = [
    *(path for name in ("storage_sync", "console", "widgets") for path in sorted((ROOT / name).rglob("*.py*"))),
    *(path for name in ("native/src", "native/codec/src") for path in sorted((ROOT / name).rglob("*.rs"))),
    *(path for name in ("docs", "packaging") for path in sorted((ROOT / name).rglob("*.md"))),
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
]


def test_no_word_is_used_that_has_a_better_one() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in READ if path.suffix in (".py", ".pyi", ".rs", ".md")}
    assert len(texts) > 250
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if BANNED.search(line)
    ]
    assert found == []
