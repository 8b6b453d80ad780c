"""Which rows that hang on others are expected, by what they hang on."""

from __future__ import annotations

import pytest

from storage_sync.primary.above import Child
from storage_sync.sync.overlay import Limits, expected
from storage_sync.values.followed import FollowEnded

INSIDE = "0b9e7c52-0d3b-4c1e-8b1a-6a1b2c3d4e5f"
OUTSIDE = "1b9e7c52-0d3b-4c1e-8b1a-6a1b2c3d4e5f"
WINDOW = frozenset({INSIDE.encode()})


def hexed(text: str) -> str:
    return text.encode().hex()


def holds(table: str, *owners: str | None, patterns: bool = True) -> bool:
    return expected(Child(table, hexed("key"), "digest", owners), WINDOW, Limits(10, patterns))


def embedding(kind: str, item: str, *, episode: bool = False, pattern: bool = False, patterns: bool = True) -> bool:
    flags = (str(int(episode)), str(int(pattern)))
    return holds("embeddings", hexed(kind), hexed(item), *flags, patterns=patterns)


@pytest.mark.parametrize("table", ["summaries", "relationships", "recommendation_sessions"])
def test_a_row_of_episodes_is_expected_with_all_of_them(table: str) -> None:
    assert holds(table, hexed(INSIDE))
    assert not holds(table, hexed(OUTSIDE))
    assert not holds(table, hexed(INSIDE), hexed(OUTSIDE))
    with pytest.raises(FollowEnded, match="a row that belongs to no episode or pattern"):
        holds(table, None)


def test_feedback_is_expected_with_the_episode_of_its_session() -> None:
    assert holds("recommendation_feedback", hexed(INSIDE))
    assert not holds("recommendation_feedback", hexed(OUTSIDE))
    assert not holds("recommendation_feedback", None), "its session is gone"


def test_a_link_is_expected_with_its_episode_and_its_pattern() -> None:
    assert holds("episode_pattern_relationships", hexed(INSIDE), hexed("pattern"), "1")
    assert not holds("episode_pattern_relationships", hexed(INSIDE), hexed("pattern"), "0")
    assert not holds("episode_pattern_relationships", hexed(OUTSIDE), hexed("pattern"), "1")


def test_what_hangs_on_nothing_is_expected() -> None:
    assert holds("patterns")


def test_an_embedding_is_expected_with_what_its_item_names() -> None:
    assert embedding("episode", INSIDE)
    assert not embedding("episode", OUTSIDE)
    assert embedding("embedding", INSIDE, episode=True)
    assert not embedding("embedding", OUTSIDE, episode=True)
    assert embedding("embedding", f"emb:episode:{INSIDE}", episode=True)
    assert not embedding("embedding", f"emb:episode:{OUTSIDE}", episode=True)
    assert embedding("pattern", OUTSIDE, pattern=True)
    assert not embedding("pattern", OUTSIDE), "its pattern is gone"
    assert not embedding("pattern", f"x{OUTSIDE}", pattern=True), "it names no pattern"
    assert embedding("embedding", OUTSIDE, pattern=True)
    assert embedding("embedding", f"emb:pattern:{OUTSIDE}", pattern=True)
    assert not embedding("embedding", f"emb:pattern:{OUTSIDE}"), "its pattern is gone"
    assert embedding("embedding", "anything else"), "no owner leads to it"
    with pytest.raises(FollowEnded, match="an embedding of an unknown kind"):
        embedding("other", INSIDE)


def test_without_patterns_no_embedding_of_one_is_expected() -> None:
    assert not embedding("pattern", OUTSIDE, pattern=True, patterns=False)
    assert not embedding("embedding", OUTSIDE, pattern=True, patterns=False)
    assert not embedding("embedding", f"emb:pattern:{OUTSIDE}", pattern=True, patterns=False)
    assert embedding("embedding", INSIDE, episode=True, patterns=False)
