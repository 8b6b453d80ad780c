"""Settings, where each came from, and the token.

Precedence (`cli.md`, Options): option typed > environment > profile in the file > file > default. The environment
is `STORAGE_SYNC_*` for each setting, then the names that do-memory itself uses. A token is never a setting: only
the file or the variable that holds it is, and its value never appears in a message, a `repr` or a view.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from storage_sync.errors import ConfigError

if TYPE_CHECKING:
    from storage_sync.model import ConfigView

_NOW = {"applies": "now"}
_NEXT = {"applies": "next sync"}
_FULL = {"applies": "next full sync"}
_RESTART = {"applies": "restart"}

_WEB_URL = r"^https?://[^\s/?#]+[^\s]*$"

Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]


class Ui(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the console looks; nothing here changes what is synced."""

    theme: Annotated[
        Literal["auto", "calm-dark", "calm-light", "calm-cvd", "textual-ansi"],
        Meta(description="Colours of the console; auto follows the terminal.", extra=_NOW),
    ] = "auto"
    refresh: Annotated[
        float,
        Meta(
            ge=0.25, le=10, description="Seconds between two pictures; never how often the cache is synced.", extra=_NOW
        ),
    ] = 0.5
    glyphs: Annotated[
        Literal["auto", "unicode", "ascii"],
        Meta(description="Signs beside each state; auto is ascii without a UTF-8 terminal.", extra=_NOW),
    ] = "auto"
    keymap: Annotated[
        dict[str, str], Meta(description="Other keys for the console's actions, by the action's id.", extra=_RESTART)
    ] = msgspec.field(default_factory=dict)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every setting; times in seconds, sizes in rows. Defaults are those of `cli.md`."""

    profile: Annotated[
        str,
        Meta(min_length=1, max_length=100, description="The part of the file whose values are used.", extra=_RESTART),
    ] = "default"
    primary: Annotated[
        str | None,
        Meta(
            description="URL of the primary: libsql://, https://, http://, wss://, ws:// or file:PATH.", extra=_RESTART
        ),
    ] = None
    token_file: Annotated[
        Path | None, Meta(description="File that holds the primary's token, readable by you alone.", extra=_RESTART)
    ] = None
    token_env: Annotated[
        Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")] | None,
        Meta(description="Name of the environment variable that holds the primary's token.", extra=_RESTART),
    ] = None
    timeout_s: Annotated[Seconds, Meta(description="Longest wait for one request to the primary.", extra=_NEXT)] = 30.0
    poll_s: Annotated[Seconds, Meta(description="Time between two pings of the primary.", extra=_NOW)] = 5.0
    cache: Annotated[Path | None, Meta(description="Path of the redb file.", extra=_RESTART)] = None
    lock_ok: Annotated[
        bool, Meta(description="Accept a cache on a network file system, where locks may not hold.", extra=_RESTART)
    ] = False
    state_dir: Annotated[
        Path | None,
        Meta(
            description="Folder of witness, history and set-aside rows; by default one for each cache.", extra=_RESTART
        ),
    ] = None
    access: Annotated[
        Literal["read-write", "read-only"], Meta(description="read-only never writes the cache.", extra=_NOW)
    ] = "read-write"
    max_episodes_cache: Annotated[
        int,
        Meta(ge=1, le=100_000_000, description="The window: how many newest episodes the cache holds.", extra=_FULL),
    ] = 1000
    batch_size: Annotated[
        int,
        Meta(
            ge=1, le=100_000, description="Rows of one batch; at most one batch is repeated after a kill.", extra=_NEXT
        ),
    ] = 100
    sync_patterns: Annotated[
        bool, Meta(description="Sync patterns, heuristics, procedural memory and their links.", extra=_FULL)
    ] = True
    sync_embeddings: Annotated[bool, Meta(description="Sync embeddings.", extra=_FULL)] = True
    embedding_dimension: Annotated[
        Annotated[int, Meta(ge=1, le=65_536)] | None,
        Meta(description="Numbers in one vector; by default what the store says.", extra=_NOW),
    ] = None
    on_start: Annotated[
        bool, Meta(description="Prove or sync as soon as the console or watch starts.", extra=_RESTART)
    ] = True
    interval_s: Annotated[Seconds, Meta(description="Time between two scheduled syncs.", extra=_NOW)] = 300.0
    staleness_s: Annotated[Seconds, Meta(description="Age from which a proof is too old.", extra=_NOW)] = 900.0
    audit_s: Annotated[
        Seconds,
        Meta(
            description="Longest time without a comparison of every row; each sync is one, so nothing waits for it.",
            extra=_NOW,
        ),
    ] = 21_600.0
    max_removal_ratio: Annotated[
        float,
        Meta(ge=0, le=1, description="Largest part of a table that one sync may remove without consent.", extra=_NEXT),
    ] = 0.5
    auto_repair: Annotated[bool, Meta(description="Let watch repair a damaged cache by itself.", extra=_NOW)] = True
    quarantine_days: Annotated[
        int, Meta(ge=0, le=36_500, description="Days that rows set aside are kept.", extra=_NOW)
    ] = 30
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level that is logged.", extra=_NOW)
    ] = "info"
    log_format: Annotated[
        Literal["json", "text"], Meta(description="Log lines as JSON or for people.", extra=_RESTART)
    ] = "text"
    log_file: Annotated[
        Path | None, Meta(description="File for the log; standard error without one.", extra=_RESTART)
    ] = None
    metrics_file: Annotated[
        Path | None, Meta(description="Prometheus text file, written anew after each run.", extra=_NEXT)
    ] = None
    notify_command: Annotated[
        str | None,
        Meta(description="Command that watch runs on a change of state, with JSON on standard input.", extra=_NOW),
    ] = None
    notify_url: Annotated[
        Annotated[str, Meta(pattern=_WEB_URL)] | None,
        Meta(description="URL to which watch posts a change of state as JSON.", extra=_NOW),
    ] = None
    heartbeat_url: Annotated[
        Annotated[str, Meta(pattern=_WEB_URL)] | None,
        Meta(description="URL that watch asks after each proven success, and only then.", extra=_NOW),
    ] = None
    ui: Ui = Ui()


class Field(msgspec.Struct, frozen=True):
    """One setting as it is named, documented and checked."""

    name: str
    """Attribute of `Settings`; `ui.theme` for those of `Ui`."""
    key: str
    """Name in the file."""
    type: Any
    default: object
    help: str
    applies: str

    @property
    def variable(self) -> str:
        """Name in the environment."""
        return "STORAGE_SYNC_" + self.name.replace(".", "_").upper()


_KEYS = {
    "primary": "primary.url",
    "token_file": "primary.token_file",
    "token_env": "primary.token_env",
    "timeout_s": "primary.timeout_s",
    "poll_s": "primary.poll_s",
    "cache": "cache.path",
    "lock_ok": "cache.lock_ok",
    "embedding_dimension": "embeddings.dimension",
    "log_level": "log.level",
    "log_format": "log.format",
    "log_file": "log.file",
    "notify_command": "notify.command",
    "notify_url": "notify.url",
    "heartbeat_url": "notify.heartbeat_url",
}
"""Where the name in the file is not the attribute; the attribute is understood there too."""

_FOREIGN_NAMES = {
    "primary": ("TURSO_DATABASE_URL", "TURSO_URL"),
    "cache": ("REDB_CACHE_PATH", "REDB_PATH"),
}
_NOT_USABLE = "not usable"
TOKEN_VARIABLES = ("STORAGE_SYNC_TOKEN", "TURSO_AUTH_TOKEN", "TURSO_TOKEN")
_OTHER_VARIABLES = {"STORAGE_SYNC_CONFIG", "STORAGE_SYNC_TOKEN"}
_SECRET_PARAMETERS = ("authtoken", "auth_token", "token", "jwt", "password")
_SECRET_URLS = ("notify_url", "heartbeat_url")
"""URLs whose path is what lets one in."""
_SCHEMES = ("libsql://", "https://", "http://", "wss://", "ws://", "file:")


def _fields_of(struct: type[msgspec.Struct], prefix: str = "") -> tuple[Field, ...]:
    hints = struct.__annotations__
    defaults = struct()
    found = []
    for name in struct.__struct_fields__:
        if name == "ui":
            continue
        annotation = hints[name]
        meta = next(part for part in reversed(get_args(annotation)) if isinstance(part, Meta) and part.extra)
        full = prefix + name
        found.append(
            Field(
                name=full,
                key=_KEYS.get(full, full),
                type=annotation,
                default=getattr(defaults, name),
                help=meta.description or "",
                applies=str((meta.extra or {})["applies"]),
            )
        )
    return tuple(found)


FIELDS: tuple[Field, ...] = _fields_of(Settings) + _fields_of(Ui, "ui.")
"""Every setting in the order in which `config show` prints them."""

_BY_NAME = {field.name: field for field in FIELDS}
BY_KEY = {**_BY_NAME, **{field.key: field for field in FIELDS}}
"""Settings by their name in the file and by their attribute; both are understood there."""


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


_RANK = {"default": 0, "file": 1, "profile": 2, "environment": 3, "typed": 4}


class Loaded(msgspec.Struct, frozen=True):
    """Effective settings, the origin of each by name, the file that was read (None: none) and what is odd."""

    settings: Settings
    origins: Mapping[str, Origin]
    file: Path | None
    warnings: tuple[str, ...] = ()
    asked: tuple[Path | None, str | None, Mapping[str, object]] = (None, None, {})
    """File, profile and options that were typed."""

    def again(self, env: Mapping[str, str]) -> "Loaded":
        """The same request on what the file and the environment say now."""
        config_file, profile, typed = self.asked
        return load_settings(config_file, profile, typed, env, required=False)


class Token:
    """The primary's token. Its value is in `value` alone: not in `repr`, `str`, equality or a pickle."""

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: str) -> None:
        self._value = value
        self.origin = origin

    @property
    def value(self) -> str:
        """What goes into the Authorization header, and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return f"Token(set, from {self.origin})"

    def __reduce__(self) -> str:
        raise TypeError("a token is not serialised")


# -------------------------------------------------------------------------------------------- values


def setting_value(settings: Settings, name: str) -> object:
    """Value of one setting by its attribute, `ui.theme` included."""
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def nearest(word: str, known: tuple[str, ...] | list[str]) -> str | None:
    """The known word that was probably meant."""
    import difflib

    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return found[0] if found else None


def allowed(field: Field) -> str:
    """What a setting may be, in words: `an integer from 1 to 100000`, `read-write or read-only` …"""
    types, metas = _unwrapped(field.type)
    if get_origin(types[0]) is Literal:
        return " or ".join(str(choice) for choice in get_args(types[0]))
    if field.name == "primary":
        return "a URL that begins with " + ", ".join(_SCHEMES)
    if field.name in _SECRET_URLS:
        return "a URL that begins with https:// or http://"
    for python, word in ((bool, "true or false"), (int, "an integer"), (float, "a number")):
        if python in types:
            return word + next((_range(meta) for meta in metas if meta.le is not None), "")
    if field.name == "ui.keymap":
        return "a table of texts"
    return "a path" if Path in types else "a text"


def _unwrapped(annotation: Any) -> tuple[list[Any], list[Meta]]:
    """The types that an annotation allows, and all that is said about them."""
    if get_origin(annotation) is Annotated:
        base, *extras = get_args(annotation)
        types, metas = _unwrapped(base)
        return types, [*metas, *(meta for meta in extras if isinstance(meta, Meta))]
    if get_origin(annotation) in (Union, UnionType):
        parts = [_unwrapped(part) for part in get_args(annotation)]
        return [found for types, _ in parts for found in types], [meta for _, metas in parts for meta in metas]
    return [annotation], []


def _range(meta: Meta) -> str:
    low = f"above {meta.gt:.15g}" if meta.gt is not None else f"from {meta.ge:.15g}"
    return f" {low} to {meta.le:.15g}"


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, (str, Path)) and str(value) and b"\0" not in os.fsencode(value):
        return Path(value).expanduser()
    raise ValueError("expected a path")


def _shown(field: Field, value: object) -> str:
    """A bad value as a message may repeat it: never anything that could be a secret."""
    if field.name in ("primary", "token_file", "token_env", *_SECRET_URLS):
        return ""
    text = repr(value)
    return f" is {text if len(text) <= 60 else text[:57] + '...'}"


def convert(field: Field, value: object, where: str, *, text: bool) -> Any:
    """One value checked. `text`: it came as text (option, environment) and may be read as a number or a switch."""
    if text and isinstance(value, str) and bool in _unwrapped(field.type)[0]:
        value = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), value.lower())
    try:
        converted = msgspec.convert(value, field.type, strict=not text, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError):
        raise ConfigError(
            f"{where}: {field.key}{_shown(field, value)}; allowed: {allowed(field)}",
        ) from None
    if field.name == "primary" and converted is not None:
        check_url(str(converted), where)
    return converted


def check_url(url: str, where: str) -> None:
    """ConfigError for a kind of URL that we cannot read and for one with a secret inside, which is not repeated."""
    lowered = url.lower()
    scheme = next((known for known in _SCHEMES if lowered.startswith(known)), None)
    if scheme is None:
        kind = url.split(":", 1)[0] if ":" in url else ""
        named = f" of kind {kind!r}" if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,20}", kind) else ""
        raise ConfigError(
            f"{where}: the primary's URL{named} is not understood; it begins with {', '.join(_SCHEMES)}",
            hint="a local database is file:PATH",
        )
    names = [part.split("=", 1)[0].lower() for part in re.split(r"[?&;#]", url)[1:] if part]
    host = "" if scheme == "file:" else re.split(r"[/?#]", url[len(scheme) :], maxsplit=1)[0]
    if any(name in _SECRET_PARAMETERS for name in names) or "@" in host:
        raise ConfigError(
            f"{where}: the primary's URL holds a token or a password; it was not used",
            hint="put the token into a file (--token-file) or an environment variable (--token-env), not into the URL",
        )
    if scheme != "file:" and not host.split(":", 1)[0]:
        raise ConfigError(f"{where}: the primary's URL names no host", hint="a local database is file:PATH")
    if scheme == "file:" and not redact_url(url)[len("file:") :]:
        raise ConfigError(f"{where}: the primary's URL names no file", hint="a local database is file:PATH")


def redact_url(url: str) -> str:
    """The URL without user, password, query and fragment: what may be shown, logged and stored."""
    bare = re.split(r"[?#]", url, maxsplit=1)[0]
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/]*@", r"\1", bare)


def host_of(url: str) -> str:
    """Scheme and host of a web URL: what may be said of one whose path is a secret."""
    return "/".join(redact_url(url).split("/", 3)[:3])


# ---------------------------------------------------------------------------------------------- file


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
    """One folder per real path of a cache, under the platform's state folder (`sync.md` 4.1)."""
    from storage_sync import _native

    real = cache.resolve()
    short = _native.digest("sha-256", os.fsencode(real)).hex()[:12]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", real.name)[:40]
    return _user_folder("XDG_STATE_HOME", ".local/state", "state") / f"{name}-{short}"


