"""The checks by their names, each with its age; what is too old is shown as what it was."""

from __future__ import annotations

from console.views.frame import Frame
from console.views.states import checks_of_file, holds, is_damaged, is_held, rows_behind
from storage_sync.values.outcome import OF_THE_PROOF, Check, CheckStatus, Word
from storage_sync.values.snapshot import CheckResult
from widgets import fmt
from widgets.check_list import CheckList, CheckRow
from widgets.glyphs import Role

ORDER: tuple[str, ...] = (
    "episode_count",
    "latest_episodes",
    "pattern_counts",
    "orphaned_embeddings",
    "content_digests",
    "embedding_vectors",
    "cache_integrity",
    "schema_version",
)
"""The order of the screen."""

_ROLES = {
    CheckStatus.PASS: Role.OK,
    CheckStatus.FAIL: Role.FAILED,
    CheckStatus.UNKNOWN: Role.UNKNOWN,
    CheckStatus.SKIPPED: Role.NONE,
}


def ordered(frame: Frame) -> list[CheckResult]:
    """Results of the file that is there, in the order of the screen; unknown names come last."""
    places = {name: index for index, name in enumerate(ORDER)}
    return sorted(checks_of_file(frame.snapshot), key=lambda result: places.get(result.name, len(places)))


def expired(frame: Frame, result: CheckResult) -> bool:
    """Whether the result no longer speaks of the cache as it is now."""
    return not holds(frame.snapshot, result, frame.now)


def check_list(frame: Frame) -> CheckList:
    results = ordered(frame)
    copy = is_held(frame.snapshot)
    rows = [check_row(frame, result) for result in results]
    moments = [result.found.at for result in results]
    # what is past has its age in its row
    current = [at for at, row in zip(moments, rows, strict=True) if row.role is not Role.UNKNOWN]
    oldest = min(current or moments, default=None)
    failed = sum(row.role is Role.FAILED for row in rows)
    right = f"{frame.ago(oldest)} ago" if oldest is not None else "not run yet"
    if failed:
        right = f"{failed} failed{frame.label(' · ')}{right}"
    if copy and oldest is not None:
        right = f"{fmt.short_age(frame.now - oldest)} ago"
    return CheckList(
        title=frame.label("Validation · of the copy") if copy else "Validation",
        right=right,
        # the panel may have room for some only
        rows=tuple(sorted(rows, key=lambda row: row.role is not Role.FAILED)),
        empty=none_yet(frame),
    )


def none_yet(frame: Frame) -> str:
    """Why there is no result, and what makes one."""
    said = {"NO CONFIG": "nothing to check: no cache is set", "EMPTY": "nothing to check; s builds the cache"}
    never = "the cache is another file; v checks it" if frame.snapshot.checks else "no check has run yet; v runs them"
    return said.get(frame.verdict.word, never)


def name_of(frame: Frame, name: str) -> str:
    """The same on all screens. It names what is looked at and not what should be true, so it fits every result."""
    return frame.clean(name.replace("_", " "))


def _is_short(check: Check) -> bool:
    """A check that passes with fewer rows than are expected: the others were rejected."""
    counted = isinstance(check.expected, int) and isinstance(check.actual, int)
    return check.status is CheckStatus.PASS and counted and check.actual != check.expected


def is_behind(frame: Frame, result: CheckResult) -> bool:
    """A check that fails because rows of the primary are not in the cache yet, which the next sync brings."""
    behind = frame.snapshot.verdict is Word.STALE or rows_behind(frame.snapshot) > 0
    return behind and result.found.was.status is CheckStatus.FAIL and result.name in OF_THE_PROOF


def role_of(frame: Frame, result: CheckResult) -> Role:
    role = Role.ATTENTION if _is_short(result.found.was) else _ROLES[result.found.was.status]
    if role is Role.FAILED and is_behind(frame, result):
        role = Role.ATTENTION
    if role in {Role.OK, Role.ATTENTION} and is_damaged(frame.snapshot):
        # no check passes a damaged file: this one was made of what was there before
        return Role.UNKNOWN
    return Role.UNKNOWN if role in {Role.OK, Role.ATTENTION, Role.FAILED} and expired(frame, result) else role


def check_row(frame: Frame, result: CheckResult) -> CheckRow:
    name = name_of(frame, result.name)
    role = role_of(frame, result)
    age = fmt.short_age(frame.now - result.found.at)
    if result.found.was.status is CheckStatus.SKIPPED:
        reason = frame.clean(result.found.was.detail)
        return CheckRow(role, name, (f"skipped ({reason})", "skipped") if reason else ("skipped",), "")
    if role is Role.UNKNOWN:
        was = f"was {was_words(result.found.was)}"
        least = f"was {was_words(result.found.was, -1)}"
        return CheckRow(role, name, (f"{was}, {frame.ago(result.found.at)} ago", f"{was}, {age} ago", was, least), "")
    return CheckRow(role, name, _result_words(frame, result.found.was), age)


def was_words(check: Check, wording: int = 0) -> str:
    """What a check found that is past, without its age; `wording`: of its figures, 0 the longest, -1 the shortest."""
    if check.status is CheckStatus.UNKNOWN:
        return "not known"
    if check.status is CheckStatus.PASS and not _is_short(check):
        return "ok"
    return _counted(check.actual, check.expected)[wording] if isinstance(check.actual, int) else "failed"


def _counted(actual: int, expected: int | str | None) -> tuple[str, ...]:
    """Longest first. What should be none, or is too much, is no part of what is expected."""
    if not isinstance(expected, int):
        return (f"{actual:,}",)
    if actual > expected:
        return (f"{actual:,}, expected {expected:,}", f"{actual:,}, not {expected:,}", f"{actual:,}")
    return (f"{actual:,} of {expected:,}", f"{actual:,}/{expected:,}") if expected else (f"{actual:,}",)


def _result_words(frame: Frame, check: Check) -> tuple[str, ...]:
    expected, actual = check.expected, check.actual
    passed = check.status is CheckStatus.PASS
    if isinstance(expected, int) and isinstance(actual, int):
        return _counted(actual, expected)
    if actual is None and expected is None:
        return ("ok" if passed else "failed",)
    shown = frame.clean(fmt.UNKNOWN if actual is None else f"{actual}")
    return (shown,) if passed else (f"{shown}, expected {frame.clean(f'{expected}')}", shown)
