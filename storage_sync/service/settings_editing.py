"""Questions about the configuration: what writing it would do, writing it, and whether a primary answers with it."""

from __future__ import annotations

import difflib
import hashlib
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from storage_sync.config import edit as config_file
from storage_sync.config.file import text_of
from storage_sync.config.settings import Settings, convert
from storage_sync.sync.session import Session
from storage_sync.values.answers import PrimaryTried, SettingEdit, SettingsPreview, SettingsWritten
from storage_sync.values.errors import ConfigError, GuardStopped, LocalIO, UsageError

if TYPE_CHECKING:
    from storage_sync.service.commands import PreviewSettings, TryPrimary, WriteSettings
    from storage_sync.service.question import Asked
    from storage_sync.values.snapshot import ConfigView

_SECRET_PATH = re.compile(r"""((?:heartbeat_)?url\s*=\s*["']https?://[^/"']+/)[^"']+""")
"""The path of a notice's URL is what lets one in: it is not shown."""
TESTABLE = ("primary", "timeout_s")
"""Settings that a test of the connection takes before they are written."""


async def preview_settings(question: PreviewSettings, asked: Asked) -> SettingsPreview:
    """What the file would say; ConfigError when a value does not fit."""
    return (await asked.aside(_prepare, asked.snapshot.config, asked.settings.profile, question.edits)).preview


async def write_settings(question: WriteSettings, asked: Asked) -> SettingsWritten:
    """GuardStopped when the file is another one than that of the preview."""
    edits = question.edits

    def work() -> SettingsWritten:
        prepared = _prepare(asked.snapshot.config, asked.settings.profile, edits)
        if prepared.preview.base != question.base:
            raise GuardStopped(f"{prepared.preview.file} has changed meanwhile; nothing was written", hint="look again")
        file = Path(prepared.preview.file)
        try:
            config_file.replace(file, prepared.text)
        except OSError as error:
            raise LocalIO(f"{file} cannot be written: {error.strerror}", hint="check its folder's owner") from None
        return SettingsWritten(str(file), tuple(edit.key for edit in edits))

    return await asked.aside(work)


async def try_primary(question: TryPrimary, asked: Asked) -> PrimaryTried:
    """Asks the primary with the token of this session; its errors as a sync's."""
    changes = {
        config_file.field_of(edit.key).name: convert(
            config_file.field_of(edit.key), edit.value, edit.key, text=edit.value is not None
        )
        for edit in question.edits
        if config_file.field_of(edit.key).name in TESTABLE
    }
    settings: Settings = msgspec.structs.replace(asked.settings, **changes)
    session = Session(settings, asked.token)
    try:
        source = session.source
        capabilities = await source.probe()
        started = time.perf_counter()
        await source.fingerprint()
        spent = time.perf_counter() - started
        token = asked.token.origin if asked.token is not None else ""
        return PrimaryTried(
            source.url, spent * 1000, capabilities.server, capabilities.digest, capabilities.generation, token
        )
    finally:
        await session.close()


class _Prepared(Struct, frozen=True):
    preview: SettingsPreview
    text: str


def _prepare(view: ConfigView, profile: str, edits: tuple[SettingEdit, ...]) -> _Prepared:
    """Blocking: reads the file."""
    if not edits:
        raise UsageError("nothing was edited", hint="enter edits a setting")
    if not view.file:
        raise ConfigError("there is no configuration file", hint="storage-sync config init writes one")
    file = Path(view.file)
    values: Mapping[str, object] = {edit.key: edit.value for edit in edits}
    try:
        before = text_of(file)
        after = config_file.edited(file, values, config_file.section_in_effect(profile))
    except OSError as error:
        raise LocalIO(f"{file} cannot be read: {error.strerror}") from None
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "now", "after", lineterm="", n=2)
    diff = (_SECRET_PATH.sub(r"\1…", line) for line in lines)
    base = hashlib.sha256(before.encode()).hexdigest()
    return _Prepared(SettingsPreview(str(file), tuple(diff)[2:], base, _notes(view, edits)), after)


def _notes(view: ConfigView, edits: tuple[SettingEdit, ...]) -> tuple[str, ...]:
    """Settings that the file does not decide now, and when the others apply."""
    shown = {setting.key: setting for setting in view.settings}
    notes = []
    for edit in edits:
        setting = shown.get(edit.key)
        if setting is None:
            continue
        if setting.origin.startswith(("env ", "--")):
            notes.append(f"{edit.key} stays as it is: {setting.origin} takes precedence over the file")
        else:
            notes.append(f"{edit.key} applies: {setting.applies}")
    return tuple(notes)