def state_directory(settings: Settings) -> Path | None:
    """The folder of witness, history and set-aside rows; None while no cache is named."""
    if settings.state_dir is not None:
        return settings.state_dir
    return default_state_dir(settings.cache) if settings.cache is not None else None


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


def _check_known(file: File, key: str, full: str) -> Field:
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


# ---------------------------------------------------------------------------------------------- load


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
        values[field.name] = convert(field, value, where, text=text)
        origins[field.name] = origin

    if file is not None:
        for key, value in file.common.items():
            put(
                _check_known(file, key, key),
                value,
                Origin("file", str(path), file.lines.get(key)),
                file.where(key),
                text=False,
            )
        for name, part in file.profiles.items():
            for key, value in part.items():
                full = f"profiles.{name}.{key}"
                convert(_check_known(file, key, full), value, file.where(full), text=False)
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
    for field in FIELDS:
        for variable in (*_variables(field), *_FOREIGN_NAMES.get(field.name, ())):
            if field.name not in ("profile", "ui.keymap") and env.get(variable):
                put(
                    field, env[variable], Origin("environment", variable), f"environment variable {variable}", text=True
                )
                break
    for name, value in typed.items():
        field = _BY_NAME[name]
        option = _option(name, value)
        put(field, value, Origin("typed", option), option, text=isinstance(value, str))
    ui = {name[3:]: values.pop(name) for name in list(values) if name.startswith("ui.")}
    settings = Settings(**values, ui=Ui(**ui))
    asked = (config_file, profile, dict(typed))
    return Loaded(settings, origins, path if file is not None else None, _oddities(env), asked)


