"""Settings as they may be shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from storage_sync.config.load import Loaded
from storage_sync.config.settings import FIELDS, RESTART, SECRET_URLS, Field, setting_value
from storage_sync.config.token import NOT_USABLE, token_origin
from storage_sync.config.urls import host_of, redact_url
from storage_sync.values.snapshot import ConfigView, Setting

TOKEN = "primary.token"  # noqa: S105 - the name of a row
"""Row that says whether there is a token."""


def shown_value(field: Field, value: object) -> str:
    """One value as it may be shown: a URL without secrets, `not set`, `true`, a number."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}={text}" for key, text in sorted(value.items())) or "none"
    if field.name in SECRET_URLS:
        return host_of(str(value)) + "/…"
    return redact_url(str(value)) if field.name == "primary" else str(value)


def still_in_effect(fresh: Iterable[Setting], before: Iterable[Setting]) -> tuple[Setting, ...]:
    """`fresh`, read while the program runs; what needs a restart keeps its value and says what waits for one."""
    had = {setting.key: setting for setting in before}
    return tuple(_after(had.get(setting.key), setting) for setting in fresh)


def _after(had: Setting | None, fresh: Setting) -> Setting:
    if had is None or fresh.applies != RESTART or (had.value, _place(had)) == (fresh.value, _place(fresh)):
        return fresh
    return replace(had, waiting=fresh.value, waits_from=fresh.origin)


def _place(setting: Setting) -> str:
    """Of a token, where it is: all that may be shown of it."""
    return setting.origin if setting.key == TOKEN else ""


def settings_view(loaded: Loaded, env: Mapping[str, str], *, loaded_at: float | None = None) -> ConfigView:
    """Every setting with its origin, and whether there is a token, never the token."""
    from storage_sync.values.snapshot import ConfigView

    rows = []
    for field in FIELDS:
        value = shown_value(field, setting_value(loaded.settings, field.name))
        rows.append(Setting(field.key, value, str(loaded.origins[field.name]), field.applies, field.help))
        if field.name == "token_env":
            origin = token_origin(loaded, env)
            told = "set, hidden" if origin and not origin.startswith(NOT_USABLE) else "not set"
            text = "The primary's token; it is never stored and never shown."
            rows.append(Setting(TOKEN, told, origin or "default", RESTART, text))
    return ConfigView(tuple(rows), str(loaded.file) if loaded.file is not None else "", loaded_at)
