"""From a command line to an exit code: parse, run, print; every way to fail ends here."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from console.cli import output
from console.cli.invocation import Answer, Invocation
from console.cli.options import typed_json
from storage_sync.values.errors import LocalIO, StorageSyncError, exit_code_of

if TYPE_CHECKING:
    from pathlib import Path


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; whatever happens, its exit code is given back and its document printed."""
    typed = tuple(sys.argv[1:] if arguments is None else arguments)
    invocation = Invocation(arguments=typed)
    from storage_sync.config.token import TOKEN_VARIABLES

    invocation.secrets.update(value for name in TOKEN_VARIABLES if (value := invocation.env.get(name)))
    with _sigterm_unwinds():
        answer = _answer(invocation, lambda: _parse_and_call(invocation))
    if answer is None:
        return 0
    try:
        output.print_answer(invocation, answer)
    except LocalIO as error:
        # what the run did is done; that nobody can read it is an end of its own
        with contextlib.suppress(LocalIO):
            output.write(sys.stderr, f"error: {error.message}")
        return answer.outcome.exit_code or error.exit_code
    return answer.outcome.exit_code


class _Terminated(BaseException):
    """SIGTERM, so that temporary folders and child processes go as they do with SIGINT."""


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """Until the core's own loop takes the signals over, and outside it."""

    def stop(number: int, frame: object) -> None:
        raise _Terminated

    try:
        ignored = signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
        before = signal.SIG_IGN if ignored else signal.signal(signal.SIGTERM, stop)
    except ValueError:
        # Only the main thread may: a caller in another one keeps its own handling.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parse_and_call(invocation: Invocation) -> object:
    from console.cli.commands import storage_sync

    return storage_sync.main(
        list(invocation.arguments), prog_name="storage-sync", standalone_mode=False, obj=invocation
    )


def _answer(invocation: Invocation, call: Callable[[], object]) -> Answer | None:
    """The command's answer; None when it has printed all there is to say (help, version)."""
    try:
        result = call()
        return result if isinstance(result, Answer) else None
    except click.exceptions.NoArgsIsHelpError as error:
        output.write(sys.stderr, error.format_message())
        return _failed(invocation, "usage", 2, "a command is missing", "see storage-sync --help")
    except click.UsageError as error:
        # standard output of `exec` is its command's
        invocation.json = _command_of(error) != "exec" and (invocation.json or typed_json(invocation.arguments))
        where = error.ctx.command_path if error.ctx is not None else "storage-sync"
        return _failed(invocation, "usage", 2, error.format_message(), f"see {where} --help", _command_of(error))
    except (KeyboardInterrupt, click.Abort):
        return _failed(
            invocation, "interrupted", 130, "stopped by SIGINT; nothing was changed", "run it again", retry=True
        )
    except _Terminated:
        told = "stopped by SIGTERM; nothing was changed"
        return _failed(invocation, "interrupted", 143, told, "run it again", retry=True)
    except StorageSyncError as error:
        return _failed(invocation, error.code, exit_code_of(error), error.message, error.hint, retry=error.retry)
    except Exception as error:  # noqa: BLE001 - the last handler: a bug must still end with a document and a report
        local = _local(error)
        if local is not None:
            return _failed(invocation, local.code, exit_code_of(local), local.message, local.hint, retry=local.retry)
        report = write_report(invocation, error)
        place = f"; the report is {report}" if report else ""
        kind = type(error).__name__
        return _failed(invocation, "internal", 70, f"internal error ({kind}){place}", "this is a bug; please report it")


def _local(error: Exception) -> StorageSyncError | None:
    """Trouble of this machine before or after the command's own work, such as no descriptor for the loop."""
    from storage_sync.cache.explain import explain_system

    return explain_system(error) if isinstance(error, OSError) else None


def _command_of(error: click.UsageError) -> str | None:
    """The command's name as the document has it: `config show` is `config`."""
    names = error.ctx.command_path.split()[1:2] if error.ctx is not None else []
    return names[0] if names else None


def _failed(
    invocation: Invocation,
    code: str,
    exit_code: int,
    message: str,
    hint: str,
    command: str | None = None,
    retry: bool = False,
) -> Answer:
    told = output.redacted(message, invocation.secrets)
    return Answer(output.error_outcome(command or invocation.command, code, exit_code, told, hint, retry))


def write_report(invocation: Invocation, error: Exception) -> Path | None:
    """What a maintainer needs, without row bodies and secrets; None when it cannot be written."""
    import os
    import platform
    import tempfile
    import traceback
    from pathlib import Path

    from storage_sync import __version__

    lines = [
        f"storage-sync {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"arguments: {' '.join(invocation.arguments)}",
        "",
        *traceback.format_exception(error),
    ]
    text = output.redacted("\n".join(lines), invocation.secrets)
    try:
        descriptor, name = tempfile.mkstemp(prefix="storage-sync-report-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
    except OSError:
        return None
    return Path(name)
