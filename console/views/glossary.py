"""The words of docs/glossary.md, for the help."""

from __future__ import annotations

WORDS: tuple[tuple[str, str], ...] = (
    ("primary", "The durable Turso/libSQL database. The tool reads it and never writes it."),
    ("cache", "The redb file that do-memory reads."),
    ("window", "The newest episodes, by start time, that the cache should hold (max_episodes_cache)."),
    ("expected row", "A row that the cache should hold."),
    (
        "projection",
        "The part of a row that both stores can represent. Two rows are equal when their projections are.",
    ),
    ("manifest", "Key and digest of every expected row of the primary, all of one instant."),
    ("root", "One digest over the whole manifest."),
    ("imprint", "One digest over the manifest as the primary lists it. The same imprint is the same manifest."),
    (
        "audit",
        "A comparison that looks at every embedding of the primary and counts its tables.",
    ),
    ("ledger", "Our tables inside the cache: which rows were written, from which source row."),
    ("checkpoint", "The entry of the ledger that describes the last commit."),
    ("generation", "Number of a commit of this tool in a cache. It only grows."),
    ("epoch", "How often the primary's log was seen to go back, for example after a restore."),
    ("proof", "Root, generation, source and time of a run that read back what it had promised to write."),
    ("follow", "To take in what was written since the last proof, without one."),
    ("mark", "The last rows of a primary's table when it was read, from which a follow run goes on."),
    ("witness", "The last acknowledged generation and proof, kept outside the cache file."),
    ("staging", "Proven rows that wait for the one write transaction."),
    (
        "waiting row",
        "A row of the primary that was fetched while the cache was held. It is committed when the cache is free.",
    ),
    ("private copy", "A copy of the cache file, verified by its header, on which everything but the commit works."),
    ("lease", "The lock that keeps two runs of this tool apart. do-memory does not know it."),
    ("holder", "The process that holds redb's lock on the cache."),
    ("held", "The state of a cache whose lock another process has. Normal while do-memory runs."),
    ("plan", "What would change, shown before it is done."),
    (
        "guard",
        "A rule that stops a run which would mix two sources, empty the cache, or take out too large a part "
        "of a table or of all rows because the primary lost them or what they belong to.",
    ),
    (
        "rejected row",
        "A row of the primary that cannot be represented in the cache. It is listed with its column and reason.",
    ),
    ("quarantined row", "A row that was taken out of the cache and can be restored."),
    ("quarantine", "The list of both: rejected rows and quarantined rows."),
    ("cache-only row", "A row of the cache that the primary never had. It is counted and kept."),
    ("orphan", "An embedding whose episode or pattern does not exist."),
    ("drift", "The cache differs from what was proven."),
    ("stale", "The primary has changed since the proof."),
    ("verdict", "One line about the cache: IN_SYNC, STALE, DRIFT, UNKNOWN, DAMAGED, REFUSED or EMPTY."),
    ("run", "One execution of sync, repair, rebuild, verify and so on, with an id and an entry in the history."),
)
"""Word and meaning, in the order of the document."""
