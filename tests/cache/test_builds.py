"""Which files beside the cache are builds, and which are somebody else's."""

from __future__ import annotations

from pathlib import Path

from storage_sync.cache.builds import build_of, builds_beside, remove_undo_builds, undo_build

IDENTITY = bytes(range(32))


def test_a_build_is_found_by_its_name(cache: Path) -> None:
    name = build_of(str(cache), IDENTITY)
    assert name == f"{cache}.build-000102030405"
    assert builds_beside(str(cache)) == []
    Path(name).write_bytes(b"half a build")
    assert builds_beside(str(cache)) == [name]


def test_behind_a_link_it_lies_beside_the_file(cache: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.redb"
    link.parent.mkdir()
    link.symlink_to(cache)
    assert build_of(str(link), IDENTITY) == build_of(str(cache), IDENTITY)


def test_signs_of_a_pattern_in_the_name_of_the_cache_are_signs(tmp_path: Path) -> None:
    named = tmp_path / "[*].redb"
    other = Path(build_of(str(tmp_path / "x.redb"), IDENTITY))
    own = Path(build_of(str(named), IDENTITY))
    for path in (own, other):
        path.touch()
    assert builds_beside(str(named)) == [str(own)]


def test_a_file_of_others_with_such_a_name_is_no_build(cache: Path) -> None:
    for ending in (".build-notes", ".build-000102030405.bak", ".build-undo"):
        cache.with_name(cache.name + ending).write_bytes(b"not ours")
    cache.with_name(cache.name + ".build-0a0b0c0d0e0f").symlink_to(cache)
    assert builds_beside(str(cache)) == []
    assert builds_beside(str(cache.parent / "nowhere" / "cache.redb")) == []


def test_the_copy_of_an_undo_is_nothing_to_go_on_with_and_goes(cache: Path) -> None:
    build, copy = Path(build_of(str(cache), IDENTITY)), Path(undo_build(str(cache)))
    for path in (build, copy):
        path.touch()
    assert undo_build(str(cache)) != str(copy)
    assert builds_beside(str(cache)) == [str(build)]
    remove_undo_builds(str(cache))
    assert (build.exists(), copy.exists()) == (True, False)
