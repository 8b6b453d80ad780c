"""The `file:` transport of libsql_client, made safe for a primary: read-only, patient, never creating.

For users of that interface; `LocalSource` reads through the same connection without importing it.

See docs/primary.md#file-primaries.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from libsql_client.client import LibsqlError
from libsql_client.sqlite3_utils import Sqlite3Client

from storage_sync.primary.local import open_read_only


class LocalClient(Sqlite3Client):  # type: ignore[misc]
    """A `libsql_client.Client` that cannot change its file. Its calls block, so use it on a worker thread."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._file = path

    def _connect(self) -> sqlite3.Connection:
        if self.closed:
            raise LibsqlError("The client was closed", "CLIENT_CLOSED")
        connection = open_read_only(self._file)
        connection.text_factory = str
        return connection
