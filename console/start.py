"""From settings to what the application is made of: its look, and the core behind the bridge."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from console.bridge import Bridge, Emit, Publish, ScriptedBridge, Service, Tap, ThreadBridge
from console.themes import PALETTES
from console.ui import UiSettings
from storage_sync.model import CacheHealth, CoreBeat, PrimaryHealth, Snapshot

if TYPE_CHECKING:
    from storage_sync.config import Loaded, Settings


def ui_settings(settings: Settings) -> UiSettings:
    """The screen's part of the settings."""
    ui = settings.ui
    known = {palette.name for palette in PALETTES}
    theme = {"auto": UiSettings().theme, "textual-ansi": "textual-ansi"}.get(ui.theme, ui.theme)
    return UiSettings(
        theme=theme if theme in known or theme == "textual-ansi" else UiSettings().theme,
        refresh_s=ui.refresh,
        glyphs=ui.glyphs,
        profile=settings.profile,
        keymap=dict(ui.keymap),
    )


def make_bridge(
    settings: Settings, loaded: Loaded | None, environment: Mapping[str, str], tap: Tap | None = None
) -> Bridge:
    """The core in its thread, seen by `tap`; or, without a primary or a cache path, a picture that says so."""
    if not settings.primary or not settings.cache:
        return ScriptedBridge([_unconfigured(settings)], monotonic=time.monotonic)
    from storage_sync.config import read_token

    token = read_token(loaded, environment) if loaded is not None else None

    def make_service(publish: Publish, emit: Emit) -> Service:
        from console.configuration import configuration_of
        from storage_sync.service import SyncService

        return SyncService(configuration_of(settings, loaded, environment), token=token, publish=publish, emit=emit)

    return ThreadBridge(make_service, tap=tap)


def _unconfigured(settings: Settings) -> Snapshot:
    return Snapshot(
        seq=0,
        taken_at=time.time(),
        beat=CoreBeat(time.monotonic()),
        profile=settings.profile,
        access="ro",
        primary=PrimaryHealth(url=settings.primary or ""),
        cache=CacheHealth(path=os.fspath(settings.cache) if settings.cache else ""),
    )
