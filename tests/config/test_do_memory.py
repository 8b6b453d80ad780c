"""Which stores do-memory's server takes in an environment, and how its settings read as ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_sync.config.do_memory import ServerStores, server_stores
from storage_sync.config.load import load_settings
from storage_sync.config.settings import Settings
from storage_sync.primary.server_choice import other_stores

CACHE = Path("data/cache.redb")
REMOTE = "libsql://m.turso.io"
WITH_TOKEN = {"TURSO_DATABASE_URL": REMOTE, "TURSO_AUTH_TOKEN": "t"}
USUAL = "file:{home}/.local/share/do-memory/memory.db"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With the folder of the server's usual database."""
    (tmp_path / ".local" / "share" / "do-memory").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("env", "primary"),
    [
        ({}, USUAL),
        ({"XDG_DATA_HOME": "{home}/.local/share"}, USUAL),
        ({"XDG_DATA_HOME": "relative"}, USUAL),
        ({"XDG_DATA_HOME": "/none"}, None),
        (WITH_TOKEN, USUAL),
        ({**WITH_TOKEN, "XDG_DATA_HOME": "/none"}, REMOTE),
        ({**WITH_TOKEN, "MEMORY_STORAGE_MODE": "remote"}, REMOTE),
        ({**WITH_TOKEN, "MEMORY_STORAGE_MODE": "REMOTE"}, REMOTE),
        ({**WITH_TOKEN, "MEMORY_STORAGE_MODE": "local"}, USUAL),
        ({"TURSO_DATABASE_URL": REMOTE, "MEMORY_STORAGE_MODE": "remote"}, USUAL),
        ({**WITH_TOKEN, "MEMORY_DB_PATH": "m.db"}, "file:m.db"),
        ({**WITH_TOKEN, "MEMORY_DB_PATH": "/none/m.db"}, REMOTE),
        ({**WITH_TOKEN, "MEMORY_DB_PATH": "m.db", "MEMORY_STORAGE_MODE": "remote"}, REMOTE),
        ({"MEMORY_DB_PATH": "file:a b.db"}, "file:a%20b.db"),
        ({"TURSO_DATABASE_URL": "file:m.db"}, "file:m.db"),
        ({"TURSO_DATABASE_URL": "m%.db"}, "file:m%25.db"),
        ({"TURSO_DATABASE_URL": "https://m.turso.io", "TURSO_AUTH_TOKEN": "t"}, "https://m.turso.io"),
        ({"TURSO_DATABASE_URL": "http://127.0.0.1:8080", "TURSO_AUTH_TOKEN": "t"}, None),
    ],
)
def test_the_servers_primary(env: dict[str, str], primary: str | None, home: Path) -> None:
    given = {name: value.format(home=home) for name, value in env.items()}
    expected = primary.format(home=home) if primary is not None else None
    assert server_stores({"HOME": str(home), **given}) == ServerStores(expected, CACHE)


def test_the_servers_cache() -> None:
    assert server_stores({"REDB_CACHE_PATH": "~/c.redb"}).cache == Path("~/c.redb")
    assert server_stores({"MEMORY_STORAGE_MODE": "memory", "REDB_CACHE_PATH": "c"}) == ServerStores(None, None)


def test_what_is_synced_and_what_the_server_takes(home: Path) -> None:
    tmp_path = home
    env = {"HOME": str(home), "REDB_CACHE_PATH": str(tmp_path / "c.redb")}
    assert other_stores(Settings(), env) == ()
    (told,) = other_stores(Settings(primary=REMOTE, cache=tmp_path / "c.redb"), env)
    assert told.startswith(f"do-memory's server will use {USUAL.format(home=home)}, not {REMOTE}")
    assert "MEMORY_STORAGE_MODE=remote" in told
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "c.redb")
    same = {**env, **WITH_TOKEN, "MEMORY_STORAGE_MODE": "remote", "REDB_CACHE_PATH": str(link)}
    assert other_stores(Settings(primary="https://m.turso.io:443/", cache=tmp_path / "c.redb"), same) == ()
    (told,) = other_stores(Settings(primary=REMOTE, cache=tmp_path / "other"), same)
    assert told.endswith(f"set REDB_CACHE_PATH={tmp_path / 'other'}")
    assert len(other_stores(Settings(primary=REMOTE, cache=link), {"MEMORY_STORAGE_MODE": "memory"})) == 2


def test_memory_db_path_is_used_where_no_address_is_set(tmp_path: Path) -> None:
    env = {"MEMORY_DB_PATH": "m.db"}
    file = tmp_path / "config.toml"
    loaded = load_settings(file, None, {}, env, required=False)
    assert (loaded.settings.primary, str(loaded.origins["primary"])) == ("file:m.db", "env MEMORY_DB_PATH")
    assert load_settings(file, None, {}, {**env, "TURSO_URL": REMOTE}, required=False).settings.primary == REMOTE
    file.write_text(f'[primary]\nurl = "{REMOTE}"\n')
    assert load_settings(file, None, {}, env).settings.primary == REMOTE