def _path_or_none(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None


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
        if name.startswith("STORAGE_SYNC_") and name not in known:
            near = nearest(name, sorted(known))
            odd.append(f"environment variable {name} is not a setting" + (f"; did you mean {near}?" if near else ""))
    return tuple(odd)


# --------------------------------------------------------------------------------------------- token


def read_token(loaded: Loaded, env: Mapping[str, str]) -> Token | None:
    """The token by the same precedence; None when nobody names one. ConfigError when what was named holds none."""
    named = [name for name in ("token_file", "token_env") if setting_value(loaded.settings, name) is not None]
    rank = max((_RANK[loaded.origins[name].kind] for name in named), default=-1)
    best = [name for name in named if _RANK[loaded.origins[name].kind] == rank]
    if len(best) == 2:
        raise ConfigError(
            "token_file and token_env are both given; one of them must go", hint="keep the one that holds it"
        )
    if best and rank >= _RANK["environment"]:
        return _named_token(loaded, best[0], env)
    for variable in TOKEN_VARIABLES:
        if env.get(variable):
            return _token(env[variable], f"env {variable}")
    return _named_token(loaded, best[0], env) if best else None


def _named_token(loaded: Loaded, name: str, env: Mapping[str, str]) -> Token:
    if name == "token_env":
        variable = str(loaded.settings.token_env)
        if not env.get(variable):
            raise ConfigError(
                f"{loaded.origins[name]}: the environment variable {variable} is not set", hint="export it"
            )
        return _token(env[variable], f"env {variable}")
    path = loaded.settings.token_file or Path()
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"the token file {path} is not text") from None
    except OSError as error:
        raise ConfigError(
            f"the token file {path} cannot be read: {error.strerror}", hint="check --token-file"
        ) from None
    return _token(text, f"file {path}")


