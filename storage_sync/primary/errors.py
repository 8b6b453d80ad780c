"""Failures of a primary and what each one means for us (docs/primary.md#failures), free of any network library."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from storage_sync.values.errors import PrimaryRefused, PrimarySchema, PrimaryUnavailable, StorageSyncError

AUTH_HINT = "check the token (--token-file, TURSO_AUTH_TOKEN), then storage-sync ping"
NOT_LIBSQL_HINT = "this does not look like a libSQL server; check the URL (storage-sync ping)"
LONGEST_QUOTE = 300


class UndecodableText(PrimaryRefused):
    """The server cannot send a text that is not UTF-8, nor the text of a real in a column of another kind: read again
    with typed selects (`typed=True`).

    `suspected`: the body was cut while the server lives, and the real reason could not be learned.
    """

    default_hint = "the row is refused by name when the read is repeated with typed columns"

    def __init__(self, message: str, *, hint: str | None = None, suspected: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.suspected = suspected


class TooLarge(PrimaryRefused):
    """One answer would be larger than the server sends (10 MB): ask for less, or through a cursor."""

    default_hint = "lower --window"


class NoCursor(PrimaryRefused):
    """The server has no `/v3/cursor`; read in pages."""


_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_NOMEM", "SQLITE_INTERRUPT", "STREAM_")
_BUSY_CODES = frozenset({"TRANSACTION_TIMEOUT", "TRANSACTION_BUSY", "PROXY_ERROR", "truncated", "root"})
_AUTH = ("AUTH_", "SQLITE_AUTH", "SQLITE_PERM")


def error_for(code: str, message: str) -> StorageSyncError:
    """The error that a code means: one the server sent inside a response, or a word of `StreamError`."""
    said = quote(message)
    if code in _BUSY_CODES or code.startswith(_BUSY):
        return PrimaryUnavailable(f"the primary could not answer: {said}")
    if code == "BLOCKED" or code.startswith(_AUTH):
        return PrimaryRefused(f"the primary refused: {said}", hint=AUTH_HINT)
    if code == "RESPONSE_TOO_LARGE":
        return TooLarge(f"the primary's answer would be too large: {said}")
    if "no such table" in message or "no such column" in message:
        return PrimarySchema(f"the primary's schema is not do-memory's: {said}")
    if "invalid utf-8" in message.lower():
        return UndecodableText("the primary holds text that is not UTF-8")
    if code == "real":
        return UndecodableText("the primary holds a real in a column of another kind")
    if code in ("shape", "json"):
        return PrimaryRefused(f"the primary's answer is not what the protocol says: {said}", hint=NOT_LIBSQL_HINT)
    return PrimaryRefused(f"the primary refused a statement: {said}")


def error_for_status(status: int, said: str, *, path: str, retry_after: float | None = None) -> StorageSyncError:
    """The error that an HTTP status means; `said` are the server's own words, '' when it had none for people."""
    words = f": {quote(said)}" if said else ""
    if status in (401, 403):
        return PrimaryRefused(f"the primary refused us ({status}){words}", hint=AUTH_HINT)
    if status == 404 and "amespace" in said:
        return PrimaryRefused(f"the primary does not know this database{words}", hint=AUTH_HINT)
    if "STREAM_" in said or "invalid baton" in said.lower() or "baton that has already" in said:
        return PrimaryUnavailable(f"the primary lost our stream{words}")
    if status == 500 and "invalid utf-8" in said.lower():
        return UndecodableText("the primary holds text that is not UTF-8")
    if status == 500 and "could not be parsed" in said:
        return PrimaryRefused(f"the primary cannot parse a statement of ours{words}")
    if status in (408, 425, 429) or status >= 500:
        return PrimaryUnavailable(f"the primary answers {status}{words}", retry_after=retry_after)
    if 300 <= status < 400:
        return PrimaryRefused(
            f"the primary redirects ({status}), which is not followed: a token must not travel on",
            hint="give the address that it redirects to as --primary",
        )
    if status == 404:
        return PrimaryRefused(f"the primary has no {path} (404)", hint=NOT_LIBSQL_HINT)
    return PrimaryRefused(f"the primary answers {status}{words}", hint=NOT_LIBSQL_HINT)


def quote(text: str) -> str:
    """Somebody else's words on one line, printable and bounded."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}…"


def retry_after(value: str | None, date: str | None) -> float | None:
    """Seconds of a `Retry-After` header; one that is a date counts from the response's own `Date`."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        then, now = parsedate_to_datetime(value), parsedate_to_datetime(date or "")
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, IndexError):
        return None
