"""Failures of a primary and what each one means for us (docs/primary.md#failures), free of any network library.

Each table names what the server says, the kind of error that it is, and the step that helps; the server's own words
are always part of the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import ClassVar

from msgspec import Struct

from storage_sync.values.errors import PrimaryRefused, PrimarySchema, PrimaryUnavailable, StorageSyncError
from storage_sync.values.next_step import NextStep

AUTH_HINT = NextStep.CHECK_TOKEN
NOT_LIBSQL_HINT = NextStep.CHECK_SERVER
LONG_HINT = "shorten it in the primary; the id of a row may be too long, or one episode may have too many relationships"
QUOTA_HINT = (
    "the database's plan or quota stops it: look at the provider's account page; the cache can still be read, and no "
    "other token helps"
)
DATABASE_HINT = (
    "check the name of the database in --primary: it may have been deleted, renamed or moved to another host; a "
    "server with namespaces takes the name from the first part of the host name"
)
ASLEEP_HINT = (
    "the server, or what stands before it, is starting or asleep; the cache is untouched and can still be read; "
    "try again in a moment"
)
DAMAGED_HINT = "restore the primary from a backup on the server; the cache was not changed"
STATEMENT_HINT = "storage-sync doctor shows what this server can do; it needs SQLite 3.45 or newer"
TLS_PORT_HINT = "this port wants TLS: write https:// or libsql://"
PLAIN_PORT_HINT = "this port answers without TLS: write http://, or libsql:// with ?tls=0"
AUTHORITY_HINT = (
    "the certificate is signed by an authority that is not known here: put the authority's certificate into a file "
    "and name it in the environment variable SSL_CERT_FILE"
)
LONGEST_QUOTE = 300
LONGEST_WAIT_S = 3600.0
"""Most that a `Retry-After` is believed: a wrong clock somewhere must not stop a service for days."""


class UndecodableText(PrimaryRefused):
    """The server cannot send a text that is not UTF-8, nor the text of a real in a column of another kind: read again
    with typed selects (`typed=True`).

    `suspected`: the body was cut while the server lives, and the real reason could not be learned.
    """

    default_hint: ClassVar[str | NextStep] = "the row is rejected by name when the read is repeated with typed columns"

    def __init__(self, message: str, *, hint: str | NextStep | None = None, suspected: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.suspected = suspected


class TooLarge(PrimaryRefused):
    """One answer would be larger than the server sends (10 MB): ask for less, or through a cursor."""

    default_hint: ClassVar[str | NextStep] = "lower --window"


class TextTooLong(PrimaryRefused):
    """A text that a statement makes is longer than the server's longest (5 MB)."""


class AccessRefused(PrimaryRefused):
    """The primary, or a proxy before it, does not serve us: token, rights, quota."""


class NoFile(PrimarySchema):
    """There is no file at the place of a `file:` primary."""

    default_hint = "a file: primary is never created; check --primary, or bring its file back"


class AuthRefused(AccessRefused):
    """401 or 403: another token may help."""

    default_hint = AUTH_HINT


class NoCursor(PrimaryRefused):
    """The server has no `/v3/cursor`; read in pages."""


class PrimaryChanged(PrimaryUnavailable):
    """A statement was written for another schema or another server than the one that got it: probe, and ask again."""

    default_hint = "it is retried automatically; if this continues, something keeps changing the primary's schema"


class _Meaning(Struct, frozen=True):
    """What an error means when its code matches `code` and its words match `words`."""

    kind: type[StorageSyncError]
    sentence: str
    """`{}` stands for the server's words."""
    code: str = ""
    words: str = ""
    hint: str | NextStep | None = None

    def fits(self, code: str, words: str) -> bool:
        return bool(re.match(self.code, code)) and bool(re.search(self.words, words, re.IGNORECASE))


