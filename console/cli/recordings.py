"""`record` and `replay`: a session on file, and what is on it, in the console or as lines and a document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli.invocation import Answer, Invocation
from console.cli.new_recording import recorder
from console.cli.output import json_text, write
from console.cli.screen import ended, on_terminal, opened
from storage_sync.values.outcome import Outcome

if TYPE_CHECKING:
    from storage_sync.reports.recording import Recording
    from storage_sync.values.events import Event


def record(invocation: Invocation, file: str, *, seconds: float | None) -> Answer:
    """Without a screen: the core works and is recorded until a signal, or for so many seconds."""
    from console.cli.running import run_core
    from console.launch.start import make_bridge

    loaded = invocation.loaded()
    tape = recorder(invocation, file)

    async def work(progress: object, cancel: object) -> Outcome:
        from console.launch.recorder import until_cancelled

        bridge = make_bridge(loaded.settings, loaded, invocation.env, tape)
        return await until_cancelled(bridge, cancel, seconds)  # type: ignore[arg-type]

    from msgspec.structs import replace

    try:
        outcome = run_core(invocation, work)
    finally:
        tape.close()
    outcome = replace(outcome, extra={**outcome.extra, "recording": summary(_read(file))})
    return Answer(outcome, f"Recorded {file}.")


def replay(invocation: Invocation, file: str, *, speed: float, at: float) -> Answer:
    """The recording in the console; without a terminal what is on it."""
    recording = _read(file)
    if invocation.machine or not on_terminal():
        if invocation.jsonl:
            for line in event_documents(recording):
                write_line(line)
        text = None if invocation.machine else "\n".join(event_lines(recording)) or "The recording has no events."
        return Answer(ended("replay", extra={"recording": summary(recording)}), text)
    from console.launch.replay import play
    from console.launch.start import ui_settings

    left = play(recording, ui_settings(invocation.loaded().settings), speed, at)
    return Answer(ended("replay", opened(left)), "")


def _read(file: str) -> Recording:
    from storage_sync.reports.recording import read

    return read(Path(file))


def write_line(document: dict[str, object]) -> None:
    import sys

    write(sys.stdout, json_text(document, indent=False))


def summary(recording: Recording) -> dict[str, object]:
    """What is on a recording, for the document."""
    from storage_sync.reports.document import rfc3339
    from storage_sync.values.events import RunEnded, StateChanged

    verdicts: list[str] = []
    runs: list[dict[str, object]] = []
    events = 0
    for _, event in recording.events(0, len(recording.lines)):
        events += 1
        if isinstance(event, StateChanged):
            verdicts.append(event.new.value)
        elif isinstance(event, RunEnded):
            outcome = event.outcome
            runs.append({"id": event.run_id, "kind": outcome.command, "exit_code": outcome.exit_code})
    last = recording.picture(len(recording.lines))
    return {
        "file": str(recording.path),
        "version": recording.version,
        "started_at": rfc3339(recording.at),
        "seconds": recording.seconds,
        "pictures": len(recording.pictures),
        "events": events,
        "verdicts": verdicts,
        "verdict": last[0].verdict.value if last is not None else None,
        "runs": runs,
        "cut": recording.cut,
    }


def event_documents(recording: Recording) -> Iterator[dict[str, object]]:
    """Each event as one JSON object: when, its kind, its fields."""
    import msgspec

    from storage_sync.reports.document import rfc3339

    for t, event in recording.events(0, len(recording.lines)):
        yield {"at": rfc3339(recording.at + t), "event": type(event).__name__, **msgspec.to_builtins(event)}


def event_lines(recording: Recording) -> Iterator[str]:
    """Each event as a line for people."""
    from storage_sync.reports.document import rfc3339
    from storage_sync.values import visible

    for t, event in recording.events(0, len(recording.lines)):
        yield f"{rfc3339(recording.at + t)}  {visible.clean(words_of(event))}"


def words_of(event: Event) -> str:
    """An event in a sentence."""
    from storage_sync.values.events import (
        ConfigChanged,
        CoreDied,
        FileChanged,
        LogLine,
        RunEnded,
        RunStarted,
        StateChanged,
    )

    match event:
        case LogLine():
            return f"{event.level:<5} {event.area}: {event.text}"
        case RunStarted():
            return f"run   {event.run_id} {event.kind} started ({event.trigger})"
        case RunEnded():
            return f"run   {event.run_id} ended: {event.outcome.verdict.value}, exit {event.outcome.exit_code}"
        case StateChanged():
            return f"state {event.old.value} -> {event.new.value}: {event.why}"
        case FileChanged():
            return f"file  {event.path} changed"
        case ConfigChanged():
            return f"config {', '.join(event.keys)} changed"
        case CoreDied():
            return f"core  ended: {event.report}"
        case _:
            return type(event).__name__
