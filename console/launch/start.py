"""From settings to what the application is made of: its look, and the core behind the bridge."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from console.link.bridge import Bridge, Emit, Publish, Service, Tap, ThreadBridge
from console.views.ui_settings import UiSettings, known_theme
from storage_sync.files.report import write_report
from storage_sync.values.answers import SetupForm
from storage_sync.values.snapshot import CacheHealth, CoreBeat, PrimaryHealth, Snapshot

if TYPE_CHECKING:
    from storage_sync.config.load import Loaded
    from storage_sync.config.settings import Settings
    from storage_sync.primary.source import Source


def ui_settings(settings: Settings) -> UiSettings:
    """The screen's part of the settings."""
    ui = settings.ui
    return UiSettings(
        theme=known_theme(ui.theme),
        refresh_s=ui.refresh,
        glyphs=ui.glyphs,
        bell=ui.bell,
        notify=ui.notify,
        profile=settings.profile,
        keymap=dict(ui.keymap),
    )


def make_bridge(
    settings: Settings,
    loaded: Loaded | None,
    environment: Mapping[str, str],
    tap: Tap | None = None,
    *,
    source: Source | None = None,
) -> Bridge:
    """The core in its thread, seen by `tap`, with the demo's `source` if it is that; or, without a primary or a cache
    path, a picture that says so."""
    if not is_configured(settings):
        return _first_run_bridge(settings, loaded, environment)
    from storage_sync.config.token import read_token

    token = read_token(loaded, environment) if loaded is not None else None

    def make_service(publish: Publish, emit: Emit) -> Service:
        # the first look at Orphans needs it: imported then, it would stand in the way of keys during a run
        import storage_sync.verify.orphans  # noqa: F401
        from console.launch.configuration import configuration_of
        from storage_sync.service.service import SyncService

        told = configuration_of(settings, loaded, environment)
        return SyncService(told, token=token, publish=publish, emit=emit, source=source)

    def report(error: BaseException) -> Path | None:
        # the token of then: a renewed one is as secret
        return write_report(error, secrets=(token.value,) if token is not None else ())

    return ThreadBridge(make_service, tap=tap, report=report)


def is_configured(settings: Settings) -> bool:
    """Whether there is something to sync."""
    return bool(settings.primary and settings.cache)


def setup_form(settings: Settings) -> SetupForm:
    """What is known of a configuration that lacks something."""
    return SetupForm(
        primary=settings.primary or "",
        token_env=settings.token_env or "TURSO_AUTH_TOKEN",
        token_file=os.fspath(settings.token_file) if settings.token_file is not None else "",
        cache=os.fspath(settings.cache) if settings.cache is not None else "",
        profile=settings.profile,
        look_only=settings.access == "read-only",
    )


def place_of(loaded: Loaded | None, environment: Mapping[str, str]) -> Path:
    """Where the configuration is, or will be."""
    from storage_sync.config.places import default_file

    named = loaded.asked[0] if loaded is not None else None
    found = loaded.file if loaded is not None else None
    given = environment.get("STORAGE_SYNC_CONFIG")
    return found or named or (Path(given) if given else default_file())


def _first_run_bridge(settings: Settings, loaded: Loaded | None, environment: Mapping[str, str]) -> Bridge:
    """A core that only tries and saves a configuration."""

    def make_service(publish: Publish, emit: Emit) -> Service:
        from storage_sync.service.setup import FirstRunService, Surroundings

        surroundings = Surroundings(place_of(loaded, environment), environment)
        return FirstRunService(_unconfigured(settings), surroundings, publish, emit)

    return ThreadBridge(make_service, report=write_report)


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
