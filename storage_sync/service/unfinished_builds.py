"""Unfinished builds beside the cache, for a person who decides whether to go on with them (docs/console.md#screens)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from storage_sync.cache.builds import builds_beside
from storage_sync.values.answers import UnfinishedBuild

if TYPE_CHECKING:
    from storage_sync.service.commands import ListBuilds
    from storage_sync.service.question import Asked


async def builds(_: ListBuilds, asked: Asked) -> tuple[UnfinishedBuild, ...]:
    """Newest first. Whether one fits primary and settings is found out by the rebuild, which starts over if not."""
    return await asked.aside(_found, str(asked.settings.cache))


def _found(cache: str) -> tuple[UnfinishedBuild, ...]:
    found = []
    for path in builds_beside(cache):
        try:
            facts = Path(path).stat()
        except OSError:
            continue
        found.append(UnfinishedBuild(path, facts.st_size, facts.st_mtime))
    return tuple(sorted(found, key=lambda build: -build.at))
