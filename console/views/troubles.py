"""Which panels show trouble, and so stand first: what is well is quiet. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

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


def worst(roles: Iterable[Role]) -> Role:
    """The worst of the roles that are trouble; `NONE` without any."""
    found = set(roles)
    return next((role for role in WORST if role in found), Role.NONE)


def _freshness(frame: Frame) -> Role:
    snapshot = frame.snapshot
    late = snapshot.freshness.proof is not None and not proof_valid(snapshot, frame.now)
    rejected = bool(still(snapshot.quarantine.refused, snapshot.present))
    return Role.ATTENTION if late or rejected or rows_behind(snapshot) else Role.NONE


def _sync(frame: Frame) -> Role:
    snapshot = frame.snapshot
    running = snapshot.run is not None and snapshot.run.ended_at is None
    return Role.FAILED if snapshot.error is not None and not running else Role.NONE


def in_order(roles: Mapping[str, Role]) -> tuple[str, ...]:
    """The names with the worst first; what is equally well keeps its place."""
    return tuple(sorted(roles, key=lambda name: WORST.index(roles[name]) if roles[name] in WORST else len(WORST)))
