"""What can be made to go wrong in the demo, and the one line that says what to try then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Cause = Callable[[str], None]
"""Makes the trouble of an id happen; returns at once."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """`id`: of the trouble; `name`: in the palette; `hint`: what to look at and to press."""

    id: str
    name: str
    tooltip: str
    hint: str


LESSONS = (
    Lesson(
        "damage",
        "damage the cache",
        "two pages of its file become zeros",
        "The cache file is being damaged. V finds it, then r plans a repair; U on 4 takes that back.",
    ),
    Lesson(
        "hold",
        "lock the cache",
        "another process holds it for a minute",
        "Another process holds the cache for a minute. What is new waits; p looks through a copy.",
    ),
    Lesson(
        "stop_primary",
        "stop the primary, or start it again",
        "it can no longer be asked",
        "The primary is away: the verdict becomes UNKNOWN. The same again brings it back, and t asks at once.",
    ),
    Lesson(
        "delete_most",
        "delete most episodes",
        "on the primary, as after an accident",
        "Most episodes of the primary are gone. A guard stops the next sync; s shows what it would remove.",
    ),
    Lesson(
        "break_row",
        "break a row of the primary",
        "the cache cannot take it",
        "One row cannot be taken any more. After the next sync u shows it as rejected, and t there fetches it again.",
    ),
    Lesson(
        "orphan",
        "make orphans",
        "embeddings without an owner, and a vector of zeros",
        "Four broken vectors are in the cache. v counts them; 3 lists them: space marks, d quarantines, u restores.",
    ),
)
WELCOME = "A demo in a temporary folder: break things. ^p and the word demo say how; each says what to try then."


def lesson(name: str) -> Lesson:
    return next(one for one in LESSONS if one.id == name)
