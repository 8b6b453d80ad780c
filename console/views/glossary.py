"""The words of docs/glossary.md, for the help."""

from __future__ import annotations

WORDS: tuple[tuple[str, str], ...] = (
    ("attached", "Of an embedding: its owner is in the cache."),
    ("audit", "A comparison that looks at every embedding of the primary and counts its tables."),
    ("cache", "The redb file that do-memory reads."),
    ("cache-only row", "A row of the cache that the primary never had. It is counted and kept."),
    ("carry over", "To take rows unchanged from the old file into a new one."),
    ("checkpoint", "The entry of the ledger that describes the last commit."),
    ("drift", "The cache differs from what was proven."),
    ("embedding", "The vector of an episode, a pattern or a text, by which do-memory finds what is similar."),
    (
        "episode",
        "One piece of work of an agent as do-memory keeps it: task, steps, outcome. Most other rows belong to one.",
    ),
    ("epoch", "The number of times that the primary's log was seen to go back, for example after a restore."),
    ("expected row", "A row that the cache should hold."),
    ("follow", "To take in what was written since the last proof, without a new proof."),
    ("generation", "The number of a commit of this tool in a cache, shown as g-7. It only grows."),
    (
        "guard",
        "A rule that stops a run which would mix two sources, empty the cache, or take out too large a part "
        "of a table or of all rows because the primary lost them or what they belong to.",
    ),
    ("held", "The state of a cache whose lock another process has. Normal while do-memory runs."),
    ("holder", "The process that holds redb's lock on the cache."),
    ("imprint", "One digest over the manifest as the primary lists it. The same imprint is the same manifest."),
    ("lease", "The lock that keeps two runs of this tool apart. do-memory does not know it."),
    ("ledger", "This tool's tables inside the cache: which rows were written, and from which rows of the primary."),
    ("manifest", "Key and digest of every expected row of the primary, all read at one moment."),
    ("mark", "The last rows of a primary's table when it was read, from which a follow run goes on."),
    ("orphan", "An embedding whose episode or pattern does not exist."),
    ("payload", "The bytes of keys and values in the cache, without redb's own."),
    ("plan", "What would change, shown before it is done."),
    ("primary", "The durable Turso/libSQL database. The tool reads it and never writes it."),
    ("private copy", "A copy of the cache file, verified by its header, on which everything but the commit works."),
    ("projection", "The part of a row that both stores can represent. Two rows are equal when their projections are."),
    ("proof", "Root, generation, source and time of a run that read back what it had promised to write."),
    ("quarantine", "The list of rejected rows and quarantined rows."),
    ("quarantined row", "A row that was taken out of the cache and can be restored."),
    (
        "rejected row",
        "A row of the primary that cannot be represented in the cache. It is listed with its column and reason.",
    ),
    ("root", "One digest over the whole manifest."),
    ("run", "One execution of sync, repair, rebuild, verify and so on, with an id and an entry in the history."),
    ("staging", "Where fetched and checked rows wait for the one write transaction."),
    ("stale", "The primary has changed since the proof."),
    ("target", "The age at which a proof is too old (staleness_s)."),
    ("verdict", "One line about the cache: IN_SYNC, STALE, DRIFT, UNKNOWN, DAMAGED, REFUSED or EMPTY."),
    (
        "waiting row",
        "A row of the primary that was fetched while the cache was held. It is committed when the cache is free.",
    ),
    ("window", "The newest episodes, by start time, that the cache should hold (max_episodes_cache)."),
    (
        "witness",
        "The last acknowledged generation and proof, kept outside the cache file, "
        "so that an older file put in its place is noticed.",
    ),
)
"""Word and meaning, in the order of the document."""
