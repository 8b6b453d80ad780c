"""From what was loaded to what the long-running core is given: console and `watch` alike."""

from __future__ import annotations

from collections.abc import Mapping

from storage_sync.config.load import Loaded
from storage_sync.config.settings import Settings
from storage_sync.config.view import settings_view
from storage_sync.service.effective_settings import Configuration


def configuration_of(settings: Settings, loaded: Loaded | None, environment: Mapping[str, str]) -> Configuration:
    """Settings with their origins and, where they were loaded, the way to read them again."""
    if loaded is None:
        return Configuration(settings)

    def again() -> Configuration:
        fresh = loaded.again(environment)
        return Configuration(fresh.settings, fresh.file, settings_view(fresh, environment).settings)

    return Configuration(settings, loaded.file, settings_view(loaded, environment).settings, again)
