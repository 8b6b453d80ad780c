"""Settings: precedence, bad files, URLs, tokens, editing."""

from __future__ import annotations

import os
import pickle
import stat
from pathlib import Path

import pytest

from storage_sync.config import edit
from storage_sync.config.load import load_settings
from storage_sync.config.places import default_state_dir, state_directory
from storage_sync.config.settings import FIELDS, Settings, allowed, setting_value
from storage_sync.config.token import Token, read_token, token_is_exposed
from storage_sync.config.urls import redact_url
from storage_sync.config.view import settings_view
from storage_sync.primary.urls import parse
from storage_sync.values.errors import ConfigError

SECRET = "eyJhbGciOiJFZERTQSJ9.c2VjcmV0.c2ln"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def write(file: Path, text: str) -> Path:
    file.write_text(text, "utf-8")
    return file


# ------------------------------------------------------------------------------------------ defaults


def test_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "none.toml", None, {}, {}, required=False).settings
    assert (settings.max_episodes_cache, settings.batch_size) == (1000, 100)
    assert settings.sync_patterns
    assert settings.sync_embeddings
    assert (settings.interval_s, settings.staleness_s, settings.audit_s) == (900, 2_400, 86_400)
    assert settings.on_start
    assert settings.auto_repair
    assert (settings.max_removal_ratio, settings.quarantine_days) == (0.5, 30)
    assert (settings.access, settings.timeout_s, settings.profile) == ("read-write", 30, "default")
    assert (settings.primary, settings.cache, settings.token_file, settings.token_env) == (None, None, None, None)


def test_every_setting_says_what_it_is() -> None:
    for field in FIELDS:
        assert field.help.endswith(".")
        assert field.applies in {"now", "next sync", "next full sync", "restart"}
        assert allowed(field)


# ---------------------------------------------------------------------------------------- precedence

FILE = """
max_episodes_cache = 10
batch_size = 11
interval_s = 12
[profiles.night]
batch_size = 21
interval_s = 22
"""


@pytest.mark.parametrize(
    ("profile", "typed", "env", "expected", "origin"),
    [
        (None, {}, {}, 11, "file, line 3"),
        ("night", {}, {}, 21, "profile night, line 6"),
        ("night", {}, {"STORAGE_SYNC_BATCH_SIZE": "31"}, 31, "env STORAGE_SYNC_BATCH_SIZE"),
        ("night", {"batch_size": "41"}, {"STORAGE_SYNC_BATCH_SIZE": "31"}, 41, "--batch-size"),
        (None, {}, {"STORAGE_SYNC_PROFILE": "night"}, 21, "profile night, line 6"),
        (None, {}, {"STORAGE_SYNC_BATCH_SIZE": ""}, 11, "file, line 3"),
    ],
)
def test_precedence(
    file: Path, profile: str | None, typed: dict[str, object], env: dict[str, str], expected: int, origin: str
) -> None:
    loaded = load_settings(write(file, FILE), profile, typed, env)
    assert loaded.settings.batch_size == expected
    assert str(loaded.origins["batch_size"]) == origin
    assert loaded.settings.max_episodes_cache == 10
    assert str(loaded.origins["staleness_s"]) == "default"


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("primary", ["STORAGE_SYNC_PRIMARY", "STORAGE_SYNC_PRIMARY_URL", "TURSO_DATABASE_URL", "TURSO_URL"]),
        ("cache", ["STORAGE_SYNC_CACHE", "STORAGE_SYNC_CACHE_PATH", "REDB_CACHE_PATH", "REDB_PATH"]),
    ],
)
def test_names_of_the_application_come_after_ours(tmp_path: Path, name: str, order: list[str]) -> None:
    env = {variable: f"file:/{variable}" for variable in order}
    for variable in order:
        loaded = load_settings(tmp_path / "none.toml", None, {}, env, required=False)
        assert str(setting_value(loaded.settings, name)) == f"file:/{variable}"
        assert str(loaded.origins[name]) == f"env {variable}"
        del env[variable]
    loaded = load_settings(tmp_path / "none.toml", None, {}, env, required=False)
    assert setting_value(loaded.settings, name) is None


