"""What a command prints: the document of docs/cli.md, a progress line, and the same for people.

All of it is made from values; nothing here looks at a file, a clock or a terminal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, cast

from msgspec.structs import replace

from storage_sync import __version__
from storage_sync.cache.holders import describe
from storage_sync.reports import sentences
from storage_sync.values.extra import Extra
from storage_sync.values.followed import Followed
from storage_sync.values.outcome import (
    TABLES,
    Check,
    ErrorValue,
    HolderKind,
    LockHolder,
    LookedAt,
    Orphan,
    Outcome,
    Proof,
    Purpose,
    Seconds,
    TableChange,
    TableCounts,
    Transfer,
    Word,
)
from storage_sync.values.secrets import redacted, redacted_values
from storage_sync.values.visible import clean, spoken

if TYPE_CHECKING:
    from storage_sync.values.snapshot import Run

SCHEMA = 1
FULL_COMMANDS = frozenset({"sync", "repair", "rebuild", "demo"})
"""Commands whose document always has counts, plan, applied, transfer, cache_writes, seconds and checks."""
PLAIN_COMMANDS = frozenset({"config", "history", "metrics", "keys", "screenshots", "quarantine", "tui", ""})
"""Commands that say nothing about the verdict."""
_UNPROVEN_COMMANDS = frozenset({"ping", "doctor", "orphans"})
"""Commands that speak of the verdict only when they fail."""
_MAX_KEYS = 20

V = TypeVar("V")


# ------------------------------------------------------------------------------------------ document


def rfc3339(at: float) -> str:
    """UTC epoch seconds as `2026-11-22T10:00:00Z`; a fraction is cut. `?` for what no calendar has."""
    if not 0 <= at < 253_402_300_800:
        return "?"
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def error_json(error: ErrorValue) -> dict[str, object]:
    step = {"step": error.step.value} if error.step is not None else {}
    return {"code": error.code, "message": error.message, "hint": error.hint, "retry": error.retry} | step


def proof_json(proof: Proof) -> dict[str, object]:
    """`audited_at` only where it is known when everything was looked at."""
    shape: dict[str, object] = {
        "root": proof.root,
        "digest": proof.digest,
        "generation": proof.generation,
        "source_id": proof.source_id,
        "epoch": proof.epoch,
        "at": rfc3339(proof.at),
        "refused": proof.refused,
    }
    return shape | ({"audited_at": rfc3339(proof.audited_at)} if proof.audited_at is not None else {})


def followed_json(followed: Followed | None, proof: Proof | None) -> dict[str, object] | None:
    if followed is None or proof is None:
        return None
    return {"changes": followed.changes, "at": rfc3339(followed.at), "since": rfc3339(proof.at)}


def counts_json(counts: TableCounts) -> dict[str, object]:
    """Rows of one table; `beyond` only where do-memory itself cached rows outside the window, `as_of` where the source
    table was not counted by this run: when it last was."""
    shape: dict[str, object] = {
        "primary": counts.primary,
        "expected": counts.expected,
        "cache": counts.cache,
        "cache_only": counts.cache_only,
        "refused": counts.refused,
    }
    if counts.as_of is not None:
        shape["as_of"] = rfc3339(counts.as_of)
    return shape | ({"beyond": counts.beyond} if counts.beyond else {})


def change_json(change: TableChange) -> dict[str, object]:
    return {"insert": change.insert, "update": change.update, "remove": change.remove}


def check_json(check: Check) -> dict[str, object]:
    return {
        "name": check.name,
        "status": check.status.value,
        "expected": check.expected,
        "actual": check.actual,
        "detail": check.detail,
        "keys": list(check.keys[:_MAX_KEYS]),
        "seconds": round(check.seconds, 4),
        "made_at": rfc3339(check.made_at) if check.made_at is not None else None,
    }


def orphan_json(orphan: Orphan) -> dict[str, object]:
    return {
        "key": orphan.key,
        "reason": orphan.reason,
        "owner": {"kind": orphan.owner_kind, "id": orphan.owner_id, "in_primary": orphan.in_primary},
        "dimension": orphan.dimension,
        "norm": orphan.norm,
        "bytes": orphan.bytes,
    }


def seconds_json(seconds: Seconds) -> dict[str, object]:
    return {
        "manifest": round(seconds.manifest, 4),
        "fetch": round(seconds.fetch, 4),
        "apply": round(seconds.apply, 4),
        "total": round(seconds.total, 4),
        "lock": round(seconds.lock, 4),
        "lock_wait": round(seconds.lock_wait, 4),
    }


def _in_table_order(values: Mapping[str, V]) -> list[tuple[str, V]]:
    order = {name: number for number, name in enumerate(TABLES)}
    return sorted(values.items(), key=lambda item: (order.get(item[0], len(order)), item[0]))


def to_json(outcome: Outcome) -> dict[str, object]:
    """The document, its fields in the order of docs/cli.md; what the command has nothing to say about is left out."""
    full = outcome.command in FULL_COMMANDS
    document: dict[str, object] = {
        "schema": SCHEMA,
        "command": outcome.command,
        "exit_code": outcome.exit_code,
        "version": __version__,
    }
    if _tells_verdict(outcome):
        document["verdict"] = outcome.verdict.value
    if outcome.states or _tells_verdict(outcome):
        document["states"] = list(outcome.states)
    if full or outcome.proof is not None:
        document["proof"] = proof_json(outcome.proof) if outcome.proof is not None else None
        if full or outcome.followed is not None:
            document["followed"] = followed_json(outcome.followed, outcome.proof)
    if full or outcome.counts:
        document["counts"] = {name: counts_json(value) for name, value in _in_table_order(outcome.counts)}
    if full or outcome.plan:
        document["plan"] = {name: change_json(value) for name, value in _in_table_order(outcome.plan)}
    if full or outcome.applied:
        document["applied"] = {name: change_json(value) for name, value in _in_table_order(outcome.applied)}
    if full or outcome.transfer.requests:
        transfer = outcome.transfer
        document["transfer"] = {
            "requests": transfer.requests,
            "bytes_received": transfer.bytes_received,
            "retries": transfer.retries,
            "rows_read": rows_read_json(transfer),
        }
    if full:
        document["cache_writes"] = {"commits": outcome.cache_writes.commits, "bytes": outcome.cache_writes.bytes}
    if full or outcome.seconds.total:
        document["seconds"] = seconds_json(outcome.seconds)
    if full or outcome.checks or outcome.command == "verify":
        document["checks"] = [check_json(check) for check in outcome.checks]
    if full or outcome.orphans or outcome.command == "orphans":
        document["orphans"] = [orphan_json(orphan) for orphan in outcome.orphans]
    if full or outcome.warnings:
        document["warnings"] = list(outcome.warnings)
    said = {"look": look_json(outcome.look) if outcome.look is not None else None, "run_id": outcome.run_id}
    document.update((name, value) for name, value in said.items() if value)
    document |= outcome.extra
    document["next_action"] = outcome.next_action
    document["error"] = error_json(outcome.error) if outcome.error is not None else None
    return document


ROW_DATA = frozenset(
    {"differences", "orphans", "entry", "refused", "set_aside", "rows", "keys", "key", "before", "after", "metrics"}
)
"""Fields of documents below which there is data of rows, which is shown as it is."""


def without_secrets(outcome: Outcome, secrets: Collection[str]) -> Outcome:
    """What is said with the secrets taken out of it; data of rows stays as it is."""
    error = outcome.error
    if error is not None:
        error = replace(error, message=redacted(error.message, secrets), hint=redacted(error.hint, secrets))
    return replace(
        outcome,
        warnings=tuple(redacted(text, secrets) for text in outcome.warnings),
        checks=tuple(replace(check, detail=redacted(check.detail, secrets)) for check in outcome.checks),
        extra=cast("Extra", redacted_values(outcome.extra, secrets, ROW_DATA)),
        next_action=redacted(outcome.next_action, secrets) if outcome.next_action is not None else None,
        error=error,
    )


def _tells_verdict(outcome: Outcome) -> bool:
    if outcome.command in _UNPROVEN_COMMANDS:
        return outcome.error is not None or outcome.verdict is not Word.UNKNOWN
    return outcome.command not in PLAIN_COMMANDS


def holder_json(holder: LockHolder) -> dict[str, object]:
    return {
        "pid": holder.pid if holder.pid > 0 else None,
        "command": holder.command,
        "user": holder.user,
        "since": rfc3339(holder.since) if holder.since is not None else None,
        "exclusive": holder.exclusive,
        "kind": holder.kind.value,
    }


def look_json(look: LookedAt) -> dict[str, object]:
    """`of`: `copy` when the finding is of that moment only, `file` when it holds until the file changes."""
    return {"of": look.of, "at": rfc3339(look.at), "held_by": [holder_json(holder) for holder in look.held_by]}


def progress_line(run: Run) -> dict[str, object]:
    """One line of `--jsonl` while a run goes on; `null` is unknown."""
    return {
        "event": "progress",
        "run_id": run.id,
        "kind": run.kind,
        "phase": run.step,
        "round": run.round,
        "rows": run.done,
        "rows_total": run.total,
        "batch": run.batch,
        "batches": run.batches,
        "bytes": run.bytes,
        "bytes_total": run.bytes_total,
        "rows_per_second": None if run.rate is None else round(run.rate, 1),
        "eta_s": None if run.eta_s is None else round(run.eta_s, 1),
        "cancellable": run.cancellable,
    }


# ------------------------------------------------------------------------------------------- people

_COLOURS = {
    Word.IN_SYNC: "32",
    Word.STALE: "33",
    Word.DRIFT: "33",
    Word.UNKNOWN: "33",
    Word.DAMAGED: "31",
    Word.REFUSED: "31",
    Word.EMPTY: "36",
}
_CHECK_COLOURS = {"pass": "32", "fail": "31", "unknown": "33", "skipped": "2"}


def rows_read_json(transfer: Transfer) -> dict[str, int | None] | None:
    """Rows that the primary said it read, by purpose; null for a purpose, or for all, where it did not say."""
    purposes = [purpose for purpose in Purpose if purpose in transfer.rows_read or purpose in transfer.unmetered]
    return {purpose.value: transfer.read(purpose) for purpose in purposes} if transfer.rows_read else None


def paint(text: str, style: str, colour: bool) -> str:
    """The text in an ANSI style, or as it is."""
    return f"\x1b[{style}m{text}\x1b[0m" if colour and style else text


def number(value: float | str | None) -> str:
    """A count as people read it; `?` is unknown."""
    if value is None:
        return "?"
    return f"{value:,}" if isinstance(value, int) else clean(str(value))


def size(value: int | None) -> str:
    """Bytes as people read them."""
    if value is None:
        return "?"
    import humanize

    return humanize.naturalsize(value, binary=True)


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    width: int,
    colour: bool,
    styles: Mapping[str, str] | None = None,
) -> list[str]:
    """Lines of an aligned table: numbers to the right, everything else to the left, the last column cut at `width`."""
    cells = [[clean(cell) for cell in row] for row in rows]
    if not cells:
        return []
    widths = [max(len(row[column]) for row in [list(head), *cells]) for column in range(len(head))]
    right = [all(_is_number(row[column]) for row in cells) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        parts = [
            cell.rjust(size) if to_right else cell.ljust(size)
            for cell, size, to_right in zip(row, widths, right, strict=True)
        ]
        text = "  ".join(parts).rstrip()
        return text if len(text) <= width else text[: max(width - 1, 1)] + "…"

    lines = [paint(line(head), "1", colour)]
    for row in cells:
        text = line(row)
        style = next((styles[cell] for cell in row if cell in styles), "") if styles else ""
        lines.append(paint(text, style, colour))
    return lines


def _is_number(text: str) -> bool:
    return text in ("", "?") or text.replace(",", "").replace(".", "", 1).replace("-", "", 1).isdigit()


def report(outcome: Outcome, width: int = 80, colour: bool = False, *, now: float | None = None) -> str:
    """The facts, for standard output: tables, verdict and proof. Empty when the command failed before it had any.
    `now`: epoch seconds, for ages; moments are told without."""
    blocks = [
        _counts_lines(outcome, width, colour),
        _change_lines(outcome, width, colour),
        _check_lines(outcome.checks, width, colour),
        _orphan_lines(outcome.orphans, width, colour),
        _difference_lines(outcome, width, colour),
        _ping_lines(outcome, width, colour),
        _verdict_lines(outcome, colour, now),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def notes(
    outcome: Outcome, colour: bool = False, *, quiet: bool = False, look: bool = False, now: float | None = None
) -> str:
    """What is said beside the facts, for standard error: warnings, error, next step.

    `quiet`: one line, for an end that somebody has to hear of, so that a job under cron sends a mail only then. `look`:
    also of what the facts are, where `report` does not say it.
    """
    if quiet:
        return "" if outcome.exit_code in sentences.SILENT_EXITS else _one_line(outcome)
    lines = [f"{paint('warning', '33', colour)}: {spoken(text)}" for text in outcome.warnings]
    if look and (told := look_text(outcome.look, now)):
        lines.insert(0, f"note: {told}")
    if outcome.error is not None:
        lines.append(f"{paint('error', '31', colour)}: {spoken(outcome.error.message)}")
        if outcome.error.hint:
            lines.append(f"hint: {spoken(outcome.error.hint)}")
    if outcome.next_action and (outcome.error is None or outcome.error.hint != outcome.next_action):
        lines.append(f"next: {spoken(outcome.next_action)}")
    return "\n".join(lines)


def _one_line(outcome: Outcome) -> str:
    step = outcome.next_action or (outcome.error.hint if outcome.error is not None else "")
    told = spoken(sentences.line(outcome))
    return f"{outcome.command or 'storage-sync'}: {told}" + (f" (next: {spoken(step)})" if step else "")


def _counts_lines(outcome: Outcome, width: int, colour: bool) -> list[str]:
    rows = [
        (name, *(number(value) for value in (c.primary, c.expected, c.cache, c.cache_only, c.refused)))
        for name, c in _in_table_order(outcome.counts)
    ]
    return table(("table", "primary", "expected", "cache", "cache-only", "rejected"), rows, width=width, colour=colour)


def _change_lines(outcome: Outcome, width: int, colour: bool) -> list[str]:
    applied = any(_touches(change) for change in outcome.applied.values())
    changes = outcome.applied if applied else outcome.plan
    rows = [
        (name, number(change.insert), number(change.update), number(change.remove))
        for name, change in _in_table_order(changes)
        if _touches(change)
    ]
    head = ("written" if applied else "to write", "new", "changed", "removed")
    return table(head, rows, width=width, colour=colour)


def _touches(change: TableChange) -> bool:
    return bool(change.insert or change.update or change.remove)


def _check_lines(checks: Sequence[Check], width: int, colour: bool) -> list[str]:
    rows = [
        (check.name, check.status.value, number(check.expected), number(check.actual), check.detail) for check in checks
    ]
    head = ("check", "status", "expected", "actual", "")
    return table(head, rows, width=width, colour=colour, styles=_CHECK_COLOURS)


def _orphan_lines(orphans: Sequence[Orphan], width: int, colour: bool) -> list[str]:
    rows = [
        (orphan.reason, number(orphan.dimension), "?" if orphan.norm is None else f"{orphan.norm:.4f}", orphan.key)
        for orphan in orphans
    ]
    return table(("reason", "numbers", "norm", "key"), rows, width=width, colour=colour)


def _difference_lines(outcome: Outcome, width: int, colour: bool) -> list[str]:
    """Rows of `diff`: table, key, what is wrong, and the columns that differ."""
    rows = [
        (entry["table"], entry["kind"], entry["key"], ", ".join(one["column"] for one in entry.get("columns", ())))
        for entry in outcome.extra.get("differences", ())
    ]
    return table(("table", "row", "key", "columns"), rows, width=width, colour=colour)


def _ping_lines(outcome: Outcome, width: int, colour: bool) -> list[str]:
    rows = []
    for name, value in outcome.extra["ping"].items() if "ping" in outcome.extra else ():
        parts = ", ".join(f"{part} {told}" for part, told in value.items()) if isinstance(value, dict) else value
        rows.append((name.replace("_", " "), "none" if parts is None else str(parts)))
    return table(("primary", ""), rows, width=width, colour=colour)


def _verdict_lines(outcome: Outcome, colour: bool, now: float | None) -> list[str]:
    lines = []
    if outcome.command in _UNPROVEN_COMMANDS and outcome.error is None and outcome.command != "ping":
        lines.append(sentences.finding(outcome))
    elif _tells_verdict(outcome) and outcome.error is None:
        states = f" ({', '.join(outcome.states)})" if outcome.states else ""
        verdict = paint(outcome.verdict.value, _COLOURS[outcome.verdict], colour)
        lines.append(f"{verdict}: {sentences.sentence(outcome)}{states}")
    if outcome.error is None and (told := look_text(outcome.look, now)):
        lines.append(f"{told}.")
    if outcome.proof is not None:
        proof = outcome.proof
        at = rfc3339(proof.at)
        lines.append(f"proof: root {proof.root[:16]}… by {proof.digest}, generation {proof.generation}, {at}")
    if outcome.seconds.total:
        took = f"took {outcome.seconds.total:.2f} s"
        transfer = outcome.transfer
        if transfer.requests:
            requests = sentences.plural(transfer.requests, "request")
            took += f", {requests}, {size(transfer.bytes_received)} received"
        lines.append(took)
    waiting = outcome.extra.get("waiting")
    if waiting is not None and waiting["rows"]:
        many = "1 row of the primary has" if waiting["rows"] == 1 else f"{number(waiting['rows'])} rows have"
        lines.append(f"{many} waited since {waiting['since']} for the cache to be free")
    read = outcome.extra.get("rows_read")
    if read is not None:
        least = "" if read["complete"] else "at least "
        month = read["a_month"]
        pace = f", about {number(month)} a month at this pace" if month is not None else "; no estimate for a month yet"
        lines.append(f"read: {least}{sentences.rows(read['today'])} of the primary today{pace}")
    return lines


def look_text(look: LookedAt | None, now: float | None) -> str:
    """`of a copy made 2 s ago; do-memory (pid 4711) has held the file since 14:02Z`; '' for a file at rest."""
    if look is None or look.of != "copy":
        return ""
    told = f"of a copy made {f'{max(now - look.at, 0):.0f} s ago' if now is not None else f'at {rfc3339(look.at)}'}"
    if not look.held_by:
        return f"{told}, while the file was written to"
    return clean(f"{told}; {holder_text(look.held_by[0], look.at)}")


def holder_text(holder: LockHolder, now: float) -> str:
    """`do-memory (pid 4711) has held the file since 14:02Z`, with what is known."""
    names = {HolderKind.DO_MEMORY: "do-memory", HolderKind.OURS: "another run of storage-sync"}
    if holder.kind is HolderKind.UNLISTED or holder.pid <= 0:
        return f"{describe(holder)} holds the file"
    who = f"pid {holder.pid}" if holder.kind in names or not holder.user else f"pid {holder.pid}, {holder.user}"
    since = ""
    if holder.since is not None:
        began, today = datetime.fromtimestamp(holder.since, UTC), datetime.fromtimestamp(now, UTC)
        day = "" if began.date() == today.date() else f"{began:%Y-%m-%d} "
        since = f" since {day}{began:%H:%M}Z"
    holds = "has held" if since else "holds"
    return f"{names.get(holder.kind, holder.command or 'a process')} ({who}) {holds} the file{since}"
