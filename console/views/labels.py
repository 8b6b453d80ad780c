"""What the labels of a panel mean, for the help of the panel in focus."""

from __future__ import annotations

from collections.abc import Mapping

LABELS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "primary": (
        ("ping", "how long the last question to the primary took; p95: 19 of 20 were faster; a bar each, ✗ failed"),
        ("auth", "whether the primary took the token, when, and where the token came from"),
        ("error", "what it last answered that was no answer, and when"),
        ("next", "when it is asked again, or tried again; backoff: the wait between two tries"),
        ("read", "rows that it read for this cache today, by its own word; hosted ones bill them"),
        ("server", "what it is, and whether it can make digests itself, so that less is sent"),
    ),
    "cache": (
        ("size", "of the file; payload: of the rows in it"),
        ("lock", "whether a process has the file open now; ours: this tool, for its run"),
        ("holder", "the process that has the file open; nobody else can write meanwhile"),
        ("check", "what redb's own check of the whole file said, and of which moment; V makes it"),
        ("state", "g-4120: number of the last proven write; the witness keeps it outside the file too"),
        ("schema", "do-memory's number for what its tables look like"),
        ("copy", "how old the copy of a held file is that is shown here"),
    ),
    "freshness": (
        ("proof", "when the cache was last proven equal to the primary; above the target it counts for nothing"),
        ("behind", "rows of the primary that the cache has not, has otherwise, or has too many"),
        ("compared", "when that was counted; exact: of every row, at least: of the ones that were seen"),
        ("waiting", "rows to write once the process that holds the cache has closed it"),
        ("cache-only", "rows that the primary never had; a sync keeps them"),
        ("quarantine", "rows of the primary that the cache cannot take; u shows them"),
        ("next", "when it is compared or synced by itself, and why"),
    ),
    "checks": (
        ("episode count matches", "as many episodes as the window of the primary has"),
        ("latest episodes present", "each of its newest episodes is there"),
        ("pattern counts consistent", "as many patterns, and each with its numbers"),
        ("no orphaned embeddings", "each embedding belongs to a row; 3 shows those that do not"),
        ("content digests", "each row is byte for byte what it should be; what proves the cache"),
        ("embedding vectors valid", "each vector has its length and only finite numbers"),
        ("cache integrity", "redb's own check of the file; slow, so only V makes it"),
        ("schema version", "the tables are those that this do-memory reads"),
    ),
    "sync": (
        ("next", "when the next sync starts by itself, and why"),
        ("no run", "why no sync starts by itself"),
        ("in place", "whether the file can be written where it is"),
        ("resume", "rows that a stopped run has fetched and proven; the next one goes on with them"),
        ("last", "rows that the last run added (+), changed (~) and removed (-), and what it fetched"),
        ("note", "what is never done here"),
        ("error", "why the last run failed"),
        ("advice", "a setting that would make syncs cheaper, by the figures of the last runs"),
        ("rows/s", "rows fetched and proven a second"),
        ("bytes", "received from the primary"),
        ("ETA", "time left at this pace"),
        ("staged", "rows that are proven and kept if the run is stopped; the cache is written once, at the end"),
    ),
    "run-detail": (
        ("result", "what the run could prove, or why it failed"),
        ("where", "what failed, in the words of the part that failed"),
        ("started", "when"),
        ("why", "what started it: a person (manual), the start, a change, the clock (interval), an old proof"),
        ("rows", "added (+), changed (~), removed (-)"),
        ("tables", "the same by table"),
        ("steps", "how long each step took"),
        ("transfer", "what went over the network"),
        ("proof", "the write that it proved, and the root: one number for all content"),
        ("before", "how old the proof before it was"),
        ("resume", "what of a stopped run is still of use"),
        ("next", "what to do about it"),
        ("note", "what it warned of"),
    ),
    "orphan-detail": (
        ("found in", "the table of the cache that has it"),
        ("why", "what is wrong with it"),
        ("vector", "its length, and the number of its values"),
        ("owner", "the row that it should belong to, and where that was looked for"),
        ("domain", "by the owner's word"),
        ("nearest", "the embedding that is most like it"),
        ("same as", "embeddings with the very same numbers"),
        ("actions", "what can be done about it"),
    ),
}
"""Id of a panel: each of its labels with what it says."""
