"""A core for the first start, when there is nothing to sync yet: it tries what a person typed, and saves it.

It answers `TrySettings` and `SaveSettings`; what cannot be saved is answered as a test is. Nothing is opened but what
the form names; the cache is only looked at from outside. A token is read to be tried, and never stored.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from storage_sync.cache.states import FileJudgement, error_for, judge_file
from storage_sync.config import edit
from storage_sync.config.load import Loaded, load_settings
from storage_sync.config.settings import Settings, names_a_file
from storage_sync.config.token import Token, read_token, token_is_exposed
from storage_sync.service.commands import Command, SaveSettings, TrySettings
from storage_sync.sync.session import Session
from storage_sync.values.answers import SetupFinding, SetupForm, SetupSaved, SetupTried
from storage_sync.values.errors import ConfigError, LocalIO, StorageSyncError, UsageError
from storage_sync.values.events import Accepted, Answer, Event, Refused
from storage_sync.values.next_step import NextStep
from storage_sync.values.snapshot import Snapshot

TIMEOUT_S = 10.0
"""Of one request of a try."""


class Surroundings(Struct, frozen=True):
    """`file`: where the configuration will be; `environment`: where tokens may be."""

    file: Path
    environment: Mapping[str, str]


class FirstRunService:
    """All methods belong to the loop of `run`."""

    def __init__(
        self,
        picture: Snapshot,
        surroundings: Surroundings,
        publish: Callable[[Snapshot], None],
        emit: Callable[[Event], None],
    ) -> None:
        self._picture = picture
        self._surroundings = surroundings
        self._publish = publish
        self._emit = emit
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until `request_stop`."""
        self._publish(self._picture)
        try:
            await self._stop.wait()
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    def request_stop(self) -> None:
        self._stop.set()

    def submit(self, number: int, command: Command[object]) -> None:
        """A newer command takes the place of an older one."""
        if not isinstance(command, TrySettings | SaveSettings):
            self._emit(Refused(number, "there is no configuration yet", "set it up first, or F2 starts the demo"))
            return
        if self._task is not None:
            self._task.cancel()
        self._emit(Accepted(number))
        self._task = asyncio.create_task(self._answer(number, command))

    async def _answer(self, number: int, command: TrySettings | SaveSettings) -> None:
        try:
            value = await self._done(command)
        except asyncio.CancelledError:
            self._emit(Refused(number, "a newer one took its place", ""))
            raise
        except StorageSyncError as error:
            self._emit(Refused.of(number, error))
        else:
            self._emit(Answer(number, value))

    async def _done(self, command: TrySettings | SaveSettings) -> SetupTried | SetupSaved:
        if isinstance(command, TrySettings):
            return await try_form(command.form, self._surroundings)
        return await self._save(command.form)

    async def _save(self, form: SetupForm) -> SetupSaved | SetupTried:
        """What does not fit belongs beside its field, as after a test."""
        try:
            return await asyncio.to_thread(save_form, form, self._surroundings)
        except (ConfigError, UsageError) as error:
            return SetupTried(form, (_failed(_entry_of(error.message), error),), savable=False)


# ------------------------------------------------------------------------------------------------ try


async def try_form(form: SetupForm, surroundings: Surroundings) -> SetupTried:
    """Try each entry by itself; what is wrong is a finding, never an exception."""
    findings: list[SetupFinding] = []
    token: Token | None = None
    loaded: Loaded | None = None
    try:
        loaded = _loaded(form, surroundings)
    except StorageSyncError as error:
        findings.append(_failed(_entry_of(error.message), error))
    if loaded is not None and not names_a_file(form.primary):
        token, found = await asyncio.to_thread(_token_of, loaded, surroundings.environment)
        findings.append(found)
    if loaded is not None:
        findings.extend(await _try_primary(loaded.settings, token))
    if form.cache:
        findings.append(await asyncio.to_thread(_try_cache, form.cache))
    else:
        findings.append(SetupFinding("cache", "failed", f"no path is given; {_TYPE_A_CACHE}"))
    findings.extend(await asyncio.to_thread(_try_place, surroundings.file))
    return SetupTried(form, tuple(findings), savable=loaded is not None and bool(form.cache))


def _loaded(form: SetupForm, surroundings: Surroundings) -> Loaded:
    """The form as settings, with or without a cache; ConfigError names what does not fit."""
    if not form.primary:
        raise UsageError("primary: no URL is given", hint="type libsql://, https:// or file: and the rest of it")
    if form.token_env and not _VARIABLE.fullmatch(form.token_env):
        # what was typed may be the token: it is not quoted, and never saved
        raise UsageError("token: this is not the name of a variable", hint="export the token, and type the name here")
    return load_settings(surroundings.file, None, _typed(form), {}, required=False)


def _typed(form: SetupForm) -> dict[str, object]:
    """The settings that the form names. A relative path is of the folder in which it was typed; in the file it would
    be one of the file's folder."""
    typed: dict[str, object] = {"primary": _whole(form.primary)}
    if form.cache:
        typed["cache"] = _path(form.cache)
    if not names_a_file(form.primary):
        if form.token_file:
            typed["token_file"] = _path(form.token_file)
        elif form.token_env:
            typed["token_env"] = form.token_env
    if form.look_only:
        typed["access"] = "read-only"
    return typed


def _path(typed: str) -> Path:
    return Path(typed).expanduser().absolute()


def _whole(primary: str) -> str:
    """Of a local database, the URL with its whole path."""
    _, _, path = primary.partition(":")
    return f"file:{_path(path)}" if names_a_file(primary) and path and not path.startswith("//") else primary


_TYPE_A_CACHE = "type where do-memory keeps its redb file"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPTION = re.compile(r"^--(primary|cache|token)[a-z-]*: ")


