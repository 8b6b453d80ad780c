"""What `--version` says: this program, and what it was built from and for."""

from __future__ import annotations

import platform

from storage_sync import _native


def version_text() -> str:
    """The version alone on the first line, for scripts; the facts of the build on the second."""
    commit = f"commit {_native.COMMIT}" if _native.COMMIT else "commit unknown"
    facts = (
        commit,
        f"redb {_native.REDB_VERSION}",
        f"encoding {_native.ENCODING}",
        f"cache schema {_native.CACHE_SCHEMA_VERSION}",
        f"{_native.COMPILER} for {_native.TARGET}",
        f"Python {platform.python_version()}",
    )
    return f"storage-sync, version {_native.VERSION}\n{', '.join(facts)}"
