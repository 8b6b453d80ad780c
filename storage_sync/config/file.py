"""Reading a configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from storage_sync.config.settings import BY_KEY, Field, nearest
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


def read_file(path: Path) -> File:
    """What the file says; ConfigError when it is no TOML."""
    import tomllib

    try:
        text = path.read_text("utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}", hint="storage-sync config init writes one"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text", hint="storage-sync config init writes a new one") from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        place = f", line {line[1]}" if line else ""
        raise ConfigError(f"{path}{place}: is not TOML", hint="see https://toml.io; texts stand in quotes") from None
    profiles = table.pop("profiles", {})
    lines = _lines_of(text)
    if not isinstance(profiles, dict) or not all(isinstance(part, dict) for part in profiles.values()):
        raise ConfigError(f"{path}: profiles is a table of tables, [profiles.NAME]")
    return File(path, _flatten(table), {name: _flatten(part) for name, part in profiles.items()}, lines)


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
        hint="storage-sync config show lists every setting",
    )
