"""Writing the configuration: a new commented file, and one setting changed in place.

Reading is in `file.py`. This module needs a parser that keeps comments, and is imported only when something is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomlkit

from storage_sync.config.file import File, read_file, text_of
from storage_sync.config.settings import BY_KEY, FIELDS, Field, absolute, convert, nearest
from storage_sync.files.writing import make_folder, new_file, replace_file
from storage_sync.values.errors import ConfigError


def _plain(value: object) -> Any:
    """A value as TOML writes it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def edit(file: Path, key: str, value: object, *, profile: str | None = None) -> None:
    """Set one setting in the file (None: remove it), keeping everything else as it is, comments too.

    The value is checked first; the file is replaced in one step and keeps owner, mode and attributes. ConfigError,
    OSError.
    """
    replace(file, edited(file, {key: value}, lambda _file, _field: profile))


def replace(file: Path, text: str) -> None:
    """Other text for a file that is there, in one step; it keeps its owner, mode and attributes. OSError."""
    replace_file(file, text.encode())


def edited(file: Path, values: Mapping[str, object], section: Callable[[File, Field], str | None]) -> str:
    """The file's text with these settings (by name or by key; None: taken out), each checked first. ConfigError.

    `section`: the profile that a setting is written to; None: the part that all profiles share.
    """
    parsed = read_file(file)
    text = text_of(file)
    document: Any = tomlkit.parse(text)
    for key, value in values.items():
        field = field_of(key)
        _set(document, parsed, key, field, value, section(parsed, field))
    return str(tomlkit.dumps(document)) if values else text


def field_of(key: str) -> Field:
    """ConfigError for a name that is no setting."""
    field = BY_KEY.get(key)
    if field is None:
        near = nearest(key, list(BY_KEY))
        raise ConfigError(f"unknown setting {key}" + (f"; did you mean {near}?" if near else ""))
    return field


def section_in_effect(profile: str) -> Callable[[File, Field], str | None]:
    """Where a setting is changed for `profile` and for nobody else: its own part if it has one, unless the setting
    stands in the shared part only."""

    def section(file: File, field: Field) -> str | None:
        own = file.profiles.get(profile)
        names = {field.key, field.name}
        if own is None or (not names & own.keys() and names & file.common.keys()):
            return None
        return profile

    return section


def _set(document: Any, parsed: File, key: str, field: Field, value: object, profile: str | None) -> None:
    table = (
        document
        if profile is None
        else document.setdefault("profiles", tomlkit.table(True)).setdefault(profile, tomlkit.table())
    )
    prefix = "" if profile is None else f"profiles.{profile}."
    present = parsed.common if profile is None else parsed.profiles.get(profile, {})
    path = (field.name if field.name in present and field.name != field.key else field.key).split(".")
    if value is not None:
        checked = convert(field, value, f"{parsed.path}: {prefix}{key}", text=isinstance(value, str))
        checked = absolute(field, checked, Path.cwd())
    for part in path[:-1]:
        table = table.setdefault(part, tomlkit.table())
    if value is None:
        table.pop(path[-1], None)
    else:
        table[path[-1]] = _plain(checked)


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
    """A value checked and as TOML writes it; a path by its whole name, whatever folder this was typed in."""
    return _plain(absolute(field, convert(field, value, "value", text=isinstance(value, str)), Path.cwd()))


def init(file: Path, values: Mapping[str, object], profile: str = "default") -> None:
    """Write a new configuration, readable by its owner alone. ConfigError when there is one already.

    `profile`: in effect when nobody says otherwise; its own part of the file is empty.
    """
    if file.exists():
        raise ConfigError(f"{file} exists already", hint="edit it, or give another place with --config")
    make_folder(file.parent)
    text = template(values)
    if profile != "default":
        document: Any = tomlkit.parse(template({**values, "profile": profile}))
        document["profiles"] = tomlkit.table(True)
        document["profiles"][profile] = tomlkit.table()
        text = tomlkit.dumps(document)
    with new_file(file) as out:
        out.write(text.encode())
