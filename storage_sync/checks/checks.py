"""The checks of docs/cli.md, as pure functions of what a scan and a comparison found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from storage_sync.checks.facts import KEYS_SHOWN, CheckScope, FileFacts, TableFacts
from storage_sync.reports.document import rfc3339
from storage_sync.reports.sentences import plural
from storage_sync.values.outcome import Check, CheckStatus

SCHEMA_VERSION = 4


def all_checks(
    scope: CheckScope, file: FileFacts, tables: Mapping[str, TableFacts] | None, why_unknown: str = ""
) -> tuple[Check, ...]:
    """Every check in the order of docs/cli.md. `tables` is None when the primary could not be asked."""
    return (
        _integrity(file),
        _schema(file),
        _of_part(scope, _episode_count(scope, tables, why_unknown)),
        _of_part(scope, _latest(tables, why_unknown)),
        _of_part(scope, _patterns(scope, tables, why_unknown)),
        _orphans(scope, file),
        _of_part(scope, _digests(scope, tables, why_unknown)),
        _vectors(scope, file),
    )


def _of_part(scope: CheckScope, check: Check) -> Check:
    """The same check, naming the part of the rows that its figures are for."""
    if scope.part is None or check.status not in (CheckStatus.PASS, CheckStatus.FAIL):
        return check
    return replace(check, detail=f"{scope.part}: {check.detail}" if check.detail else str(scope.part))


def _integrity(file: FileFacts) -> Check:
    name = "cache_integrity"
    if file.wrong_tables:
        wrong = "; ".join(file.wrong_tables)
        return Check(name, CheckStatus.FAIL, "tables of do-memory's types", f"{len(file.wrong_tables)} wrong", wrong)
    if file.integrity is None:
        return Check(
            name, CheckStatus.SKIPPED, None, None, "a quick run does not walk the file's pages (verify --deep)"
        )
    status = CheckStatus.PASS if file.integrity else CheckStatus.FAIL
    found = "" if file.integrity else f" found damage: {file.integrity_detail}"
    detail = f"redb's own check on a private copy{found}"
    return Check(
        name, status, "clean", "clean" if file.integrity else "damaged", detail, (), file.seconds.get(name, 0.0)
    )


def _schema(file: FileFacts) -> Check:
    passes = file.schema == SCHEMA_VERSION
    detail = "" if passes else "do-memory would wipe or refuse a file with another version"
    actual = file.schema if file.schema is not None else "absent"
    return Check("schema_version", CheckStatus.PASS if passes else CheckStatus.FAIL, SCHEMA_VERSION, actual, detail)


def _unknown(name: str, why: str) -> Check:
    return Check(name, CheckStatus.UNKNOWN, None, None, why or "the primary could not be asked")


def _present(facts: TableFacts) -> int:
    return facts.equal + facts.differing


def _episode_count(scope: CheckScope, tables: Mapping[str, TableFacts] | None, why: str) -> Check:
    if tables is None:
        return _unknown("episode_count", why)
    facts = tables["episodes"]
    counted = facts.primary is not None and scope.part is None
    expected = min(scope.window, facts.primary) if facts.primary is not None and counted else facts.expected
    present = _present(facts)
    passes = present + facts.refused == expected
    return Check(
        "episode_count", CheckStatus.PASS if passes else CheckStatus.FAIL, expected, present, _rejected(facts.refused),
        facts.keys[:KEYS_SHOWN] if not passes else (),
    )  # fmt: skip


def _rejected(rows: int) -> str:
    """Why a check passes with fewer rows than are expected."""
    return f"{rows:,} rejected" if rows else ""


def _latest(tables: Mapping[str, TableFacts] | None, why: str) -> Check:
    if tables is None:
        return _unknown("latest_episodes", why)
    facts = tables["episodes"]
    actual = facts.expected - facts.missing - facts.refused
    missing = f"{facts.missing:,} of the newest {facts.expected:,} missing" if facts.missing else ""
    detail = ", ".join(part for part in (missing, _rejected(facts.refused)) if part)
    return Check(
        "latest_episodes", CheckStatus.FAIL if facts.missing else CheckStatus.PASS, facts.expected, actual, detail,
        facts.keys[:KEYS_SHOWN] if facts.missing else (),
    )  # fmt: skip


def _patterns(scope: CheckScope, tables: Mapping[str, TableFacts] | None, why: str) -> Check:
    name = "pattern_counts"
    if not scope.patterns:
        return Check(name, CheckStatus.SKIPPED, None, None, "sync_patterns is off; its rows are left as they are")
    if tables is None:
        return _unknown(name, why)
    both = [tables["patterns"], tables["heuristics"]]
    expected = sum(
        facts.primary if facts.primary is not None and scope.part is None else facts.expected for facts in both
    )
    present, refused = sum(map(_present, both)), sum(facts.refused for facts in both)
    passes = present + refused == expected
    keys: Sequence[str] = [key for facts in both for key in facts.keys]
    counted = f"patterns {_present(both[0]):,}, heuristics {_present(both[1]):,}"
    detail = ", ".join(part for part in (counted, _rejected(refused)) if part)
    return Check(
        name, CheckStatus.PASS if passes else CheckStatus.FAIL, expected, present, detail,
        tuple(keys[:KEYS_SHOWN]) if not passes else (),
    )  # fmt: skip


def _orphans(scope: CheckScope, file: FileFacts) -> Check:
    name = "orphaned_embeddings"
    if not scope.embeddings and not file.vectors:
        return Check(name, CheckStatus.SKIPPED, None, None, "sync_embeddings is off and the cache has none")
    count = max(file.orphans - file.orphans_expected, 0)
    actual: int | str = f"0 (+{file.orphans_expected} expected)" if file.orphans_expected and not count else count
    detail = "" if file.vectors else "0 embeddings in the cache; nothing to check"
    if count:
        detail = (
            f"{count:,} of {plural(file.vectors, 'embedding')} {'has' if count == 1 else 'have'} no owner in the cache"
        )
    return Check(
        name, CheckStatus.FAIL if count else CheckStatus.PASS, 0, actual, detail,
        file.orphan_keys[:KEYS_SHOWN] if count else (), file.seconds.get(name, 0.0),
    )  # fmt: skip


def _digests(scope: CheckScope, tables: Mapping[str, TableFacts] | None, why: str) -> Check:
    name = "content_digests"
    if tables is None:
        return _unknown(name, why)
    expected = sum(facts.expected - facts.refused for facts in tables.values())
    equal = sum(facts.equal for facts in tables.values())
    surplus = sum(facts.surplus for facts in tables.values())
    if equal == expected and not surplus:
        refused = sum(facts.refused for facts in tables.values())
        told = f"{plural(equal, 'row')} equal by digest"
        detail = ", ".join(part for part in (told, _rejected(refused)) if part)
        if scope.audited_at is not None and scope.embeddings:
            detail += (
                f"; embeddings that cannot be found through an owner: as of the audit of {rfc3339(scope.audited_at)}"
            )
        return Check(name, CheckStatus.PASS, expected, equal, detail)
    parts = []
    for table, facts in tables.items():
        found = [
            f"{count:,} {word}"
            for count, word in ((facts.missing, "missing"), (facts.differing, "differ"), (facts.surplus, "surplus"))
            if count
        ]
        if found:
            parts.append(f"{table}: {', '.join(found)}")
    keys = tuple(f"{table}/{key}" for table, facts in tables.items() for key in facts.keys)
    return Check(name, CheckStatus.FAIL, expected, equal, "; ".join(parts), keys[:KEYS_SHOWN])


def _vectors(scope: CheckScope, file: FileFacts) -> Check:
    name = "embedding_vectors"
    if not scope.embeddings and not file.vectors:
        return Check(name, CheckStatus.SKIPPED, None, None, "sync_embeddings is off and the cache has none")
    good = file.vectors - file.bad_vectors
    detail = f"{file.bad_vectors:,} empty, zero, not finite or of another dimension" if file.bad_vectors else ""
    return Check(
        name, CheckStatus.FAIL if file.bad_vectors else CheckStatus.PASS, file.vectors, good, detail,
        file.bad_vector_keys[:KEYS_SHOWN], file.seconds.get(name, 0.0),
    )  # fmt: skip