def _entry_of(message: str) -> str:
    named = _OPTION.match(message)
    if named is not None:
        return named[1]
    return next((name for name in ("cache", "token", "primary") if name in message), "primary")


_IN_A_FORM: Mapping[NextStep, str] = {
    NextStep.CHECK_TOKEN: "check the token",
    NextStep.CHECK_SERVER: "this does not look like a libSQL server; check the URL",
    NextStep.CHECK_URL_AND_TOKEN: "check the URL and the token",
}
"""Steps that help before there is a configuration; the others need a cache or a console."""
_OPTIONS = re.compile(r" \(--[^)]*\)")
_NO_USE = re.compile(r"--|storage-sync|the cache is untouched")
"""Advice that fits a command line, or a cache that is there."""


def _failed(entry: str, error: StorageSyncError) -> SetupFinding:
    """In the words of a form: the field is beside it, and there is no option to give."""
    said = _OPTION.sub("", error.message).removeprefix(f"{entry}: ")
    hint = _IN_A_FORM.get(error.step, "") if error.step is not None else _OPTIONS.sub("", error.hint)
    advice = [one for one in hint.split("; ") if one and not _NO_USE.search(one)]
    return SetupFinding(entry, "failed", "; ".join((said, *advice)))


def _token_of(loaded: Loaded, environment: Mapping[str, str]) -> tuple[Token | None, SetupFinding]:
    """Blocking: a token file is read."""
    try:
        token = read_token(loaded, environment)
    except StorageSyncError as error:
        return None, _failed("token", error)
    if token is None:
        return None, SetupFinding("token", "attention", "none is given; a server that requires one will refuse")
    file = loaded.settings.token_file
    if file is not None and token_is_exposed(file):
        return token, SetupFinding("token", "attention", f"set, hidden, from {token.origin}; others can read that file")
    return token, SetupFinding("token", "ok", f"set, hidden, from {token.origin}")


async def _try_primary(settings: Settings, token: Token | None) -> list[SetupFinding]:
    session = Session(settings, token)
    try:
        source = session.source
        async with asyncio.timeout(2 * TIMEOUT_S):
            capabilities = await source.probe()
            started = time.perf_counter()
            await source.fingerprint()
            spent = time.perf_counter() - started
    except StorageSyncError as error:
        return [_failed("primary", error)]
    except TimeoutError:
        return [SetupFinding("primary", "failed", f"no answer within {2 * TIMEOUT_S:g} s")]
    finally:
        await session.close()
    accepted = ", token accepted" if token is not None else ""
    found = [
        SetupFinding("primary", "ok", f"answers in {spent * 1000:.0f} ms{accepted}"),
        SetupFinding("primary", "ok", f"its schema is do-memory's, as of {capabilities.generation}"),
    ]
    if capabilities.digest is None:
        costs = "no digest functions: comparing reads every row"
        found.append(SetupFinding("primary", "ok" if settings.reads_a_file else "attention", costs))
    return found


def _try_place(file: Path) -> list[SetupFinding]:
    """Whether the configuration could be written there; nothing where it can. Blocking."""
    there = next(one for one in (file, *file.parents) if one.exists())
    said = ""
    if there == file and not file.is_file():
        said = f"{file} is not a file"
    elif there != file and not there.is_dir():
        said = f"{there} is not a folder"
    elif not os.access(there, os.W_OK):
        said = f"{there} cannot be written by this user"
    return [SetupFinding("file", "failed", f"{said}; start with --config and another place")] if said else []


def _try_cache(path: str) -> SetupFinding:
    """From outside, without a lock. Blocking."""
    file = _path(path)
    try:
        judgement = judge_file(os.fspath(file))
    except StorageSyncError as error:
        return _failed("cache", error)
    return _told_cache(file, judgement)


def _told_cache(file: Path, judgement: FileJudgement) -> SetupFinding:
    size = f"{judgement.size:,} bytes" if judgement.size is not None else "of unknown size"
    if judgement.locked:
        holder = judgement.holders[0] if judgement.holders else None
        who = f"pid {holder.pid} {holder.command}" if holder is not None else "another process"
        return SetupFinding("cache", "off", f"exists, {size}, held by {who} (normal)")
    if judgement.buildable:
        if not os.access(file.parent, os.W_OK):
            return SetupFinding("cache", "failed", f"the folder {file.parent} is not there or cannot be written")
        return SetupFinding("cache", "ok", "does not exist yet; the first sync creates it")
    error = error_for(judgement, writing=True)
    if error is not None:
        return _failed("cache", error)
    return SetupFinding("cache", "ok", f"is a redb file, {size}")


# ----------------------------------------------------------------------------------------------- save


def save_form(form: SetupForm, surroundings: Surroundings) -> SetupSaved:
    """Write the configuration, mode 0600; one that is there keeps what the form does not name. Blocking.

    ConfigError when an entry does not fit or its token cannot be read, because the console could not start with
    that; LocalIO when the file cannot be written.
    """
    loaded = _loaded(form, surroundings)
    if not form.cache:
        raise UsageError("cache: no path is given", hint=_TYPE_A_CACHE)
    if not names_a_file(form.primary):
        read_token(loaded, surroundings.environment)
    values = {name: str(value) for name, value in _typed(form).items()}
    profile = form.profile.strip() or "default"
    file = surroundings.file
    try:
        if file.exists():
            section = edit.section_in_effect(profile)
            edit.replace(file, edit.edited(file, values, section))
        else:
            edit.init(file, values, profile)
    except OSError as error:
        raise LocalIO(
            f"{file} cannot be written: {error.strerror}", hint="start with --config and another place"
        ) from error
    return SetupSaved(os.fspath(file))
