"""Connection health of both stores."""

from __future__ import annotations

import re
from pathlib import PurePath
from urllib.parse import urlsplit

from console.views.frame import Frame
from console.views.states import changed_since, generation_now, is_committing, is_damaged, next_try, unanswered_s
from storage_sync.values.outcome import CacheState, CheckStatus
from storage_sync.values.snapshot import Hold, LockState, PrimaryHealth, PrimaryStatus
from widgets import fmt
from widgets.facts import Fact
from widgets.glyphs import Role, Tone
from widgets.line import Line, Piece, muted, plain, toned
from widgets.store_card import StoreCard

_STATUS_ROLES = {
    PrimaryStatus.CONNECTED: Role.OK,
    PrimaryStatus.UNREACHABLE: Role.FAILED,
    PrimaryStatus.REFUSED: Role.FAILED,
    PrimaryStatus.GONE: Role.FAILED,
    PrimaryStatus.UNUSABLE: Role.FAILED,
    PrimaryStatus.UNKNOWN: Role.UNKNOWN,
}
_REPEATED = re.compile(r"the primary (?:(?:refused us|refused(?=:)|answers)\b:?\s*)?", re.IGNORECASE)
"""What the headline of the card says already."""
_STARTING = ("the core is starting",)
"""Until its first picture nothing is known, not even which stores they are."""
_STATUS_CODE = re.compile(r"\(?(\d{3})\)?(?::?\s+|$)")


def primary_card(frame: Frame) -> StoreCard:
    primary = frame.snapshot.primary
    silent_s = unanswered_s(frame.snapshot, frame.now) if not frame.stalled else None
    return StoreCard(
        title=frame.label("Turso · primary"),
        role=Role.UNKNOWN if silent_s is not None else _STATUS_ROLES[primary.status],
        word=f"no answer for {fmt.age(silent_s)}" if silent_s is not None else primary.status.value,
        places=_url_places(frame, primary.url) if frame.snapshot.seq else _STARTING,
        facts=(_ping(primary), _auth(frame), _error(frame), _next(frame), *_read(frame), _server(frame)),
    )


def _url_places(frame: Frame, url: str) -> tuple[str, ...]:
    if not url:
        return ("no primary is set",)
    whole = frame.clean(url)
    parts = urlsplit(url) if "[" not in url else None
    short = (parts.netloc or PurePath(parts.path).name) if parts is not None else url
    return whole, frame.clean(short)


def _ping(primary: PrimaryHealth) -> Fact:
    value = plain(fmt.milliseconds(primary.ping_ms).rjust(6))
    p95 = plain(f"p95 {fmt.milliseconds(primary.p95_ms).rjust(6)}") if primary.p95_ms is not None else ()
    known = [ping for ping in primary.pings if ping is not None]
    scale = f"to {fmt.milliseconds(max(known))}" if known else ""
    return Fact("ping", value, extra=p95, spark=primary.pings, scale=scale)


def _auth(frame: Frame) -> Fact:
    primary, glyphs = frame.snapshot.primary, frame.look.glyphs
    since = f" {frame.ago(primary.auth_at)} ago" if primary.auth_at is not None else ""
    if primary.status.lost and primary.auth == "accepted":
        value = toned(Role.UNKNOWN, f"last accepted{since}", glyphs=glyphs)
    elif primary.auth in {"accepted", "none needed"}:
        value = toned(Role.OK, f"{frame.clean(primary.auth)}{since}", glyphs=glyphs)
    elif primary.auth == "refused":
        value = toned(Role.FAILED, f"refused{since}", glyphs=glyphs)
    else:
        value = toned(Role.UNKNOWN, "not known yet", glyphs=glyphs)
    origin = muted(f"token from {frame.clean(primary.token_origin)}") if primary.token_origin else ()
    return Fact("auth", value, extra=origin)


def _error(frame: Frame) -> Fact:
    primary = frame.snapshot.primary
    if not primary.last_error:
        return Fact("error", muted("none seen"))
    if primary.status is PrimaryStatus.CONNECTED:
        return _past_error(frame)
    when = f", {frame.ago(primary.last_error_at)} ago" if primary.last_error_at is not None else ""
    retries = muted(fmt.plural(primary.retries, "retry").replace("retrys", "retries")) if primary.retries else ()
    said = frame.clean(primary.last_error)
    shorter = tuple((Piece(text, Tone.FAILED),) for text in (said, *_shorter(said)))
    return Fact("error", (Piece(said, Tone.FAILED), *muted(when)), extra=retries, short=shorter, whole=True)


