"""Made-up answers to what Validation, History and Config ask: for pictures and tests. Deterministic."""

from __future__ import annotations

from typing import Any

from storage_sync.service import commands
from storage_sync.service.commands import Command
from storage_sync.values.answers import (
    ChangedRow,
    ChangedRows,
    CheckRun,
    ColumnDifference,
    Difference,
    Differences,
    Exported,
    PastRun,
    PrimaryTried,
    QuarantineEntry,
    QuarantineKind,
    QuarantinePage,
    RunDetail,
    Runs,
    SettingsPreview,
    SettingsWritten,
)
from storage_sync.values.outcome import CacheWrites, CheckStatus, Outcome, Seconds, TableCounts, Transfer, Word
from storage_sync.values.snapshot import RunSummary
from tests.support.scenes.plans import FETCHED, repaired
from tests.support.scenes.snapshots import GENERATION, NOW, scene

_KEYS = (
    "7f3a91c2-5b0e-4c11-9a77-2d10e0f34d18",
    "0c41be77-90aa-4a5b-8e0d-5f8be20091aa",
    "e2d00f1b-1f6c-45f2-9f0e-7703c1b66c03",
)


def answer(command: Command[Any]) -> object | None:
    """The answer to one question; None for one that nobody answers."""
    match command:
        case commands.ListRuns():
            return runs()
        case commands.ShowRun(run_id):
            return run_detail(run_id)
        case commands.ListChangedRows(run_id):
            return run_rows(run_id)
        case commands.ListCheckRuns():
            return check_runs()
        case commands.ListQuarantine():
            return quarantine()
        case commands.ListBuilds():
            return ()
        case commands.CompareRows():
            return differences()
        case commands.PreviewSettings() | commands.WriteSettings():
            return _settings(command)
        case commands.TryPrimary():
            return PrimaryTried("libsql://memory-prod.turso.io", 44.0, "sqld 0.24.32", "sha3", "0.1.47", "env")
        case commands.ExportRows():
            return Exported("storage-sync-rows-20260902T143207Z.jsonl", 3, 1536)
    return None


def runs() -> Runs:
    """Those of the scene, and forty older ones."""
    shown = scene("in_sync").snapshot.history.last
    older = tuple(
        RunSummary(
            f"s-{4113 - number}", "sync", "interval", NOW - 14_400 - 600 * number, 0.9 + 0.1 * (number % 7),
            9 + number % 5, 1, 9, 0, "IN_SYNC", generation=4113 - number, bytes_received=61_440, requests=2,
        )
        for number in range(40)
    )  # fmt: skip
    all_runs = (*shown, *older)
    rates = tuple(
        118.0 + 11 * (number % 3) - 7 * (number % 5) if run.new + run.changed else None
        for number, run in enumerate(all_runs)
    )
    ages = tuple(600.0 + 30 * (number % 4) + (690 if number == 3 else 0) for number in range(len(all_runs)))
    pings = tuple(
        (NOW - 5 * number, None if number in {90, 91} else 41.0 + 3 * (number % 6) + (19 if number == 30 else 0))
        for number in reversed(range(120))
    )
    found = tuple(PastRun(*past) for past in zip(all_runs, rates, ages, strict=True))
    return Runs(found, pings, "~/.local/state/storage-sync/history.db")


def run_rows(run_id: str) -> ChangedRows:
    first, second, third = _KEYS
    fields = (
        ColumnDifference("task_description", "write the report", "write the report of May"),
        ColumnDifference("outcome.verdict", "unknown", "done"),
        ColumnDifference("domain", "reporting", "reporting", equal=True),
    )
    new = (ColumnDifference("task_description", None, "sort the mail"), ColumnDifference("domain", None, "mail"))
    old = (ColumnDifference("condition", "it rains", None), ColumnDifference("action", "take an umbrella", None))
    rows = (
        ChangedRow("episodes", first, "changed", fields),
        ChangedRow("episodes", second, "added", new),
        ChangedRow("heuristics", third, "removed", old),
        ChangedRow("patterns", "88c0", "rejected", reason="data: not JSON"),
    )
    return ChangedRows(run_id, rows, len(rows))


def run_detail(run_id: str) -> RunDetail:
    """One that ended well, or the one that was stopped."""
    if run_id == "s-4117":
        error = {
            "code": "interrupted",
            "message": "stopped before the commit: cancelled by the operator; the cache is unchanged",
            "hint": "nothing was changed; run it again",
        }
        return RunDetail(run_id, (("manifest", 0.06), ("fetch", 16.3), ("total", 16.4)), {"error": error})
    document = {
        "schema": 1,
        "command": "sync",
        "exit_code": 0,
        "verdict": "IN_SYNC",
        "proof": {"root": "2b70c1d94ae0f1827705", "generation": GENERATION},
        "applied": {
            "episodes": {"insert": 9, "update": 2, "remove": 9},
            "embeddings": {"insert": 3, "update": 1, "remove": 3},
        },
        "warnings": ["1 row changed meanwhile and was fetched again"],
        "error": None,
    }
    return RunDetail(run_id, (("manifest", 0.058), ("fetch", 0.91), ("apply", 0.07), ("total", 1.2)), document)


