"""Text for people: numbers, sizes, ages, times, keys, bars.

`None` is unknown and becomes `?`, never 0 (docs/console.md#colours-and-signs).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import humanize

from widgets.glyphs import GlyphSet

UNKNOWN = "?"


def count(number: int | None) -> str:
    """Thousands separated."""
    return UNKNOWN if number is None else f"{number:,}"


def compact(number: float | None) -> str:
    """For an axis: `0`, `2.5`, `61`, `2,880`, `12k`, `3.4M`."""
    if number is None or not math.isfinite(number):
        return UNKNOWN
    for unit, name in ((1_000_000, "M"), (10_000, "k")):
        if number >= unit:
            return f"{number / (1_000 if name == 'k' else unit):,.3g}{name}"
    return f"{number:,.0f}" if number == int(number) or number >= 10 else f"{number:.1f}"


def signed(number: int | None, sign: str) -> str:
    """A change with its own sign: `+442`, `~161`, `-424`."""
    return UNKNOWN if number is None else f"{sign}{number:,}"


def size(amount: float | None) -> str:
    """Bytes in binary units with one decimal: `9.8 MiB`."""
    if amount is None or not math.isfinite(amount):
        return UNKNOWN
    if abs(amount) < 1024:
        return f"{int(amount)} B"
    return humanize.naturalsize(amount, binary=True, format="%.1f")


def age(seconds: float | None) -> str:
    """Two units at most, the second zero-padded: `17 s`, `9m 40s`, `3h 10m`, `3d 04h`."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def due(seconds: float) -> str:
    """The time that is left until something happens: `in 17 s`; `now` when less than a second is."""
    return f"in {age(seconds)}" if seconds >= 1.0 else "now"


def short_age(seconds: float | None) -> str:
    """One unit: `17 s`, `9m`, `3h`, `3d`."""
    if seconds is None or seconds < 60:
        return age(seconds)
    return age(seconds).split(" ")[0]


def target(seconds: float) -> str:
    """A configured span: `5m`, `1h`, `90 s`."""
    whole = int(seconds)
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= unit and whole % unit == 0:
            return f"{whole // unit}{name}"
    return f"{whole} s" if whole < 60 else age(whole)


def took(seconds: float | None) -> str:
    """A duration that is being measured: milliseconds below one second, one decimal below a minute."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else age(seconds)


def short_took(seconds: float) -> str:
    """For an axis: `100 ms`, `2.5 s`, `30 s`, `5m`."""
    if seconds < 1:
        return took(seconds)
    return f"{seconds:g} s" if seconds < 60 else target(seconds)


def tenths(seconds: float | None) -> str:
    """Seconds with one decimal, for the heartbeat and remaining time: `0.4 s`; ages above a minute."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    return f"{max(0.0, seconds):.1f} s" if seconds < 60 else age(seconds)


def milliseconds(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:,.0f} ms"


def percent(done: int, total: int | None) -> str:
    """Without decimals, and never 100 before the end."""
    if not total:
        return UNKNOWN
    return f"{min(99, done * 100 // total) if done < total else 100} %"


def clock(at: float | None) -> str:
    """Time of day in UTC: `14:32:07Z`."""
    moment = _moment(at)
    return UNKNOWN if moment is None else moment.strftime("%H:%M:%SZ")


def bare_clock(at: float | None) -> str:
    """Time of day in UTC without the letter, for the log: `14:32:07`."""
    return clock(at).rstrip("Z")


def when(at: float | None) -> str:
    """Day and time in UTC: `2 Sep 14:32Z`."""
    moment = _moment(at)
    return UNKNOWN if moment is None else f"{moment.day} {_MONTHS[moment.month - 1]} {moment:%H:%MZ}"


def moment(at: float | None) -> str:
    """Day and time to the second in UTC: `2 Sep 14:32:07Z`."""
    found = _moment(at)
    return UNKNOWN if found is None else f"{found.day} {_MONTHS[found.month - 1]} {found:%H:%M:%SZ}"


def day_or_clock(at: float | None, now: float) -> str:
    """Time to the second where that was on the day of `now`, else day and time, in UTC."""
    found, today = _moment(at), _moment(now)
    same = found is not None and today is not None and found.date() == today.date()
    return clock(at) if same else when(at)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _moment(at: float | None) -> datetime | None:
    if at is None or not -62_000_000_000 < at < 253_402_300_000:
        return None
    return datetime.fromtimestamp(at, UTC)


def short_key(key: str, glyphs: GlyphSet) -> str:
    """A key with a long identifier as `episode_7f3a91c2…4d18`; anything short stays whole."""
    prefix, mark, rest = key.rpartition("_")
    if len(rest) <= 16:
        return key
    return f"{prefix}{mark}{rest[:8]}{glyphs.ellipsis}{rest[-4:]}"


def begin(text: str) -> str:
    """The same words as the beginning of a sentence."""
    return f"{text[:1].upper()}{text[1:]}"


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def bar(fraction: float | None, width: int, glyphs: GlyphSet) -> tuple[str, str]:
    """A bar as (filled, rest); unknown is all rest."""
    if width <= 0:
        return "", ""
    share = 0.0 if fraction is None else min(1.0, max(0.0, fraction))
    full = int(share * width)
    filled = glyphs.bar_full * full
    if 0 < full < width or (full == 0 and share > 0):
        filled = glyphs.bar_full * max(0, full - 1) + glyphs.bar_half
    return filled, glyphs.bar_empty * (width - len(filled))


def spark(samples: Sequence[float | None], width: int, glyphs: GlyphSet, *, failed: str, spread: float = 1) -> str:
    """The newest samples at the right; None is drawn as `failed`, no sample as a blank.

    The scale goes from 0 to the largest sample, and at least to `spread` times the median, so that an ordinary
    sample of a noisy series does not fill the height.
    """
    if width <= 0:
        return ""
    shown = samples[-width:]
    known = sorted(value for value in shown if value is not None and math.isfinite(value))
    largest = max(known[-1], spread * known[len(known) // 2]) if known else 0.0
    marks = "".join(_spark_mark(value, largest, glyphs, failed) for value in shown)
    return marks.rjust(width)


def _spark_mark(value: float | None, largest: float, glyphs: GlyphSet, failed: str) -> str:
    if value is None or not math.isfinite(value):
        return failed
    steps = len(glyphs.sparks)
    place = 0 if largest <= 0 else int(max(0.0, value) / largest * (steps - 1) + 0.5)
    return glyphs.sparks[min(steps - 1, place)]
