"""Commands that only look at what is on this machine: history, metrics, config, keys."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import to_builtins

from console.cli.invocation import Answer, Invocation
from console.cli.output import width_of
from console.cli.remembered import gather, open_history
from storage_sync.config.places import default_file, state_directory
from storage_sync.config.settings import Settings, setting_value
from storage_sync.config.view import settings_view
from storage_sync.values.errors import LocalIO, UsageError
from storage_sync.values.outcome import ErrorValue, Outcome, Word

if TYPE_CHECKING:
    from storage_sync.state.history import History
    from storage_sync.state.running import Differs
    from storage_sync.values.answers import ChangedRow
    from storage_sync.values.extra import Extra
    from storage_sync.values.snapshot import RunSummary

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def told(command: str, extra: Extra | None = None, **kwargs: object) -> Outcome:
    """The outcome of a command that is not about a cache."""
    return Outcome(command=command, verdict=Word.UNKNOWN, exit_code=0, extra=extra or {}, **kwargs)  # type: ignore[arg-type]


def told_table(invocation: Invocation, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Rows below their heads, as wide as the terminal allows."""
    import sys

    from storage_sync.reports.document import table

    return "\n".join(table(head, rows, width=width_of(sys.stdout), colour=invocation.colour()))


# ------------------------------------------------------------------------------------------- history


