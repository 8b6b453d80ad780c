"""The log file: found again after a rotation, in UTC, and never the end of what writes it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.cli.log_file import LogFile
from console.cli.running import TextLines
from storage_sync.files.kinds import NotUsable


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[logging.Logger]:
    handler = LogFile(tmp_path / "log")
    handler.setFormatter(TextLines(["the-secret"]))
    found = logging.getLogger("storage_sync.test_log_file")
    found.addHandler(handler)
    found.setLevel(logging.INFO)
    found.propagate = False
    yield found
    found.removeHandler(handler)
    handler.close()


def test_a_renamed_file_is_left_and_a_new_one_begun(logger: logging.Logger, tmp_path: Path) -> None:
    logger.info("one")
    (tmp_path / "log").rename(tmp_path / "log.1")
    logger.info("two")
    assert "one" in (tmp_path / "log.1").read_text()
    assert "two" not in (tmp_path / "log.1").read_text()
    assert "two" in (tmp_path / "log").read_text()


def test_lines_are_in_utc_without_secrets_and_control_characters(
    logger: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    logger.info("a %s\nand \x1b[2J\x9b %s", "the-secret", b"\xff".decode("utf-8", "surrogateescape"))
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO storage_sync\.test_log_file: a \[hidden\] and ", line)
    assert "\\e[2J\\x9b \\udcff" in line


def test_a_file_that_can_be_written_no_more_ends_nothing(
    logger: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").unlink()
    os.mkfifo(tmp_path / "log")
    logger.info("first")
    logger.info("second")
    told = capsys.readouterr().err
    assert told.count("cannot be written") == 1
    assert "first" in told
    assert "second" in told


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    with pytest.raises(NotUsable):
        LogFile(tmp_path / "log")
