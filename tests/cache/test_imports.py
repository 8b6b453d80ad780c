"""`status` starts cold through these modules: they stay light."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.processes import environment

HEAVY = ["aiohttp", "asyncio", "libsql_client", "orjson", "psutil", "sqlite3", "subprocess", "tempfile", "textual"]

CODE = f"""
import json, sys
import storage_sync.cache.checkpoint
import storage_sync.cache.content
import storage_sync.cache.lease
import storage_sync.state.directory
import storage_sync.cache.states
import storage_sync.state.witness
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""


def test_looking_at_a_cache_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], env=environment(), capture_output=True, check=True)
    assert json.loads(done.stdout) == []
