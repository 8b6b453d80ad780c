"""do-memory's own settings in the environment: how they map to ours, and which stores its server uses with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

NAMES: Mapping[str, tuple[str, ...]] = {
    "primary": ("TURSO_DATABASE_URL", "TURSO_URL"),
    "cache": ("REDB_CACHE_PATH", "REDB_PATH"),
    "max_episodes_cache": ("MEMORY_MAX_EPISODES_CACHE",),
}
"""Variables that say what a setting of ours says, the first one first."""
LOCAL_PRIMARY = "MEMORY_DB_PATH"
"""The primary where nothing else names one: a file."""
MODE = "MEMORY_STORAGE_MODE"
_URL, _TOKEN = "TURSO_DATABASE_URL", "TURSO_AUTH_TOKEN"
_FILE = "file:"
USUAL_CACHE = "./data/cache.redb"
"""The cache where nothing names one, from the folder that the server runs in."""
_OURS = frozenset({variable for variables in NAMES.values() for variable in variables} | {LOCAL_PRIMARY, MODE, _TOKEN})


def as_ours(setting: str, text: str) -> str:
    """Its value as ours is written. do-memory knows no `~` and no escapes in a path, and a bare path is a file."""
    if setting == "cache":
        return f"{Path.cwd()}/{text}" if text.startswith("~") else text
    if setting == "primary" and (text.startswith(_FILE) or "://" not in text):
        return _FILE + text.removeprefix(_FILE).replace("%", "%25")
    return text


def local_primary(env: Mapping[str, str]) -> str | None:
    """URL of the file that `MEMORY_DB_PATH` names."""
    path = env.get(LOCAL_PRIMARY)
    return _FILE + quote(path.removeprefix(_FILE)) if path else None


def speaks_of_it(env: Mapping[str, str]) -> bool:
    """Whether anything of do-memory is set."""
    return any(env.get(name) for name in _OURS)


class ServerStores(Struct, frozen=True):
    """The stores that a server uses when it starts in an environment. None: it has no such store."""

    primary: str | None
    cache: Path | None


def server_stores(env: Mapping[str, str]) -> ServerStores:
    """The choice of do-memory's server 0.1.47: a local file where there is a folder for it, unless it is told
    otherwise, then an address of Turso's. That the address answers is assumed."""
    mode = env.get(MODE, "").lower()
    if mode == "memory":
        return ServerStores(None, None)
    cache = Path(env.get("REDB_CACHE_PATH", USUAL_CACHE))
    local = _local_file(env)
    file = _FILE + quote(str(local)) if local.parent.is_dir() else None
    # it refuses http://, and other kinds
    remote = env.get(_URL, "") if _TOKEN in env else ""
    address = remote if remote.startswith(("libsql://", "https://")) else None
    return ServerStores(address or file if mode == "remote" else file or address, cache)


def _local_file(env: Mapping[str, str]) -> Path:
    """What it takes for the path of its local database: anything but an address that begins with libsql://."""
    named = env.get(LOCAL_PRIMARY) or env.get(_URL, "")
    if not named or (named.startswith("libsql://") and not env.get(LOCAL_PRIMARY)):
        return _usual_primary(env)
    return Path(named.removeprefix(_FILE))


def _usual_primary(env: Mapping[str, str]) -> Path:
    import sys

    home = Path(env.get("HOME") or Path.home())
    if sys.platform == "darwin":
        folder = home / "Library" / "Application Support"
    else:
        named = env.get("XDG_DATA_HOME", "")
        folder = Path(named) if named.startswith("/") else home / ".local" / "share"
    return folder / "do-memory" / "memory.db"
