"""The network stack costs a third of a second: only a server that is really asked pays for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support import stores

SCRIPT = """
import asyncio, sys
from storage_sync.primary.source import connect
connect("libsql://name.turso.io", "token")
asyncio.run(connect("file:" + sys.argv[1]).probe())
heavy = {"aiohttp", "libsql_client"} & set(sys.modules)
assert not heavy, heavy
"""


def test_a_file_needs_no_network_stack(tmp_path: Path) -> None:
    path = stores.primary("cli", tmp_path)
    subprocess.run([sys.executable, "-c", SCRIPT, str(path)], check=True, cwd=Path(__file__).parents[2])
