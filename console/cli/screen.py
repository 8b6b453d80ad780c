"""Commands that open the console; the demo, which also works without a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from console.cli.invocation import Answer, Invocation
from console.cli.running import collect_garbage
from storage_sync.values.errors import LocalIO, UsageError
from storage_sync.values.outcome import Outcome, Word

if TYPE_CHECKING:
    from console.launch.opening import Leaving
    from storage_sync.values.extra import Extra

_OWN_IN_DEMO = ("primary", "cache", "state_dir", "token_file", "token_env")


def ended(command: str, exit_code: int = 0, extra: Extra | None = None) -> Outcome:
    return Outcome(command=command, verdict=Word.UNKNOWN, exit_code=exit_code, extra=extra or {})


def on_terminal() -> bool:
    """Whether a console can be opened here: it reads standard input, and draws on standard error."""
    return os.environ.get("TERM") != "dumb" and all(one.isatty() for one in (sys.stdin, sys.stdout, sys.stderr))


def opened(left: Leaving) -> int:
    """Open what a person left the console for, if anything; the exit code."""
    if not left.opens:
        return left.exit_code
    from console.cli import main

    return main(left.opens)


def console(invocation: Invocation, *, plain: bool, record: str | None = None) -> Answer:
    """The console until the operator leaves it; `record`: the file that gets a recording of it."""
    if invocation.machine or not (plain or on_terminal()):
        raise UsageError("the console needs a terminal", hint="storage-sync status and tui --plain work without one")
    from console.launch.opening import run

    collect_garbage()
    loaded = invocation.loaded()
    if record is None:
        return Answer(ended("tui", opened(run(loaded.settings, plain=plain, loaded=loaded))), "")
    from contextlib import closing

    from console.cli.new_recording import recorder

    with closing(recorder(invocation, record)) as tape:
        left = run(loaded.settings, plain=plain, loaded=loaded, tap=tape)
    return Answer(ended("tui", opened(left), {"recording": {"file": record}}), f"Recorded {record}.")


def demo(invocation: Invocation, *, seed: int, episodes: int) -> Answer:
    """A seeded primary in a temporary folder, with a configuration and a cache of its own."""
    import tempfile

    from console.cli.output import json_text
    from storage_sync.config.load import load_settings
    from storage_sync.demo.demo import Demo
    from storage_sync.reports.document import to_json

    own = [name for name in _OWN_IN_DEMO if name in invocation.typed]
    if own or invocation.config_file or invocation.profile:
        name = own[0].replace("_", "-") if own else "config" if invocation.config_file else "profile"
        raise UsageError(f"the demo has its own --{name}", hint="leave that option out")
    shown = on_terminal() and not invocation.machine
    if shown and not invocation.quiet:
        print("Making a primary and a cache for the demo; this takes a few seconds.", file=sys.stderr)
    try:
        with tempfile.TemporaryDirectory(prefix="storage-sync-demo-") as folder:
            made = Demo.create(Path(folder), seed, episodes)
            # The environment must not lead the demo to a real primary.
            loaded = load_settings(made.config_file, None, invocation.typed, {})
            invocation.use(loaded)
            if not shown:
                outcome = _sync_demo(invocation, seed, episodes)
                # without a terminal it is the document that is asked for (docs/cli.md)
                return Answer(
                    outcome, None if invocation.machine else json_text(to_json(outcome), indent=False), raw=True
                )
            from console.launch.opening import run
            from storage_sync.demo.beginning import begin
            from storage_sync.demo.primary import DemoSource
            from storage_sync.demo.troubles import troublemaker

            begin(made)
            collect_garbage()
            with made.growing(), troublemaker(made) as troubles:
                left = run(loaded.settings, loaded=loaded, trouble=troubles, source=DemoSource(made))
            return Answer(ended("tui", opened(left)), "")
    except OSError as error:
        raise LocalIO(
            f"the demo's folder cannot be used: {error.strerror}", hint="check TMPDIR and free space"
        ) from error


def _sync_demo(invocation: Invocation, seed: int, episodes: int) -> Outcome:
    from console.cli.running import run_operation
    from storage_sync.service.operations import Sync

    outcome = run_operation(invocation, Sync(), invocation.request())
    extra: Extra = {**outcome.extra, "seed": seed, "episodes": episodes}
    following = (
        outcome.next_action
        or "run storage-sync demo on a terminal to see it live; for your own primary, storage-sync config init"
    )
    return replace(outcome, command="demo", extra=extra, next_action=following)
