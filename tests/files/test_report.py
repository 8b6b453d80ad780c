"""The report of an unforeseen error is written whatever the error is, and fails in silence where nothing can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_sync.files.report import write_report

SECRET = "a-token-of-ours"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError(SECRET)


ERRORS: dict[str, BaseException] = {
    "no text": OSError(2, "none", "c\udcff.redb"),
    "words that fail": Unspeakable(),
    "a secret": KeyError(SECRET),
    "megabytes": ValueError("x" * (5 << 20)),
    "a group": ExceptionGroup("two", [KeyError("one"), Unspeakable()]),
    "no Exception": KeyboardInterrupt(),
}


@pytest.mark.parametrize("name", ERRORS)
def test_whatever_the_error_is_it_is_written(name: str, tmp_path: Path) -> None:
    error = ERRORS[name]
    report = write_report(error, ("of \udcfe",), (SECRET,), tmp_path)
    assert report is not None
    text = report.read_text("utf-8")
    assert type(error).__name__ in text
    assert SECRET not in text
    assert report.stat().st_size < 2 << 20
    assert report.stat().st_mode & 0o077 == 0


def test_without_a_place_there_is_none_and_no_second_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "none", tmp_path / "file", Path("/proc")):
        assert write_report(ValueError("x"), folder=place) is None
