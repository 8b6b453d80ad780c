"""The settings, the access and the token that are in effect, and what changes them while the core runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from storage_sync.config.settings import NEEDS_RESTART, Settings
from storage_sync.config.token import Token
from storage_sync.config.view import still_in_effect
from storage_sync.service.publisher import Board
from storage_sync.service.triggers import Agenda
from storage_sync.state import running
from storage_sync.sync.session import Session
from storage_sync.values.errors import ConfigError, StorageSyncError
from storage_sync.values.events import ConfigChanged
from storage_sync.values.snapshot import ConfigView, Setting


class Configuration(Struct, frozen=True):
    """Effective settings as the core was given them. `again` reads them again; ConfigError when they do not fit."""

    settings: Settings
    file: Path | None = None
    views: tuple[Setting, ...] = ()
    again: Callable[[], Configuration] | None = None
    unattended: bool = False
    """There is no person to ask: a damaged cache is repaired without one, while the setting `auto_repair` is on."""


class EffectiveSettings:
    """Belongs to the core's loop; `settings` are those of this moment."""

    def __init__(
        self, configuration: Configuration, token: Token | None, session: Session, board: Board, agenda: Agenda
    ) -> None:
        self.settings = configuration.settings
        self.token = token
        self.file = configuration.file
        self._configuration = configuration
        self._session = session
        self._board = board
        self._agenda = agenda

    @property
    def repairs(self) -> bool:
        """Whether a damaged cache is repaired without asking."""
        return self._configuration.unattended and self.settings.auto_repair

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no report may hold."""
        return (self.token.value,) if self.token is not None else ()

    def of_a_run(self) -> Settings:
        """The settings with the access that the operator switched to."""
        if self._board.snapshot.access == "rw":
            return self.settings
        return replace(self.settings, access="read-only")

    def require_write(self) -> None:
        if self._board.snapshot.access != "rw":
            raise StorageSyncError("this console is read-only now", hint="W allows writes again")

    def set_access(self, wanted: Literal["ro", "rw"]) -> None:
        """Only what the settings allow: a console that was started read-only stays so."""
        if wanted == "rw" and self.settings.access == "read-only":
            raise StorageSyncError("the console was started read-only", hint="start it without --read-only")
        self._board.update(access=wanted)
        self._board.log("info", "core", f"access is now {wanted}")
        self._agenda.ring()

    def renew_token(self) -> None:
        """Read the token again where it is kept; one that cannot be read changes nothing."""
        try:
            if self._session.renew_token():
                self._board.log("info", "config", "the token was read again and has changed")
        except ConfigError as error:
            self._board.log("fail", "config", f"{error.message}; the old token stays")

    def reload(self) -> None:
        """Read the settings again. A file that does not fit changes nothing; what needs a restart waits for one."""
        if self._configuration.again is None:
            return
        old = self.settings
        try:
            fresh = self._configuration.again()
        except ConfigError as error:
            self._board.update(config=replace(self._board.snapshot.config, error=error.message))
            self._board.log("fail", "config", f"{error.message}; the old settings stay")
            return
        kept = {name: getattr(old, name) for name in NEEDS_RESTART}
        waiting = sorted(name for name, value in kept.items() if getattr(fresh.settings, name) != value)
        self.settings = replace(fresh.settings, **kept)
        self._session.settings = self.settings
        changed = tuple(name for name in old.__struct_fields__ if getattr(old, name) != getattr(self.settings, name))
        views = still_in_effect(fresh.views, self._board.snapshot.config.settings)
        self._board.update(
            config=ConfigView(views, os.fspath(fresh.file) if fresh.file else "", time.time()),
            freshness=replace(self._board.snapshot.freshness, max_age_s=self.settings.staleness_s),
        )
        self.note()
        if waiting:
            self._board.log("warn", "config", f"{', '.join(waiting)}: takes effect after a restart")
        if changed:
            self._board.event(ConfigChanged(changed))
            self._board.log("info", "config", f"now in effect: {', '.join(changed)}")
        self._agenda.ring()

    def note(self) -> None:
        """Leave word of what is in effect here, for `config show` and `doctor`; without a state folder nobody asks."""
        if not self._session.state.usable:
            return
        try:
            running.note(self._session.state.folder, self._board.snapshot.config)
        except OSError as error:
            self._board.log(
                "warn", "config", f"other commands cannot see which settings are in effect here: {error.strerror}"
            )
