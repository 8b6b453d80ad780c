"""The only place that writes to standard output and standard error; secrets stop here."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from console.cli.invocation import Answer, Invocation

if TYPE_CHECKING:
    from storage_sync.values.outcome import Outcome
    from storage_sync.values.snapshot import Run

MASK = "[hidden]"
_IN_URL = re.compile(r"(?i)((?:auth_?token|jwt|password|token)=)[^\s&\"'#;]+")


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets, and without what a URL parameter of such a name holds."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, MASK)
    return _IN_URL.sub(rf"\g<1>{MASK}", text)


def width_of(stream: TextIO) -> int:
    """Columns of a terminal; a pipe gets lines that are not cut."""
    if not stream.isatty():
        return 10_000
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, 40)
    except OSError:
        return 80


def write(stream: TextIO, text: str) -> None:
    """Write whole lines; a reader that has gone away is no error. LocalIO where they cannot be written."""
    encoding = (stream.encoding or "").lower().replace("-", "")
    if isinstance(stream, TextIOWrapper) and encoding != "utf8":
        # a document is UTF-8 whatever the locale; a terminal is shown what it can show
        stream.reconfigure(errors="replace") if stream.isatty() else stream.reconfigure(encoding="utf-8")
    try:
        stream.write(text if text.endswith("\n") or not text else text + "\n")
        stream.flush()
    except BrokenPipeError:
        # Python would complain once more when it closes the stream at exit.
        _drop(stream)
    except OSError as error:
        _drop(stream)
        from storage_sync.values.errors import LocalIO

        raise LocalIO(f"the output cannot be written: {error.strerror}") from None


def _drop(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def json_text(document: Mapping[str, object], *, indent: bool) -> str:
    """The document as one line, or indented for a terminal."""
    import msgspec

    data = msgspec.json.encode(document)
    return (msgspec.json.format(data, indent=2) if indent else data).decode("utf-8", "backslashreplace")


def say(invocation: Invocation, text: str) -> None:
    """One line to a person, on standard error."""
    if not invocation.quiet:
        write(sys.stderr, redacted(text, invocation.secrets))


def print_answer(invocation: Invocation, answer: Answer) -> None:
    """The document, or what people read: data on standard output, everything said on standard error."""
    from storage_sync.reports import document

    outcome, now = answer.outcome, time.time()
    if invocation.machine:
        text = json_text(document.to_json(outcome), indent=invocation.json and sys.stdout.isatty())
        write(sys.stdout, redacted(text, invocation.secrets))
        return
    if answer.raw:
        write(sys.stdout, redacted(answer.text or "", invocation.secrets))
        return
    data = answer.text
    if data is None and not invocation.quiet:
        data = document.report(outcome, width_of(sys.stdout), invocation.colour(), now=now)
    if data:
        write(sys.stdout, redacted(data, invocation.secrets))
    notes = document.notes(
        outcome, invocation.colour(sys.stderr), quiet=invocation.quiet, look=answer.text is not None, now=now
    )
    if notes:
        write(sys.stderr, redacted(notes, invocation.secrets))


def print_progress(invocation: Invocation, run: Run) -> None:
    """One progress line of `--jsonl`."""
    from storage_sync.reports import document

    write(sys.stdout, redacted(json_text(document.progress_line(run), indent=False), invocation.secrets))


def error_outcome(command: str, code: str, exit_code: int, message: str, hint: str, retry: bool = False) -> Outcome:
    """The outcome of a command that could not do its work."""
    from storage_sync.values.outcome import ErrorValue, Outcome, Word

    verdicts = {"guard": Word.REFUSED, "cache_damaged": Word.DAMAGED}
    return Outcome(
        command=command,
        verdict=verdicts.get(code, Word.UNKNOWN),
        exit_code=exit_code,
        next_action=hint,
        error=ErrorValue(code, message, hint, retry, exit_code),
    )
