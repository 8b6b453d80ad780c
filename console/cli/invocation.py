"""One command line: what was typed, and what is made from it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

if TYPE_CHECKING:
    from storage_sync.config.load import Loaded
    from storage_sync.config.request import Request
    from storage_sync.config.token import Token
    from storage_sync.values.options import Options
    from storage_sync.values.outcome import Outcome


class Limits(Struct, frozen=True):
    """How long, in seconds, and how often one command tries."""

    wait_s: float = 5.0
    deadline: float | None = None
    max_attempts: int = 3


USUAL = Limits()


class Invocation(Struct):
    """Filled while the line is parsed; the settings are read when a command first asks for them."""

    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    typed: dict[str, object] = field(default_factory=dict)
    """Settings by attribute."""
    command: str = ""
    config_file: str | None = None
    profile: str | None = None
    json: bool = False
    jsonl: bool = False
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False
    core_limit: int = 0
    """How large core files could be before this process wanted none."""
    secrets: set[str] = field(default_factory=set)
    """Texts that no output may hold."""
    _loaded: Loaded | None = None

    @property
    def machine(self) -> bool:
        """Whether standard output is for a program."""
        return self.json or self.jsonl

    def loaded(self, *, required: bool = True) -> Loaded:
        """Effective settings; ConfigError names what is wrong and where."""
        if self._loaded is None:
            from storage_sync.config.load import load_settings

            path = Path(self.config_file).expanduser() if self.config_file else None
            self._loaded = load_settings(path, self.profile, self.typed, self.env, required=required)
        return self._loaded

    def use(self, loaded: Loaded) -> None:
        """Take these settings instead of those of the line: the demo has its own."""
        self._loaded = loaded

    def token(self) -> Token | None:
        """The token of the settings; each value that it has from here on is a secret of this invocation."""
        from storage_sync.config.token import read_token

        return read_token(self.loaded(), self.env, self.secrets.add)

    def oddities(self) -> tuple[str, ...]:
        """What is odd about the settings but stops nothing: an unknown variable, a token that others can read."""
        from storage_sync.config.token import token_is_exposed

        loaded = self.loaded()
        token_file = loaded.settings.token_file
        if token_file is not None and token_is_exposed(token_file):
            return (*loaded.warnings, f"the token file {token_file} can be read by others; chmod 600 it")
        return loaded.warnings

    def request(
        self, options: Options | None = None, *, limits: Limits = USUAL, primary: bool = True, cache: bool = True
    ) -> Request:
        """The request of one command; ConfigError when it needs a primary or a cache and none is named."""
        from storage_sync.config.request import Request
        from storage_sync.values.errors import ConfigError
        from storage_sync.values.options import Options

        settings = self.loaded().settings
        if primary and settings.primary is None:
            raise ConfigError(
                f"no primary is named{self._looked_in()}",
                hint="give --primary URL, set TURSO_DATABASE_URL, or run storage-sync config init; "
                "storage-sync demo needs neither",
            )
        if cache and settings.cache is None:
            raise ConfigError(
                f"no cache is named{self._looked_in()}",
                hint="give --cache PATH, set REDB_CACHE_PATH, or run storage-sync config init; "
                "storage-sync demo needs neither",
            )
        token = self.token() if primary and not settings.reads_a_file else None
        options = replace(options or Options(), wait_s=limits.wait_s)
        return Request(settings, token, options, limits.deadline, limits.max_attempts)

    def about(self) -> dict[str, object]:
        """Which primary, cache and configuration file a document is about, as far as they are known; no secret."""
        from storage_sync.config.urls import redact_url

        if self._loaded is None:
            return {}
        settings, file = self._loaded.settings, self._loaded.file
        return {
            "primary": redact_url(settings.primary) if settings.primary else None,
            "cache": str(settings.cache) if settings.cache is not None else None,
            "config": str(file) if file is not None else None,
        }

    def _looked_in(self) -> str:
        """The configuration file that was read, or the one that is not there."""
        from storage_sync.config.places import default_file

        file = self.loaded().file
        return f" in {file}" if file is not None else f", and there is no {self.config_file or default_file()}"

    def colour(self, stream: object = None) -> bool:
        """Whether that stream (default: standard output) is a terminal that may have colours."""
        target = sys.stdout if stream is None else stream
        if self.no_color or self.env.get("NO_COLOR") or self.env.get("TERM") == "dumb":
            return False
        return bool(getattr(target, "isatty", lambda: False)())


class Answer(Struct, frozen=True):
    """What a command gives back: its outcome, and its data for people where that is not the outcome itself."""

    outcome: Outcome
    text: str | None = None
    raw: bool = False
    """The text is data of a fixed form (`--format`, `--nagios`) and stands alone on standard output."""
