"""Header, tabs, verdict and next line: the part of the picture that never moves."""

from __future__ import annotations

from console.keys import SCREENS, footer
from console.verdict import STALLED_AFTER_S, Verdict
from console.views.frame import Frame
from storage_sync.model import CheckStatus, Run, Snapshot
from widgets import fmt
from widgets.glyphs import Look, Role
from widgets.header import HeaderText
from widgets.key_bar import KeyEntry, Keys
from widgets.tab_row import Tab, Tabs
from widgets.verdict_line import VerdictText

PRODUCT = "Storage Sync"


def header(frame: Frame) -> HeaderText:
    snapshot = frame.snapshot
    flags = [snapshot.access]
    if snapshot.paused:
        flags.insert(0, "paused")
    if frame.frozen:
        flags.insert(0, "frozen")
    role, core = (Role.OFF, "none") if frame.verdict.word == "NO CONFIG" else heartbeat(frame.beat_age)
    return HeaderText(
        product=PRODUCT,
        profile=frame.clean(snapshot.profile) or "default",
        run=running_words(snapshot.run),
        flags=tuple(flags),
        core_role=role,
        core=core,
        clock=fmt.clock(frame.now),
    )


def heartbeat(beat_age: float | None) -> tuple[Role, str]:
    if beat_age is None:
        return Role.OFF, "starting"
    if beat_age > STALLED_AFTER_S:
        return Role.FAILED, f"stalled {fmt.age(beat_age)}"
    return Role.RUNNING, fmt.tenths(beat_age)


def running_words(run: Run | None) -> str:
    """The running operation for the header of every screen: `sync 66 %`."""
    if run is None or run.ended_at is not None:
        return ""
    return f"{run.kind} {fmt.percent(run.done, run.total)}" if run.total else f"{run.kind} {run.step}".rstrip()


def verdict_text(verdict: Verdict, clean: Look) -> VerdictText:
    """The verdict's wordings made harmless: they quote messages and names from outside."""

    def safe(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(fmt.clean(text, ascii_only=clean.glyphs.is_ascii) for text in texts)

    return VerdictText(verdict.role, verdict.word, safe(verdict.sentence), safe(verdict.next))


def tabs(snapshot: Snapshot, active: str) -> Tabs:
    badges = {"validation": _check_badge(snapshot), "orphans": _orphan_badge(snapshot)}
    return Tabs(
        tuple(Tab(name, key, title, *badges.get(name, (Role.NONE, ""))) for name, key, title in SCREENS), active
    )


def _check_badge(snapshot: Snapshot) -> tuple[Role, str]:
    for status, role in ((CheckStatus.FAIL, Role.FAILED), (CheckStatus.UNKNOWN, Role.UNKNOWN)):
        number = sum(result.check.status is status for result in snapshot.checks)
        if number:
            return role, f"{number}"
    return Role.NONE, ""


def _orphan_badge(snapshot: Snapshot) -> tuple[Role, str]:
    for result in snapshot.checks:
        if result.check.name == "orphaned_embeddings" and result.check.status is CheckStatus.FAIL:
            return Role.FAILED, f"{result.check.actual}"
    return Role.NONE, ""


def keys(screen: str, disabled: frozenset[str]) -> Keys:
    """Footer of one screen; `disabled`: ids of keys that do nothing now."""
    entries = tuple(KeyEntry(key.shown, key.label, key.action, key.id not in disabled) for key in footer(screen))
    return Keys(entries, KeyEntry("^p", "palette", "command_palette"))
