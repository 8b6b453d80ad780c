"""What the demo begins with, so that there is something to find in it: a run that can be undone, a rejected row, and
orphans of several kinds. All of it comes about as it does elsewhere: the primary and the cache are written, and synced.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import closing

from storage_sync.config.load import load_settings
from storage_sync.config.request import Request
from storage_sync.demo.demo import Demo, opened
from storage_sync.demo.orphans import leave_orphans
from storage_sync.demo.troubles import break_row
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once

ARRIVED = 4


def begin(demo: Demo) -> None:
    """Sync the new demo, let its primary change, sync again, and write to the cache what an application leaves there.

    Errors are those of a sync.
    """
    _sync(demo)
    demo.grow(ARRIVED, time.time())
    _change(demo)
    break_row(demo)
    _sync(demo)
    leave_orphans(demo, random.Random(~demo.seed))  # noqa: S311 - the same each time


def _sync(demo: Demo) -> None:
    request = Request(load_settings(demo.config_file, None, {}, {}).settings, None)
    asyncio.run(once(Sync(), request))


def _change(demo: Demo) -> None:
    """Three episodes were worked on again, and two were deleted."""
    with closing(opened(demo.primary)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("BEGIN IMMEDIATE")
        db.execute(
            "UPDATE episodes SET task_description = task_description || ', and again after the review' "
            "WHERE rowid IN (SELECT rowid FROM episodes ORDER BY start_time DESC LIMIT 3 OFFSET 8)"
        )
        db.execute("DELETE FROM episodes WHERE rowid IN (SELECT rowid FROM episodes ORDER BY start_time LIMIT 2)")
        db.execute("COMMIT")
