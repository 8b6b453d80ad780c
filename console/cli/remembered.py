"""What earlier runs left behind: the history, and the metrics made from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from console.cli.invocation import Answer, Invocation
from storage_sync.config.places import state_directory
from storage_sync.values.errors import ConfigError
from storage_sync.values.outcome import Outcome, Word

if TYPE_CHECKING:
    from storage_sync.reports.metrics import Facts
    from storage_sync.state.history import History


def _history_file(invocation: Invocation) -> Path:
    settings = invocation.loaded().settings
    folder = state_directory(settings)
    if folder is None:
        raise ConfigError("no cache is named", hint="give --cache PATH or --state-dir DIR, or set REDB_CACHE_PATH")
    if settings.cache is None:
        return folder / "history.db"
    from storage_sync.state.directory import open_state_dir

    return open_state_dir(folder, str(settings.cache), create=False).history


def open_history(invocation: Invocation, warnings: list[str]) -> History:
    """The history of this cache, to read; what is wrong with it goes into `warnings`."""
    from storage_sync.state.history import History

    return History.open(_history_file(invocation), warnings.append, read_only=True)


def gather(invocation: Invocation, warnings: list[str], ran: Outcome | None = None) -> Facts:
    """What is known without asking the primary; `ran`: the run that just ended and knows better."""
    from storage_sync.reports.metric_facts import facts_of
    from storage_sync.reports.status import status_quick

    outcome = ran if ran is not None else status_quick(invocation.request(primary=False))
    settings = invocation.loaded().settings
    return facts_of(outcome, settings, _history_file(invocation), warnings.append)


def with_metrics(invocation: Invocation, answer: Answer) -> Answer:
    """The same answer, after the metrics file is written where one is set; failing that is a warning."""
    target = invocation.loaded().settings.metrics_file
    if target is None:
        return answer
    from storage_sync.reports.metrics import write_textfile

    warnings: list[str] = []
    outcome = ran = answer.outcome
    if "subset" in ran.extra and ran.verdict is Word.UNKNOWN:
        from storage_sync.reports.status import status_quick

        # an equal part takes nothing from what the last proof says
        last = status_quick(invocation.request(primary=False))
        ran = replace(ran, verdict=last.verdict, proof=last.proof)
    try:
        write_textfile(target, gather(invocation, warnings, ran))
    except OSError as error:
        warnings.append(f"the metrics file {target} cannot be written: {error.strerror}")
    return replace(answer, outcome=replace(outcome, warnings=(*outcome.warnings, *warnings)))