def _past_error(frame: Frame) -> Fact:
    """One that is over: its age comes first, and is never what a narrow terminal leaves out."""
    primary = frame.snapshot.primary
    ago = f"{frame.ago(primary.last_error_at)} ago" if primary.last_error_at is not None else "some time ago"
    said = frame.clean(primary.last_error)
    texts = [f"none now; {ago}: {text}" for text in (said, *_shorter(said))]
    return Fact("error", muted(texts[0]), short=tuple(muted(text) for text in (*texts[1:], f"none now, last {ago}")))


def _shorter(said: str) -> tuple[str, ...]:
    """Without what stands in the headline; then the code of the server and the last of its words."""
    repeated = _REPEATED.match(said)
    rest = said[repeated.end() :] if repeated is not None else said
    found = _STATUS_CODE.match(rest)
    if found is None:
        return (rest,)
    words = rest[found.end() :]
    return f"{found[1]} {words}".rstrip(), f"{found[1]} {words.rpartition(': ')[2]}".rstrip()


def _next(frame: Frame) -> Fact:
    primary = frame.snapshot.primary
    if primary.status.failed and (again := next_try(frame.snapshot)) is not None:
        return Fact("next", plain(f"tries again {frame.due(again)}"))
    backoff = muted(f"backoff {fmt.age(primary.backoff_s)}") if primary.backoff_s else ()
    if primary.next_at is None:
        return Fact("next", muted("not planned"))
    if primary.status is PrimaryStatus.CONNECTED and primary.poll_s is not None and primary.poll_s <= SHORT_POLL_S:
        # what is left of it is 0 s in every picture
        return Fact("next", plain(f"polls every {fmt.took(primary.poll_s)}"), extra=backoff)
    return Fact("next", plain(f"poll {frame.due(primary.next_at)}"), extra=backoff)


def _read(frame: Frame) -> tuple[Fact, ...]:
    """What the primary read for this cache today, where it says so; hosted ones bill it."""
    read = frame.snapshot.primary.rows_read
    if read is None:
        return _budget(frame)
    today = f"{'at least ' if read.unmetered else ''}{fmt.plural(read.today, 'row')} today"
    month, lasted = read.a_month(frame.now), read.lasted_s(frame.now)
    if month is None:
        texts = [f"{today}; {fmt.age(lasted)} is too short to estimate a month", today]
    else:
        pace = "this pace" if lasted > DAY_S - HOUR_S else f"the pace of {fmt.age(lasted)}"
        told = f"about {fmt.count(month)} a month"
        texts = [f"{today}, {told} at {pace}", f"{today}, {told}", f"{today}, {fmt.count(month)} a month", today]
    return (Fact("read", plain(texts[0]), short=tuple(plain(text) for text in texts[1:])), *_budget(frame))


SHORT_POLL_S = 2.0
HOUR_S = 3_600.0
DAY_S = 86_400.0


def _budget(frame: Frame) -> tuple[Fact, ...]:
    """How `rows_read_per_day` holds polls and proofs back, where it does."""
    budget = frame.snapshot.primary.budget
    if budget is None or budget.hold is Hold.NOT:
        return ()
    used = f"{fmt.count(budget.read)} of {fmt.count(budget.a_day)}: rows_read_per_day"
    match budget.hold:
        case Hold.SPREAD:
            text = f"poll every {fmt.age(budget.poll_s)}, proof every {fmt.age(budget.proof_s)}"
        case Hold.NO_PROOF:
            text = "no automatic proof" + ("" if budget.proof_never_fits else " before midnight")
        case Hold.USED_UP:
            text = "used up: not asked before midnight"
        case Hold.UNMETERED:
            text, used = "cannot be kept: rows read are not reported", "rows_read_per_day"
    return (Fact("budget", toned(Role.ATTENTION, text, glyphs=frame.look.glyphs), extra=muted(used)),)


