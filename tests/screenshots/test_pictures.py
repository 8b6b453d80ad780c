"""The pictures in the repository are of the real console, and say what the core said."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from console.views.states import behind_now, generation_now
from screenshots.take import SHOTS, Shot, take, text_of
from storage_sync.values.outcome import CheckStatus

KEPT = Path(__file__).resolve().parents[2] / "screenshots"
BY_NAME = {shot.name: shot for shot in SHOTS}


def test_each_kept_picture_is_one_that_the_script_takes() -> None:
    assert len(BY_NAME) == len(SHOTS)
    assert {path.stem for path in KEPT.glob("*.svg")} == set(BY_NAME)


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
def test_a_kept_picture_shows_its_state(shot: Shot) -> None:
    text = text_of((KEPT / f"{shot.name}.svg").read_text(encoding="utf-8"))
    last = shot.steps[-1][1] if shot.steps else shot.word
    assert last in text
    assert "Traceback" not in text


@pytest.mark.parametrize("name", ["overview-in-sync-100x30", "overview-damaged-100x30", "overview-stale-100x30"])
async def test_a_picture_says_what_the_core_said(name: str, tmp_path: Path) -> None:
    shot = replace(BY_NAME[name], size=(160, 50))
    picture = await take(shot, tmp_path)
    text, snapshot = text_of(picture.svg), picture.snapshot
    assert shot.word in text
    assert snapshot.verdict.value.replace("_", " ") == shot.word
    generation = generation_now(snapshot)
    assert generation is None or f"g-{generation}" in text
    passed = sum(result.found.was.status is CheckStatus.PASS for result in snapshot.checks)
    assert not snapshot.checks or f"{passed} ok" in text
    behind = behind_now(snapshot)
    tables = behind.tables if behind is not None else {}
    for lag in tables.values():
        assert not lag.new or f"+{lag.new}" in text or len(tables) > 1
