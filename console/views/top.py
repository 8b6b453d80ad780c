"""Header, tabs, verdict and next line: the part of the picture that never moves."""

from __future__ import annotations

import re

from console.keys.table import EVERYWHERE, KEYS, OVERVIEW, SCREENS, Key, footer
from console.views import checks
from console.views.frame import Frame
from console.views.text import clean_text
from console.views.verdict import STALLED_AFTER_S, Verdict
from storage_sync.values.outcome import CheckStatus
from storage_sync.values.snapshot import Run
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
    if frame.demo:
        flags.insert(0, "DEMO")
    role, core = (Role.OFF, "none") if frame.verdict.word == "NO CONFIG" else heartbeat(frame.beat_age)
    return HeaderText(
        product=PRODUCT,
        profile=frame.clean(snapshot.profile) or "default",
        run=frame.clean(running_words(snapshot.run)),
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
    """The running operation for the header of every screen: `sync fetch 66 %`."""
    if run is None or run.ended_at is not None:
        return ""
    return " ".join(part for part in (run.word, run.step, share_words(run)) if part)


def share_words(run: Run) -> str:
    """`66 %` of the running step; '' where that is not counted."""
    return fmt.percent(run.done, run.total) if run.total and run.share is not None else ""


def verdict_text(verdict: Verdict, clean: Look, screen: str, table: tuple[Key, ...] = KEYS) -> VerdictText:
    """The verdict's wordings made harmless: they quote messages and names from outside.

    A key that only Overview has is named with the way to it.
    """

    def safe(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(clean_text(text, clean) for text in texts)

    following = tuple(text if screen == OVERVIEW else _with_the_way(text) for text in safe(verdict.next))
    following = tuple(_moved(text, table) for text in following)
    return VerdictText(verdict.role, verdict.word, safe(verdict.sentence), following)


_LETTER = re.compile(r"(?<!\S)([a-z])(?= )")
_WORD = re.compile(r"(?<!\S)(?<!\d )(\S+)(?= )")
_NAMED = frozenset({EVERYWHERE, OVERVIEW})
"""Places whose keys a verdict names."""
_ON_OVERVIEW = frozenset(key.shown for key in KEYS if key.where == OVERVIEW)


def _with_the_way(text: str) -> str:
    return f"on 1: {text}" if _ON_OVERVIEW & set(_LETTER.findall(text)) else text


def _moved(text: str, table: tuple[Key, ...]) -> str:
    """The same with the keys that an operator moved."""
    names = {own.shown: key.shown for key, own in zip(table, KEYS, strict=True) if key != own and own.where in _NAMED}
    return _WORD.sub(lambda found: names.get(found[1], found[1]), text) if names else text


def tabs(frame: Frame, active: str) -> Tabs:
    """A badge counts as its screen does: what is too old is not known."""
    badges = {"validation": _check_badge(frame), "orphans": _orphan_badge(frame)}
    return Tabs(
        tuple(Tab(name, key, title, *badges.get(name, (Role.NONE, ""))) for name, key, title in SCREENS), active
    )


def _check_badge(frame: Frame) -> tuple[Role, str]:
    roles = [checks.role_of(frame, result) for result in checks.ordered(frame)]
    for role in (Role.FAILED, Role.UNKNOWN):
        if role in roles:
            return role, f"{roles.count(role)}"
    return Role.NONE, ""


def _orphan_badge(frame: Frame) -> tuple[Role, str]:
    for result in checks.ordered(frame):
        if result.name == "orphaned_embeddings" and result.found.was.status is CheckStatus.FAIL:
            return checks.role_of(frame, result), f"{result.found.was.actual}"
    return Role.NONE, ""


def turned(frame: Frame) -> frozenset[str]:
    """Ids of the keys that end what they made before."""
    snapshot = frame.snapshot
    ends = {"freeze": frame.frozen, "pause": snapshot.paused, "access": snapshot.access != "rw"}
    return frozenset(name for name, does in ends.items() if does)


def keys(
    screen: str, disabled: frozenset[str], table: tuple[Key, ...] = KEYS, ends: frozenset[str] = frozenset()
) -> Keys:
    """Footer of one screen; `disabled`: ids of keys that do nothing now; `ends`: what `turned` gives."""
    listed = footer(screen, table)
    entries = tuple(KeyEntry(key.shown, key.named(ends), key.action, key.id not in disabled) for key in listed)
    palette = next((key.shown for key in table if key.id == "palette" and key not in KEYS), "^p")
    return Keys(entries, KeyEntry(palette, "palette", "command_palette"))
