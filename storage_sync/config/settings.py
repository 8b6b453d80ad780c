"""Each setting with its default and bounds.

Precedence (docs/cli.md#options): option typed > environment > profile in the file > file > default. The environment
is `STORAGE_SYNC_*` for each setting, then the names that do-memory itself uses. A token is never a setting: only
the file or the variable that holds it is, and its value never appears in a message, a `repr` or a view.
"""

import os
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import quote

import msgspec
from msgspec import Meta

from storage_sync.config.urls import SCHEMES, check_url
from storage_sync.values.errors import ConfigError

_NOW = {"applies": "now"}
_NEXT = {"applies": "next sync"}
_FULL = {"applies": "next full sync"}
RESTART = "restart"
_RESTART = {"applies": RESTART}

_WEB_URL = r"^https?://[^\s/?#]+[^\s]*$"

LONGEST_CACHE_NAME = 215
"""Bytes of a cache's name: a file system allows 255, and what lies beside it adds up to forty."""
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
            ge=0.25,
            le=10,
            description="Seconds between two redraws of the screen; syncs do not depend on it.",
            extra=_NOW,
        ),
    ] = 0.5
    glyphs: Annotated[
        Literal["auto", "unicode", "ascii"],
        Meta(description="Signs beside each state; auto is ascii if the terminal is not UTF-8.", extra=_NOW),
    ] = "auto"
    bell: Annotated[bool, Meta(description="Ring the terminal's bell when the verdict gets worse.", extra=_NOW)] = False
    notify: Annotated[
        bool, Meta(description="Show a desktop notification when the verdict gets worse (OSC 9).", extra=_NOW)
    ] = False
    keymap: Annotated[
        dict[str, str], Meta(description="Other keys for the console's actions, by the action's id.", extra=_RESTART)
    ] = msgspec.field(default_factory=dict)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every setting; times in seconds, sizes in rows. Defaults are those of docs/cli.md."""

    profile: Annotated[
        str,
        Meta(
            min_length=1, max_length=100, description="The profile of the file whose values are used.", extra=_RESTART
        ),
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
    allow_plain_http: Annotated[
        bool, Meta(description="Send the token to another machine over http, where others can read it.", extra=_RESTART)
    ] = False
    timeout_s: Annotated[Seconds, Meta(description="Longest wait for one request to the primary.", extra=_RESTART)] = (
        30.0
    )
    poll_s: Annotated[Seconds, Meta(description="Time between two pings of the primary.", extra=_NOW)] = 5.0
    cache: Annotated[Path | None, Meta(description="Path of the redb file.", extra=_RESTART)] = None
    lock_ok: Annotated[
        bool, Meta(description="Accept a cache on a network file system, where locks may not hold.", extra=_RESTART)
    ] = False
    state_dir: Annotated[
        Path | None,
        Meta(
            description="Folder of witness, history and quarantined rows; by default one for each cache.",
            extra=_RESTART,
        ),
    ] = None
    access: Annotated[
        Literal["read-write", "read-only"], Meta(description="read-only never writes the cache.", extra=_NOW)
    ] = "read-write"
    max_episodes_cache: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000_000,
            description="The window: how many of the newest episodes the cache holds.",
            extra=_FULL,
        ),
    ] = 1000
    batch_size: Annotated[
        int,
        Meta(
            ge=1, le=100_000, description="Rows in one batch; at most one batch is repeated after a kill.", extra=_NEXT
        ),
    ] = 100
    sync_patterns: Annotated[
        bool, Meta(description="Sync patterns, heuristics, procedural memory and their links.", extra=_FULL)
    ] = True
    sync_embeddings: Annotated[bool, Meta(description="Sync embeddings.", extra=_FULL)] = True
    embedding_dimension: Annotated[
        Annotated[int, Meta(ge=1, le=65_536)] | None,
        Meta(description="How many numbers a vector has; by default as many as most vectors have.", extra=_NOW),
    ] = None
    on_start: Annotated[
        bool, Meta(description="Prove or sync as soon as the console or watch starts.", extra=_RESTART)
    ] = True
    interval_s: Annotated[Seconds, Meta(description="Time between two scheduled syncs.", extra=_NOW)] = 900.0
    staleness_s: Annotated[Seconds, Meta(description="Age above which a proof is too old.", extra=_NOW)] = 2400.0
    audit_s: Annotated[
        Seconds,
        Meta(
            description="Longest time between two audits, which look at every embedding of the primary and count the "
            "rows of its tables. Within this time, a proof may be renewed without reading the rows.",
            extra=_NOW,
        ),
    ] = 86_400.0
    wait_notice_s: Annotated[
        Seconds,
        Meta(description="How long rows may wait for a held cache before watch sends a notice, once.", extra=_NOW),
    ] = 3600.0
    rows_read_per_day: Annotated[
        Annotated[int, Meta(ge=1, le=1 << 60)] | None,
        Meta(
            description="How many rows the primary may read in a day for polls and runs that start automatically; "
            "they come less often to stay below it. No limit by default.",
            extra=_NOW,
        ),
    ] = None
    max_removal_ratio: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Largest part of a table, and of all rows, that one sync may remove because the primary lost "
            "them or the rows that they belong to.",
            extra=_NEXT,
        ),
    ] = 0.5
    auto_repair: Annotated[bool, Meta(description="Let watch repair a damaged cache by itself.", extra=_NOW)] = True
    copy_bytes_per_hour: Annotated[
        int,
        Meta(
            ge=1_048_576,
            le=1 << 60,
            description="How many bytes may be copied in an hour to look at the cache automatically.",
            extra=_NOW,
        ),
    ] = 20 << 30
    quarantine_days: Annotated[
        int, Meta(ge=0, le=36_500, description="Days that quarantined rows are kept.", extra=_NOW)
    ] = 30
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Lowest level that is logged.", extra=_NOW)
    ] = "info"
    log_format: Annotated[
        Literal["json", "text"], Meta(description="Format of the log lines: JSON, or text for people.", extra=_RESTART)
    ] = "text"
    log_file: Annotated[
        Path | None, Meta(description="File for the log; standard error without one.", extra=_RESTART)
    ] = None
    metrics_file: Annotated[
        Path | None, Meta(description="Prometheus text file, rewritten after each run.", extra=_NEXT)
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
        Meta(description="URL that watch requests after each proven success, and only then.", extra=_NOW),
    ] = None
    ui: Ui = Ui()

    @property
    def reads_a_file(self) -> bool:
        """Whether the primary is a local database: reading it costs nothing, and it sends no index."""
        return names_a_file(self.primary or "")


def names_a_file(primary: str) -> bool:
    """Whether the URL of a primary, also one that is no setting yet, is that of a local database."""
    return primary.strip().lower().startswith("file:")


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
    "allow_plain_http": "primary.allow_plain_http",
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

SECRET_URLS = ("notify_url", "heartbeat_url")
"""URLs whose path is a secret."""


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

NEEDS_RESTART = tuple(field.name for field in FIELDS if field.applies == RESTART and "." not in field.name)
"""Settings of the core that stay as they are until it starts again."""

BY_NAME = {field.name: field for field in FIELDS}
BY_KEY = {**BY_NAME, **{field.key: field for field in FIELDS}}
"""Settings by their name in the file and by their attribute; both are understood there."""


def setting_value(settings: Settings, name: str) -> object:
    """Value of one setting by its attribute, `ui.theme` included."""
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


SPOKEN = {"window": "max_episodes_cache", "timeout": "timeout_s", "token": "token_file", "url": "primary"}
"""Settings by other words that people know them by: options, and parts of a name."""


def nearest(word: str, known: tuple[str, ...] | list[str]) -> str | None:
    """The known word that was probably meant."""
    import difflib

    if SPOKEN.get(word.lower()) in known:
        return SPOKEN[word.lower()]
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return found[0] if found else None


def allowed(field: Field) -> str:
    """What a setting may be, in words: `an integer from 1 to 100000`, `read-write or read-only` …"""
    types, metas = _unwrapped(field.type)
    if get_origin(types[0]) is Literal:
        return " or ".join(str(choice) for choice in get_args(types[0]))
    if field.name == "primary":
        return "a URL that begins with " + ", ".join(SCHEMES)
    if field.name in SECRET_URLS:
        return "a URL that begins with https:// or http://"
    for python, word in ((bool, "true or false"), (int, "an integer"), (float, "a number")):
        if python in types:
            return word + next((_range(meta) for meta in metas if meta.le is not None), "")
    if field.name == "ui.keymap":
        return "a table of texts"
    return "a path" if Path in types else "any text"


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
    if kind is Path and isinstance(value, (str, Path)) and str(value) and "\0" not in str(value):
        return Path(value).expanduser()
    raise ValueError("expected a path")


def _require_usable(path: Path, where: str, key: str) -> None:
    """ConfigError for a path that documents, logs and file names derived from it could not hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{where}: {key} holds a byte that is not UTF-8", hint="rename the file or folder") from None
    if key != BY_NAME["cache"].key:
        return
    longest = max(len(os.fsencode(name)) for name in (path.name, Path(os.path.realpath(path)).name))
    if longest > LONGEST_CACHE_NAME:
        raise ConfigError(
            f"{where}: {key} has a name of {longest} bytes; the files beside it need longer names",
            hint=f"give the cache a name of at most {LONGEST_CACHE_NAME} bytes",
        )


def absolute(field: Field, value: Any, folder: Path) -> Any:
    """A converted value that names a file relative to `folder`, by its whole path; every other as it is."""
    if isinstance(value, Path):
        return folder.absolute() / value
    if field.name == "primary" and isinstance(value, str) and value[:5].lower() == "file:":
        rest = value[5:]
        return value if rest.startswith("/") else f"{value[:5]}{quote(os.fspath(folder.absolute()))}/{rest}"
    return value


def _shown(field: Field, value: object) -> str:
    """A bad value as a message may repeat it: never anything that could be a secret."""
    if field.name in ("primary", "token_file", "token_env", *SECRET_URLS):
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
            # not a command: until then each stops at the same value
            hint="correct this value",
        ) from None
    if isinstance(converted, Path):
        _require_usable(converted, where, field.key)
    if field.name == "primary" and converted is not None:
        check_url(str(converted), where)
    return converted
