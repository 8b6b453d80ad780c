"""`doctor`: checks each part by itself, with a finding and a next step; a failed part does not stop the others."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec.structs import replace

from storage_sync import __version__, _native
from storage_sync.cache import servers
from storage_sync.cache.holders import advice_for
from storage_sync.cache.identity import file_system_of, real_path
from storage_sync.cache.lease import lease_path, refuse_network
from storage_sync.cache.states import error_for, judge_file
from storage_sync.files.ownership import why_not_kept
from storage_sync.files.writing import try_folder
from storage_sync.primary.source import LocalSource
from storage_sync.reports import advice, costs
from storage_sync.reports.document import holder_text
from storage_sync.reports.sentences import plural
from storage_sync.state.history import History
from storage_sync.state.quarantine import FILE_NAME as QUARANTINE
from storage_sync.state.undo_log import FILE_NAME as UNDO_LOG
from storage_sync.state.witness import read_witness
from storage_sync.sync.compare import compared, looking, project, refusal_of, source_guard
from storage_sync.sync.context import Context
from storage_sync.sync.inspection import looked
from storage_sync.sync.outcome_builder import Draft
from storage_sync.sync.run import run_sync
from storage_sync.values.errors import LocalIO, StorageSyncError, exit_code_of
from storage_sync.values.next_step import in_commands
from storage_sync.values.outcome import Check, CheckStatus, Outcome, Word

_SQLITE_ENDS = ("", "-wal", "-shm", "-journal")

Part = Callable[[Context], Awaitable[tuple[str, str]]]
"""Returns what was expected and what was found; raises StorageSyncError if the part has a problem."""


async def run_doctor(context: Context) -> Outcome:
    """Exit code of the first part that has a problem, 0 if none has."""
    draft = context.draft
    checks: list[Check] = []
    for name, part in _PARTS:
        try:
            expected, actual = await part(context)
            checks.append(Check(name, CheckStatus.PASS, expected, actual))
        except StorageSyncError as error:
            said = f"{error.message}; next: {error.hint}"
            if any(check.detail == said for check in checks):
                continue
            checks.append(Check(name, CheckStatus.FAIL, None, error.code, said))
            draft.exit_code = draft.exit_code or exit_code_of(error)
            draft.next_action = draft.next_action or error.hint
    draft.checks = tuple(checks)
    draft.verdict = Word.UNKNOWN
    draft.extra["versions"] = {"storage_sync": __version__, "redb": _native.REDB_VERSION, "enc": _native.ENCODING}
    return draft.outcome()


async def _settings(context: Context) -> tuple[str, str]:
    return "a primary and a cache are set", f"{context.session.source.url} -> {context.session.cache_path}"


async def _state_folder(context: Context) -> tuple[str, str]:
    state = context.session.state
    if state.problem:
        raise LocalIO(
            state.problem, hint="make this user the owner of the folder, or give another one with --state-dir"
        )
    witness, why = read_witness(state.folder, context.session.cache_path)
    if why:
        context.draft.warn(why)
    known = f"last commit: generation {witness.generation}" if witness is not None else "no proof yet"
    return "a folder for witness, history and quarantined rows", f"{state.folder}: {known}"


async def _state_files(context: Context) -> tuple[str, str]:
    """What a sync writes into the state folder; files that are not there yet are made in a folder that can be used."""
    state = context.session.state
    known = (state.history, state.folder / UNDO_LOG, state.set_aside, state.set_aside / QUARANTINE)
    for path in (Path(f"{one}{end}") for one in known for end in _SQLITE_ENDS):
        _require_own(path)
    return "files in it that this user can write", str(state.folder)


async def _folder(context: Context) -> tuple[str, str]:
    """Lock, unfinished build and new file lie beside the cache."""
    session = context.session
    if session.settings.access == "read-only":
        return "nothing, because the cache is only read", "not checked"
    why = await session.on_cache_thread(why_not_kept, real_path(session.cache_path))
    if why:
        # a sync in place needs no new file
        context.draft.warn(
            f"a repair, a rebuild and its undo would be refused: {why}; run them as the user who owns the cache, or as "
            "root"
        )
    return await session.on_cache_thread(_tried, session.cache_path, session.settings.lock_ok)


def _tried(cache: str, lock_ok: bool) -> tuple[str, str]:
    """Blocking; LocalIO."""
    lock = Path(lease_path(cache))
    folder = lock.parent
    try:
        try_folder(folder)
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        raise LocalIO(
            f"no file can be made in {folder}: {error.strerror}",
            hint="make the folder, or give another path with --cache"
            if gone
            else "give this user write access to the folder",
        ) from error
    _require_own(lock)
    refuse_network(str(lock), lock_ok)
    return "a folder in which a sync can work", str(folder)


def _require_own(path: Path) -> None:
    if path.exists() and not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        raise LocalIO(
            f"{path} cannot be written by this user", hint="always run syncs as the same user, and give it the file"
        )


async def _file(context: Context) -> tuple[str, str]:
    session = context.session
    witness, _ = read_witness(session.state.folder, session.cache_path)
    judgement = await session.on_cache_thread(judge_file, session.cache_path, witnessed=witness is not None)
    system = file_system_of(judgement.real_path)
    if system.network:
        context.draft.warn(f"the cache is on a network file system ({system.kind}); its locks may not hold")
    error = error_for(judgement, writing=session.settings.access != "read-only", held_ok=True)
    if error is not None:
        raise error
    for server in await asyncio.to_thread(servers.in_memory_only, session.cache_path, judgement.holders):
        context.draft.warn(servers.warning(server))
    if judgement.holders:
        holder = judgement.holders[0]
        context.draft.warn(f"{holder_text(holder, time.time())}; {in_commands(advice_for(holder))}")
    wanted = "a file that a sync can change"
    when = " once it is closed" if judgement.holders else ""
    return f"{wanted}{when}", ", ".join(str(state) for state in judgement.states) or "nothing unusual"


async def _content(context: Context) -> tuple[str, str]:
    async with looked(context.session, context.tracker, context.draft, writing=False, deep=True) as look:
        rows = sum(table.rows for table in look.scan.tables.values()) if look.scan is not None else 0
        return "a cache that opens and can be read completely", f"{', '.join(look.states)}; {plural(rows, 'row')}"


async def _primary(context: Context) -> tuple[str, str]:
    source = context.session.source
    capabilities = await source.probe()
    milliseconds = await source.ping()
    digest = capabilities.digest or "none, digests are computed here"
    way = f" through the proxy {source.proxy}" if source.proxy else ""
    return "an answer and do-memory's schema", (
        f"{milliseconds:.1f} ms{way}, {capabilities.server}, schema of do-memory {capabilities.generation},"
        f" digest {digest}"
    )


async def _source(context: Context) -> tuple[str, str]:
    """GuardStopped where a sync would be: rows are compared only when there is a doubt."""
    async with looked(context.session, context.tracker, context.draft, writing=False) as look:
        if look.checkpoint is None:
            return "the primary of the last proof", "nothing has been proven yet"
        projection = await project(context, look)
        if source_guard(context, look, projection, root="") is not None:
            async with compared(looking(context, look), look, projection) as comparison:
                refusal = await refusal_of(context, comparison)
                if refusal is not None:
                    raise refusal
    return "the primary of the last proof", f"the same, epoch {projection.epoch}"


async def _costs(context: Context) -> tuple[str, str]:
    """One measured poll and one proof that finds nothing changed; a hosted primary bills each row that they read."""
    wanted, session = "what watching this primary costs", context.session
    source, settings = session.source, session.settings
    capabilities = await source.probe()
    if isinstance(source, LocalSource):
        return wanted, "nothing: it is a file on this machine"
    if capabilities.digest is None:
        return wanted, "each sync transfers every expected row, because the primary has no digest functions"
    measured = await source.measure(session.scope(capabilities.digest))
    if measured is None:
        return wanted, "unknown: the primary does not say how many rows it reads"
    context.draft.extra["costs"] = costs.to_json(measured, settings)
    return wanted, costs.told(measured, settings)


async def _plan(context: Context) -> tuple[str, str]:
    """All that a sync does before it writes, guards included; what it learns is told by its plan alone."""
    draft = Draft("sync")
    outcome = await run_sync(replace(context, draft=draft))
    changes = outcome.plan.values()
    parts = (sum(one.insert for one in changes), sum(one.update for one in changes), sum(one.remove for one in changes))
    return "a plan that no guard stops", "+{:,} ~{:,} -{:,} rows".format(*parts)


async def _advice(context: Context) -> tuple[str, str]:
    """A slow setting stops no sync, so whatever is found passes."""
    if context.session.settings.cache is None:
        return "measured runs", "no cache is set, so nothing was measured"
    found = advice.advise(await asyncio.to_thread(_figures, context))
    context.draft.extra["advice"] = advice.to_json(found)
    told = "; ".join(one.text for one in found) or "another window or batch size would gain little"
    return "a window and a batch size that suit this primary", told


def _figures(context: Context) -> advice.Figures:
    session = context.session
    with History.open(session.state.history, context.draft.warn, read_only=True) as book:
        return advice.figures_of(book, session.settings)


_PARTS: tuple[tuple[str, Part], ...] = (
    ("settings", _settings),
    ("state_folder", _state_folder),
    ("state_files", _state_files),
    ("cache_folder", _folder),
    ("cache_file", _file),
    ("cache_content", _content),
    ("primary", _primary),
    ("source", _source),
    ("plan", _plan),
    ("costs", _costs),
    ("advice", _advice),
)