def test_switches_are_read_from_the_environment(tmp_path: Path) -> None:
    for text, expected in (("0", False), ("off", False), ("No", False), ("true", True), ("1", True), ("ON", True)):
        env = {"STORAGE_SYNC_SYNC_PATTERNS": text}
        assert load_settings(tmp_path / "x", None, {}, env, required=False).settings.sync_patterns is expected


def test_a_variable_that_is_no_setting_is_a_warning(tmp_path: Path) -> None:
    loaded = load_settings(tmp_path / "x", None, {}, {"STORAGE_SYNC_INTERVALL_S": "5"}, required=False)
    assert loaded.warnings == (
        "environment variable STORAGE_SYNC_INTERVALL_S is not a setting; did you mean STORAGE_SYNC_INTERVAL_S?",
    )


def test_both_spellings_are_understood(file: Path) -> None:
    loaded = load_settings(
        write(file, 'primary = "file:a.db"\ncache = "b.redb"\n[ui]\ntheme = "calm-light"\n'), None, {}, {}
    )
    named = (f"file:{file.parent}/a.db", file.parent / "b.redb")
    assert (loaded.settings.primary, loaded.settings.cache) == named
    assert loaded.settings.ui.theme == "calm-light"
    loaded = load_settings(write(file, '[primary]\nurl = "file:a.db"\n[cache]\npath = "b.redb"\n'), None, {}, {})
    assert (loaded.settings.primary, loaded.settings.cache) == named


# ----------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("batch_sise = 5\n", ["line 1", "unknown setting batch_sise", "did you mean batch_size"]),
        ("\nbatch_size = 0\n", ["line 2", "batch_size is 0", "an integer from 1 to 100000"]),
        ('batch_size = "5"\n', ["line 1", "batch_size", "an integer"]),
        ("batch_size = true\n", ["batch_size is True", "an integer"]),
        ("max_removal_ratio = nan\n", ["max_removal_ratio", "a number from 0 to 1"]),
        ("max_removal_ratio = 1.5\n", ["max_removal_ratio is 1.5"]),
        ('access = "rw"\n', ["access is 'rw'", "read-write or read-only"]),
        ("sync_patterns = 1\n", ["sync_patterns is 1", "true or false"]),
        ("interval_s = 0\n", ["interval_s is 0", "above 0"]),
        ("[primary]\nurl = 5\n", ["line 2", "primary.url", "libsql://"]),
        ("[ui]\nthema = 'x'\n", ["line 2", "unknown setting ui.thema", "ui.theme"]),
        ('[cache]\npath = "a\\u0000b"\n', ["line 2", "cache.path is 'a\\x00b'", "a path"]),
        ("= 5\n", ["line 1", "is not TOML"]),
        ("batch_size = 1\nbatch_size = 2\n", ["line 2", "batch_size is set a second time"]),
        ("[cache]\npath = 'a'\n[ui]\n[cache]\n", ["line 4", "[cache] is defined a second time"]),
        ("[ui]\nrefresh = 1\n[ui.refresh]\n", ["line 3", "[ui.refresh] is defined a second time"]),
        ("batch_size = 5\nlog.level = debug\n", ["line 2", "is not TOML: invalid value"]),
        ("[cache\n", ["line 1", "is not TOML"]),
        ('cache = "x', ["line 1", "is not TOML"]),
        ("[profiles.x]\nbatch_sise = 5\n", ["line 2", "unknown setting batch_sise"]),
        ("profiles = 5\n", ["profiles is a table of tables"]),
        ('profile = "nigt"\n[profiles.night]\n', ["no profile 'nigt'", "did you mean night"]),
    ],
)
def test_a_bad_file_names_place_key_and_allowed_values(file: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(file, text), None, {}, {})
    for part in [str(file), *parts]:
        assert part in caught.value.message
    assert caught.value.exit_code == 2


