"""The words of docs/glossary.md, for the help."""

from __future__ import annotations

WORDS: tuple[tuple[str, str], ...] = (
    ("attached", "Of an embedding: its owner is in the cache."),
    ("audit", "A comparison that looks at every embedding of the primary and counts the rows of its tables."),
    ("cache", "The redb file that do-memory reads."),
    ("cache-only row", "A row of the cache that the primary never had. It is counted and kept."),
    ("carry over", "To take rows unchanged from the old file into a new one."),
    (
        "checkpoint",
        "The entry that this tool writes with each commit: which commit it was, and what was proven then.",
    ),
    (
        "core",
        "The part of this program that syncs. The header says how long ago it was last heard from.",
    ),
    ("drift", "A row of the cache is not what the last proof found there: something else changed the file."),
    ("embedding", "The vector of an episode, a pattern or a text. do-memory uses it to find similar entries."),
    (
        "episode",
        "One piece of an agent's work, as do-memory stores it: task, steps, outcome. "
        "Most other rows belong to an episode.",
    ),
    ("epoch", "The number of times that the primary's log was seen to go back, for example after a restore."),
    (
        "exit code",
        "The number with which a command ends. 0: it ended well; 7: well, with rejected rows; any other: not well.",
    ),
    ("expected row", "A row that the cache should hold."),
    ("follow", "To take in what was written since the last proof, without a new proof."),
    ("generation", "The number of a commit of this tool in a cache, shown as g-7. It only grows."),
    (
        "guard",
        "A rule that stops a run that would mix two sources, empty the cache, or remove too many rows "
        "because the primary lost them or the rows that they belong to.",
    ),
    ("held", "The state of a cache whose lock another process has. Normal while do-memory runs."),
    ("holder", "The process that holds redb's lock on the cache."),
    (
        "imprint",
        "A short number for all rows that the primary lists. While it is the same, no such row has changed.",
    ),
    ("in place", "How most runs commit: changes go into the file that is there. Else a new file is built beside it."),
    ("lease", "The lock that keeps two runs of this tool apart. do-memory does not know it."),
    (
        "ledger",
        "Tables of this tool inside the cache file. They say from which row of the primary each row was made.",
    ),
    (
        "manifest",
        "The list of all rows that the cache should hold, each with a digest of its content, "
        "as the primary had them at one moment.",
    ),
    (
        "mark",
        "Where a table of the primary ended when it was last read. The next run continues from there.",
    ),
    ("orphan", "An embedding whose episode or pattern does not exist: a search that finds it finds nothing to show."),
    ("payload", "The bytes of keys and values in the cache, without the bytes that redb adds."),
    ("plan", "What would change, shown before it is done."),
    ("primary", "The durable Turso/libSQL database. The tool reads it and never writes it."),
    (
        "private copy",
        "A checked copy of the cache file. Everything except the commit works on it, so that the cache stays free.",
    ),
    (
        "projection",
        "The part of a row that both the primary and the cache can store. Two rows are equal when this part is equal.",
    ),
    (
        "proof",
        "The record, with its time, that a run read the cache back and found in it every row that it should hold.",
    ),
    ("quarantine", "The list of rejected rows and quarantined rows."),
    ("quarantined row", "A row that was taken out of the cache and can be restored."),
    ("read-back", "Reading all rows from the file again after a commit, which the proof rests on."),
    (
        "rejected row",
        "A row of the primary that cannot be represented in the cache. It is listed with its column and reason.",
    ),
    ("root", "A short number for the content of all rows. Two stores with the same root have the same rows."),
    ("run", "One execution of sync, repair, rebuild, verify and so on, with an id and an entry in the history."),
    (
        "staging",
        "The place where fetched rows wait until all of them are there. They are then written together.",
    ),
    ("stale", "The primary has changed since the cache was last proven equal to it."),
    ("target", "The age above which a proof is too old (staleness_s)."),
    ("verdict", "One line about the cache: IN_SYNC, STALE, DRIFT, UNKNOWN, DAMAGED, REFUSED or EMPTY."),
    (
        "waiting row",
        "A row of the primary that was fetched while the cache was held. It is committed when the cache is free.",
    ),
    ("window", "The newest episodes, by start time, that the cache should hold (max_episodes_cache)."),
    (
        "witness",
        "A file outside the cache that says which commit was the last, so that an older cache file is detected.",
    ),
)
"""Word and meaning, in the order of the document."""
