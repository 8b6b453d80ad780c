"""What can be made to go wrong in the demo, and the one line that says what to try then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

Cause = Callable[[str], Awaitable[str]]
"""Makes the trouble of an id happen; gives '' when it has, or what kept it from happening."""


class Lesson(Struct, frozen=True):
    """`id`: of the trouble; `name`: in the palette; `hint`: what to look at and to press."""

    id: str
    name: str
    tooltip: str
    hint: str


LESSONS = (
    Lesson(
        "many",
        "let many episodes arrive",
        "600 at once, about three rows each, so that a sync can be watched",
        "600 episodes are arriving. A sync starts by itself within seconds: watch the panel Sync.",
    ),
    Lesson(
        "damage",
        "damage the cache",
        "two pages of its file become zeros",
        "The cache file is being damaged. The next sync finds it, or V; r plans a repair; the damaged file is kept.",
    ),
    Lesson(
        "hold",
        "lock the cache, or release it",
        "another process holds it for a minute",
        "Another process holds the cache for a minute, or releases it now. While it is held, new rows wait.",
    ),
    Lesson(
        "stop_primary",
        "stop the primary, or start it again",
        "it can no longer be asked",
        "The primary is stopped, and the verdict becomes UNKNOWN; or it is started again, and t asks it at once.",
    ),
    Lesson(
        "delete_most",
        "delete most episodes, or bring them back",
        "on the primary, as after an accident",
        "Most episodes of the primary are deleted: a guard stops the next sync, and s shows why. Or they are back.",
    ),
    Lesson(
        "break_row",
        "break a row of the primary, or repair it",
        "the cache cannot hold it",
        "A row is broken: the next sync rejects it, u lists it. Or it is repaired: t on that list fetches it again.",
    ),
    Lesson(
        "orphan",
        "make orphans",
        "embeddings without an owner, and broken vectors",
        "Broken vectors are in the cache. v counts them; 3 lists them: space marks, d quarantines, u restores.",
    ),
)


def lesson(name: str) -> Lesson:
    return next(one for one in LESSONS if one.id == name)
