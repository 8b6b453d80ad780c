"""What the cards of the stores say where they are narrow."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from console.views.frame import Frame
from console.views.freshness import freshness
from console.views.verdict import verdict
from storage_sync.primary.errors import Refusal, error_for_status
from storage_sync.values.found import Basis, Found, PrimaryStand
from storage_sync.values.snapshot import Behind, RowsBehind, RowsRead
from tests.console.app import console, live, screen_text
from tests.support.scenes import snapshots
from widgets.glyphs import Look
from widgets.line import text_of


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((80, 24), "401 `The JWT has expired`"),
        ((100, 30), "401 `The JWT has expired`"),
        ((120, 40), "401 Unauthorized: `The JWT has expired`"),
    ],
)
async def test_the_server_that_refuses_is_quoted(size: tuple[int, int], words: str) -> None:
    app, _ = console("auth")
    async with live(app, size=size):
        shown = screen_text(app)
    card = shown.partition("Freshness")[0].replace("┃", " ")
    (error,) = (line for line in card.splitlines() if line.lstrip().startswith("error"))
    assert words in error
    assert all(f" {label} " in card for label in ("ping", "auth", "next"))


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (401, "", "401"),
        (403, "Forbidden", "403 Forbidden"),
        (404, "Namespace `x` doesn't exist", "does not know this database"),
        (503, "upstream connect error: timed out", "503 timed out"),
    ],
)
async def test_the_code_comes_first(status: int, said: str, words: str) -> None:
    scene = snapshots.scene("auth")
    message = error_for_status(Refusal(status, said, "/v2/pipeline")).message
    primary = replace(scene.snapshot.primary, last_error=message)
    app, _ = console(replace(scene, snapshot=replace(scene.snapshot, primary=primary)))
    async with live(app):
        card = screen_text(app).partition("Freshness")[0].replace("┃", " ")
    (error,) = (line for line in card.splitlines() if line.lstrip().startswith("error"))
    assert words in error


@pytest.mark.parametrize(
    ("unmetered", "words"),
    [
        (0, "1,210 rows today, about 36,000 a month at this pace"),
        (3, "at least 1,210 rows today, about 36,000 a month at this pace"),
    ],
)
async def test_what_the_primary_read_today(unmetered: int, words: str) -> None:
    scene = snapshots.scene("in_sync")
    now = scene.snapshot.taken_at
    primary = replace(scene.snapshot.primary, rows_read=RowsRead(1_210, 1_210, now - 86_400, unmetered))
    app, _ = console(replace(scene, snapshot=replace(scene.snapshot, primary=primary)))
    async with live(app, size=(160, 45)):
        assert f"read      {words}" in screen_text(app)


@pytest.mark.parametrize(
    ("stand", "said"),
    [
        (replace(snapshots.STAND, token="another"), "primary changed since"),
        (replace(snapshots.STAND, source_id="another"), "primary replaced since"),
    ],
)
def test_why_rows_behind_are_past_is_true_and_whole_on_each_width(stand: PrimaryStand, said: str) -> None:
    snapshot = snapshots.scene("stale").snapshot
    lag = RowsBehind({"episodes": Behind(19, 0, 0)})
    fresh = replace(
        snapshot.freshness, moved_at=None, behind=Found(lag, Basis(snapshots.FILE, snapshots.STAND), snapshots.NOW)
    )
    shown = replace(snapshot, freshness=fresh, primary=replace(snapshot.primary, stand=stand))
    shown = replace(shown, cache=replace(shown.cache, identity=snapshots.FILE))
    frame = Frame(shown, verdict(shown, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())
    for width in (38, 48, 60):
        (line,) = [text_of(one) for one in freshness(frame).lines(width, 5, Look()) if " behind " in text_of(one)]
        assert said in line
        assert len(line) <= width
