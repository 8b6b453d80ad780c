"""The pictures in the repository are those that the application draws."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pictures import MAIN_STATES, Shot, picture, shots, write_screenshots
from tests.support.scenes import snapshots

PICTURES = Path(__file__).resolve().parents[2] / "screenshots"
SHOTS = shots()


def test_every_state_has_a_picture() -> None:
    drawn = {shot.scene for shot in SHOTS}
    assert drawn == set(snapshots.NAMES) - {"hostile"}
    assert {shot.size for shot in SHOTS if shot.scene in MAIN_STATES} == {(80, 24), (100, 30), (120, 40)}
    assert len({shot.name for shot in SHOTS}) == len(SHOTS)


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
async def test_the_repository_has_this_picture(shot: Shot) -> None:
    kept = (PICTURES / f"{shot.name}.svg").read_text(encoding="utf-8")
    assert await picture(shot) == kept, "make the pictures again: make screenshots"


def test_no_other_picture_is_kept() -> None:
    assert {path.stem for path in PICTURES.glob("*.svg")} == {shot.name for shot in SHOTS}


def test_only_what_is_named_is_written(tmp_path: Path) -> None:
    written = write_screenshots(tmp_path, ["history-100x30"])
    assert tmp_path / "history-100x30.svg" in written
    assert {path.stem for path in tmp_path.iterdir()} == {"history-100x30"}
