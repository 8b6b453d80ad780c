"""The token of the primary. Its value never appears in a message, a `repr` or a view.

It may be renewed while a process lives: a token in a file is read again when the primary does not take the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from storage_sync.config.load import RANK, Loaded
from storage_sync.config.settings import setting_value
from storage_sync.files.kinds import read_small
from storage_sync.values.errors import ConfigError

NOT_USABLE = "not usable"
SHORTEST = 8
"""Least characters of a token: hiding a shorter one would hide ordinary words of every text."""
_LARGEST_FILE = 64 << 10
TOKEN_VARIABLES = ("STORAGE_SYNC_TOKEN", "TURSO_AUTH_TOKEN", "TURSO_TOKEN")


def _unheard(value: str) -> None:
    """No list of secrets is kept."""


class Token:
    """The primary's token. Its value is in `value` alone: not in `repr`, `str`, equality or a pickle.

    `read`: reads it again from where it came from; ConfigError. `heard`: is called with each value, so that it can be
    hidden everywhere.
    """

    __slots__ = ("_heard", "_read", "_value", "origin")

    def __init__(
        self, value: str, origin: str, read: Callable[[], str] | None = None, heard: Callable[[str], None] = _unheard
    ) -> None:
        self._value = value
        self.origin = origin
        self._read = read
        self._heard = heard
        heard(value)

    def renew(self) -> bool:
        """Read it again from where it came; whether it is another one. ConfigError, and the old one stays."""
        fresh = self._read() if self._read is not None else self._value
        changed = fresh != self._value
        if changed:
            self._heard(fresh)
            self._value = fresh
        return changed

    @property
    def value(self) -> str:
        """What goes into the Authorization header, and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return f"Token(set, from {self.origin})"

    def __reduce__(self) -> str:
        raise TypeError("a token is not serialised")


def read_token(loaded: Loaded, env: Mapping[str, str], heard: Callable[[str], None] = _unheard) -> Token | None:
    """The token by the same precedence; None when nobody names one. ConfigError when what was named holds none."""
    named = [name for name in ("token_file", "token_env") if setting_value(loaded.settings, name) is not None]
    rank = max((RANK[loaded.origins[name].kind] for name in named), default=-1)
    best = [name for name in named if RANK[loaded.origins[name].kind] == rank]
    if len(best) == 2:
        raise ConfigError(
            "token_file and token_env are both set; remove one of them", hint="keep the one that holds the token"
        )
    if best and rank >= RANK["environment"]:
        return _named_token(loaded, best[0], env, heard)
    for variable in TOKEN_VARIABLES:
        if env.get(variable):
            return _token(env[variable], f"env {variable}", heard)
    return _named_token(loaded, best[0], env, heard) if best else None


def _named_token(loaded: Loaded, name: str, env: Mapping[str, str], heard: Callable[[str], None]) -> Token:
    if name == "token_env":
        variable = str(loaded.settings.token_env)
        if not env.get(variable):
            raise ConfigError(
                f"{loaded.origins[name]}: the environment variable {variable} is not set", hint="export the variable"
            )
        return _token(env[variable], f"env {variable}", heard)
    path = loaded.settings.token_file or Path()
    return Token(_kept_in(path), f"file {path}", lambda: _kept_in(path), heard)


def _kept_in(path: Path) -> str:
    """The token in a file; ConfigError."""
    try:
        text = read_small(path, _LARGEST_FILE).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"the token file {path} is not text", hint="check --token-file") from None
    except OSError as error:
        raise ConfigError(
            f"the token file {path} cannot be read: {error.strerror}", hint="check --token-file"
        ) from None
    return _checked(text, f"file {path}")


def _token(text: str, origin: str, heard: Callable[[str], None]) -> Token:
    return Token(_checked(text, origin), origin, heard=heard)


def _checked(text: str, origin: str) -> str:
    value = text.strip()
    if not value:
        raise ConfigError(f"the token from {origin} is empty", hint="put the token there and nothing else")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(
            f"the token from {origin} holds characters that no token has",
            hint="put the token there, on one line and nothing else",
        )
    if len(value) < SHORTEST:
        raise ConfigError(
            f"the token from {origin} has fewer than {SHORTEST} characters, so it is not a token",
            hint="put the whole token there; leave the setting out where the primary needs none",
        )
    return value


def token_origin(loaded: Loaded, env: Mapping[str, str]) -> str:
    """Where the token would come from, without reading a file; '' when nobody names one."""
    try:
        token = read_token(loaded, env)
    except ConfigError as error:
        return f"{NOT_USABLE}: {error.message}"
    return token.origin if token is not None else ""


def token_is_exposed(path: Path) -> bool:
    """Whether others than the owner may read the token's file."""
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:
        return False
