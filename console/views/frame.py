"""What one picture is made of: the snapshot shown, the moment, and how this terminal is drawn on."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from console.keys.table import KEYS, Key
from console.views.text import clean_text
from console.views.verdict import STALLED_AFTER_S, Verdict
from storage_sync.values.snapshot import CoreBeat, Snapshot
from widgets import fmt
from widgets.glyphs import Look

_NO_BEAT = CoreBeat(0.0)


class Frame(Struct, frozen=True):
    """`now`: UTC seconds; `beat_age`: seconds since the core's sign of life, None before the first."""

    snapshot: Snapshot
    verdict: Verdict
    now: float
    beat_age: float | None
    look: Look
    frozen: bool = False
    demo: bool = False
    table: tuple[Key, ...] = KEYS
    """The keys in effect."""

    def clean(self, text: str) -> str:
        """Data from outside, made harmless for this terminal."""
        return clean_text(text, self.look)

    def ago(self, at: float | None) -> str:
        """Age of a moment, `?` when it is not known."""
        return fmt.age(None if at is None else self.now - at)

    def due(self, at: float) -> str:
        """How far a moment is: `in 21 s`, or `now`."""
        return fmt.due(at - self.now)

    def label(self, text: str) -> str:
        """Our own text, in the characters of this terminal."""
        return self.look.glyphs.plain(text)

    @property
    def stalled(self) -> bool:
        return self.beat_age is not None and self.beat_age > STALLED_AFTER_S


def lasting(snapshot: Snapshot) -> Snapshot:
    """The snapshot without what is new in each one, and without what each ping and each look measures again: it is
    drawn with the ages."""
    return replace(
        snapshot,
        seq=0,
        taken_at=0.0,
        beat=_NO_BEAT,
        samples=(),
        primary=replace(snapshot.primary, ping_ms=None, p95_ms=None, pings=(), auth_at=None, next_at=None),
        cache=replace(snapshot.cache, disk_free=None, looked_at=None, copied_bytes=0),
    )
