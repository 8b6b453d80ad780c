"""What the runs of one process share: the source, the cache thread, the state folder.

A session belongs to one event loop. Blocking native calls run on its single cache thread, so that pings, timers
and cancellation go on during a long commit.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from msgspec import Struct

from storage_sync import _native
from storage_sync.cache.copies import Copies
from storage_sync.checks.facts import TableFacts
from storage_sync.config.places import state_directory
from storage_sync.config.settings import Settings
from storage_sync.config.token import Token
from storage_sync.primary.source import LogStand, Source, connect
from storage_sync.state.directory import StateDir, open_state_dir
from storage_sync.sync.last_comparison import LastComparison
from storage_sync.sync.plan_rows import PlanRows
from storage_sync.values.errors import ConfigError
from storage_sync.values.outcome import Proof, Transfer
from storage_sync.values.part import Part

if TYPE_CHECKING:
    from storage_sync.sync.proven_rows import ProvenRows

P = ParamSpec("P")
T = TypeVar("T")


class Reading(Struct, frozen=True):
    """The last time that all expected rows of the primary were read."""

    at: float
    log: LogStand
    """Before it."""
    proof: Proof
    """The newest that stands on it."""
    facts: Mapping[str, TableFacts]


class Session:
    """Opened once, closed once; everything in it is made on first use."""

    def __init__(
        self,
        settings: Settings,
        token: Token | None,
        copies: Copies | None = None,
        *,
        source: Source | None = None,
    ) -> None:
        """`copies`: of another session of this process that looks at the same cache. `source`: instead of the one that
        the settings name."""
        self.settings = settings
        self.token = token
        self._source = source
        self._cache_thread = ThreadPoolExecutor(1, thread_name_prefix="cache")
        self._state: StateDir | None = None
        self._copies = copies
        self._own_copies = copies is None
        self.plan_rows = PlanRows()
        self.known: LastComparison | None = None
        """What the last comparison with the primary found."""
        self.proven_rows: ProvenRows | None = None
        """What the last follow run knew of the cache when it ended."""
        self.reading: Reading | None = None
        """None before a proof, and where the primary sends no replication index."""

    @property
    def cache_path(self) -> str:
        """ConfigError when no cache is set."""
        if self.settings.cache is None:
            raise ConfigError("no cache is set", hint="give --cache PATH, or storage-sync config init")
        return os.fspath(self.settings.cache)

    @property
    def source(self) -> Source:
        """ConfigError when no primary is set, its URL is of an unknown kind, or a token would travel in the open."""
        if self._source is None:
            if self.settings.primary is None:
                raise ConfigError("no primary is set", hint="give --primary URL, or storage-sync config init")
            self._source = connect(
                self.settings.primary,
                self.token.value if self.token is not None else None,
                timeout_s=self.settings.timeout_s,
                renewed=self._renewed,
                plain_http=self.settings.allow_plain_http,
            )
        return self._source

    def renew_token(self) -> bool:
        """Read the token again where it is kept; whether it is another one. ConfigError, and the old one stays."""
        changed = self.token is not None and self.token.renew()
        if changed and self._source is not None and self.token is not None:
            self._source.use_token(self.token.value)
        return changed

    def _renewed(self) -> str | None:
        """For a source whose token was refused: a file that cannot be read now gives the token that was there."""
        if self.token is None:
            return None
        with suppress(ConfigError):
            self.token.renew()
        return self.token.value

    @property
    def state(self) -> StateDir:
        if self._state is None:
            folder = state_directory(self.settings)
            if folder is None:
                raise ConfigError("no cache is set", hint="give --cache PATH, or storage-sync config init")
            self._state = open_state_dir(folder, self.cache_path)
        return self._state

    @property
    def copies(self) -> Copies:
        """ConfigError when no cache is set."""
        if self._copies is None:
            self._copies = Copies(self.cache_path, self.state.copies)
        return self._copies

    def scope(self, digest: str, part: Part | None = None) -> _native.Scope:
        """What is to be proven, by the settings, with digests of this algorithm; or only one part of it."""
        return _native.Scope(
            digest=digest,
            window=self.settings.max_episodes_cache,
            patterns=self.settings.sync_patterns,
            embeddings=self.settings.sync_embeddings,
            part=(part.number, part.of) if part is not None else None,
        )

    def counters(self) -> Transfer:
        """Of the source so far; zeros before it was first used."""
        return self._source.counters if self._source is not None else Transfer()

    async def on_cache_thread(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run a blocking call on the cache thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._cache_thread, lambda: function(*arguments, **named))

    async def close(self) -> None:
        if self._source is not None:
            await self._source.close()
        await self.on_cache_thread(self.plan_rows.close)
        if self._copies is not None and self._own_copies:
            await self.on_cache_thread(self._copies.close)
        self._cache_thread.shutdown(wait=False, cancel_futures=True)
