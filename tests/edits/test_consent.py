"""The question, and doing only what was agreed to."""

from __future__ import annotations

import io
import sys

import pytest

from tests.edits.conftest import Stores


class Terminal(io.StringIO):
    """Standard input of somebody who answers."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def changed(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Stores:
    stores.change_primary()
    stores.sync()
    return stores


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 2), ("\n", 2), ("", 2)])
def test_the_answer_decides(changed: Stores, monkeypatch: pytest.MonkeyPatch, said: str, code: int) -> None:
    before = changed.rows()
    monkeypatch.setattr(sys, "stdin", Terminal(said))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    got, _, told = changed.cli.run("undo", "--config", str(changed.demo.config_file))
    assert got == code
    assert "restore removed rows" in told
    assert (changed.rows() == before) == (code != 0)


def test_a_cache_that_moved_after_the_question_is_left_alone(changed: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            changed.sql("UPDATE episodes SET task_description = 'meanwhile' WHERE rowid = 3")
            changed.sync()
            return "y\n"

    monkeypatch.setattr(sys, "stdin", Busy())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    code, _, told = changed.cli.run("detach", "--config", str(changed.demo.config_file))
    assert code == 9
    assert "has changed since this plan was made" in told
    assert changed.generation == 3