def _token(text: str, origin: str) -> Token:
    value = text.strip()
    if not value:
        raise ConfigError(f"the token from {origin} is empty", hint="put the token there and nothing else")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(f"the token from {origin} holds characters that no token has", hint="one line, nothing else")
    return Token(value, origin)


def token_origin(loaded: Loaded, env: Mapping[str, str]) -> str:
    """Where the token would come from, without reading a file; '' when nobody names one."""
    try:
        token = read_token(loaded, env)
    except ConfigError as error:
        return f"{_NOT_USABLE}: {error.message}"
    return token.origin if token is not None else ""


def token_is_exposed(path: Path) -> bool:
    """Whether others than the owner may read the token's file."""
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:
        return False


# ---------------------------------------------------------------------------------------------- view


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
    if field.name in _SECRET_URLS:
        return host_of(str(value)) + "/…"
    return redact_url(str(value)) if field.name == "primary" else str(value)


def settings_view(loaded: Loaded, env: Mapping[str, str], *, loaded_at: float | None = None) -> "ConfigView":
    """Every setting with its origin, and whether there is a token, never the token."""
    from storage_sync.model import ConfigView, Setting

    rows = []
    for field in FIELDS:
        value = shown_value(field, setting_value(loaded.settings, field.name))
        rows.append(Setting(field.key, value, str(loaded.origins[field.name]), field.applies, field.help))
        if field.name == "token_env":
            origin = token_origin(loaded, env)
            told = "set, hidden" if origin and not origin.startswith(_NOT_USABLE) else "not set"
            text = "The primary's token; it is never stored and never shown."
            rows.append(Setting("primary.token", told, origin or "default", "restart", text))
    return ConfigView(tuple(rows), str(loaded.file) if loaded.file is not None else "", loaded_at)
