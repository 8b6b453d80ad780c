"""Validation: which check failed, expected against actual, and which keys."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from console.bindings import bindings
from console.keys import VALIDATION
from console.screens.listing import Column, Listing, ListScreen
from console.views import checks
from console.views.frame import Frame
from storage_sync.model import CheckResult, CheckStatus
from widgets import fmt
from widgets.facts import Fact, FactList
from widgets.glyphs import Role, Tone
from widgets.line import Line, Piece, muted, plain, toned

_COLUMNS = (
    Column("  check", 28),
    Column("actual", 12, right=True),
    Column("expected", 12, right=True),
    Column("age", 6, right=True, wide=64),
    Column("", 0, wide=72),
)


class ValidationScreen(ListScreen):
    name_id = VALIDATION
    BINDINGS: ClassVar[list[BindingType]] = bindings(VALIDATION)

    def listing(self, frame: Frame) -> Listing:
        results = checks.ordered(frame)
        generation = frame.snapshot.cache.generation
        return Listing(
            title=frame.label(f"Checks · {len(results)}"),
            right=f"g-{generation}" if generation is not None else "",
            columns=_COLUMNS,
            rows=tuple(_row(frame, result) for result in results),
            empty="no check has run yet; v runs them",
        )

    def details(self, frame: Frame, index: int) -> FactList:
        results = checks.ordered(frame)
        if not 0 <= index < len(results):
            return FactList("Check", "", ())
        return _details(frame, results[index])


def _row(frame: Frame, result: CheckResult) -> tuple[Line, ...]:
    role = checks.role_of(frame, result)
    label, _ = checks.words(frame, result.check.name)
    return (
        toned(role, label, glyphs=frame.look.glyphs),
        plain(_value(frame, result.check.actual)),
        plain(_value(frame, result.check.expected)),
        muted(fmt.short_age(frame.now - result.at)),
        muted(frame.clean(result.check.detail)),
    )


def _value(frame: Frame, value: int | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else frame.clean(value)


def _details(frame: Frame, result: CheckResult) -> FactList:
    check, glyphs = result.check, frame.look.glyphs
    role = checks.role_of(frame, result)
    label, _ = checks.words(frame, check.name)
    facts = [
        Fact("name", plain(frame.clean(check.name)), extra=muted("in documents and metrics")),
        Fact("result", toned(role, _status_words(role, check.status), glyphs=glyphs)),
        Fact("says", plain(frame.clean(check.detail) or "-")),
        Fact("expected", plain(_value(frame, check.expected)), extra=_difference(check.expected, check.actual)),
        Fact("actual", plain(_value(frame, check.actual))),
        Fact("checked", plain(f"{frame.ago(result.at)} ago, took {fmt.took(check.seconds)}, of the {result.subject}")),
        Fact("last runs", _recent(frame, result)),
        *(Fact("keys" if not place else "", plain(frame.clean(key))) for place, key in enumerate(check.keys)),
    ]
    return FactList(label, frame.clean(check.status.value), tuple(facts))


def _status_words(role: Role, status: CheckStatus) -> str:
    return f"unknown now; was {status.value}" if role is Role.UNKNOWN else status.value


def _difference(expected: int | str | None, actual: int | str | None) -> Line:
    if isinstance(expected, int) and isinstance(actual, int) and expected != actual:
        return muted(f"difference {actual - expected:+,}")
    return ()


def _recent(frame: Frame, result: CheckResult) -> Line:
    roles = {CheckStatus.PASS: Role.OK, CheckStatus.FAIL: Role.FAILED, CheckStatus.UNKNOWN: Role.UNKNOWN}
    if not result.recent:
        return muted("not recorded")
    glyphs = frame.look.glyphs.roles
    marks = ((roles.get(status, Role.NONE)) for status in result.recent[-14:])
    return tuple(Piece(f"{glyphs[role]}", Tone(role.value)) for role in marks)
