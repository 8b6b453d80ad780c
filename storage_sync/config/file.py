"""Reading a configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from storage_sync.config.settings import BY_KEY, Field, nearest
from storage_sync.files.kinds import NotUsable, read_small
from storage_sync.values.errors import ConfigError


def _lines_of(text: str) -> dict[str, int]:
    """Line of each dotted key, for messages. Keys inside multi-line values are harmless: they are never asked for."""
    section = ""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?$", line):
            section = re.sub(r"\s*\.\s*", ".", header[1]).replace('"', "").replace("'", "") + "."
            lines.setdefault(section[:-1], number)
        elif entry := re.match(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=", line):
            lines.setdefault(section + re.sub(r"\s*\.\s*", ".", entry[1]).replace('"', "").replace("'", ""), number)
    return lines


def _flatten(table: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in table.items():
        full = prefix + name
        if isinstance(value, dict) and full not in BY_KEY.keys() - {"primary", "cache"} and full != "profiles":
            flat.update(_flatten(value, full + "."))
        else:
            flat[full] = value
    return flat


class File(msgspec.Struct, frozen=True):
    """A configuration file as read: settings by dotted key, those of each profile, and the line of each key."""

    path: Path
    common: dict[str, object]
    profiles: dict[str, dict[str, object]]
    lines: dict[str, int]

    def where(self, key: str) -> str:
        line = self.lines.get(key)
        return f"{self.path}, line {line}" if line is not None else str(self.path)


def text_of(path: Path) -> str:
    """The file as text; a byte order mark, which some editors put before UTF-8, is left out. ConfigError."""
    try:
        data = read_small(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file", hint="storage-sync config init writes one") from None
    except NotUsable as error:
        raise ConfigError(f"{path}: cannot be read: {error}", hint="give a text file with --config") from None
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}", hint="give this user read access, or another --config"
        ) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: this is not UTF-8 text", hint="save the file again as UTF-8") from None


def read_file(path: Path) -> File:
    """What the file says; ConfigError when it is no TOML."""
    import tomllib

    text = text_of(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _no_toml(path, text, str(error)) from None
    profiles = table.pop("profiles", {})
    lines = _lines_of(text)
    if not isinstance(profiles, dict) or not all(isinstance(part, dict) for part in profiles.values()):
        raise ConfigError(
            f"{path}: profiles is a table of tables", hint="write [profiles.NAME], and the settings of NAME below it"
        )
    return File(path, _flatten(table), {name: _flatten(part) for name, part in profiles.items()}, lines)


def _no_toml(path: Path, text: str, said: str) -> ConfigError:
    """What the parser says, as cause, line and step."""
    cause, _, place = said.partition(" (at ")
    found = re.match(r"line (\d+)", place)
    lines = text.splitlines()
    number = int(found[1]) if found is not None else len(lines)
    line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    where = f"{path}, line {number}" if number else str(path)
    if cause.startswith("Cannot declare") or (cause.startswith("Cannot overwrite") and line.startswith("[")):
        name = line.partition("#")[0].strip()
        return ConfigError(f"{where}: {name} is defined a second time", hint="put its settings under the first one")
    if cause.startswith("Cannot overwrite"):
        name = line.partition("=")[0].strip()
        return ConfigError(f"{where}: {name} is set a second time", hint="remove one of the two lines")
    told = cause[:1].lower() + cause[1:]
    return ConfigError(
        f"{where}: this is not TOML: {told}", hint="each line is NAME = VALUE or [SECTION]; text must be in quotes"
    )


def check_known(file: File, key: str, full: str) -> Field:
    field = BY_KEY.get(key)
    if field is not None:
        return field
    if "token" in key.lower():
        raise ConfigError(
            f"{file.where(full)}: {key}: a token does not belong in the configuration",
            hint="name its file (primary.token_file) or its environment variable (primary.token_env)",
        )
    near = nearest(key, list(BY_KEY))
    raise ConfigError(
        f"{file.where(full)}: unknown setting {key}" + (f"; did you mean {near}?" if near else ""),
        hint="correct the line; the file that storage-sync config init writes lists every setting",
    )
