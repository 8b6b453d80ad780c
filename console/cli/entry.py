"""From a command line to an exit code: parse, run, print; every way to fail ends here."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from console.cli import output
from console.cli.bug_report import reported
from console.cli.common_options import typed_json
from console.cli.invocation import Answer, Invocation
from storage_sync.files.core_files import forbid_core_files
from storage_sync.values.errors import (
    InternalError,
    Interrupted,
    LocalIO,
    StorageSyncError,
    UsageError,
    explain_system,
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; whatever happens, its exit code is given back and its document printed."""
    typed = tuple(sys.argv[1:] if arguments is None else arguments)
    invocation = Invocation(arguments=typed, core_limit=forbid_core_files())
    from storage_sync.config.token import SHORTEST, TOKEN_VARIABLES

    variables = (invocation.env.get(name, "").strip() for name in TOKEN_VARIABLES)
    invocation.secrets.update(value for value in variables if len(value) >= SHORTEST)
    with _sigterm_unwinds():
        answer = _answer(invocation, lambda: _parse_and_call(invocation))
    if answer is None:
        return 0
    return _printed(invocation, answer)


def _printed(invocation: Invocation, answer: Answer) -> int:
    """Print the answer. The run is over; an answer that cannot be printed is an error of its own."""
    try:
        output.print_answer(invocation, answer)
    except LocalIO as error:
        with contextlib.suppress(LocalIO):
            output.write(sys.stderr, f"error: {error.message}")
        return answer.outcome.exit_code or error.exit_code
    except Exception as error:  # noqa: BLE001 - the run is over: a bug in what is said of it must not hide how it ended
        with contextlib.suppress(LocalIO):
            output.write(sys.stderr, f"error: {reported(invocation, error)}")
        return answer.outcome.exit_code or 70
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
        return _failed(invocation, UsageError("a command is missing"))
    except click.UsageError as error:
        # standard output of `exec` is its command's
        invocation.json = _command_of(error) != "exec" and (invocation.json or typed_json(invocation.arguments))
        where = error.ctx.command_path if error.ctx is not None else "storage-sync"
        usage = UsageError(error.format_message(), hint=f"see {where} --help")
        return _failed(invocation, usage, _command_of(error))
    except (KeyboardInterrupt, click.Abort):
        return _failed(invocation, Interrupted("stopped by SIGINT; nothing was changed", hint="run it again"))
    except _Terminated:
        told = "stopped by SIGTERM; nothing was changed"
        return _failed(invocation, Interrupted(told, hint="run it again", exit_code=143))
    except InternalError as error:
        return _failed(invocation, InternalError(f"{error.message}: {reported(invocation, error)}"))
    except StorageSyncError as error:
        return _failed(invocation, error)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the last handler: a bug, a panic too, ends with document and report
        return _failed(invocation, _local(error) or InternalError(reported(invocation, error)))


def _local(error: BaseException) -> StorageSyncError | None:
    """Trouble of this machine before or after the command's own work, such as no descriptor for the loop."""
    return explain_system(error) if isinstance(error, OSError) else None


def _command_of(error: click.UsageError) -> str | None:
    """The command's name as the document has it: `config show` is `config`."""
    names = error.ctx.command_path.split()[1:2] if error.ctx is not None else []
    return names[0] if names else None


def _failed(invocation: Invocation, error: StorageSyncError, command: str | None = None) -> Answer:
    return Answer(output.error_outcome(command or invocation.command, error))
