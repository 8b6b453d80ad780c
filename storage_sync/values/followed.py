"""What a follow run did since the last proof, and why one ended (docs/protocol.md#follow)."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Followed(Struct, frozen=True):
    """What was taken in since the last proof. It is no proof."""

    changes: int
    """Rows that were added, changed or removed."""
    at: float
    """When the last of it was read, in UTC epoch seconds."""
    generation: int
    root: str
    """Of the rows that the cache lists since then."""


class Ending(StrEnum):
    """Why a follow run ended without following, so that a proof is due."""

    NO_MARKS = "no marks"
    TOO_OLD = "proof too old"
    SOURCE = "another primary"
    EPOCH = "the log went back"
    CONFIGURATION = "another configuration"
    ENCODING = "another encoding"
    DIGEST = "another digest"
    SCHEMA = "another schema"
    SHAPE = "tables of another kind"
    GENERATION = "another generation"
    CACHE_CHANGED = "the cache changed"
    LAST_ROWID = "rowids at their end"
    MARK_CHANGED = "a mark changed"
    MARK_FELL = "a mark fell"
    TOO_MANY = "too many rows"
    ODD = "rows of another form"
    REJECTED = "rejected rows"
    WINDOW = "a place in the window was freed"
    MOVING = "rows changed meanwhile"
    UNEXPLAINED = "an unexplained change"


TOLD = {
    Ending.NO_MARKS: "the last proof left no marks to start from",
    Ending.TOO_OLD: "the last proof is older than staleness_s",
    Ending.SOURCE: "the cache was proven against another primary",
    Ending.EPOCH: "the primary's log went back",
    Ending.CONFIGURATION: "the last proof was made with other settings",
    Ending.ENCODING: "the last proof was made with another encoding",
    Ending.DIGEST: "the last proof was made with another digest",
    Ending.SCHEMA: "the primary's schema changed since the last proof",
    Ending.SHAPE: "the primary's tables do not allow it",
    Ending.GENERATION: "the cache does not have the generation that the witness records",
    Ending.CACHE_CHANGED: "cache rows that say where other rows belong have changed",
    Ending.LAST_ROWID: "a table has used up its rowids, so new rows can get any rowid",
    Ending.MARK_CHANGED: "another row has the rowid at which a table ended",
    Ending.MARK_FELL: "the row at which a table ended is gone, and no rewritten row explains it",
    Ending.TOO_MANY: "more rows were written than a follow run reads",
    Ending.ODD: "a row does not have the form that do-memory writes",
    Ending.REJECTED: "it is not known where rejected rows belong",
    Ending.WINDOW: "an episode left the window, and it is not known which one takes its place",
    Ending.MOVING: "rows changed while they were read",
    Ending.UNEXPLAINED: "the primary changed, and no row written since explains it",
}
"""Each as a clause."""


class FollowEnded(Exception):
    """A follow run cannot go on; nothing was changed."""

    def __init__(self, why: Ending, detail: str = "") -> None:
        super().__init__(f"{TOLD[why]}: {detail}" if detail else TOLD[why])
        self.why = why
