"""Every state of the console as a made-up snapshot: for pictures, tests and `demo --state`. Deterministic."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from storage_sync.values.events import Event, LogLine
from storage_sync.values.found import Basis, Found, PrimaryStand
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import (
    TABLES,
    CacheState,
    Check,
    CheckStatus,
    ErrorValue,
    FileIdentity,
    LockHolder,
    Plan,
    PlanRow,
    Proof,
    TableChange,
    Word,
)
from storage_sync.values.snapshot import (
    Behind,
    CacheHealth,
    CheckResult,
    ConfigView,
    CoreBeat,
    Freshness,
    HistoryView,
    LockState,
    Peek,
    Phase,
    PrimaryHealth,
    PrimaryStatus,
    Promise,
    QuarantineView,
    RowsBehind,
    Run,
    RunSummary,
    Sample,
    Setting,
    Snapshot,
    StepState,
)
from tests.support.scenes.settings import settings

NOW = 1_788_359_527.0
"""2026-09-02 14:32:07 UTC, the moment of every scene."""
BEAT = 1000.0
"""Monotonic time of every scene."""
GENERATION = 4120


class Scene(Struct, frozen=True):
    """One state: its snapshot, the log before it, and how long ago the core gave a sign of life."""

    snapshot: Snapshot
    events: tuple[Event, ...] = ()
    beat_age: float = 0.4


def scene(name: str) -> Scene:
    """A scene by its name, one of `NAMES`."""
    return _SCENES[name]()


FILE = FileIdentity(64769, 131_077, 10_276_045, 1_788_359_603_000_000_000, 1_788_359_603_000_000_000)
"""The cache file of every scene."""
STAND = PrimaryStand("src-58c1", 0, 31, "5c1f")
"""Where its primary stands."""
OF_FILE, OF_BOTH = Basis(FILE), Basis(FILE, STAND)


def behind(tables: Mapping[str, Behind], age_s: float = 17, *, complete: bool = True) -> Found[RowsBehind]:
    return Found(RowsBehind(tables, complete), OF_BOTH, NOW - age_s)


def rejected(rows: int) -> QuarantineView:
    return QuarantineView(Found(rows, OF_BOTH, NOW - 17))


def _pings(failed: int = 0) -> tuple[float | None, ...]:
    wave = (44.0, 41.0, 52.0, 43.0, 42.0, 61.0, 40.0, 44.0, 44.0, 51.0, 43.0, 42.0, 47.0, 44.0, 43.0, 44.0)
    return (*wave[: len(wave) - failed], *(None for _ in range(failed)))


def _samples() -> tuple[Sample, ...]:
    """A quarter of an hour: a proof every five minutes, two bursts of changes, one ping that failed."""
    pings = _pings()
    return tuple(
        Sample(
            at=NOW - 10 * (89 - number),
            ping_ms=None if number == 31 else pings[number % len(pings)],
            failed=number == 31,
            proof_age_s=41 + 10 * (number - 89) if number >= 86 else 10 * (number % 30),
            changes={12: 27, 44: 3, 45: 61}.get(number, 0),
            rows_read=2 if number % 30 else 2_880,
        )
        for number in range(90)
    )


def _proof(age_s: float) -> Proof:
    return Proof(
        root="2b70c1d94ae0f1827705",
        digest="sha3-256",
        generation=GENERATION,
        source_id="src-58c1",
        epoch=12,
        at=NOW - age_s,
    )


def _primary() -> PrimaryHealth:
    return PrimaryHealth(
        status=PrimaryStatus.CONNECTED,
        url="libsql://memory-prod.turso.io",
        ping_ms=44,
        p95_ms=61,
        pings=_pings(),
        auth="accepted",
        auth_at=NOW - 2,
        token_origin="env",
        next_at=NOW + 3,
        server="sqld 0.24.32",
        digest_function="sha3-256",
        generation="0.1.47",
        epoch=12,
        source_id="src-58c1",
        stand=STAND,
    )


def _cache() -> CacheHealth:
    counts = (1000, 0, 412, 18, 0, 403, 96, 12, 0, 940)
    return CacheHealth(
        path="/var/lib/do-memory/cache.redb",
        states=(CacheState.CLEAN,),
        size=10_276_045,
        payload=Found(6_396_313, OF_FILE, NOW - 17),
        disk_free=44_023_414_784,
        identity=FILE,
        integrity=Found(Check("cache_integrity", CheckStatus.PASS, None, None), OF_FILE, NOW - 720),
        generation=Found(GENERATION, OF_FILE, NOW - 17),
        acked=GENERATION,
        schema=Found(4, OF_FILE, NOW - 17),
        counts=Found(dict(zip(TABLES, counts, strict=True)), OF_FILE, NOW - 17),
        looked_at=NOW - 17,
    )


def _check(
    name: str,
    status: CheckStatus,
    expected: int | str | None,
    actual: int | str | None,
    age_s: float = 17,
    **more: object,
) -> CheckResult:
    detail = str(more.get("detail", ""))
    keys = tuple(str(key) for key in more.get("keys", ()))  # type: ignore[attr-defined]
    recent = (CheckStatus.PASS,) * 13 + (status,)
    check = Check(name, status, expected, actual, detail=detail, keys=keys, seconds=0.022)
    return CheckResult(name, Found(check, OF_BOTH, NOW - age_s), recent=recent)


def _checks_ok(age_s: float = 17) -> tuple[CheckResult, ...]:
    ok = CheckStatus.PASS
    return (
        _check("episode_count", ok, 1000, 1000, age_s, detail="cached and refused episodes equal the window"),
        _check("latest_episodes", ok, 1000, 1000, age_s, detail="the newest episodes of the primary are all here"),
        _check("pattern_counts", ok, 412, 412, age_s, detail="patterns and heuristics as in the primary"),
        _check("orphaned_embeddings", ok, 0, 0, age_s, detail="every embedding has its owner"),
        _check("content_digests", ok, "5 of 5 equal", "5 of 5 equal", age_s, detail="each row equals the primary's"),
        _check("embedding_vectors", ok, 940, 940, age_s, detail="dimension as declared, finite, non-zero"),
        _check("cache_integrity", CheckStatus.SKIPPED, None, None, age_s, detail="quick run"),
        _check("schema_version", ok, 4, 4, age_s, detail="the version that do-memory expects"),
    )


def _checks_failed() -> tuple[CheckResult, ...]:
    fail = CheckStatus.FAIL
    ok = _checks_ok()
    missing = (
        "7f3a91c2-5b0e-4c11-9a77-2d10e0f34d18",
        "0c41be77-90aa-4a5b-8e0d-5f8be20091aa",
        "e2d00f1b-1f6c-45f2-9f0e-7703c1b66c03",
    )
    return (
        ok[0],
        _check(
            "latest_episodes",
            fail,
            1000,
            788,
            detail="212 of the 1,000 newest episodes are not in the cache",
            keys=missing,
        ),
        _check("pattern_counts", fail, 412, 403, detail="9 patterns of the primary are missing"),
        _check("orphaned_embeddings", CheckStatus.FAIL, 0, 23, 11_400, detail="23 embeddings have no owner"),
        _check("content_digests", fail, "5 of 5 equal", "1 of 5 equal", detail="1,027 rows differ", keys=missing[:2]),
        _check("embedding_vectors", CheckStatus.PASS, 940, 940, 11_400),
        ok[6],
        ok[7],
    )


def _history() -> HistoryView:
    def run(
        number: int, age_s: float, kind: str, rows: tuple[int, int, int], took: float, exit_code: int, said: str,
        fetched: int = 0,
    ) -> RunSummary:  # fmt: skip
        moved = sum(rows) + fetched
        return RunSummary(
            f"s-{number}", kind, "interval", NOW - age_s, took, *rows, exit_code, said,
            resumable=fetched > 0, generation=number if exit_code in {0, 7} else None,
            bytes_received=moved * 5600 + 900, requests=2 + moved // 100,
        )  # fmt: skip

    return HistoryView(
        revision=1,
        runs=412,
        compared=412,
        in_sync=407,
        last=(
            run(4120, 724, "sync", (12, 3, 12), 1.2, 0, "IN_SYNC"),
            run(4119, 3725, "sync", (0, 3, 0), 0.4, 0, "IN_SYNC"),
            run(4118, 4324, "sync", (9, 1, 9), 1.1, 7, "IN_SYNC"),
            run(4117, 11_463, "sync", (0, 0, 0), 16.4, 130, "interrupted", fetched=1700),
            run(4116, 12_125, "sync", (0, 0, 0), 30.0, 3, "primary_unavailable"),
            run(4115, 13_324, "sync", (0, 0, 0), 0.1, 6, "cache_locked"),
            run(4114, 13_925, "sync", (0, 0, 0), 0.1, 0, "IN_SYNC"),
        ),
    )


def _log(*lines: tuple[float, str, str, str]) -> tuple[Event, ...]:
    return tuple(LogLine(NOW - age_s, level, area, text) for age_s, level, area, text in lines)


def _in_sync() -> Scene:
    snapshot = Snapshot(
        seq=1,
        taken_at=NOW,
        beat=CoreBeat(at=BEAT),
        profile="prod-eu",
        access="rw",
        verdict=Word.IN_SYNC,
        states=(CacheState.CLEAN,),
        primary=_primary(),
        cache=_cache(),
        freshness=Freshness(
            proof=_proof(41),
            max_age_s=300,
            behind=behind({}),
            cache_only=Found({"episodes": 7}, OF_BOTH, NOW - 17),
            next_compare_at=NOW + 13,
            next_sync_at=NOW + 596,
            next_sync_reason="interval",
        ),
        checks=_checks_ok(),
        history=_history(),
        config=settings(NOW - 1796),
        samples=_samples(),
    )
    events = _log(
        (725, "info", "sync", "s-4120 started: 15 to fetch, 12 to remove"),
        (724, "info", "primary", "manifest 2,880 rows, 61 KiB, 1 request, 58 ms"),
        (723, "info", "sync", "s-4120 proved: g-4120, root 2b70…05, in 1.2 s"),
        (41, "info", "verify", "6 checks ok"),
        (17, "info", "primary", "compared: nothing has moved"),
    )
    return Scene(snapshot, events)


def _running() -> Scene:
    base = _in_sync()
    steps = tuple(
        (phase.value, StepState.DONE if index < 4 else StepState.RUNNING if index == 4 else StepState.WAITING)
        for index, phase in enumerate(Phase)
    )
    run = Run(
        id="s-4121",
        kind="sync",
        path="in_place",
        trigger="manual",
        started_at=NOW - 4.1,
        step="fetch",
        steps=steps,
        done=362,
        total=603,
        batch=4,
        batches=7,
        bytes=2_202_009,
        bytes_total=3_565_158,
        rate=118,
        rates=(30, 60, 96, 101, 118, 119, 118, 92, 117, 119, 96, 118),
        eta_s=2.0,
        promise=Promise.PROOF,
        byte_rate=717_312,
        spent=(("lease", 0.002), ("copy", 0.014), ("hash", 0.06), ("manifest", 0.058)),
        step_since=NOW - 3.9,
        checkpoint_rows=300,
        checkpoint_at=NOW - 1,
    )
    snapshot = replace(
        base.snapshot,
        verdict=Word.STALE,
        states=(CacheState.CLEAN,),
        run=run,
        checks=_checks_failed(),
        primary=replace(
            _primary(),
            pings=(*_pings()[:7], None, *_pings()[8:]),
            last_error="HTTP 503",
            last_error_at=NOW - 720,
            retries=1,
        ),
        cache=replace(_cache(), lock=LockState.OURS),
        freshness=replace(
            base.snapshot.freshness,
            proof=_proof(724),
            behind=behind(
                {"episodes": Behind(212, 140, 212), "patterns": Behind(9, 21, 0), "embeddings": Behind(221, 0, 212)}
            ),
        ),
    )
    events = _log(
        (17, "fail", "verify", "latest episodes: 212 of 1,000 missing"),
        (4.1, "info", "sync", "s-4121 started: 603 to fetch, 424 to remove, plan p-7f30"),
        (3, "info", "primary", "manifest 2,880 rows, 61 KiB, 1 request, 58 ms"),
        (2, "info", "sync", "batch 3 of 7: 100 rows proved, 586 KiB"),
        (1, "warn", "sync", "1 row changed meanwhile: episode 7f3a91c2…4d18, fetched again"),
    )
    return Scene(snapshot, events)


def _stale() -> Scene:
    base = _running()
    snapshot = replace(base.snapshot, run=None, cache=_cache())
    return Scene(snapshot, base.events[:1])


def _primary_down() -> Scene:
    base = _in_sync()
    primary = replace(
        _primary(),
        status=PrimaryStatus.UNREACHABLE,
        ping_ms=None,
        p95_ms=None,
        pings=_pings(6),
        auth_at=NOW - 372,
        last_error="connect timeout after 5.0 s",
        last_error_at=NOW - 21,
        unreachable_since=NOW - 372,
        retries=6,
        next_at=NOW + 21,
        backoff_s=32,
    )
    snapshot = replace(
        base.snapshot,
        access="ro",
        verdict=Word.UNKNOWN,
        states=(CacheState.CLEAN,),
        primary=primary,
        freshness=replace(
            base.snapshot.freshness, proof=_proof(580), behind=behind({}, 380), next_compare_at=None, next_sync_at=None
        ),
        checks=_checks_ok(580),
    )
    events = _log(
        (372, "fail", "primary", "connect timeout after 5.0 s; backoff 1 s"),
        (280, "warn", "verdict", "IN SYNC -> UNKNOWN: proof older than 5m"),
        (21, "fail", "primary", "connect timeout; 5 repeats in 5m 51s; backoff 32 s"),
    )
    return Scene(snapshot, events, beat_age=0.3)


def _locked() -> Scene:
    base = _in_sync()
    cache = replace(
        _cache(),
        states=(CacheState.LOCKED_EXCLUSIVE,),
        lock=LockState.OTHER,
        holder=LockHolder(2231, "memory-mcp-server", "mem", NOW - 273_600, True),
        integrity=Found(Check("cache_integrity", CheckStatus.PASS, None, None), OF_FILE, NOW - 130),
        peek=Peek(NOW - 130, 14, 1),
    )
    ok, fail = _checks_ok(130), CheckStatus.FAIL
    missing = _check("latest_episodes", fail, 1000, 997, 130, detail="3 of the 1,000 newest are not in the cache")
    differ = _check("content_digests", fail, "5 of 5 equal", "4 of 5 equal", 130, detail="7 rows differ")
    snapshot = replace(
        base.snapshot,
        access="ro",
        verdict=Word.UNKNOWN,
        states=(CacheState.LOCKED_EXCLUSIVE,),
        cache=cache,
        freshness=replace(
            base.snapshot.freshness,
            proof=_proof(130),
            behind=behind({"episodes": Behind(3, 1, 3)}, 130),
            next_sync_at=NOW + 473,
        ),
        checks=tuple(replace(one, subject="copy") for one in (ok[0], missing, *ok[2:4], differ, *ok[5:])),
    )
    events = _log(
        (130, "info", "peek", "copy 9.8 MiB in 14 ms, header equal before and after"),
        (130, "fail", "verify", "latest episodes: 3 of 1,000 missing"),
        (125, "info", "lock", "s-4121 skipped: locked by pid 2231 (exit 6), next try 14:40:02Z"),
        (41, "info", "watch", "cache.redb changed (size same, mtime 14:31:26Z)"),
    )
    return Scene(snapshot, events)


def _damaged() -> Scene:
    base = _in_sync()
    error = ErrorValue("cache_damaged", "redb: Primary is corrupted despite 2-phase commit", "", False, 5)
    cache = replace(
        _cache(),
        states=(CacheState.CORRUPT,),
        error=error,
        integrity=Found(Check("cache_integrity", CheckStatus.FAIL, None, None), OF_FILE, NOW - 19),
    )
    snapshot = replace(
        base.snapshot,
        verdict=Word.DAMAGED,
        states=(CacheState.CORRUPT,),
        cache=cache,
        freshness=replace(
            base.snapshot.freshness,
            proof=_proof(724),
            behind=None,
            cache_only=None,
            next_compare_at=None,
            next_sync_at=None,
        ),
        checks=(_check("cache_integrity", CheckStatus.FAIL, "clean", "corrupted", 19, detail=error.message),),
        error=error,
    )
    return Scene(snapshot, _log((19, "fail", "cache", "CORRUPT: Primary is corrupted despite 2-phase commit")))


def _empty() -> Scene:
    base = _in_sync()
    cache = CacheHealth(path="/var/lib/do-memory/cache.redb", states=(CacheState.ABSENT,), disk_free=44_023_414_784)
    snapshot = replace(
        base.snapshot,
        verdict=Word.EMPTY,
        states=(CacheState.ABSENT,),
        cache=cache,
        freshness=Freshness(max_age_s=300, next_sync_at=NOW + 5, next_sync_reason="start"),
        checks=(),
        history=HistoryView(),
    )
    return Scene(snapshot, _log((2, "info", "core", "started; the cache file is absent")))


def _refused() -> Scene:
    base = _in_sync()
    error = ErrorValue(
        "guard",
        "the primary lost 1,700 of 2,880 proven rows or what they belong to (820 of 900 episodes), "
        "more than 50% of a table; nothing was changed",
        "sync --plan lists these rows; sync --allow-shrink removes them",
        False,
        9,
        step=NextStep.ALLOW_SHRINK,
    )
    ok, fail = _checks_ok(12), CheckStatus.FAIL
    counted = _check("episode_count", fail, 100, 1000, 12, detail="900 episodes more than the primary has")
    patterns = _check("pattern_counts", fail, 112, 412, 12, detail="300 patterns more than the primary has")
    differ = _check("content_digests", fail, "5 of 5 equal", "2 of 5 equal", 12, detail="1,700 rows differ")
    lag = {"episodes": Behind(0, 0, 900), "patterns": Behind(0, 0, 300), "embeddings": Behind(0, 0, 500)}
    snapshot = replace(
        base.snapshot,
        verdict=Word.REFUSED,
        states=(CacheState.CLEAN,),
        freshness=replace(base.snapshot.freshness, proof=_proof(612), behind=behind(lag, 12)),
        checks=(counted, _check("latest_episodes", CheckStatus.PASS, 100, 100, 12), patterns, ok[3], differ, *ok[5:]),
        error=error,
    )
    return Scene(snapshot, _log((12, "fail", "guard", error.message)))


def _auth() -> Scene:
    base = _in_sync()
    error = ErrorValue(
        "primary_refused",
        "the primary refused us (401): Unauthorized: `The JWT has expired`",
        "check the URL and the token (storage-sync ping)",
        False,
        4,
    )
    primary = replace(
        _primary(), status=PrimaryStatus.REFUSED, auth="refused", auth_at=NOW - 4, error=error, last_error=error.message
    )
    snapshot = replace(base.snapshot, verdict=Word.UNKNOWN, states=(CacheState.CLEAN,), primary=primary)
    return Scene(snapshot, _log((4, "fail", "primary", error.message)))


def _quarantined() -> Scene:
    base = _in_sync()
    snapshot = replace(base.snapshot, quarantine=rejected(1))
    return Scene(snapshot, (*base.events, *_log((3, "warn", "sync", "pattern 88c0de17…3b1f refused: malformed JSON"))))


def _stalled() -> Scene:
    base = _in_sync()
    return Scene(base.snapshot, base.events, beat_age=3.0)


def _no_config() -> Scene:
    snapshot = Snapshot(seq=1, taken_at=NOW, beat=CoreBeat(at=BEAT), access="ro")
    return Scene(snapshot)


_HOSTILE = "[/b][red]x 名前 e\u0301 \x1b[31m\x1b]0;t\x07 \x9b2J \u202eabc\u202c\ttab\nline \ud800 " + "w" * 10_000


def _hostile() -> Scene:
    """Every text from outside is as bad as it can be."""
    base = _running()
    snapshot = base.snapshot
    holder = LockHolder(2231, _HOSTILE, _HOSTILE, NOW - 60, True)
    check = _check(
        "latest_episodes", CheckStatus.FAIL, _HOSTILE, _HOSTILE, detail=_HOSTILE, keys=(_HOSTILE, "[/b]", "[red]x")
    )
    run = (
        None
        if snapshot.run is None
        else replace(snapshot.run, trigger=_HOSTILE, steps=((_HOSTILE, StepState.RUNNING),))
    )
    hostile = replace(
        snapshot,
        profile=_HOSTILE,
        primary=replace(snapshot.primary, url=_HOSTILE, last_error=_HOSTILE, token_origin=_HOSTILE, server=_HOSTILE),
        cache=replace(snapshot.cache, path=_HOSTILE, lock=LockState.OTHER, holder=holder),
        run=run,
        checks=(check, replace(check, name=_HOSTILE)),
        history=HistoryView(1, 1, 1, 1, (replace(_history().last[0], id=_HOSTILE, result=_HOSTILE, kind=_HOSTILE),)),
        config=ConfigView((Setting(_HOSTILE, _HOSTILE, _HOSTILE, _HOSTILE, _HOSTILE),), _HOSTILE, NOW),
        error=ErrorValue("internal", _HOSTILE, _HOSTILE, False, 70),
    )
    return Scene(hostile, _log((1, "fail", _HOSTILE, _HOSTILE), (0, "info", "[/b]", "[red]x")))


def plan(
    *, removed: int = 424, ratio: float = 0.15, refusal: ErrorValue | None = None, phrase: str | None = None
) -> Plan:
    """A made-up plan of a sync; one that removes more than 100 rows asks for the profile's name."""
    typed = "prod-eu" if removed > 100 else None
    return Plan(
        id="p-7f30",
        kind="sync",
        base=(GENERATION, "2b70c1d94ae0f1827705"),
        root="9f3a0b77c1",
        changes={
            "episodes": TableChange(212, 140, min(removed, 212)),
            "patterns": TableChange(9, 21, 0),
            "embeddings": TableChange(221, 0, max(0, removed - 212)),
        },
        rows=(
            PlanRow("fetch", "fetch new rows", 442, 3_565_158, "undo"),
            PlanRow("replace", "replace changed rows", 161, None, "undo"),
            PlanRow("remove", "remove rows gone from the window or the primary", removed, None, "undo"),
            PlanRow("primary", "primary", 0, 0, "never written"),
        ),
        removes_ratio=ratio if removed else 0.0,
        lost=(),
        level=2 if removed else 1,
        phrase=phrase or typed,
        refusal=refusal,
        compared=2_880,
        reads=603,
        looked_s=6.0,
    )


_SCENES: Mapping[str, Callable[[], Scene]] = {
    "in_sync": _in_sync,
    "running": _running,
    "stale": _stale,
    "primary_down": _primary_down,
    "locked": _locked,
    "damaged": _damaged,
    "empty": _empty,
    "refused": _refused,
    "auth": _auth,
    "quarantined": _quarantined,
    "stalled": _stalled,
    "no_config": _no_config,
    "hostile": _hostile,
}
NAMES: tuple[str, ...] = tuple(_SCENES)
