"""Effective settings: option typed > environment > profile in the file > file > default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from storage_sync.config import do_memory
from storage_sync.config.file import check_known, read_file
from storage_sync.config.places import default_file
from storage_sync.config.settings import BY_KEY, BY_NAME, FIELDS, Field, Settings, Ui, absolute, convert, nearest
from storage_sync.files.ownership import changeable_by_others
from storage_sync.values.errors import ConfigError

_PREFIX = "STORAGE_SYNC_"
_OTHER_VARIABLES = {"STORAGE_SYNC_CONFIG", "STORAGE_SYNC_TOKEN"}


class Origin(msgspec.Struct, frozen=True):
    """Where a value came from."""

    kind: Literal["typed", "environment", "profile", "file", "default"]
    detail: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = f", line {self.line}" if self.line is not None else ""
        match self.kind:
            case "typed":
                return self.detail
            case "environment":
                return f"env {self.detail}"
            case "profile":
                return f"profile {self.detail}{place}"
            case "file":
                return f"file{place}"
            case _:
                return "default"


RANK = {"default": 0, "file": 1, "profile": 2, "environment": 3, "typed": 4}


class Loaded(msgspec.Struct, frozen=True):
    """Effective settings, the origin of each by name, the file that was read (None: none) and what is odd."""

    settings: Settings
    origins: Mapping[str, Origin]
    file: Path | None
    warnings: tuple[str, ...] = ()
    asked: tuple[Path | None, str | None, Mapping[str, object]] = (None, None, {})
    """File, profile and options that were typed."""

    def again(self, env: Mapping[str, str]) -> Loaded:
        """The same request on what the file and the environment say now."""
        config_file, profile, typed = self.asked
        return load_settings(config_file, profile, typed, env, required=False)


def load_settings(
    config_file: Path | None,
    profile: str | None,
    typed: Mapping[str, object],
    env: Mapping[str, str],
    *,
    required: bool = True,
) -> Loaded:
    """Effective settings. `typed`: by attribute, only what was actually typed; `config_file` None: the default place.

    A file that is named must be there unless `required` is off; the one in the default place need not be.
    """
    named = config_file if config_file is not None else _path_or_none(env.get("STORAGE_SYNC_CONFIG"))
    path = named if named is not None else default_file()
    file = read_file(path) if path.exists() or (named is not None and required) else None
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {field.name: Origin("default") for field in FIELDS}

    def put(field: Field, value: object, origin: Origin, where: str, *, text: bool) -> None:
        converted = convert(field, value, where, text=text)
        in_file = origin.kind in ("file", "profile")
        values[field.name] = absolute(field, converted, path.parent) if in_file else converted
        origins[field.name] = origin

    if file is not None:
        for key, value in file.common.items():
            put(
                check_known(file, key, key),
                value,
                Origin("file", str(path), file.lines.get(key)),
                file.where(key),
                text=False,
            )
        for name, part in file.profiles.items():
            for key, value in part.items():
                full = f"profiles.{name}.{key}"
                convert(check_known(file, key, full), value, file.where(full), text=False)
    chosen, origin = _choose_profile(profile, env, values, origins)
    values["profile"], origins["profile"] = chosen, origin
    if file is not None and chosen in file.profiles:
        for key, value in file.profiles[chosen].items():
            full = f"profiles.{chosen}.{key}"
            if BY_KEY[key].name != "profile":
                put(BY_KEY[key], value, Origin("profile", chosen, file.lines.get(full)), file.where(full), text=False)
    elif chosen != "default":
        known = sorted(file.profiles) if file is not None else []
        near = nearest(chosen, known)
        raise ConfigError(
            f"{origin}: no profile {chosen!r} in {path}" + (f"; did you mean {near}?" if near else ""),
            hint=f"profiles there: {', '.join(known) or 'none'}",
        )
    for field, variable, value in _from_environment(env):
        put(field, value, Origin("environment", variable), f"environment variable {variable}", text=True)
    for name, value in typed.items():
        field = BY_NAME[name]
        option = _option(name, value)
        put(field, value, Origin("typed", option), option, text=isinstance(value, str))
    trusted = _require_trusted(path, origins) if file is not None else ()
    local = do_memory.local_primary(env)
    if local is not None and values.get("primary") is None:
        variable = do_memory.LOCAL_PRIMARY
        put(BY_NAME["primary"], local, Origin("environment", variable), f"environment variable {variable}", text=True)
    ui = {name[3:]: values.pop(name) for name in list(values) if name.startswith("ui.")}
    settings = Settings(**values, ui=Ui(**ui))
    asked = (config_file, profile, dict(typed))
    return Loaded(settings, origins, path if file is not None else None, (*trusted, *_oddities(env)), asked)


def _require_trusted(path: Path, origins: Mapping[str, Origin]) -> tuple[str, ...]:
    """A warning about a file that others may write into; ConfigError when it names a command that is run."""
    if not changeable_by_others(path.stat()):
        return ()
    told = f"other users can change the configuration {path}"
    step = f"chown it to the user who runs this, then chmod go-w {path}"
    if origins["notify_command"].kind in ("file", "profile"):
        raise ConfigError(f"{told}, and it names a command to run (notify.command), so it was not used", hint=step)
    return (f"{told}; {step}",)


def _path_or_none(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None


def _from_environment(env: Mapping[str, str]) -> Iterator[tuple[Field, str, str]]:
    """Settings that it names, each with the variable and its value as ours is written."""
    for field in FIELDS:
        if field.name in ("profile", "ui.keymap"):
            continue
        own, its = _variables(field), do_memory.NAMES.get(field.name, ())
        variable = next((name for name in (*own, *its) if env.get(name)), None)
        if variable is not None:
            text = env[variable]
            yield field, variable, text if variable in own else do_memory.as_ours(field.name, text)


def _variables(field: Field) -> tuple[str, ...]:
    by_key = "STORAGE_SYNC_" + field.key.replace(".", "_").upper()
    return (field.variable,) if by_key == field.variable else (field.variable, by_key)


def _option(name: str, value: object) -> str:
    """The option as it is typed."""
    match name, value:
        case "sync_patterns", False:
            return "--no-patterns"
        case "sync_embeddings", False:
            return "--no-embeddings"
        case "access", "read-only":
            return "--read-only"
    return "--" + {"max_episodes_cache": "window", "timeout_s": "timeout"}.get(
        name, name.replace("_", "-").removesuffix("-s")
    )


def _choose_profile(
    typed: str | None, env: Mapping[str, str], values: Mapping[str, Any], origins: Mapping[str, Origin]
) -> tuple[str, Origin]:
    if typed:
        return typed, Origin("typed", "--profile")
    if env.get("STORAGE_SYNC_PROFILE"):
        return env["STORAGE_SYNC_PROFILE"], Origin("environment", "STORAGE_SYNC_PROFILE")
    return values.get("profile", "default"), origins["profile"]


def _oddities(env: Mapping[str, str]) -> tuple[str, ...]:
    known = {variable for field in FIELDS for variable in _variables(field)} | _OTHER_VARIABLES
    odd = []
    for name in sorted(env):
        if name.startswith(_PREFIX) and name not in known:
            words = {one.removeprefix(_PREFIX).lower(): one for one in sorted(known)}
            near = nearest(name.removeprefix(_PREFIX).lower(), list(words))
            meant = f"; did you mean {words[near]}?" if near else ""
            odd.append(f"environment variable {name} is not a setting{meant}")
    return tuple(odd)
