"""A session recorded in a real terminal or without one, and replayed: the same verdict, no secret, no change."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from storage_sync.demo.demo import generate
from storage_sync.reports import recording
from storage_sync.reports.recording import Recording
from storage_sync.values.events import RunEnded
from storage_sync.values.outcome import Word
from tests.support.command import Tool, fingerprint
from tests.support.terminal import Terminal

SECRET = "eyJhbGciOiJFZERTQSJ9.recorded.never"


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    generate(tmp_path / "primary.db", 3, 40)
    return Tool.at(tmp_path / "tool", f"file:{tmp_path / 'primary.db'}", TURSO_AUTH_TOKEN=SECRET)


def on_terminal(tool: Tool, *words: str) -> Terminal:
    return Terminal(tool.line(*words), tool.variables)


def ended_runs(read: Recording) -> list[Word]:
    events = (event for _, event in read.events(0, len(read.lines)))
    return [event.outcome.verdict for event in events if isinstance(event, RunEnded)]


@pytest.mark.parametrize("words", [("record",), ("tui", "--record")], ids=["record", "tui"])
def test_what_was_seen_is_seen_again(tool: Tool, words: tuple[str, ...]) -> None:
    file = tool.folder / "session.jsonl.gz"
    with on_terminal(tool, *words, str(file)) as terminal:
        terminal.wait(lambda screen: "IN SYNC" in screen and "g-1" in screen)
        terminal.press("q")
        assert terminal.end() == 0
    proven = fingerprint(tool.cache)
    read = recording.read(file)
    assert ended_runs(read) == [Word.IN_SYNC]
    assert not read.cut

    document = tool.json("replay", str(file)).document["recording"]
    assert (document["verdict"], document["cut"]) == ("IN_SYNC", False)
    assert [run["exit_code"] for run in document["runs"]] == [0]
    with on_terminal(tool, "replay", str(file), "--speed", "60") as terminal:
        terminal.wait(lambda screen: "IN SYNC" in screen and "ended" in screen)
        terminal.press("[[[{{{{{{{{{{")
        terminal.press(" ")
        terminal.wait(lambda screen: "paused" in screen or "replay" in screen)
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.left_clean()
    assert fingerprint(tool.cache) == proven


def test_without_a_terminal_it_records_until_a_signal(tool: Tool) -> None:
    file = tool.folder / "session.jsonl"
    with tool.start("record", str(file), "--json") as process:
        with Terminal(["tail", "-n", "+1", "-F", str(file)], tool.variables, columns=200) as seen:
            seen.wait(lambda _: b'"event":"RunEnded"' in file.read_bytes() if file.exists() else False)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert '"verdict":"IN_SYNC"' in out
    assert SECRET.encode() not in file.read_bytes()
    assert ended_runs(recording.read(file)) == [Word.IN_SYNC]

    lines = tool.run("replay", str(file)).stdout
    assert "IN_SYNC, exit 0" in lines
    events = tool.run("replay", str(file), "--jsonl").stdout.splitlines()
    assert any('"event":"RunEnded"' in line for line in events[:-1])


def test_a_recording_is_never_overwritten_and_needs_stores(tool: Tool) -> None:
    file = tool.folder / "session.jsonl"
    file.write_text("mine")
    refused = tool.json("record", str(file), "--seconds", "0")
    assert refused.exit_code == 2
    assert "exists already" in refused.document["error"]["message"]
    assert file.read_text() == "mine"
    with tool.start_bare("record", str(tool.folder / "other.jsonl"), "--json", cwd=tool.folder) as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "nothing to record" in out
    assert not os.path.lexists(tool.folder / "other.jsonl")


def test_a_file_that_is_no_recording(tool: Tool) -> None:
    file = tool.folder / "no.jsonl"
    file.write_text("{}\n")
    refused = tool.json("replay", str(file))
    assert refused.exit_code == 2
    assert "not a recording" in refused.document["error"]["message"]