def test_a_path_that_the_system_cannot_write_is_none() -> None:
    """As `é` where names are ASCII: a lone surrogate is that under every locale."""
    with pytest.raises(ConfigError, match=r"--cache.*not UTF-8"):
        load_settings(None, None, {"cache": "a\ud800"}, {}, required=False)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_settings(tmp_path / "none.toml", None, {}, {})
    with pytest.raises(ConfigError, match="there is no such file"):
        load_settings(None, None, {}, {"STORAGE_SYNC_CONFIG": str(tmp_path / "none.toml")})


def test_a_file_that_is_no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_settings(file, None, {}, {})


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("ftp://host/x", "'ftp'"),
        ("memory.db", "not understood"),
        ("", "not understood"),
        ("https://", "names no host"),
        ("libsql://:8080", "names no host"),
        ("file:", "names no file"),
    ],
)
def test_urls_of_an_unknown_kind(tmp_path: Path, url: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        load_settings(tmp_path / "x", None, {"primary": url}, {}, required=False)


@pytest.mark.parametrize(
    "url", ["libsql://a.turso.io", "https://a:8080/x", "http://[::1]:80", "wss://a", "WS://a", "file:x.db"]
)
def test_urls_of_a_known_kind(tmp_path: Path, url: str) -> None:
    assert load_settings(tmp_path / "x", None, {"primary": url}, {}, required=False).settings.primary == url


# ------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "url",
    [
        f"libsql://a.turso.io?authToken={SECRET}",
        f"libsql://a.turso.io/?tls=1&AUTHTOKEN={SECRET}",
        f"https://a/?auth_token={SECRET}",
        f"https://a/#jwt={SECRET}",
        f"https://user:{SECRET}@a/",
        f"ftp://user:{SECRET}@a/",
    ],
)
def test_a_url_with_a_secret_is_refused_and_not_repeated(file: Path, url: str) -> None:
    ways: tuple[tuple[str, dict[str, object], dict[str, str]], ...] = (
        (f'[primary]\nurl = "{url}"\n', {}, {}),
        ("", {"primary": url}, {}),
        ("", {}, {"TURSO_DATABASE_URL": url}),
    )
    for text, typed, env in ways:
        with pytest.raises(ConfigError) as caught:
            load_settings(write(file, text), None, typed, env)
        assert SECRET not in caught.value.message + caught.value.hint


def test_a_token_in_the_file_is_refused_and_not_repeated(file: Path) -> None:
    for text in (f'token = "{SECRET}"', f'[primary]\nauth_token = "{SECRET}"', f'[primary]\ntoken = "{SECRET}'):
        with pytest.raises(ConfigError) as caught:
            load_settings(write(file, text), None, {}, {})
        assert SECRET not in caught.value.message + caught.value.hint


def test_redact_url() -> None:
    assert redact_url(f"https://u:{SECRET}@host:1/p?authToken={SECRET}#x") == "https://host:1/p"
    assert redact_url("file:/a/b.db?mode=ro") == "file:/a/b.db"


def test_a_token_shows_itself_to_nobody() -> None:
    token = Token(SECRET, "env X")
    assert SECRET not in repr(token) + str(token) + f"{token}" + f"{[token]}"
    assert token.value == SECRET
    with pytest.raises(TypeError):
        pickle.dumps(token)


A, B, M, S = "token-of-a", "token-of-b", "token-of-m", "token-of-s"


