"""What the documents and the comments cite exists."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from console.cli.commands import storage_sync
from console.views.glossary import WORDS
from storage_sync.values import extra

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "packaging" / "README.md"])
CITATION = re.compile(r"docs/([a-z]+\.md)(?:#([a-z0-9-]+))?")
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]*))?\)")
COMMAND = re.compile(r"storage-sync ((?:[a-z]+ ?)+)")
SOURCES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "*.py", "*.pyi", "*.rs", "*.toml", "Makefile"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.split()
]


def anchors(document: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


ANCHORS = {document.name: anchors(document) for document in (ROOT / "docs").glob("*.md")}


def test_each_citation_in_the_code_exists() -> None:
    cited = [
        (path.relative_to(ROOT), document, anchor)
        for path in SOURCES
        for document, anchor in CITATION.findall(path.read_text(encoding="utf-8"))
        if path != Path(__file__).resolve()
    ]
    missing = [
        entry for entry in cited if entry[2] not in {"", *ANCHORS.get(entry[1], set())} or entry[1] not in ANCHORS
    ]
    assert len(cited) > 100
    assert missing == []


def test_nothing_is_cited_but_documents_of_this_repository() -> None:
    names = "|".join(re.escape(name) for name in (*(set(ANCHORS) - {"README.md"}), "specification.md", "house.md"))
    stray = re.compile(rf'(?<![\w/"-])({names})\b')
    found = [
        (path.relative_to(ROOT), match)
        for path in SOURCES
        if path != Path(__file__).resolve()
        for match in stray.findall(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_link_leads_somewhere(document: Path) -> None:
    for target, anchor in LINK.findall(document.read_text(encoding="utf-8")):
        path = document if not target else (document.parent / target).resolve()
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), f"{target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_command_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    code = [*re.findall(r"`([^`\n]+)`", text), *re.findall(r"^(?:    |\$ )(.+)$", text, re.MULTILINE)]
    for words in (found.split() for line in code for found in COMMAND.findall(line)):
        command: click.Command = storage_sync
        for word in words:
            if not isinstance(command, click.Group):
                break
            assert word in command.commands, " ".join(words)
            command = command.commands[word]


PRINTING = [
    *(ROOT / "console" / "cli" / f"{name}.py" for name in ("local", "quarantine", "recordings", "service")),
    *(ROOT / "storage_sync" / "reports" / f"{name}.py" for name in ("document", "status")),
    ROOT / "storage_sync" / "recovery" / "salvage.py",
    ROOT / "storage_sync" / "service" / "run_rows.py",
]
"""Files that make JSON of what is not a typed field (`values/extra.py`)."""


def printed_fields() -> set[str]:
    """The names of the fields of each JSON object that the program prints."""
    typed = {name for kind in vars(extra).values() for name in getattr(kind, "__annotations__", ())}
    functions = (
        function
        for path in PRINTING
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
    )
    keys = (
        key for function in functions for node in ast.walk(function) if isinstance(node, ast.Dict) for key in node.keys
    )
    made = {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return typed | {name for name in made if re.fullmatch(r"[a-z_]+", name)}


def test_each_field_of_a_document_is_described() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    described = {name for told in re.findall(r"[`\"]([a-z_.*]+)[`\"]", text) for name in told.split(".")}
    found = printed_fields()
    assert len(found) > 200
    assert sorted(found - described) == []


CITED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_each_cited_test_exists() -> None:
    for document in DOCUMENTS:
        for file, name in CITED_TEST.findall(document.read_text(encoding="utf-8")):
            text = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE), f"{document.name}: {file}::{name}"


def test_each_claim_of_security_has_its_test() -> None:
    lines = (ROOT / "docs" / "security.md").read_text(encoding="utf-8").splitlines()
    claims = [line for line in lines if line.startswith("| ") and not line.startswith(("| it may", "| claim"))]
    assert len(claims) > 30
    assert [claim for claim in claims if CITED_TEST.search(claim.split("|")[-2]) is None] == []


ROW = re.compile(r"^\| `([\w/]+)` \| (.+) \|$", re.MULTILINE)


def map_of_rooms() -> dict[Path, str]:
    """What CONTRIBUTING's map says of each room, by its folder, from the top down."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## The map")[2].partition("\n## ")[0]
    parts = re.split(r"^\| (?:`(\w+)/`.*|elsewhere) \| you want to change \|$", text, flags=re.MULTILINE)
    return {
        ROOT / (inside or "") / room: told
        for inside, rows in zip(parts[1::2], parts[2::2], strict=True)
        for room, told in ROW.findall(rows)
    }


def stands(name: str, *paths: Path) -> bool:
    return any(re.search(rf"\b{name}\b", path.read_text(encoding="utf-8")) for path in paths)


def is_in_room(name: str, room: Path) -> bool:
    """A file or folder of the room, one that is named from the root, or a constant in a file of the room."""
    if name.isupper():
        return stands(name, *room.glob("*.py"))
    return any(room.glob(f"{name}.*")) or (room / name).exists() or ("/" in name and (ROOT / name).exists())


def test_the_map_names_every_room_from_the_top_down() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    for inside in ("storage_sync", "console"):
        (layers,) = (one["layers"] for one in contracts if one.get("containers") == [inside])
        heights = {room: height for height, layer in enumerate(layers) for room in layer.split(" : ")}
        listed = [room.name for room in map_of_rooms() if room.parent.name == inside]
        assert sorted(listed) == sorted(heights)
        assert [heights[room] for room in listed] == sorted(heights.values())


def test_each_file_that_the_map_names_is_in_its_room() -> None:
    inside = re.compile(r"`(\w+)` in (?=`(\w+)`)")
    rooms = map_of_rooms()
    parts = [(part, room / f"{file}.py") for room, told in rooms.items() for part, file in inside.findall(told)]
    files = [(name, room) for room, told in rooms.items() for name in re.findall(r"`([^`]+)`", inside.sub("", told))]
    assert len(files) > 100
    assert [(part, file.name) for part, file in parts if not stands(part, file)] == []
    assert [(name, room.name) for name, room in files if not is_in_room(name, room)] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_help_of_the_console_has_the_glossary() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").partition("## Names")[0]
    rows = re.findall(r"^\| ([a-z -]+) \| (.+) \|$", text, re.MULTILINE)[1:]
    plain = [(word, re.sub(r"(: see )?\[([^\]]+)\]\([^)]+\)", "", meaning).replace("`", "")) for word, meaning in rows]
    assert plain == list(WORDS)
