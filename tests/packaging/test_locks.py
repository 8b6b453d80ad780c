"""What is installed is what the lock files name: complete, pinned by hash, and no more than is used."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-wheel.lock", "requirements-dev.lock")
NEVER_INSTALLED = re.compile(r"^(sphinx|alabaster|docutils)", re.MULTILINE)
"""The documentation theme that libsql-client asks for, and what comes with it."""


def pinned(name: str) -> dict[str, str]:
    """Package to version."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~ ;\[]", one, maxsplit=1)[0].lower() for one in requirements}


@pytest.mark.parametrize("name", LOCKS)
def test_each_package_has_its_hashes_and_no_other_source(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert entries
    assert all(re.match(r"[a-z0-9-]+==\S+", entry) and "--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


@pytest.mark.parametrize("name", LOCKS)
def test_a_theme_for_documentation_is_not_installed(name: str) -> None:
    assert NEVER_INSTALLED.search((ROOT / name).read_text(encoding="utf-8")) is None


def test_every_requirement_of_the_project_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert names(project["dependencies"]) <= set(pinned("requirements.lock"))
    assert names(project["optional-dependencies"]["dev"]) <= set(pinned("requirements-dev.lock"))
    assert "maturin" not in pinned("requirements.lock")


def test_the_locks_are_what_was_reviewed() -> None:
    """`make reviewed` writes the digests again, once somebody has looked at what changed in the locks."""
    lines = (ROOT / "locks.sha256").read_text(encoding="utf-8").split()
    told = dict(zip(lines[1::2], lines[::2], strict=True))
    found = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in told}
    assert found == told
    assert set(told) == {*LOCKS, "native/Cargo.lock"}


def test_tests_run_on_what_is_shipped() -> None:
    shipped, tested = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert {name: tested.get(name) for name in shipped} == shipped