@pytest.mark.parametrize(
    ("typed", "env", "toml", "value", "origin"),
    [
        ({}, {}, "", None, ""),
        ({}, {"TURSO_TOKEN": B}, "", B, "env TURSO_TOKEN"),
        ({}, {"TURSO_TOKEN": B, "TURSO_AUTH_TOKEN": A}, "", A, "env TURSO_AUTH_TOKEN"),
        (
            {},
            {"TURSO_AUTH_TOKEN": A, "STORAGE_SYNC_TOKEN": S},
            "",
            S,
            "env STORAGE_SYNC_TOKEN",
        ),
        ({}, {"MINE": M}, '[primary]\ntoken_env = "MINE"', M, "env MINE"),
        (
            {},
            {"MINE": M, "TURSO_TOKEN": B},
            '[primary]\ntoken_env = "MINE"',
            B,
            "env TURSO_TOKEN",
        ),
        ({"token_env": "MINE"}, {"MINE": M, "TURSO_TOKEN": B}, "", M, "env MINE"),
        (
            {},
            {"STORAGE_SYNC_TOKEN_ENV": "MINE", "MINE": M, "TURSO_TOKEN": B},
            "",
            M,
            "env MINE",
        ),
    ],
)
def test_where_the_token_comes_from(
    file: Path, typed: dict[str, object], env: dict[str, str], toml: str, value: str | None, origin: str
) -> None:
    loaded = load_settings(write(file, toml), None, typed, env)
    token = read_token(loaded, env)
    assert (token.value if token else None) == value
    assert (token.origin if token else "") == origin


