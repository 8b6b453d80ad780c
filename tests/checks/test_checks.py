"""Each check passes for what it should and names what it misses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from storage_sync.checks.checks import all_checks
from storage_sync.checks.facts import CheckScope, FileFacts, TableFacts
from storage_sync.values.outcome import TABLES, Check, CheckStatus

NAMES = (
    "cache_integrity",
    "schema_version",
    "episode_count",
    "latest_episodes",
    "pattern_counts",
    "orphaned_embeddings",
    "content_digests",
    "embedding_vectors",
)
SCOPE = CheckScope(window=1000, patterns=True, embeddings=True)
FILE = FileFacts(
    schema=4,
    integrity=True,
    integrity_detail="",
    wrong_tables=(),
    orphans=0,
    orphan_keys=(),
    orphans_expected=0,
    vectors=10,
    bad_vectors=0,
    bad_vector_keys=(),
)


def table(expected: int = 10, **numbers: int) -> TableFacts:
    parts = {"missing": 0, "differing": 0, "refused": 0, "surplus": 0, **numbers}
    equal = expected - parts["missing"] - parts["differing"] - parts["refused"]
    return TableFacts(primary=expected, expected=expected, equal=equal, keys=("k",), **parts)


def tables(**changed: TableFacts) -> dict[str, TableFacts]:
    return {name: changed.get(name, table()) for name in TABLES}


def named(checks: tuple[Check, ...]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_an_equal_cache_passes_everything() -> None:
    checks = all_checks(SCOPE, FILE, tables())
    assert [check.name for check in checks] == list(NAMES)
    assert {check.status for check in checks} == {CheckStatus.PASS}


def test_a_check_that_passes_names_no_row() -> None:
    assert {check.name: check.keys for check in all_checks(SCOPE, FILE, tables())} == dict.fromkeys(NAMES, ())


def test_a_proof_says_what_it_leaves_to_the_audit() -> None:
    then = 1_795_392_000.0
    left = named(all_checks(replace(SCOPE, audited_at=then), FILE, tables()))["content_digests"]
    assert left.detail.endswith(
        "; embeddings that cannot be found through an owner: as of the audit of 2026-11-23T00:00:00Z"
    )
    without = replace(SCOPE, audited_at=then, embeddings=False)
    for scope in (SCOPE, without):
        assert "audit" not in named(all_checks(scope, FILE, tables()))["content_digests"].detail


def test_a_table_that_was_not_counted_is_expected_by_what_the_proof_lists() -> None:
    uncounted = {name: replace(facts, primary=None) for name, facts in tables().items()}
    counted = named(all_checks(SCOPE, FILE, uncounted))
    assert (counted["episode_count"].expected, counted["pattern_counts"].expected) == (10, 20)
    short = uncounted | {"episodes": replace(table(missing=1), primary=None)}
    assert named(all_checks(SCOPE, FILE, short))["episode_count"].status is CheckStatus.FAIL


def test_without_the_primary_nothing_about_it_is_claimed() -> None:
    checks = named(all_checks(SCOPE, FILE, None, "it is down"))
    for name in ("episode_count", "latest_episodes", "pattern_counts", "content_digests"):
        assert checks[name].status is CheckStatus.UNKNOWN
        assert checks[name].detail == "it is down"
    assert checks["schema_version"].status is CheckStatus.PASS


@given(missing=st.integers(0, 5), differing=st.integers(0, 5), surplus=st.integers(0, 5), refused=st.integers(0, 5))
def test_content_digests_pass_only_when_every_row_is_equal(
    missing: int, differing: int, surplus: int, refused: int
) -> None:
    facts = table(30, missing=missing, differing=differing, surplus=surplus, refused=refused)
    check = named(all_checks(SCOPE, FILE, tables(patterns=facts)))["content_digests"]
    assert (check.status is CheckStatus.PASS) == (missing == differing == surplus == 0)


def test_a_refused_episode_counts_as_accounted_for() -> None:
    checks = named(all_checks(SCOPE, FILE, tables(episodes=table(10, refused=2))))
    assert checks["episode_count"].status is CheckStatus.PASS
    assert checks["latest_episodes"].status is CheckStatus.PASS


def test_a_missing_episode_fails_by_name() -> None:
    checks = named(all_checks(SCOPE, FILE, tables(episodes=table(10, missing=1))))
    assert checks["episode_count"].status is CheckStatus.FAIL
    assert checks["latest_episodes"].status is CheckStatus.FAIL
    assert checks["latest_episodes"].keys == ("k",)


def test_the_window_bounds_the_episode_count() -> None:
    many = replace(table(1000), primary=1200)
    assert named(all_checks(SCOPE, FILE, tables(episodes=many)))["episode_count"].expected == 1000


def test_switches_that_are_off_skip_their_checks() -> None:
    off = CheckScope(window=1000, patterns=False, embeddings=False)
    checks = named(all_checks(off, replace(FILE, vectors=0), tables()))
    why = "sync_patterns is off; its rows are left as they are"
    assert checks["pattern_counts"] == Check("pattern_counts", CheckStatus.SKIPPED, None, None, why)
    assert checks["orphaned_embeddings"].status is CheckStatus.SKIPPED


def test_orphans_fail_unless_marked_expected() -> None:
    orphaned = replace(FILE, orphans=3, orphan_keys=("a", "b", "c"))
    assert named(all_checks(SCOPE, orphaned, tables()))["orphaned_embeddings"].status is CheckStatus.FAIL
    accepted = replace(orphaned, orphans_expected=3)
    assert named(all_checks(SCOPE, accepted, tables()))["orphaned_embeddings"].status is CheckStatus.PASS


def test_wrong_tables_and_damage_fail_integrity() -> None:
    damaged = replace(FILE, integrity=False, integrity_detail="a page is missing")
    check = named(all_checks(SCOPE, damaged, None))["cache_integrity"]
    assert (check.status, check.detail) == (
        CheckStatus.FAIL,
        "redb's own check on a private copy found damage: a page is missing",
    )
    assert (
        named(all_checks(SCOPE, replace(FILE, integrity=None), None))["cache_integrity"].status is CheckStatus.SKIPPED
    )
    wrong = replace(FILE, wrong_tables=("episodes is not bytes",))
    assert named(all_checks(SCOPE, wrong, None))["cache_integrity"].status is CheckStatus.FAIL


def test_each_check_says_what_was_expected_and_what_was_found() -> None:
    good = named(all_checks(SCOPE, FILE, tables()))
    assert {name: (one.expected, one.actual, one.detail) for name, one in good.items()} == {
        "cache_integrity": ("clean", "clean", "redb's own check on a private copy"),
        "schema_version": (4, 4, ""),
        "episode_count": (10, 10, ""),
        "latest_episodes": (10, 10, ""),
        "pattern_counts": (20, 20, "patterns 10, heuristics 10"),
        "orphaned_embeddings": (0, 0, ""),
        "content_digests": (100, 100, "100 rows equal by digest"),
        "embedding_vectors": (10, 10, ""),
    }
    file = replace(
        FILE,
        schema=3,
        integrity=False,
        integrity_detail="it was not clean; redb repaired it",
        orphans=5,
        orphan_keys=("a", "b"),
        orphans_expected=2,
        bad_vectors=1,
        bad_vector_keys=("v",),
        seconds={"orphaned_embeddings": 1.5, "embedding_vectors": 2.5},
    )
    rows = tables(episodes=table(missing=1), patterns=table(missing=1, differing=2), embeddings=table(surplus=3))
    bad = named(all_checks(SCOPE, file, rows))
    assert {one.status for one in bad.values()} == {CheckStatus.FAIL}
    assert {name: (one.expected, one.actual, one.detail) for name, one in bad.items()} == {
        "cache_integrity": (
            "clean",
            "damaged",
            "redb's own check on a private copy found damage: it was not clean; redb repaired it",
        ),
        "schema_version": (4, 3, "do-memory would wipe or refuse a file with another version"),
        "episode_count": (10, 9, ""),
        "latest_episodes": (10, 9, "1 of the newest 10 missing"),
        "pattern_counts": (20, 19, "patterns 9, heuristics 10"),
        "orphaned_embeddings": (0, 3, "3 of 10 embeddings have no owner in the cache"),
        "content_digests": (100, 96, "episodes: 1 missing; patterns: 1 missing, 2 differ; embeddings: 3 surplus"),
        "embedding_vectors": (10, 9, "1 empty, zero, not finite or of another dimension"),
    }
    assert (bad["orphaned_embeddings"].keys, bad["embedding_vectors"].keys) == (("a", "b"), ("v",))
    assert (bad["orphaned_embeddings"].seconds, bad["embedding_vectors"].seconds) == (1.5, 2.5)
