"""The checks in the words of docs/cli.md, each with its age; what is too old is shown as what it was."""

from __future__ import annotations

from console.views.frame import Frame
from console.views.states import holds, is_damaged, is_held
from storage_sync.values.outcome import Check, CheckStatus
from storage_sync.values.snapshot import CheckResult
from widgets import fmt
from widgets.check_list import CheckList, CheckRow
from widgets.glyphs import Role

ORDER: tuple[tuple[str, str, str], ...] = (
    ("episode_count", "episode count matches", "episode count matches"),
    ("latest_episodes", "latest episodes present", "latest episodes"),
    ("pattern_counts", "pattern counts consistent", "pattern counts"),
    ("orphaned_embeddings", "no orphaned embeddings", "no orphans"),
    ("content_digests", "content digests", "content digests"),
    ("embedding_vectors", "embedding vectors valid", "vectors valid"),
    ("cache_integrity", "cache integrity", "cache integrity"),
    ("schema_version", "schema version", "schema version"),
)
"""(name, words, short words) in the order of the screen."""

_ROLES = {
    CheckStatus.PASS: Role.OK,
    CheckStatus.FAIL: Role.FAILED,
    CheckStatus.UNKNOWN: Role.UNKNOWN,
    CheckStatus.SKIPPED: Role.NONE,
}


def ordered(frame: Frame) -> list[CheckResult]:
    """Results in the order of the screen; names that this version does not know come last."""
    places = {name: index for index, (name, _, _) in enumerate(ORDER)}
    return sorted(frame.snapshot.checks, key=lambda result: places.get(result.name, len(places)))


def expired(frame: Frame, result: CheckResult) -> bool:
    """Whether the result no longer speaks of the cache as it is now."""
    return not holds(frame.snapshot, result, frame.now)


def check_list(frame: Frame) -> CheckList:
    results = ordered(frame)
    copy = is_held(frame.snapshot)
    newest = max((result.found.at for result in results), default=None)
    failed = sum(row.role is Role.FAILED for row in (check_row(frame, result) for result in results))
    right = f"{frame.ago(newest)} ago" if newest is not None else "not run yet"
    if failed:
        right = f"{failed} failed{frame.label(' · ')}{right}"
    if copy and newest is not None:
        right = f"{fmt.short_age(frame.now - newest)} ago"
    return CheckList(
        title=frame.label("Validation · of the copy") if copy else "Validation",
        right=right,
        rows=tuple(check_row(frame, result) for result in results),
        empty=none_yet(frame),
    )


def none_yet(frame: Frame) -> str:
    """Why there is no result, and what makes one."""
    said = {"NO CONFIG": "nothing to check: no cache is set", "EMPTY": "nothing to check; s builds the cache"}
    return said.get(frame.verdict.word, "no check has run yet; v runs them")


def words(frame: Frame, name: str) -> tuple[str, str]:
    for known, long, short in ORDER:
        if known == name:
            return long, short
    return frame.clean(name.replace("_", " ")), frame.clean(name.replace("_", " "))


def _is_short(check: Check) -> bool:
    """A check that passes with fewer rows than are expected: the others were rejected."""
    counted = isinstance(check.expected, int) and isinstance(check.actual, int)
    return check.status is CheckStatus.PASS and counted and check.actual != check.expected


def role_of(frame: Frame, result: CheckResult) -> Role:
    role = Role.ATTENTION if _is_short(result.found.was) else _ROLES[result.found.was.status]
    if role in {Role.OK, Role.ATTENTION} and is_damaged(frame.snapshot):
        # no check passes a damaged file: this one was made of what was there before
        return Role.UNKNOWN
    return Role.UNKNOWN if role in {Role.OK, Role.ATTENTION, Role.FAILED} and expired(frame, result) else role


def check_row(frame: Frame, result: CheckResult) -> CheckRow:
    long, short = words(frame, result.name)
    role = role_of(frame, result)
    age = fmt.short_age(frame.now - result.found.at)
    if result.found.was.status is CheckStatus.SKIPPED:
        reason = frame.clean(result.found.was.detail)
        return CheckRow(role, long, short, (f"skipped ({reason})", "skipped") if reason else ("skipped",), "")
    if role is Role.UNKNOWN:
        was = _was(frame, result)
        return CheckRow(
            role, long, short, (f"was {was}, {frame.ago(result.found.at)} ago", f"{was}, {age} ago", was), ""
        )
    return CheckRow(role, long, short, _result_words(frame, result), age)


def _was(frame: Frame, result: CheckResult) -> str:
    if result.found.was.status is CheckStatus.PASS:
        return "ok"
    if result.found.was.status is CheckStatus.FAIL:
        actual = result.found.was.actual
        return f"{actual:,}" if isinstance(actual, int) else "failed"
    return "not known"


def _result_words(frame: Frame, result: CheckResult) -> tuple[str, ...]:
    expected, actual = result.found.was.expected, result.found.was.actual
    if isinstance(expected, int) and isinstance(actual, int):
        return (f"{actual:,} / {expected:,}", f"{actual:,}/{expected:,}")
    if actual is None and expected is None:
        return ("ok" if result.found.was.status is CheckStatus.PASS else "failed",)
    shown = frame.clean(fmt.UNKNOWN if actual is None else f"{actual}")
    return (shown if result.found.was.status is CheckStatus.PASS else f"{shown} / {frame.clean(f'{expected}')}", shown)