_CODES: tuple[_Meaning, ...] = (
    _Meaning(PrimaryChanged, "the primary's schema changed while it was read: {}", r"SQLITE_SCHEMA"),
    # what a bound statement says of itself, see `statements.bound`
    _Meaning(PrimaryChanged, "the primary's schema or server changed while it was read", words=r"integer overflow"),
    _Meaning(PrimaryChanged, "the primary cannot do what it could before: {}", words=r"no such function"),
    _Meaning(
        PrimaryUnavailable,
        "the primary could not answer: {}",
        r"SQLITE_(BUSY|LOCKED|IOERR|NOMEM|INTERRUPT|PROTOCOL|FULL|CANTOPEN)|STREAM_"
        r"|(TRANSACTION_TIMEOUT|TRANSACTION_BUSY|PROXY_ERROR|truncated|root)$",
    ),
    _Meaning(AccessRefused, "the primary refused: {}", r"BLOCKED$", hint=QUOTA_HINT),
    _Meaning(AccessRefused, "the primary refused: {}", words=r"operation was blocked|quota", hint=QUOTA_HINT),
    _Meaning(AccessRefused, "the primary refused: {}", r"AUTH_|SQLITE_AUTH|SQLITE_PERM", hint=AUTH_HINT),
    _Meaning(TooLarge, "the primary's answer would be too large: {}", r"RESPONSE_TOO_LARGE"),
    _Meaning(
        TextTooLong,
        "a row of the primary is longer than its server can digest: {}",
        r"SQLITE_TOOBIG",
        hint=LONG_HINT,
    ),
    _Meaning(
        PrimaryRefused,
        "the primary's database is encrypted or not a database: {}",
        r"SQLITE_NOTADB",
        hint="give the server the key of the database, or restore it; the cache was not changed",
    ),
    _Meaning(PrimaryRefused, "the primary's database is damaged: {}", r"SQLITE_CORRUPT", hint=DAMAGED_HINT),
    _Meaning(
        PrimaryRefused,
        "the primary's database is damaged: {}",
        words=r"disk image is malformed|malformed database schema",
        hint=DAMAGED_HINT,
    ),
    _Meaning(PrimarySchema, "the primary's schema is not do-memory's: {}", words=r"(?-i:no such table|no such column)"),
    _Meaning(UndecodableText, "the primary holds text that is not UTF-8", words=r"invalid utf-8"),
    _Meaning(UndecodableText, "the primary holds a real in a column of another kind", r"real$"),
    _Meaning(
        PrimaryRefused, "the primary's answer is not what the protocol says: {}", r"(shape|json)$", hint=NOT_LIBSQL_HINT
    ),
    _Meaning(PrimaryRefused, "the primary refused a statement: {}", hint=STATEMENT_HINT),
)
"""Of a code that the server sent inside a response, or a word of `StreamError`; the first that fits counts."""


class Refusal(Struct, frozen=True):
    """An HTTP answer that is not 200. `said`: the server's own words, '' when it had none for people.

    `retry_after`: seconds. `location`: where a redirect leads, without anything secret.
    """

    status: int
    said: str
    path: str
    retry_after: float | None = None
    location: str = ""


def error_for(code: str, message: str) -> StorageSyncError:
    """The error that a code means: one the server sent inside a response, or a word of `StreamError`."""
    meaning = next(meaning for meaning in _CODES if meaning.fits(code, message))
    return meaning.kind(meaning.sentence.format(quote(message)), hint=meaning.hint)


def error_for_status(refusal: Refusal) -> StorageSyncError:
    """The error that an HTTP status means."""
    status, said = refusal.status, refusal.said
    words = f": {quote(said)}" if said else ""
    for fits, make in _STATUSES:
        if fits(status, said):
            return make(refusal, words)
    return PrimaryRefused(f"the primary answers {status}{words}", hint=NOT_LIBSQL_HINT)


def names_no_database(said: str) -> bool:
    """Whether the words of a 404 are about a database, not about a path."""
    return bool(re.search(r"namespace|database|unknown host|no such host", said, re.IGNORECASE))


_Fits = Callable[[int, str], bool]
_Make = Callable[[Refusal, str], StorageSyncError]