def check_runs() -> tuple[CheckRun, ...]:
    ok, bad, skipped = CheckStatus.PASS, CheckStatus.FAIL, CheckStatus.SKIPPED
    return (
        CheckRun("s-4122", "verify", NOW - 17, 0.061, (ok, bad, bad, skipped, bad, skipped, skipped, ok)),
        CheckRun("s-4120", "sync", NOW - 722, 0.058, (ok,) * 7 + (skipped,)),
        CheckRun("s-4110", "verify", NOW - 11_463, 0.402, (ok,) * 7 + (bad,)),
    )


def differences() -> Differences:
    absent = tuple(
        ColumnDifference(name, value, None)
        for name, value in (
            ("task_description", "Fix flaky retry in the uploader"),
            ("outcome", "Success"),
            ("start_time", "2026-09-02T14:31:02Z"),
            ("tags", '["retry","upload"]'),
            ("context.domain", "storage"),
        )
    )
    changed = (
        ColumnDifference("task_description", "Parse TOML config with comments", "Parse TOML config"),
        ColumnDifference("reward", "0.91", "0.74"),
        ColumnDifference("outcome", "Success", "Success", True),
        ColumnDifference("start_time", "2026-09-02T14:30:44Z", "2026-09-02T14:30:44Z", True),
    )
    gone = (ColumnDifference("task_description", None, "Profile the importer"),)
    rows = (
        Difference("episodes", _KEYS[0], "missing", absent),
        Difference("episodes", _KEYS[1], "differs", changed),
        Difference("episodes", _KEYS[2], "surplus", gone),
    )
    return Differences(rows, 3, False, NOW - 2, GENERATION, ("episodes",))


def _settings(command: commands.PreviewSettings | commands.WriteSettings) -> object:
    edits = command.edits
    file = "~/.config/storage-sync/config.toml"
    if isinstance(command, commands.WriteSettings):
        return SettingsWritten(file, tuple(edit.key for edit in edits))
    was = {setting.key: setting for setting in scene("in_sync").snapshot.config.settings}
    lines = [line for edit in edits for line in (f"-{edit.key} = {was[edit.key].value}", f"+{edit.key} = {edit.value}")]
    return SettingsPreview(
        file,
        ("@@ -12,5 +12,5 @@", " # how often", *lines, " "),
        "9f3a",
        tuple(f"{edit.key} applies: {was[edit.key].applies}" for edit in edits),
    )


def outcome() -> Outcome:
    """A repair that ended well."""
    checks = tuple(result.found.was for result in scene("in_sync").snapshot.checks)
    return Outcome(
        "repair",
        Word.IN_SYNC,
        0,
        run_id="s-4122",
        proof=repaired().freshness.proof,
        applied=FETCHED,
        counts={"episodes": TableCounts(cache=1000, cache_only=7)},
        transfer=Transfer(requests=19, bytes_received=8_974_336),
        cache_writes=CacheWrites(1, 10_276_045),
        seconds=Seconds(total=14.2),
        checks=checks,
        extra={"kept": "/var/lib/do-memory/cache.redb.corrupt-20260902T143207Z"},
    )


def quarantine() -> QuarantinePage:
    """A run to undo, three rows of two kinds, an old file."""
    run = QuarantineEntry(
        QuarantineKind.RUN, "s-4119", reason="repair", run_id="s-4119", generation=4119, at=NOW - 3_660, rows=3
    )
    aside = tuple(
        QuarantineEntry(
            QuarantineKind.ASIDE,
            f"{number}",
            table="embeddings",
            key=f"episode_{key}",
            reason="orphan: owner nowhere",
            run_id="s-4118",
            generation=4118,
            at=NOW - 7_200,
            bytes=1_538,
            digest="51aa9c02",
            expires_at=NOW + 30 * 86_400,
        )
        for number, key in enumerate(_KEYS[:2], start=1)
    )
    refused = QuarantineEntry(
        QuarantineKind.REFUSED,
        f"patterns/{_KEYS[2]}",
        table="patterns",
        key=_KEYS[2],
        column="context",
        reason="malformed JSON, column 212",
        at=NOW - 4_320,
    )
    file = QuarantineEntry(
        QuarantineKind.FILE, "/var/lib/do-memory/cache.redb.old-20260829T090204Z", reason="old", bytes=10_276_045
    )
    groups = ((run,), aside, (refused,), (file,))
    entries = tuple(entry for group in groups for entry in (_head(group), *group))
    return QuarantinePage(entries, 0, len(entries), 1, 2, 1, 1, 3_076)


def _head(group: tuple[QuarantineEntry, ...]) -> QuarantineEntry:
    first = group[0]
    run_id = first.run_id if first.kind is QuarantineKind.ASIDE else ""
    size = sum(entry.bytes or 0 for entry in group)
    return QuarantineEntry(
        QuarantineKind.HEAD, first.kind, reason=first.kind, run_id=run_id, at=first.at, rows=len(group), bytes=size
    )
