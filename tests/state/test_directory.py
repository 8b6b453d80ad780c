"""One folder for each cache, and what is said when there can be none."""

from __future__ import annotations

from pathlib import Path

from storage_sync.state.directory import StateDir, open_state_dir
from tests.support.processes import as_nobody


def test_it_is_made_for_us_alone(tmp_path: Path, cache: Path) -> None:
    state = open_state_dir(tmp_path / "state" / "deep", str(cache))
    assert state == StateDir(tmp_path / "state" / "deep")
    assert state.usable
    assert state.folder.stat().st_mode & 0o777 == 0o700
    assert state.history == state.folder / "history.db"
    assert state.copies == state.folder / "copies"
    assert open_state_dir(tmp_path / "state" / "deep", str(cache)) == state


def test_a_second_cache_gets_a_folder_of_its_own(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "state"
    first = open_state_dir(root, str(cache))
    second = open_state_dir(root, str(tmp_path / "other.redb"))
    assert first.folder == root
    assert second.folder.parent == root
    assert second.folder.name.startswith("other.redb-")
    assert open_state_dir(root, str(tmp_path / "other.redb"), create=False) == second


def test_two_names_of_a_cache_share_it(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "link").symlink_to(cache)
    root = tmp_path / "state"
    assert open_state_dir(root, str(cache)) == open_state_dir(root, str(tmp_path / "link"))


def test_a_claim_that_was_cut_short_is_nobodys(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "cache.path").touch()
    assert open_state_dir(tmp_path, str(cache)).folder == tmp_path


def test_only_looking_makes_nothing(tmp_path: Path, cache: Path) -> None:
    state = open_state_dir(tmp_path / "state", str(cache), create=False)
    assert not state.usable
    assert state.copies is None
    assert not (tmp_path / "state").exists()


def test_a_file_in_its_place_is_a_problem_and_no_exception(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "state").touch()
    state = open_state_dir(tmp_path / "state", str(cache))
    assert not state.usable
    assert "cannot be used" in state.problem


def test_without_rights_it_is_a_problem_and_no_exception(open_folder: Path) -> None:
    code = """
import json, sys
from pathlib import Path
from storage_sync.state.directory import open_state_dir
drop()
print(json.dumps(open_state_dir(Path(sys.argv[1]), "/data/cache.redb").problem))
"""
    open_folder.chmod(0o555)
    assert "cannot be used" in as_nobody(code, open_folder / "state")
    assert "cannot be used" in as_nobody(code, open_folder)
    open_folder.chmod(0o755)