_STATUSES: tuple[tuple[_Fits, _Make], ...] = (
    (
        lambda _, said: bool(re.search(r"operation was blocked|quota", said, re.IGNORECASE)),
        lambda it, words: AccessRefused(f"the primary refused us ({it.status}){words}", hint=QUOTA_HINT),
    ),
    (
        lambda status, _: status in (401, 403),
        lambda it, words: AuthRefused(f"the primary refused us ({it.status}){words}", hint=AUTH_HINT),
    ),
    (
        lambda status, _: status == 407,
        lambda it, words: AccessRefused(
            f"the proxy requires authentication (407){words}", hint="put user and password into HTTPS_PROXY"
        ),
    ),
    (
        lambda status, said: status in (400, 404) and names_no_database(said),
        lambda it, words: PrimaryRefused(f"the primary does not know this database{words}", hint=DATABASE_HINT),
    ),
    (
        lambda _, said: "STREAM_" in said or bool(re.search(r"(?i)invalid baton|baton that has already", said)),
        lambda it, words: PrimaryUnavailable(f"the primary lost our stream{words}"),
    ),
    (
        lambda status, said: status == 500 and "invalid utf-8" in said.lower(),
        lambda it, words: UndecodableText("the primary holds text that is not UTF-8"),
    ),
    (
        lambda status, said: status == 500 and "no such function" in said,
        lambda it, words: PrimaryChanged(f"the primary cannot do what it could before{words}"),
    ),
    (
        lambda status, said: status == 500 and "could not be parsed" in said,
        lambda it, words: PrimaryRefused(f"the primary cannot parse a statement of ours{words}", hint=STATEMENT_HINT),
    ),
    (
        lambda status, said: status == 400 and bool(re.search(r"plain http request|https port", said, re.IGNORECASE)),
        lambda it, words: PrimaryRefused(f"the primary answers 400{words}", hint=TLS_PORT_HINT),
    ),
    (
        lambda status, _: status in (502, 503, 504),
        lambda it, words: PrimaryUnavailable(
            f"the primary answers {it.status}{words}", hint=ASLEEP_HINT, retry_after=it.retry_after
        ),
    ),
    (
        lambda status, _: status in (408, 425, 429) or status >= 500,
        lambda it, words: PrimaryUnavailable(f"the primary answers {it.status}{words}", retry_after=it.retry_after),
    ),
    (
        lambda status, _: 300 <= status < 400,
        lambda it, words: PrimaryRefused(
            f"the primary redirects ({it.status}){' to ' + it.location if it.location else ''}, which is not followed: "
            "the token must not be sent elsewhere",
            hint=f"give {it.location or 'the address that it redirects to'} as --primary",
        ),
    ),
    (
        lambda status, _: status == 404,
        lambda it, words: PrimaryRefused(f"the primary has no {it.path} (404){words}", hint=NOT_LIBSQL_HINT),
    ),
)
"""The first that fits counts."""


def tls_error(said: str) -> PrimaryRefused:
    """No TLS connection could be made; `said` by the TLS library."""
    hint = next(
        (hint for words, hint in _TLS if re.search(words, said, re.IGNORECASE)),
        "check scheme, host name and certificate of --primary",
    )
    return PrimaryRefused(f"no TLS connection to the primary: {quote(said)}", hint=hint)


_TLS = (
    (r"wrong.version.number|record.layer.failure|unknown.protocol|http.request|packet.length", PLAIN_PORT_HINT),
    (r"hostname mismatch|not valid for|ip address mismatch", "the certificate is of another host: check --primary"),
    (r"certificate has expired|not yet valid", "the server's certificate or this machine's clock is out of date"),
    (r"self.signed|unable to get.*issuer|unknown ca|verify failed", AUTHORITY_HINT),
    (
        r"certificate required|handshake failure",
        "the server requires a client certificate, which this tool cannot send",
    ),
)


def quote(text: str) -> str:
    """Somebody else's words on one line, printable and bounded."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}…"


def retry_after(value: str | None, date: str | None) -> float | None:
    """Seconds of a `Retry-After` header, an hour at most; one that is a date counts from the response's own `Date`."""
    text = (value or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WAIT_S)
    try:
        then, now = parsedate_to_datetime(text), parsedate_to_datetime(date or "")
        return min(max(0.0, (then - now).total_seconds()), LONGEST_WAIT_S)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