def test_a_token_file(tmp_path: Path, file: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(f"  {SECRET}\n")
    secret.chmod(0o644)
    loaded = load_settings(write(file, f'token_file = "{secret}"'), None, {}, {})
    token = read_token(loaded, {})
    assert token is not None
    assert token.value == SECRET
    assert token_is_exposed(secret)
    secret.chmod(0o600)
    assert not token_is_exposed(secret)


@pytest.mark.parametrize(
    "content", [b"", b"  \n", b"a b", b"1", b"null", b"seven77", b"a\nb: c", b"\xff\xfe", "ä".encode()]
)
def test_a_token_file_that_holds_none(tmp_path: Path, file: Path, content: bytes) -> None:
    secret = tmp_path / "token"
    secret.write_bytes(content)
    loaded = load_settings(write(file, f'token_file = "{secret}"'), None, {}, {})
    with pytest.raises(ConfigError):
        read_token(loaded, {})


@pytest.mark.parametrize("value", ["1", "tok", "null", "seven77"])
def test_what_is_too_short_to_be_a_token_is_refused(value: str, file: Path) -> None:
    env = {"TURSO_AUTH_TOKEN": value}
    with pytest.raises(ConfigError, match="fewer than 8 characters"):
        read_token(load_settings(write(file, ""), None, {}, env), env)


def test_what_was_named_must_hold_a_token(file: Path, tmp_path: Path) -> None:
    loaded = load_settings(write(file, ""), None, {"token_env": "NONE"}, {"TURSO_TOKEN": "b"})
    with pytest.raises(ConfigError, match="NONE is not set"):
        read_token(loaded, {"TURSO_TOKEN": "b"})
    loaded = load_settings(write(file, ""), None, {"token_file": str(tmp_path / "none")}, {})
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(loaded, {})
    loaded = load_settings(write(file, ""), None, {"token_file": str(tmp_path / "none"), "token_env": "X"}, {"X": "x"})
    with pytest.raises(ConfigError, match="both"):
        read_token(loaded, {"X": "x"})


def test_the_view_hides_the_token(file: Path) -> None:
    env = {"TURSO_AUTH_TOKEN": SECRET, "TURSO_DATABASE_URL": "libsql://a.turso.io/db?tls=0"}
    view = settings_view(load_settings(write(file, ""), None, {}, env), env)
    assert SECRET not in repr(view)
    rows = {row.key: row for row in view.settings}
    assert (rows["primary.token"].value, rows["primary.token"].origin) == ("set, hidden", "env TURSO_AUTH_TOKEN")
    assert rows["primary.url"].value == "libsql://a.turso.io/db"
    assert len(rows) == len(FIELDS) + 1


# ---------------------------------------------------------------------------------- files and folders


def test_a_relative_path_in_a_file_is_relative_to_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 'primary = "file:a b.db"\ncache = "../c.redb"\n[profiles.night]\nstate_dir = "s"\nmetrics_file = "/m"\n'
    write(file, text)
    monkeypatch.chdir("/")
    settings = load_settings(file, "night", {"log_file": "here.log"}, {}).settings
    assert settings.primary is not None
    assert settings.primary.endswith("/a b.db")
    assert settings.primary.startswith("file:/")
    assert settings.cache == file.parent / "../c.redb"
    assert settings.state_dir == file.parent / "s"
    assert settings.metrics_file == Path("/m")
    assert settings.log_file == Path("here.log")


def test_a_written_path_is_absolute(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a%b").mkdir()
    monkeypatch.chdir(tmp_path / "a%b")
    edit.init(file, {"primary": "file:p.db", "cache": "c.redb"})
    edit.edit(file, "metrics_file", "m.prom")
    monkeypatch.chdir("/")
    settings = load_settings(file, None, {}, {}).settings
    assert settings.primary == f"file:{tmp_path}/a%25b/p.db"
    assert (settings.cache, settings.metrics_file) == (tmp_path / "a%b/c.redb", tmp_path / "a%b/m.prom")


def test_a_byte_order_mark_is_no_error(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfbatch_size = 5\n")
    assert load_settings(file, None, {}, {}).settings.batch_size == 5
    edit.edit(file, "batch_size", 6)
    assert load_settings(file, None, {}, {}).settings.batch_size == 6


def test_text_of_another_encoding_names_the_line_and_the_step(file: Path) -> None:
    file.write_bytes(b"batch_size = 5\n# \xe4\n")
    with pytest.raises(ConfigError, match="line 2: this is not UTF-8 text") as caught:
        load_settings(file, None, {}, {})
    assert caught.value.hint == "save the file again as UTF-8"


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("STORAGE_SYNC_WINDOW", "STORAGE_SYNC_MAX_EPISODES_CACHE"),
        ("STORAGE_SYNC_TIMEOUT", "STORAGE_SYNC_TIMEOUT_S"),
        ("STORAGE_SYNC_LOGLEVEL", "STORAGE_SYNC_LOG_LEVEL"),
        ("STORAGE_SYNC_XYZZY", None),
    ],
)
def test_a_variable_of_another_name_is_guessed_by_its_own_words(
    variable: str, meant: str | None, tmp_path: Path
) -> None:
    (warning,) = load_settings(tmp_path / "x", None, {}, {variable: "5"}, required=False).warnings
    assert warning.endswith(f"did you mean {meant}?" if meant else "is not a setting")


@pytest.mark.parametrize("length", [216, 240, 255])
def test_a_cache_whose_neighbours_could_have_no_name_is_refused(length: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"a name of {length} bytes"):
        load_settings(tmp_path / "x", None, {"cache": str(tmp_path / ("n" * length))}, {}, required=False)
    load_settings(tmp_path / "x", None, {"cache": str(tmp_path / ("n" * 215))}, {}, required=False)


def test_a_file_that_others_can_change_names_no_command(file: Path) -> None:
    write(file, 'batch_size = 5\n[notify]\ncommand = "/bin/true"\n')
    file.chmod(0o666)
    with pytest.raises(ConfigError, match=r"names a command to run") as caught:
        load_settings(file, None, {}, {})
    assert "chmod go-w" in (caught.value.hint or "")
    assert load_settings(file, None, {"notify_command": "/bin/false"}, {}).settings.notify_command == "/bin/false"
    file.chmod(0o644)
    assert load_settings(file, None, {}, {}).warnings == ()


def test_a_file_that_others_can_change_is_mentioned(file: Path) -> None:
    write(file, "batch_size = 5\n")
    file.chmod(0o664)
    (warning,) = load_settings(file, None, {}, {}).warnings
    assert "others" in warning


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_names_no_command(file: Path) -> None:
    write(file, '[notify]\ncommand = "/bin/true"\n')
    os.chown(file, 1234, 1234)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="other users"):
        load_settings(file, None, {}, {})