def parse_since(text: str, now: float) -> float:
    """Epoch seconds of `7d`, `12h`, `30m`, or of a date such as 2026-11-22 or 2026-11-22T10:00:00Z."""
    from datetime import UTC, datetime

    if age := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip()):
        return now - float(age[1]) * _UNITS[age[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"--since: {text!r} is neither a date nor an age", hint="2026-11-22, or 7d, 12h, 30m"
        ) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def run_json(run: RunSummary) -> dict[str, object]:
    """One run as `history --json` lists it."""
    from storage_sync.reports.document import rfc3339

    start = run.start
    told = {} if start is None else {"start": to_builtins(start)}
    return {
        "id": run.id,
        "kind": run.kind,
        "trigger": run.trigger,
        "started_at": rfc3339(run.started_at),
        "seconds": round(run.took_s, 4),
        "insert": run.new,
        "update": run.changed,
        "remove": run.gone,
        "exit_code": run.exit_code,
        "result": run.result,
        "resumable": run.resumable,
        "generation": run.generation,
        "bytes_received": run.bytes_received,
        "requests": run.requests,
        "followed": run.followed,
        "undoes": run.undoes or None,
        "undone_by": run.undone_by or None,
        **told,
    }


def _started_with(run: RunSummary) -> str:
    """How far behind a program started; '' for every other run."""
    from storage_sync.reports.document import number

    if run.start is None:
        return ""
    behind = run.start.behind
    return ", unknown how far behind" if behind is None else f", {number(behind)} behind"


def _folded(book: History, since: float | None, limit: int) -> list[tuple[RunSummary, ...]]:
    """The newest runs in so many groups, newest first."""
    from storage_sync.reports.run_groups import in_a_row

    wanted = limit
    while True:
        runs = book.runs(since, wanted)
        groups = in_a_row(runs, lambda run: run)
        # the last group of a full answer may go on
        if len(groups) > limit or len(runs) < wanted:
            return groups[:limit]
        wanted *= 4


def _line(group: Sequence[RunSummary]) -> tuple[str, ...]:
    """Sums over the group; its newest run is named."""
    from storage_sync.reports.document import number, rfc3339
    from storage_sync.reports.sentences import undo_words

    run, oldest = group[0], group[-1]
    many = f", {len(group):,} follow runs since {rfc3339(oldest.started_at)}" if len(group) > 1 else ""
    return (
        run.id,
        rfc3339(run.started_at),
        run.word,
        run.trigger,
        f"{sum(one.took_s for one in group):.2f} s",
        number(sum(one.new for one in group)),
        number(sum(one.changed for one in group)),
        number(sum(one.gone for one in group)),
        str(run.exit_code),
        run.result + undo_words(run) + _started_with(run) + many,
    )


def history(invocation: Invocation, *, since: str | None, limit: int) -> Answer:
    start = parse_since(since, time.time()) if since is not None else None
    warnings: list[str] = []
    with open_history(invocation, warnings) as book:
        runs, groups = book.runs(start, limit), _folded(book, start, limit)
    rows = [_line(group) for group in groups]
    head = ("run", "started", "kind", "trigger", "took", "new", "changed", "removed", "exit", "result")
    outcome = told("history", {"runs": [run_json(run) for run in runs]}, warnings=tuple(warnings))
    return Answer(outcome, told_table(invocation, head, rows) or "No run is remembered yet.")


def history_show(invocation: Invocation, run_id: str) -> Answer:
    """UsageError for a run that is not remembered."""
    from storage_sync.reports.sentences import plural
    from storage_sync.service.run_rows import changed_rows, rows_json
    from storage_sync.state.history import ALL_RUNS
    from storage_sync.values.visible import clean

    warnings: list[str] = []
    with open_history(invocation, warnings) as book:
        run = next((run for run in book.runs(limit=ALL_RUNS) if run.id == run_id), None)
        folder = book.path.parent
    if run is None:
        raise UsageError(f"no run {run_id} is remembered", hint="storage-sync history lists the runs")
    found = changed_rows(folder, str(invocation.loaded().settings.cache), run_id)
    touched = run.new or run.changed or run.gone
    said = found.said if touched or found.rows else "this run changed no row"
    extra: Extra = {
        "run": run_json(run),
        "rows": rows_json(found.rows),
        "rows_total": found.total,
        "rows_cut": found.cut,
        "rows_note": said or None,
        "undoable": not found.undo_off,
        "undo_note": found.undo_off or None,
    }
    lines = [
        (row.table, row.key, row.kind, column, before, after)
        for row in found.rows
        for column, before, after in _cells(row)
    ]
    head = ("table", "key", "change", "field", "before", "after")
    cells = [tuple(clean(cell) for cell in line) for line in lines]
    texts = [told_table(invocation, head, cells) if cells else "", said]
    if found.cut:
        texts.append(
            f"For {plural(found.cut, 'row')} the fields after the run are not kept: a run keeps at most 8 MiB of them."
        )
    if found.undo_off:
        texts.append(f"This run cannot be undone: {found.undo_off}.")
    following = f"storage-sync undo {run_id}" if not found.undo_off else None
    outcome = told("history", extra, warnings=tuple(warnings), next_action=following)
    return Answer(outcome, "\n\n".join(part for part in texts if part))


def _cells(row: ChangedRow) -> list[tuple[str, str, str]]:
    """Name, before and after of each field that the run changed; one line for a row without any."""
    changed = [column for column in row.columns if not column.equal]
    if row.kind != "changed" or not changed:
        # all of such a row is new or gone: its fields are in the document
        return [("", "", row.reason or ("not kept" if row.cut else ""))]
    after = "not kept" if row.cut else ""
    return [(one.name, one.primary or "", after or one.cache or "") for one in changed]


# ------------------------------------------------------------------------------------------- metrics


def metrics(invocation: Invocation, *, textfile: str | None) -> Answer:
    from storage_sync.reports.metrics import render, write_textfile

    warnings: list[str] = []
    facts = gather(invocation, warnings)
    if textfile is None:
        text = render(facts).decode()
        return Answer(told("metrics", {"metrics": text.splitlines()}, warnings=tuple(warnings)), text)
    try:
        write_textfile(Path(textfile), facts)
    except OSError as error:
        raise LocalIO(f"{textfile} cannot be written: {error.strerror}") from None
    return Answer(told("metrics", {"textfile": textfile}, warnings=tuple(warnings)), "")


# -------------------------------------------------------------------------------------------- config


def config_show(invocation: Invocation) -> Answer:
    loaded = invocation.loaded()
    view = settings_view(loaded, invocation.env)
    settings = [
        {"key": row.key, "value": row.value, "from": row.origin, "applies": row.applies, "help": row.help}
        for row in view.settings
    ]
    state = state_directory(loaded.settings)
    differs = differing_here(invocation)
    extra: Extra = {
        "file": view.file or None,
        "looked_in": str(_file_of(invocation)),
        "state_dir": str(state) if state is not None else None,
        "settings": settings,
        "running": [
            {
                "pid": one.pid,
                "key": one.key,
                "in_effect": one.in_effect,
                "in_file": one.in_file,
                "applies": one.applies,
            }
            for one in differs
        ],
    }
    rows = [(row.key, row.value, row.origin, row.applies, row.help) for row in view.settings]
    head = ("key", "value", "from", "applies", "")
    outcome = told("config", extra, warnings=(*invocation.oddities(), *map(str, differs)))
    place = f"file: {view.file}" if view.file else f"no file ({_file_of(invocation)} does not exist)"
    return Answer(outcome, f"{place}\n\n{told_table(invocation, head, rows)}")


def differing_here(invocation: Invocation) -> tuple[Differs, ...]:
    """Settings of the file that are not in effect in a console or a `watch` that runs on the same state folder."""
    from storage_sync.state.directory import open_state_dir
    from storage_sync.state.running import differing, running

    loaded = invocation.loaded()
    root = state_directory(loaded.settings)
    if root is None or loaded.file is None or loaded.settings.cache is None:
        return ()
    folders = {root, open_state_dir(root, str(loaded.settings.cache), create=False).folder}
    if loaded.settings.state_dir is None and root.parent.is_dir():
        # the file may name another cache than the one that is in effect
        folders.update(one for one in root.parent.iterdir() if one.is_dir())
    programs = [one for folder in sorted(folders) for one in running(folder)]
    return differing(programs, loaded.file, settings_view(loaded, invocation.env).settings)


def _file_of(invocation: Invocation) -> Path:
    if invocation.config_file:
        return Path(invocation.config_file).expanduser()
    named = invocation.env.get("STORAGE_SYNC_CONFIG")
    return Path(named).expanduser() if named else default_file()


def config_check(invocation: Invocation) -> Answer:
    """Exit 0 when a sync could start with it, 2 when something is wrong or lacks."""
    loaded = invocation.loaded()
    invocation.token()
    lacks = [name for name in ("primary", "cache") if setting_value(loaded.settings, name) is None]
    extra: Extra = {"file": str(loaded.file) if loaded.file is not None else None}
    warnings = (*invocation.oddities(), *_moved_wrongly(loaded.settings))
    if not lacks:
        return Answer(told("config", extra, warnings=warnings), "The configuration is valid.")
    hint = "storage-sync config init --primary URL --cache PATH"
    error = ErrorValue("config", f"no {' and no '.join(lacks)} is named", hint, False, 2)
    outcome = Outcome("config", Word.UNKNOWN, 2, warnings=warnings, extra=extra, error=error, next_action=hint)
    return Answer(outcome, "")


def _moved_wrongly(settings: Settings) -> tuple[str, ...]:
    """What of `ui.keymap` the console leaves out; it starts anyway."""
    asked = dict(settings.ui.keymap)
    if not asked:
        return ()
    # brings Textual, which most configurations need not wait for
    from console.keys.keymap import keymap

    return tuple(f"ui.keymap: {said}" for said in keymap(asked).problems)


def config_init(invocation: Invocation) -> Answer:
    from storage_sync.config import edit

    file = _file_of(invocation)
    values = dict(invocation.typed)
    if invocation.profile:
        values["profile"] = invocation.profile
    try:
        edit.init(file, values)
    except OSError as error:
        raise LocalIO(f"{file} cannot be written: {error.strerror}", hint="give another place with --config") from None
    lacks = [
        f"{name} URL" if name == "primary" else f"{name} PATH" for name in ("primary", "cache") if name not in values
    ]
    following = (
        f"edit {file}: set {' and '.join(lacks)}" if lacks else "storage-sync config check, then storage-sync ping"
    )
    return Answer(told("config", {"file": str(file)}, next_action=following), f"Wrote {file}.")


def completion(invocation: Invocation, shell: str) -> Answer:
    from console.cli import manual

    text = manual.completion(shell, manual.program())
    return Answer(told("completion", {"shell": shell, "script": text}), text, raw=True)


# ---------------------------------------------------------------------------------------------- keys


def keys(invocation: Invocation) -> Answer:
    from console.keys.table import KEYS

    rows = [(key.shown, key.label.rstrip("…"), key.where, key.tooltip) for key in KEYS]
    listed = [
        {"id": key.id, "key": key.shown, "label": key.label, "where": key.where, "help": key.tooltip} for key in KEYS
    ]
    return Answer(told("keys", {"keys": listed}), told_table(invocation, ("key", "name", "where", ""), rows))
