"""Where configuration and state are kept when nobody says otherwise."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from storage_sync.config.settings import Settings


def _user_folder(variable: str, usual: str, kind: str) -> Path:
    """The platform's folder for our configuration or state.

    platformdirs knows them all; where it would only read one variable, its import (a fifth of the start-up of
    `status`) is saved.
    """
    system = sys.platform
    if system == "linux":
        named = os.environ.get(variable, "")
        return (Path(named) if named.startswith("/") else Path.home() / usual) / "storage-sync"
    import platformdirs

    folder: Path = getattr(platformdirs, f"user_{kind}_path")("storage-sync")
    return folder


def default_file() -> Path:
    """Where the configuration is when nobody says otherwise."""
    return _user_folder("XDG_CONFIG_HOME", ".config", "config") / "config.toml"


def default_state_dir(cache: Path) -> Path:
    """One folder per real path of a cache, under the platform's state folder (docs/protocol.md#files)."""
    from storage_sync import _native

    real = cache.resolve()
    short = _native.digest("sha-256", os.fsencode(real)).hex()[:12]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", real.name)[:40]
    return _user_folder("XDG_STATE_HOME", ".local/state", "state") / f"{name}-{short}"


def state_directory(settings: Settings) -> Path | None:
    """The folder of witness, history and quarantined rows; None while no cache is named."""
    if settings.state_dir is not None:
        return settings.state_dir
    return default_state_dir(settings.cache) if settings.cache is not None else None
