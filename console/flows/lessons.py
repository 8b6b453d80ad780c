"""What can be made to go wrong in the demo, and the one line that says what to try then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from storage_sync.demo.troubles import Caused

Cause = Callable[[str], Awaitable["Caused"]]
"""Makes the trouble of an id happen, or ends it where the same has made it before."""


class Lesson(Struct, frozen=True):
    """`id`: of the trouble; `name`: in the palette; `hint`: what to look at and to press; `over`: the same once it
    has ended the trouble, of those that do."""

    id: str
    name: str
    tooltip: str
    hint: str
    over: str = ""


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
        "The cache file is damaged. The next sync finds it, V at once; r plans a repair; the damaged file is kept.",
    ),
    Lesson(
        "hold",
        "lock the cache, or release it",
        "another process holds it for a minute",
        "Another process holds the cache for a minute. New rows wait meanwhile; the same entry releases it.",
        "The cache is released. Rows that waited are written by themselves.",
    ),
    Lesson(
        "stop_primary",
        "stop the primary, or start it again",
        "it can no longer be asked",
        "The primary is stopped, and the verdict becomes UNKNOWN. The same entry starts it again.",
        "The primary is started again. It is asked again by itself; t on 1 asks at once.",
    ),
    Lesson(
        "delete_most",
        "delete most episodes, or bring them back",
        "on the primary, as after an accident",
        "Most episodes of the primary are deleted. A guard stops the next sync; s shows why. "
        "The same entry brings them back.",
        "The episodes are back on the primary; the next sync finds them.",
    ),
    Lesson(
        "break_row",
        "repair the rejected row of the primary, or break one",
        "the cache cannot hold what is in it",
        "A row of the primary is broken. The next sync rejects it; u lists it. The same entry repairs it.",
        "The broken row of the primary is repaired. u lists what was rejected; t there fetches it again.",
    ),
    Lesson(
        "orphan",
        "make orphans",
        "embeddings without an owner, and broken vectors",
        "Broken vectors are in the cache. v counts them; 3 lists them: space marks, d quarantines, u restores.",
    ),
)


def told(name: str, caused: Caused) -> str:
    """What is said once the trouble is there, or over."""
    lesson = next(one for one in LESSONS if one.id == name)
    return lesson.over if caused.ended else lesson.hint
