"""Whether do-memory's server, started in this environment, uses the stores that are synced."""

from __future__ import annotations

import os
from collections.abc import Mapping

from storage_sync.config.do_memory import MODE, server_stores
from storage_sync.config.settings import Settings, names_a_file
from storage_sync.config.urls import redact_url
from storage_sync.primary.urls import parse
from storage_sync.values.errors import ConfigError


def other_stores(settings: Settings, env: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence for each store that is synced and that the server leaves alone."""
    chosen = server_stores(env)
    told = []
    if settings.primary is not None and _identity(chosen.primary) != _identity(settings.primary):
        uses = f"will use {redact_url(chosen.primary)}" if chosen.primary else "will use no primary"
        step = _step(settings.primary)
        told.append(f"do-memory's server {uses}, not {redact_url(settings.primary)}, which is synced: {step}")
    if settings.cache is not None and (
        chosen.cache is None or os.path.realpath(chosen.cache) != os.path.realpath(settings.cache)
    ):
        uses = f"will open {chosen.cache}" if chosen.cache is not None else "will open no cache"
        told.append(
            f"do-memory's server {uses}, not {settings.cache}, which is synced: set REDB_CACHE_PATH={settings.cache}"
            + (f" and unset {MODE}" if chosen.cache is None else "")
        )
    return tuple(told)


def _step(primary: str) -> str:
    if names_a_file(primary):
        return f"set MEMORY_DB_PATH={primary[len('file:') :]} and unset {MODE}"
    return f"it prefers a local file, so set {MODE}=remote, TURSO_DATABASE_URL and TURSO_AUTH_TOKEN"


def _identity(url: str | None) -> str | None:
    """None for an address that cannot be read."""
    try:
        return parse(url).source_id if url is not None else None
    except ConfigError:
        return None
