"""What the panel of the checks says: a name that fits every result, and what was found, also when it is the past."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from console.views.checks import ORDER, check_list, check_row
from console.views.frame import Frame
from console.views.labels import LABELS
from console.views.verdict import verdict
from storage_sync.values.found import Found
from storage_sync.values.outcome import Check, CheckStatus, Word
from storage_sync.values.snapshot import CheckResult
from tests.console.app import console, live, screen_text
from tests.support.scenes import snapshots
from widgets.glyphs import Look, Role
from widgets.line import text_of

SCENE = snapshots.scene("in_sync").snapshot


def told(check: Check, *, later_s: float = 0.0) -> tuple[Role, str]:
    """Its sign and its longest wording, so long after it ran."""
    found = Found(check, SCENE.present, snapshots.NOW)
    now = snapshots.NOW + later_s
    frame = Frame(SCENE, verdict(SCENE, now=now, beat_age=0.1), now, 0.1, Look())
    row = check_row(frame, CheckResult(check.name, found))
    return row.role, f"{row.label} {row.texts[0]}"


def counted(name: str, status: CheckStatus, actual: int, expected: int) -> Check:
    return replace(SCENE.checks[0].found.was, name=name, status=status, actual=actual, expected=expected, detail="")


@pytest.mark.parametrize(
    ("check", "role", "words"),
    [
        (counted("orphaned_embeddings", CheckStatus.FAIL, 4, 0), Role.FAILED, "orphaned embeddings 4, expected 0"),
        (counted("episode_count", CheckStatus.PASS, 241, 242), Role.ATTENTION, "episode count 241 of 242"),
        (counted("latest_episodes", CheckStatus.FAIL, 788, 1000), Role.FAILED, "latest episodes 788 of 1,000"),
        (counted("orphaned_embeddings", CheckStatus.PASS, 0, 0), Role.OK, "orphaned embeddings 0"),
    ],
)
def test_a_result_and_its_name_say_the_same(check: Check, role: Role, words: str) -> None:
    assert told(check) == (role, words)


@pytest.mark.parametrize(
    ("check", "was"),
    [
        (counted("episode_count", CheckStatus.PASS, 244, 245), "was 244 of 245, "),
        (counted("orphaned_embeddings", CheckStatus.FAIL, 4, 0), "was 4, expected 0, "),
        (counted("episode_count", CheckStatus.PASS, 245, 245), "was ok, "),
    ],
)
def test_a_result_of_the_past_is_told_as_it_was(check: Check, was: str) -> None:
    role, words = told(check, later_s=1_000_000.0)
    assert role is Role.UNKNOWN
    assert was in words


@pytest.mark.parametrize(
    ("verdict_word", "name", "role"),
    [
        (Word.STALE, "episode_count", Role.ATTENTION),
        (Word.STALE, "orphaned_embeddings", Role.FAILED),
        (Word.DRIFT, "episode_count", Role.FAILED),
    ],
)
def test_what_the_next_sync_brings_is_no_failure(verdict_word: Word, name: str, role: Role) -> None:
    shown = replace(SCENE, verdict=verdict_word)
    frame = Frame(shown, verdict(shown, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())
    failed = counted(name, CheckStatus.FAIL, 891, 893)
    assert check_row(frame, CheckResult(name, Found(failed, shown.present, snapshots.NOW))).role is role


def test_what_a_check_was_is_not_cut_on_a_small_terminal() -> None:
    failed = replace(
        SCENE.checks[0], found=Found(counted("orphaned_embeddings", CheckStatus.FAIL, 4, 0), SCENE.present, 0.0)
    )
    shown = replace(SCENE, checks=(failed,))
    frame = Frame(shown, verdict(shown, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())
    assert text_of(check_list(frame).lines(38, 5, Look())[0]).rstrip().endswith(" was 4")


def test_the_sum_counts_every_check() -> None:
    short = counted("episode_count", CheckStatus.PASS, 244, 245)
    results = [replace(one, found=replace(one.found, was=short)) for one in SCENE.checks[:2]]
    shown = replace(SCENE, checks=(*results, *SCENE.checks[2:]))
    frame = Frame(shown, verdict(shown, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())
    summary = text_of(check_list(frame).lines(60, 20, Look())[-1])
    assert "2 warned" in summary
    numbers = [int(word) for word in summary.split() if word.isdigit()]
    assert numbers[0] == sum(numbers[1:]) == len(shown.checks)


def test_what_failed_comes_first_where_there_is_no_room_for_all() -> None:
    failed = counted("schema_version", CheckStatus.FAIL, 3, 4)
    *others, last = SCENE.checks
    shown = replace(SCENE, checks=(*others, replace(last, found=replace(last.found, was=failed))))
    frame = Frame(shown, verdict(shown, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())
    roles = [row.role for row in check_list(frame).rows]
    assert roles[0] is Role.FAILED
    assert Role.FAILED not in roles[roles.count(Role.FAILED) :]


def test_help_explains_each_check_by_its_name() -> None:
    assert [label for label, _ in LABELS["checks"]] == [name.replace("_", " ") for name in ORDER]


async def test_a_check_has_one_name_on_all_screens() -> None:
    app, _ = console("running")
    async with live(app, size=(100, 30)) as pilot:
        overview = screen_text(app)
        await pilot.press("2")
        await pilot.pause()
        for shown in (overview, screen_text(app)):
            assert "orphaned embeddings" in shown
            assert "no orphan" not in shown


async def test_a_run_on_a_changed_file_says_what_its_generation_was() -> None:
    scene = snapshots.scene("running")
    cache = scene.snapshot.cache
    assert cache.identity is not None
    identity = replace(cache.identity, inode=cache.identity.inode + 1)
    app, _ = console(replace(scene, snapshot=replace(scene.snapshot, cache=replace(cache, identity=identity))))
    async with live(app, size=(100, 30)):
        assert "was g-4120" in screen_text(app)
        assert "Found(" not in screen_text(app)


def test_the_head_says_how_old_the_results_are_that_hold() -> None:
    """What is past has its age in its row: the head does not call a result of this moment as old as that."""
    fresh = counted("orphaned_embeddings", CheckStatus.FAIL, 4, 0)
    past = counted("cache_integrity", CheckStatus.PASS, 0, 0)
    results = (
        CheckResult(fresh.name, Found(fresh, SCENE.present, snapshots.NOW - 8)),
        CheckResult(past.name, Found(past, SCENE.present, snapshots.NOW - 1_000_000)),
    )
    shown = replace(SCENE, checks=results)
    frame = Frame(shown, verdict(shown, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())
    made = check_list(frame)
    assert [row.role for row in made.rows] == [Role.FAILED, Role.UNKNOWN]
    assert made.right == "1 failed · 8 s ago"
