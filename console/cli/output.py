"""The only place that writes to standard output and standard error; secrets stop here."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from console.cli.invocation import Answer, Invocation
from console.cli.unread import SHORTLY_MS, offer
from storage_sync.values.secrets import redacted, redacted_values
from storage_sync.values.visible import clean, printable, printable_json

if TYPE_CHECKING:
    from storage_sync.values.errors import StorageSyncError
    from storage_sync.values.outcome import Outcome
    from storage_sync.values.snapshot import Run


def width_of(stream: TextIO) -> int:
    """Columns of a terminal; a pipe gets lines that are not cut."""
    if not stream.isatty():
        return 10_000
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, 40)
    except OSError:
        return 80


def write(stream: TextIO, text: str, *, painted: bool = False, waits: bool = True) -> None:
    """Write whole lines that a terminal only shows; a reader that has gone away is no error. LocalIO where they cannot
    be written. `painted`: colours of ours are among them. `waits`: for a reader that is slow; else what is not taken
    within a moment is lost."""
    encoding = (stream.encoding or "").lower().replace("-", "")
    if isinstance(stream, TextIOWrapper) and encoding != "utf8":
        # a document is UTF-8 whatever the locale; a terminal is shown what it can show
        stream.reconfigure(errors="replace") if stream.isatty() else stream.reconfigure(encoding="utf-8")
    lines = printable(text if text.endswith("\n") or not text else text + "\n", painted=painted)
    try:
        if not waits:
            offer(stream, lines.encode("utf-8", "backslashreplace"), SHORTLY_MS)
            return
        stream.write(lines)
        stream.flush()
    except BrokenPipeError:
        # Python would complain again when it closes the stream at exit.
        _drop(stream)
    except OSError as error:
        _drop(stream)
        from storage_sync.values.errors import LocalIO

        raise LocalIO(f"the output cannot be written: {error.strerror}") from None


def _drop(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def json_text(document: Mapping[str, object], *, indent: bool) -> str:
    """The document as one line, or indented for a terminal; nothing in it that a terminal would act on.

    A name with bytes that are not UTF-8, as the system may give one, is shown with their escapes.
    """
    import msgspec

    try:
        data = msgspec.json.encode(document)
    except UnicodeEncodeError:
        data = msgspec.json.encode(_encodable(document))
    return printable_json((msgspec.json.format(data, indent=2) if indent else data).decode())


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_encodable(name): _encodable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_encodable(inner) for inner in value]
    return value


def say(invocation: Invocation, text: str) -> None:
    """One line to a person, on standard error."""
    if not invocation.quiet:
        write(sys.stderr, redacted(text, invocation.secrets), painted=invocation.colour(sys.stderr))


def print_answer(invocation: Invocation, answer: Answer) -> None:
    """The document, or what people read: data on standard output, everything said on standard error."""
    from storage_sync.reports import document

    outcome, now = document.without_secrets(answer.outcome, invocation.secrets), time.time()
    if invocation.machine:
        told = document.to_json(outcome)
        told |= {name: value for name, value in invocation.about().items() if name not in told}
        text = json_text(told, indent=invocation.json and sys.stdout.isatty())
        # a service ends when it is told to, whether somebody reads or not
        write(sys.stdout, text, waits=outcome.command != "watch")
        return
    if answer.raw:
        write(sys.stdout, answer.text or "")
        return
    painted = invocation.colour()
    data = answer.text
    if data is None and not invocation.quiet:
        facts = document.report(outcome, width_of(sys.stdout), painted, now=now)
        data = "\n".join(part for part in (facts, facts and about_text(invocation)) if part)
    if data:
        write(sys.stdout, data, painted=painted)
    painted = invocation.colour(sys.stderr)
    notes = document.notes(outcome, painted, quiet=invocation.quiet, look=answer.text is not None, now=now)
    if not data and outcome.error is not None and not invocation.quiet:
        notes = "\n".join(part for part in (notes, about_text(invocation)) if part)
    if notes:
        write(sys.stderr, notes, painted=painted)


def about_text(invocation: Invocation) -> str:
    """Which primary and cache it is about, a line each; '' where no settings were read."""
    about = invocation.about()
    told = {name: redacted(str(about[name]), invocation.secrets) for name in ("primary", "cache") if about.get(name)}
    return "\n".join(f"{name}: {clean(value)}" for name, value in told.items())


def print_progress(invocation: Invocation, run: Run) -> None:
    """One progress line of `--jsonl`."""
    from storage_sync.reports import document

    line = redacted_values(document.progress_line(run), invocation.secrets)
    write(sys.stdout, json_text(line if isinstance(line, dict) else {}, indent=False), waits=False)


def error_outcome(command: str, error: StorageSyncError) -> Outcome:
    """The outcome of a command that could not do its work."""
    from storage_sync.values.outcome import Outcome, Word, error_value

    told = error_value(error)
    verdicts = {"guard": Word.REFUSED, "cache_damaged": Word.DAMAGED}
    return Outcome(
        command=command,
        verdict=verdicts.get(told.code, Word.UNKNOWN),
        exit_code=told.exit_code,
        next_action=told.hint,
        error=told,
    )
