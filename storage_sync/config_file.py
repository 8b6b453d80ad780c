"""Writing the configuration: a new commented file, and one setting changed in place.

The reading half is `config.py`; this one needs a parser that keeps comments and is imported when something is written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from storage_sync.config import BY_KEY, FIELDS, Field, convert, nearest, read_file
from storage_sync.errors import ConfigError


def _plain(value: object) -> Any:
    """A value as TOML writes it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def edit(file: Path, key: str, value: object, *, profile: str | None = None) -> None:
    """Set one setting in the file (None: remove it), keeping everything else as it is, comments too.

    The value is checked first, the file is replaced in one step and keeps its mode. ConfigError, OSError.
    """
    field = BY_KEY.get(key)
    if field is None:
        near = nearest(key, list(BY_KEY))
        raise ConfigError(f"unknown setting {key}" + (f"; did you mean {near}?" if near else ""))
    parsed = read_file(file)
    document: Any = tomlkit.parse(file.read_text("utf-8"))
    table = (
        document
        if profile is None
        else document.setdefault("profiles", tomlkit.table(True)).setdefault(profile, tomlkit.table())
    )
    prefix = "" if profile is None else f"profiles.{profile}."
    present = parsed.common if profile is None else parsed.profiles.get(profile, {})
    path = (field.name if field.name in present and field.name != field.key else field.key).split(".")
    if value is not None:
        checked = convert(field, value, f"{file}: {prefix}{key}", text=isinstance(value, str))
    for part in path[:-1]:
        table = table.setdefault(part, tomlkit.table())
    if value is None:
        table.pop(path[-1], None)
    else:
        table[path[-1]] = _plain(checked)
    _replace(file, tomlkit.dumps(document), file.stat().st_mode & 0o777)


def template(values: Mapping[str, object]) -> str:
    """A commented configuration: every setting with its sentence, those of `values` (by attribute) set."""
    document = tomlkit.document()
    document.add(tomlkit.comment("Configuration of storage-sync. `storage-sync config show` says what is in effect."))
    document.add(tomlkit.comment("The token is not stored here: name its file or its environment variable."))
    document.add(tomlkit.nl())
    sections: dict[str, list[Field]] = {}
    for field in FIELDS:
        section, _, _ = field.key.rpartition(".")
        sections.setdefault(section, []).append(field)
    for section, fields in sections.items():
        table: Any = document if not section else tomlkit.table()
        for field in fields:
            leaf = field.key.rpartition(".")[2]
            table.add(tomlkit.comment(field.help))
            value = values.get(field.name)
            if value is not None:
                table.add(leaf, convert_plain(field, value))
            else:
                default = "" if field.default is None else _plain(field.default)
                sample = tomlkit.item(default).as_string() if not isinstance(default, dict) else "{}"
                table.add(tomlkit.comment(f"{leaf} = {sample}"))
        if section:
            document.add(tomlkit.nl())
            document.add(section, table)
    return tomlkit.dumps(document)


def convert_plain(field: Field, value: object) -> Any:
    """A value checked and as TOML writes it."""
    return _plain(convert(field, value, "value", text=isinstance(value, str)))


def init(file: Path, values: Mapping[str, object]) -> None:
    """Write a new configuration, readable by its owner alone. ConfigError when there is one already."""
    if file.exists():
        raise ConfigError(f"{file} exists already", hint="edit it, or give another place with --config")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _replace(file, template(values), 0o600)


def _replace(file: Path, text: str, mode: int) -> None:
    target = Path(os.path.realpath(file))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), mode)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
