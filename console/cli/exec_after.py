"""`exec --after`: stay beside COMMAND, and bring the cache up to date again when it has ended.

COMMAND then runs in a child process, which is forked before anything else is done and starts COMMAND as without the
option. The parent keeps none of its streams, passes signals on, and ends with its exit code.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

PASSED_ON = frozenset(
    {
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
        signal.SIGCONT,
    }
)
NOT_STARTED = b"-"
"""What the child sends if COMMAND was not started."""


def supervise(child: Callable[[Callable[[], None]], NoReturn], after: Callable[[], None]) -> NoReturn:
    """Fork, be COMMAND in the child, and call `after` here when it has ended; ends with the child's exit code.

    `child` is called with what it has to call when COMMAND does not start; then `after` is left out.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON | {signal.SIGCHLD})
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        child(lambda: _tell(writing))
    os.close(writing)
    _let_go_of_streams()
    code = _until_it_ends(pid)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if os.read(reading, 1) != NOT_STARTED:
        after()
    os._exit(code)


def _tell(descriptor: int) -> None:
    with suppress(OSError):
        os.write(descriptor, NOT_STARTED)


def _let_go_of_streams() -> None:
    """The processes at the other ends of COMMAND's streams must see COMMAND's end, not ours."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in (0, 1):
        os.dup2(nothing, number, inheritable=False)
    for entry in Path("/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd").iterdir():
        with suppress(OSError, ValueError):
            number = int(entry.name)
            if number > 2 and os.get_inheritable(number):
                os.close(number)


def _until_it_ends(pid: int) -> int:
    """Its exit code, 128 and the number for a signal; what comes here meanwhile is passed on."""
    while True:
        info = signal.sigwaitinfo(PASSED_ON | {signal.SIGCHLD})
        if info.si_signo == signal.SIGCHLD:
            code = _ended(pid)
            if code is not None:
                return code
        elif info.si_code <= 0 and info.si_pid != pid:
            # what the terminal sends goes to its whole group, so COMMAND has it already
            with suppress(ProcessLookupError):
                os.kill(pid, info.si_signo)


def _ended(pid: int) -> int | None:
    """None while it runs. Other ended children are reaped too: as a container's first process we are their parent."""
    code = None
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == pid:
                ended = os.waitstatus_to_exitcode(found[1])
                code = ended if ended >= 0 else 128 - ended
    return code
