"""Which episodes are in the window, which texts are newer than their vectors: a server and a file say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.primary.source import connect
from tests.support import stores
from tests.support.sqld import Sqld

WINDOW = 7


def scope(window: int = WINDOW) -> _native.Scope:
    return _native.Scope(digest="blake3", window=window, patterns=True, embeddings=True)


@pytest.mark.parametrize("name", ["v47-small", "small"])
async def test_in_window_and_rewritten(name: str, tmp_path: Path) -> None:
    database = stores.primary(name, tmp_path)
    stores.execute(database, ["UPDATE embeddings SET created_at = created_at + 1000000"])
    newest = [str(row[0]) for row in stores.select(
        database, "SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id"
    )]  # fmt: skip
    owners = stores.select(
        database,
        "SELECT item_id, item_type, substr(item_id, -36) FROM embeddings"
        " WHERE substr(item_id, -36) IN (SELECT episode_id FROM episodes)"
        " AND (item_type = 'episode' OR item_id LIKE '%:episode:%') ORDER BY 1 LIMIT 2",
    )
    for _, _, owner in owners:
        stores.execute(database, [f"UPDATE episodes SET created_at = 9999999999 WHERE episode_id = '{owner}'"])
    expected = {f"episode_{item}" if kind == "episode" else str(item) for item, kind, _ in owners}
    asked = [newest[0], newest[WINDOW - 1], newest[WINDOW], "00000000-0000-4000-8000-000000000000"]
    with Sqld(database) as server:
        for url in (f"file:{stores.quiet_copy(database, tmp_path / 'copy')}", server.url):
            source = connect(url)
            try:
                await source.probe()
                assert await source.in_window(scope(), asked) == set(asked[:2])
                assert await source.in_window(scope(0), asked) == set()
                assert await source.in_window(scope(), []) == set()
                found = await source.rewritten()
                assert expected <= found
                # two vectors of one episode are both older than it
                assert {key[-36:] for key in found} == {owner for _, _, owner in owners}
            finally:
                await source.close()
