"""What can be made to go wrong in the demo, and the one line that says what to try then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from storage_sync.demo.troubles import Caused


class Troubles(Protocol):
    """What goes wrong in the demo when somebody asks for it."""

    async def cause(self, name: str, *, ends: bool = False) -> Caused:
        """Make the trouble of this id happen; with `ends`, end the one that stands."""

    def stands(self, name: str) -> bool:
        """Whether the same choice would end it now."""


class Choice(Struct, frozen=True):
    """`name`: in the palette; `hint`: what is said once it is done."""

    name: str
    tooltip: str
    hint: str


class Lesson(Struct, frozen=True):
    """`id`: of the trouble; `make`, whose hint says what to look at and to press; `end`, of those that are ended so."""

    id: str
    make: Choice
    end: Choice | None = None


LESSONS = (
    Lesson(
        "many",
        Choice(
            "let many episodes arrive",
            "3,000 at once, about three rows each, so that a sync can be watched",
            "3,000 episodes are arriving. A sync starts by itself within seconds: watch the panel Sync.",
        ),
    ),
    Lesson(
        "damage",
        Choice(
            "damage the cache",
            "two pages of its file become zeros",
            "The file is damaged. The next sync finds it; V finds it at once. r plans a repair and keeps that file.",
        ),
    ),
    Lesson(
        "hold",
        Choice(
            "lock the cache",
            "another process holds it for a minute",
            "Another process holds the cache for a minute. New rows wait meanwhile. To end it: release the cache.",
        ),
        Choice(
            "release the cache",
            "the process that holds it lets it go",
            "The cache is released. The rows that waited are written now.",
        ),
    ),
    Lesson(
        "stop_primary",
        Choice(
            "stop the primary",
            "it can no longer be asked",
            "The primary is stopped, and the verdict becomes UNKNOWN. To end it: start the primary again.",
        ),
        Choice(
            "start the primary again",
            "it can be asked again",
            "The primary is started again. It is asked again automatically; t on 1 asks at once.",
        ),
    ),
    Lesson(
        "delete_most",
        Choice(
            "delete most episodes",
            "on the primary, as after an accident",
            "Most episodes of the primary are deleted. A guard stops the next sync; s shows why. "
            "To end it: bring the episodes back.",
        ),
        Choice(
            "bring the episodes back",
            "on the primary, as from a backup",
            "The episodes are back on the primary; the next sync finds them.",
        ),
    ),
    Lesson(
        "break_row",
        Choice(
            "break a row of the primary",
            "the cache cannot hold what is in it",
            "A row of the primary is broken. The next sync rejects it; u lists it. To end it: repair the broken row.",
        ),
        Choice(
            "repair the broken row",
            "on the primary, so that the cache can hold it",
            "The broken row of the primary is repaired. u lists what was rejected; t there fetches it again.",
        ),
    ),
    Lesson(
        "orphan",
        Choice(
            "make orphans",
            "embeddings without an owner, and broken vectors",
            "Broken vectors are in the cache. v counts them; 3 lists them: space marks, d quarantines, u restores.",
        ),
    ),
)


def told(name: str, caused: Caused) -> str:
    """What is said once the trouble is there, or over."""
    lesson = next(one for one in LESSONS if one.id == name)
    return lesson.end.hint if caused.ended and lesson.end is not None else lesson.make.hint