def _server(frame: Frame) -> Fact:
    primary = frame.snapshot.primary
    server = frame.clean(primary.server) or "not known yet"
    digest = f"digests {frame.clean(primary.digest_function)}" if primary.digest_function else "no digest functions"
    return Fact("server", plain(server), extra=muted(digest) if primary.server else ())


def cache_card(frame: Frame) -> StoreCard:
    cache = frame.snapshot.cache
    role, word = _cache_word(frame)
    return StoreCard(
        title=frame.label("redb · cache"),
        role=role,
        word=word,
        places=_path_places(frame, cache.path) if frame.snapshot.seq else _STARTING,
        facts=(_size(frame), _lock(frame), *_without(frame), _integrity(frame), _state(frame), _copy(frame)),
    )


def _cache_word(frame: Frame) -> tuple[Role, str]:
    """Role and word of the state that matters most; the core lists them in the order of docs/cache.md#states."""
    states = frame.snapshot.cache.states
    failed = [s for s in states if s.damaged or s.other_version or s.inaccessible or s is CacheState.FOREIGN]
    if frame.snapshot.cache.memory_only and not failed:
        return Role.ATTENTION, "a server runs without it"
    held = [s for s in states if s.locked]
    attention = [s for s in states if s.empty] + [s for s in states if s.unwritable]
    others = [s for s in states if s is not CacheState.CLEAN]
    for group, role in ((failed, Role.FAILED), (held, Role.OFF), (attention + others, Role.ATTENTION)):
        if group:
            return role, _state_word(group[0])
    if not states:
        return Role.UNKNOWN, "not seen yet"
    past = changed_since(frame.snapshot) and not is_committing(frame.snapshot)
    return (Role.UNKNOWN, "not looked at since it changed") if past else (Role.OK, "clean")


def _state_word(state: str) -> str:
    short = {"LOCKED_EXCLUSIVE": "held", "LOCKED_SHARED": "held", "INTERRUPTED_CREATE": "half created"}
    return short.get(state, state.replace("_", " ").lower())


def _path_places(frame: Frame, path: str) -> tuple[str, ...]:
    if not path:
        return ("no cache is set",)
    parts = PurePath(path).parts
    tail = f"{frame.label('…')}/{'/'.join(parts[-2:])}" if len(parts) > 2 else path
    return tuple(frame.clean(text) for text in (path, tail, PurePath(path).name))


def _size(frame: Frame) -> Fact:
    cache = frame.snapshot.cache
    if cache.size is None:
        absent = CacheState.ABSENT in cache.states
        return Fact("size", muted("no file") if absent else toned(Role.UNKNOWN, "not known", glyphs=frame.look.glyphs))
    payload = _payload(frame)
    return Fact("size", plain(fmt.size(cache.size)), extra=payload)


def _payload(frame: Frame) -> Line:
    found = frame.snapshot.cache.payload
    if found is None or found.then(frame.snapshot.present) is None:
        return (*muted("payload "), *plain(fmt.UNKNOWN))
    size = found.now(frame.snapshot.present)
    return (
        (*muted("payload "), *plain(fmt.size(size)))
        if size is not None
        else muted(f"payload was {fmt.size(found.was)}")
    )


def _lock(frame: Frame) -> Fact:
    cache, glyphs = frame.snapshot.cache, frame.look.glyphs
    holder = cache.holder
    if not cache.path:
        return Fact("lock", toned(Role.UNKNOWN, "not known", glyphs=glyphs))
    if cache.lock is LockState.OURS:
        run = frame.snapshot.run
        extra = muted(f"{frame.clean(run.id)} since {fmt.clock(run.started_at)}") if run is not None else ()
        return Fact("lock", toned(Role.RUNNING, "ours", glyphs=glyphs), extra=extra)
    if cache.lock is LockState.FREE:
        lease = cache.lease_holder
        extra = muted(f"a run of pid {lease.pid} is active") if lease is not None else ()
        return Fact("lock", toned(Role.OFF, "free", glyphs=glyphs), extra=extra)
    if holder is None:
        return Fact("lock", toned(Role.OFF, "held by another process", glyphs=glyphs))
    who = f"pid {holder.pid}  {frame.clean(holder.command)}"
    user = muted(f"user {frame.clean(holder.user)}") if holder.user else ()
    return Fact("holder", plain(who), extra=user)