# ------------------------------------------------------------------------------------------- editing


def test_init_writes_a_file_that_reads_back(file: Path) -> None:
    edit.init(
        file, {"primary": "file:memory.db", "cache": "c.redb", "max_episodes_cache": "77", "ui.theme": "calm-cvd"}
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    settings = load_settings(file, None, {}, {}).settings
    named = (f"file:{Path.cwd()}/memory.db", Path.cwd() / "c.redb")
    assert (settings.primary, settings.cache, settings.max_episodes_cache) == (*named, 77)
    assert settings.ui.theme == "calm-cvd"
    text = file.read_text("utf-8")
    for field in FIELDS:
        assert field.help in text
    with pytest.raises(ConfigError, match="exists already"):
        edit.init(file, {})


def test_init_checks_first(file: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        edit.init(file, {"batch_size": "many"})
    assert not file.exists()


def test_edit_keeps_everything_else(file: Path) -> None:
    write(file, '# mine\nbatch_size = 5 # small\n\n[primary] # where\nurl = "file:a.db"\n')
    file.chmod(0o640)
    edit.edit(file, "batch_size", 6)
    edit.edit(file, "primary.timeout_s", "12.5")
    edit.edit(file, "interval_s", 60.0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    text = file.read_text("utf-8")
    assert "# mine\n" in text
    assert "batch_size = 6 # small" in text
    assert "[primary] # where" in text
    assert "interval_s = 60\n" in text
    settings = load_settings(file, None, {}, {}).settings
    assert (settings.batch_size, settings.timeout_s, settings.interval_s) == (6, 12.5, 60)
    edit.edit(file, "batch_size", None)
    assert load_settings(file, None, {}, {}).settings.batch_size == 100


def test_edit_of_a_profile(file: Path) -> None:
    write(file, "batch_size = 5\n")
    edit.edit(file, "batch_size", 6, profile="night")
    edit.edit(file, "ui.refresh", 2, profile="night")
    assert load_settings(file, None, {}, {}).settings.batch_size == 5
    night = load_settings(file, "night", {}, {}).settings
    assert (night.batch_size, night.ui.refresh) == (6, 2.0)


def test_edit_refuses_what_load_would_refuse(file: Path) -> None:
    write(file, "batch_size = 5\n")
    for key, value in (("batch_size", 0), ("batch_sise", 5), ("primary.url", f"https://a?authToken={SECRET}")):
        with pytest.raises(ConfigError) as caught:
            edit.edit(file, key, value)
        assert SECRET not in caught.value.message
    assert file.read_text() == "batch_size = 5\n"


# ------------------------------------------------------------------------------------------- folders


def test_one_state_folder_per_real_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    cache = tmp_path / "a.redb"
    cache.touch()
    link = tmp_path / "link.redb"
    link.symlink_to(cache)
    assert default_state_dir(cache) == default_state_dir(link)
    assert default_state_dir(cache) != default_state_dir(tmp_path / "b.redb")
    assert state_directory(Settings(cache=cache)) == default_state_dir(cache)
    assert state_directory(Settings(cache=cache, state_dir=tmp_path)) == tmp_path
    assert state_directory(Settings()) is None


@pytest.mark.parametrize("primary", ["file:memory.db", "FILE:memory.db", " file:/srv/memory.db"])
def test_a_file_is_one_however_its_scheme_is_written(primary: str) -> None:
    assert Settings(primary=primary).reads_a_file
    assert parse(primary).kind == "file"
    assert not Settings(primary="libsql://files.example").reads_a_file
    assert not Settings().reads_a_file
