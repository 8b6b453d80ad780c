"""Which panels show trouble, and which stand first because of it: what is well is quiet. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

from console.views.frame import Frame
from console.views.states import proof_valid, rows_behind
from storage_sync.values.found import still
from widgets.check_list import CheckList
from widgets.glyphs import Role
from widgets.store_card import StoreCard

WORST = (Role.FAILED, Role.ATTENTION)
"""Roles that are trouble, the worst first."""


class Troubles(Struct, frozen=True):
    """The role of each panel of Overview; `Role.NONE` where all is well."""

    primary: Role = Role.NONE
    cache: Role = Role.NONE
    freshness: Role = Role.NONE
    checks: Role = Role.NONE
    sync: Role = Role.NONE


def troubles(frame: Frame, primary: StoreCard, cache: StoreCard, checks: CheckList) -> Troubles:
    if frame.verdict.word == "NO CONFIG":
        return Troubles()
    return Troubles(
        primary=worst([primary.role]),
        cache=worst([cache.role]),
        freshness=_freshness(frame),
        checks=worst(row.role for row in checks.rows),
        sync=_sync(frame),
    )


CALM_S = 10.0
"""How long a panel must be well before others may stand above it again."""


class Places(Struct, frozen=True):
    """By which roles the panels stand; `calm_since`: when each that stands higher than its role became well."""

    roles: Troubles = Troubles()
    calm_since: Mapping[str, float] = {}


def placed(found: Troubles, before: Places, frame: Frame) -> Places:
    """Trouble moves a panel at once. It stays there while something runs and for a while after, so that nothing jumps
    back and forth with each run: what a run looks at is not known meanwhile."""
    run = frame.snapshot.run
    running = run is not None and run.ended_at is None
    roles: dict[str, Role] = {}
    calm: dict[str, float] = {}
    for name, role in structs.asdict(_moving(found, frame)).items():
        stood = getattr(before.roles, name)
        since = before.calm_since.get(name, frame.now)
        if _rank(role) > _rank(stood) and (running or frame.now - since < CALM_S):
            roles[name], calm[name] = stood, since
        else:
            roles[name] = role
    return Places(Troubles(**roles), calm)


def _moving(found: Troubles, frame: Frame) -> Troubles:
    """Without rows behind that the next run takes in by itself: that is an everyday thing, and moves nothing."""
    if frame.snapshot.freshness.next_sync_at is None or not rows_behind(frame.snapshot):
        return found
    return structs.replace(found, freshness=_freshness(frame, behind=False))


def _rank(role: Role) -> int:
    return WORST.index(role) if role in WORST else len(WORST)


def worst(roles: Iterable[Role]) -> Role:
    """The worst of the roles that are trouble; `NONE` without any."""
    found = set(roles)
    return next((role for role in WORST if role in found), Role.NONE)


def _freshness(frame: Frame, *, behind: bool = True) -> Role:
    snapshot = frame.snapshot
    late = snapshot.freshness.proof is not None and not proof_valid(snapshot, frame.now)
    rejected = bool(still(snapshot.quarantine.refused, snapshot.present))
    return Role.ATTENTION if late or rejected or (behind and rows_behind(snapshot)) else Role.NONE


def _sync(frame: Frame) -> Role:
    snapshot = frame.snapshot
    running = snapshot.run is not None and snapshot.run.ended_at is None
    return Role.FAILED if snapshot.error is not None and not running else Role.NONE


def in_order(roles: Mapping[str, Role]) -> tuple[str, ...]:
    """The names with the worst first; what is equally well keeps its place."""
    return tuple(sorted(roles, key=lambda name: _rank(roles[name])))