def _without(frame: Frame) -> tuple[Fact, ...]:
    """Servers that do not hold the cache although they should: what they learn is lost."""
    servers = frame.snapshot.cache.memory_only
    if not servers:
        return ()
    who = ", ".join(f"pid {server.pid}" for server in servers)
    told = f"{who} in memory only"
    value = toned(Role.ATTENTION, told, glyphs=frame.look.glyphs)
    return (Fact("server", value, extra=muted("what it learns is lost; start it again")),)


def _integrity(frame: Frame) -> Fact:
    cache, glyphs = frame.snapshot.cache, frame.look.glyphs
    found = cache.integrity
    if found is None or found.then(frame.snapshot.present) is None:
        return Fact("check", toned(Role.UNKNOWN, "integrity not checked yet", glyphs=glyphs))
    check = found.now(frame.snapshot.present)
    dated = f"{frame.ago(found.at)} ago"
    if check is None:
        was = "ok" if found.was.status is CheckStatus.PASS else "failed"
        value = toned(Role.UNKNOWN, f"integrity was {was}, {dated}", glyphs=glyphs)
        short = toned(Role.UNKNOWN, f"was {was}, {dated}", glyphs=glyphs)
        return Fact("check", value, extra=muted("the file changed since"), short=(short,))
    ok = check.status is CheckStatus.PASS
    word = f"integrity {'ok' if ok else 'failed'} {dated}"
    return Fact("check", toned(Role.OK if ok else Role.FAILED, word, glyphs=glyphs), extra=muted("on a copy"))


def _state(frame: Frame) -> Fact:
    """Which commit is in the file, and which was the last by the witness."""
    cache, generation = frame.snapshot.cache, generation_now(frame.snapshot)
    last = "no witness" if cache.acked is None else f"last commit g-{cache.acked}"
    known = cache.generation
    if generation is None and known is not None and known.then(frame.snapshot.present) is not None:
        was = f"was g-{known.was}; " if known.was != cache.acked else ""
        value = toned(Role.UNKNOWN, f"{was}{last}", glyphs=frame.look.glyphs)
    elif cache.acked is not None and (generation is None or is_damaged(frame.snapshot)):
        value = toned(Role.UNKNOWN, last, glyphs=frame.look.glyphs)
    elif not frame.snapshot.seq:
        value = toned(Role.UNKNOWN, "not known", glyphs=frame.look.glyphs)
    elif generation is None:
        value = plain("no commit of this tool yet")
    elif cache.acked == generation:
        value = plain(f"commit g-{generation}")
    else:
        value = plain(f"g-{generation}; {last}")
    free = muted(f"disk {fmt.size(cache.disk_free)} free") if cache.disk_free is not None else ()
    return Fact("state", value, extra=free)


def _copy(frame: Frame) -> Fact:
    cache = frame.snapshot.cache
    if cache.waits_until is not None:
        until = f"no new one before {fmt.clock(cache.waits_until)}"
        used = muted(f"{fmt.size(cache.copied_bytes)} in an hour: copy_bytes_per_hour")
        return Fact("copy", toned(Role.ATTENTION, until, glyphs=frame.look.glyphs), extra=used)
    if cache.peek is not None:
        took = f"{fmt.plural(cache.peek.attempts, 'attempt')}, {cache.peek.took_ms:,.0f} ms"
        return Fact("copy", plain(f"{frame.ago(cache.peek.copied_at)} old"), extra=muted(took))
    if cache.schema is None or cache.schema.then(frame.snapshot.present) is None:
        return Fact("schema", toned(Role.UNKNOWN, "not known", glyphs=frame.look.glyphs))
    looked = muted(f"looked at {frame.ago(cache.looked_at)} ago") if cache.looked_at is not None else ()
    schema = cache.schema.now(frame.snapshot.present)
    if schema is None:
        was = toned(Role.UNKNOWN, f"was {cache.schema.was}", glyphs=frame.look.glyphs)
        return Fact("schema", was, extra=muted("the file changed since"))
    return Fact("schema", plain(f"{schema}"), extra=looked)
