"""A seeded embedded primary that grows as if do-memory wrote it: for the demo, the pictures and the benchmarks.

This is the only writer of that primary; the tool itself never writes one. Schema and values are those of
do-memory 0.1.47 (docs/formats.md#tables-of-the-primary), without the vector index, which stock SQLite cannot make.
"""

from __future__ import annotations

import hashlib
import json
import random
import select
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from storage_sync.cache.children import SAFE_FOLDER, child_command

DIMENSION = 384
QUIET_S = 10.0
"""The demo's primary stays as it is for so long after the first proof."""
ARRIVAL_S = (3.0, 8.0)
"""Bounds of the time between two arrivals after that."""
_SCOPE = "emb_v1:local:sentence-transformers/all-MiniLM-L6-v2:384#r13055530951525453766"
_BATCH = 2000
AWAY = ("SQLITE_CANTOPEN", "SQLITE_READONLY_DBMOVED")
"""What SQLite says of a file that is gone, and of one that was renamed after it was opened."""

DDL = """
CREATE TABLE episodes (
    episode_id TEXT PRIMARY KEY NOT NULL, task_type TEXT NOT NULL, task_description TEXT NOT NULL,
    context TEXT NOT NULL, start_time INTEGER NOT NULL, end_time INTEGER, steps TEXT NOT NULL, outcome TEXT,
    reward TEXT, reflection TEXT, patterns TEXT NOT NULL, heuristics TEXT NOT NULL DEFAULT '[]',
    checkpoints TEXT NOT NULL DEFAULT '[]', metadata TEXT NOT NULL, domain TEXT NOT NULL, language TEXT,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')), archived_at INTEGER);
CREATE TABLE episode_revisions (episode_id TEXT PRIMARY KEY, modified_at_ms INTEGER NOT NULL);
CREATE TABLE patterns (
    pattern_id TEXT PRIMARY KEY NOT NULL, pattern_type TEXT NOT NULL, pattern_data TEXT NOT NULL,
    success_rate REAL NOT NULL, context_domain TEXT, context_language TEXT, context_tags TEXT,
    occurrence_count INTEGER NOT NULL DEFAULT 1, created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')));
CREATE TABLE heuristics (
    heuristic_id TEXT PRIMARY KEY NOT NULL, condition_text TEXT NOT NULL, action_text TEXT NOT NULL,
    confidence REAL NOT NULL, evidence TEXT NOT NULL, created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')));
CREATE TABLE embeddings (
    embedding_id TEXT PRIMARY KEY NOT NULL, item_id TEXT NOT NULL, item_type TEXT NOT NULL,
    embedding_data TEXT NOT NULL, embedding_vector F32_BLOB(384), dimension INTEGER NOT NULL, model TEXT NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')));
CREATE TABLE episode_summaries (
    episode_id TEXT PRIMARY KEY NOT NULL, summary_text TEXT NOT NULL, key_concepts TEXT NOT NULL,
    key_steps TEXT NOT NULL, summary_embedding BLOB, created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    FOREIGN KEY (episode_id) REFERENCES episodes(episode_id) ON DELETE CASCADE);
CREATE TABLE episode_tags (
    episode_id TEXT NOT NULL, tag TEXT NOT NULL, created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    PRIMARY KEY (episode_id, tag), FOREIGN KEY (episode_id) REFERENCES episodes(episode_id) ON DELETE CASCADE);
CREATE TABLE tag_metadata (
    tag TEXT PRIMARY KEY NOT NULL, usage_count INTEGER NOT NULL DEFAULT 0,
    first_used INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    last_used INTEGER NOT NULL DEFAULT (strftime('%s', 'now')));
CREATE TABLE episode_relationships (
    relationship_id TEXT PRIMARY KEY NOT NULL, from_episode_id TEXT NOT NULL, to_episode_id TEXT NOT NULL,
    relationship_type TEXT NOT NULL, reason TEXT, created_by TEXT, priority INTEGER, weight REAL,
    metadata TEXT NOT NULL DEFAULT '{}', created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    FOREIGN KEY (from_episode_id) REFERENCES episodes(episode_id) ON DELETE CASCADE,
    FOREIGN KEY (to_episode_id) REFERENCES episodes(episode_id) ON DELETE CASCADE,
    UNIQUE(from_episode_id, to_episode_id, relationship_type));
CREATE TABLE episode_pattern_relationships (
    relationship_id TEXT PRIMARY KEY NOT NULL, episode_id TEXT NOT NULL, pattern_id TEXT NOT NULL,
    relationship_type TEXT NOT NULL, weight REAL, metadata TEXT NOT NULL DEFAULT '{}',
    created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    FOREIGN KEY (episode_id) REFERENCES episodes(episode_id) ON DELETE CASCADE,
    FOREIGN KEY (pattern_id) REFERENCES patterns(pattern_id) ON DELETE CASCADE,
    UNIQUE(episode_id, pattern_id, relationship_type));
CREATE TABLE procedural_memory (
    procedural_id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, context TEXT NOT NULL,
    steps TEXT NOT NULL, effectiveness TEXT NOT NULL, source_episodes TEXT NOT NULL, source_patterns TEXT NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')));
CREATE TABLE recommendation_sessions (
    session_id TEXT PRIMARY KEY NOT NULL, episode_id TEXT NOT NULL, timestamp INTEGER NOT NULL, payload TEXT NOT NULL);
CREATE TABLE recommendation_feedback (session_id TEXT PRIMARY KEY NOT NULL, payload TEXT NOT NULL);
CREATE TABLE metadata (
    key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL,
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')));
CREATE TABLE capacity_eviction_intents (
    episode_id TEXT PRIMARY KEY NOT NULL, backend TEXT NOT NULL DEFAULT 'durable', error TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')));
CREATE INDEX idx_episodes_task_type ON episodes(task_type);
CREATE INDEX idx_episodes_start_time ON episodes(start_time DESC);
CREATE INDEX idx_episodes_domain ON episodes(domain);
CREATE INDEX idx_episodes_archived ON episodes(archived_at);
CREATE INDEX idx_episode_revisions_watermark ON episode_revisions(modified_at_ms, episode_id);
CREATE INDEX idx_patterns_context ON patterns(context_domain, context_language);
CREATE INDEX idx_heuristics_confidence ON heuristics(confidence DESC);
CREATE INDEX idx_embeddings_item ON embeddings(item_id, item_type);
CREATE INDEX idx_summaries_created_at ON episode_summaries(created_at);
CREATE INDEX idx_episode_tags_tag ON episode_tags(tag);
CREATE INDEX idx_episode_tags_episode ON episode_tags(episode_id);
CREATE INDEX idx_relationships_from ON episode_relationships(from_episode_id);
CREATE INDEX idx_relationships_to ON episode_relationships(to_episode_id);
CREATE INDEX idx_relationships_type ON episode_relationships(relationship_type);
CREATE INDEX idx_relationships_bidirectional ON episode_relationships(from_episode_id, to_episode_id);
CREATE INDEX idx_episode_pattern_rel_episode ON episode_pattern_relationships(episode_id);
CREATE INDEX idx_episode_pattern_rel_pattern ON episode_pattern_relationships(pattern_id);
CREATE INDEX idx_procedural_memory_name ON procedural_memory(name);
CREATE INDEX idx_procedural_memory_updated ON procedural_memory(updated_at DESC);
CREATE INDEX idx_recommendation_sessions_episode_ranked
    ON recommendation_sessions(episode_id, timestamp DESC, session_id DESC);
INSERT INTO metadata (key, value) VALUES ('episode_revisions_backfilled', '1');
"""

_WORK = (
    ("code_generation", "Add {thing} to {place}"),
    ("debugging", "Find out why {thing} fails in {place}"),
    ("refactoring", "Take {thing} out of {place}"),
    ("testing", "Write a regression test for {thing} in {place}"),
    ("analysis", "Measure what {thing} costs in {place}"),
    ("documentation", "Describe {thing} for users of {place}"),
    ("other", "Agree with the team on {thing} for {place}"),
)
_THINGS = (
    "the retry policy", "cursor paging", "the connection pool", "token refresh", "the rate limit", "UTF-8 names",
    "the \"last seen\" column", "a batch import", "the nightly export", "schema migration 14", "the search index",
    "time zones", "the undo stack", "graceful shutdown", "the naïve Bayes filter",
)  # fmt: skip
_PLACES = (
    "the billing service", "the login form", "the web API", "the data pipeline", "the mobile client", "the scheduler",
    "the parser", "the cache", "the report generator", "the deployment scripts",
)  # fmt: skip
_DOMAINS = ("web-api", "data-pipeline", "infra", "ml", "mobile", "docs")
_LANGUAGES = ("rust", "python", "typescript", "sql", "go", None)
_FRAMEWORKS = ("axum", "tokio", "django", "react", None, None)
_TAGS = ("api", "bug", "perf", "ops", "flaky-test", "release-1", "security", "customer", "naïve", "数据")
_TOOLS = ("read_file", "edit_file", "grep", "cargo_test", "git", "browser", "llm", "sql_console")
_ACTIONS = (
    "Look for the failing assertion", "Read the module that changed last", "Run the test alone",
    "Change the condition and run all tests", "Compare with the earlier run", "Ask for the missing access",
    "Write down what was learned", "Bisect between the two releases",
)  # fmt: skip
_OUTPUT = (
    "test result: ok. 214 passed; 0 failed; 0 ignored; finished in 3.41s",
    "warning: unused variable: `attempts` at src/client/retry.rs:88",
    "assertion `left == right` failed: left: 3, right: 4",
    "connection reset by peer after 30.0 s, 2 of 5 attempts left",
    "1 file changed, 14 insertions(+), 3 deletions(-)",
    "the query plan uses idx_orders_created; 1,204 rows in 12 ms",
    "no match in src/, one match in docs/architecture.md line 212",
)
_INSIGHTS = (
    "the failing case only shows with two workers",
    "the time-out was shorter than the server's own",
    "a test with a fixed clock would have caught it",
    "the old index was never used",
    "reading before writing saved an hour",
)


def compact(value: object) -> str:
    """JSON as serde_json writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def iso(seconds: int, nanos: int = 0) -> str:
    """RFC 3339 in UTC with 0, 3, 6 or 9 fractional digits, as chrono writes it."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    if nanos == 0:
        return f"{whole}Z"
    digits = f"{nanos:09d}"
    for short in (3, 6):
        if not digits[short:].strip("0"):
            return f"{whole}.{digits[:short]}Z"
    return f"{whole}.{digits}Z"


def debug_text(text: str) -> str:
    """A text in Rust's Debug form; the texts here hold nothing that needs more escapes than these."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(sign, sign) for sign in text) + '"'


def _debug_list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(debug_text(text) for text in texts) + "]"


def _debug_option(text: str | None) -> str:
    return "None" if text is None else f"Some({debug_text(text)})"


def _widened(value: float) -> float:
    """An f32 as SQLite keeps it: widened to f64."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def _f32_text(value: float) -> tuple[str, bytes]:
    """Shortest text that reads back as the same f32, and its bytes."""
    raw = struct.pack("<f", value)
    # digits of the f32, not of the f64 it was rounded from: nine of those can read back as its neighbour
    exact = _widened(value)
    for digits in range(6, 9):
        text = f"{exact:.{digits}g}"
        if struct.pack("<f", float(text)) == raw:
            return text, raw
    return f"{exact:.9g}", raw


class Context(Struct, frozen=True):
    """A task's context, in JSON and in Rust's Debug form."""

    language: str | None
    framework: str | None
    complexity: str
    domain: str
    tags: tuple[str, ...]

    def json(self) -> dict[str, object]:
        return {
            "language": self.language,
            "framework": self.framework,
            "complexity": self.complexity,
            "domain": self.domain,
            "tags": list(self.tags),
        }

    def debug(self) -> str:
        return (
            f"TaskContext {{ language: {_debug_option(self.language)}, framework: {_debug_option(self.framework)}, "
            f"complexity: {self.complexity}, domain: {debug_text(self.domain)}, tags: {_debug_list(self.tags)} }}"
        )


class Vectors:
    """Vectors of about unit length, each joined from two pieces of one pool, so that a hundred thousand are quick."""

    def __init__(self, rng: random.Random, pool: int = 8192) -> None:
        values = [_f32_text(rng.choice((-1, 1)) * rng.uniform(0.002, 0.0875)) for _ in range(pool)]
        self._rng = rng
        self._texts = [text for text, _ in values]
        self._bytes = b"".join(raw for _, raw in values)

    def next(self) -> tuple[str, bytes]:
        """JSON text and little-endian f32 bytes of one vector."""
        half = DIMENSION // 2
        starts = [self._rng.randrange(len(self._texts) - half) for _ in range(2)]
        text = ",".join(part for start in starts for part in self._texts[start : start + half])
        return f"[{text}]", b"".join(self._bytes[4 * start : 4 * (start + half)] for start in starts)


class Writer:
    """Rows as do-memory writes them. One random stream: the same seed gives the same rows."""

    def __init__(
        self, connection: sqlite3.Connection, seed: int, *, step_bytes: int = 3000, embeddings: bool = True
    ) -> None:
        self._db = connection
        self._rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._vectors = Vectors(random.Random(seed ^ 0x5EED))  # noqa: S311
        self._step_bytes = step_bytes
        self._embeddings = embeddings
        self.patterns: list[str] = []
        self.heuristics: list[str] = []
        self.recent: list[str] = []
        self._revision = 0

    # -------------------------------------------------------------------------------- small parts

    def uuid(self) -> str:
        digits = f"{self._rng.getrandbits(128):032x}"
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

    def _score(self) -> float:
        return round(self._rng.uniform(0.05, 0.99), 4)

    def _nanos(self) -> int:
        unit = self._rng.choice((1, 1_000, 1_000_000))
        return self._rng.randrange(1_000_000_000 // unit) * unit

    def _context(self) -> Context:
        tags = self._rng.sample(_TAGS, self._rng.randrange(3))
        return Context(
            self._rng.choice(_LANGUAGES),
            self._rng.choice(_FRAMEWORKS),
            self._rng.choice(("Simple", "Moderate", "Complex")),
            self._rng.choice(_DOMAINS),
            tuple(tags),
        )

    def _steps(self, start: int) -> tuple[list[dict[str, object]], int]:
        """Steps of about the wished size, and the second in which the last one ended."""
        rng = self._rng
        steps: list[dict[str, object]] = []
        at, size = start, 0
        while size < self._step_bytes and len(steps) < 200:
            at += rng.randrange(2, 90)
            output = " | ".join(rng.choice(_OUTPUT) for _ in range(rng.randrange(1, 5)))
            outcome: object = rng.choices(
                ({"Success": {"output": output}}, {"Error": {"message": output}}, "Timeout", None), (14, 3, 1, 2)
            )[0]
            steps.append(
                {
                    "step_number": len(steps) + 1,
                    "timestamp": iso(at, self._nanos()),
                    "tool": rng.choice(_TOOLS),
                    "action": rng.choice(_ACTIONS),
                    "parameters_json": compact(
                        {"path": f"src/module_{rng.randrange(90)}.rs", "line": rng.randrange(900)}
                    ),
                    "result": outcome,
                    "latency_ms": rng.randrange(20, 90_000),
                    "tokens_used": rng.choice((None, rng.randrange(60, 9000))),
                    "metadata": {"model": f"m{rng.randrange(4)}"} if rng.random() < 0.5 else {},
                }
            )
            size += 300 + len(output)
        return steps, at

    def _outcome(self) -> dict[str, object]:
        rng = self._rng
        action = rng.choice(_ACTIONS)
        match rng.randrange(10):
            case 0:
                return {
                    "Failure": {
                        "reason": "The cause is still unknown",
                        "error_details": rng.choice((None, "exit status 101")),
                    }
                }
            case 1:
                return {
                    "PartialSuccess": {
                        "verdict": "Half of it works",
                        "completed": [action],
                        "failed": ["The last test"],
                    }
                }
            case 2:
                stop = {"reason": "No access", "stopped_at_step": 2, "infeasibility_signals": ["403 from the registry"]}
                return {"Abstained": stop}
            case _:
                return {"Success": {"verdict": "It works and stays covered by a test", "artifacts": ["src/lib.rs"]}}

    def _reward(self) -> dict[str, float]:
        total = self._score()
        return {
            "total": total,
            "base": self._score(),
            "efficiency": self._score(),
            "complexity_bonus": 1.1,
            "quality_multiplier": 0.9,
            "learning_bonus": self._score(),
            "abstention_score": 0.0,
            "raw_reward": total,
            "normalized_reward": self._score(),
            "decayed_reward": 0.0,
            "effective_reward": total,
        }

    def _effectiveness(self, at: int) -> tuple[dict[str, object], str]:
        rng = self._rng
        values: dict[str, object] = {
            "times_retrieved": rng.randrange(300),
            "times_applied": rng.randrange(60),
            "success_when_applied": rng.randrange(40),
            "failure_when_applied": rng.randrange(9),
            "avg_reward_delta": round(rng.uniform(-0.4, 0.6), 4),
            "last_used": iso(at, self._nanos()),
            "created_at": iso(at - rng.randrange(86_400, 8_640_000), self._nanos()),
        }
        inner = ", ".join(f"{name}: {value}" for name, value in values.items())
        return values, f"PatternEffectiveness {{ {inner} }}"

    # ---------------------------------------------------------------------------------- whole rows

    def embedding(self, item_id: str, item_type: str, at: int) -> None:
        text, vector = self._vectors.next()
        # The primary's key is opaque to every reader; do-memory's own is a SipHash of the same text.
        key = hashlib.blake2b(f"{item_id}:{item_type}".encode(), digest_size=8).hexdigest()
        self._db.execute(
            "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?, ?, ?, 'default', ?)",
            (key, item_id, item_type, text, vector, DIMENSION, at),
        )

    def pattern(self, at: int) -> None:
        rng, identity, context = self._rng, self.uuid(), self._context()
        rate = self._score()
        _, effectiveness = self._effectiveness(at)
        head, tail = f"id: {identity}", f"effectiveness: {effectiveness}"
        occurrences = rng.randrange(1, 60)
        match rng.randrange(4):
            case 0:
                tools = rng.sample(_TOOLS, 3)
                told, condition, action = (
                    f"Tool sequence: {' -> '.join(tools)}",
                    f"When need tools: {', '.join(tools)}",
                    (f"Use sequence: {' -> '.join(tools)}"),
                )
                latency = f"TimeDelta {{ secs: {rng.randrange(60)}, nanos: {rng.randrange(1000) * 1_000_000} }}"
                debug = (
                    f"ToolSequence {{ {head}, tools: {_debug_list(tools)}, context: {context.debug()}, "
                    f"success_rate: {rate}, avg_latency: {latency}, "
                    f"occurrence_count: {occurrences}, {tail} }}"
                )
            case 1:
                won, lost = rng.randrange(1, 30), rng.randrange(9)
                occurrences, rate = won + lost, round(won / (won + lost), 4)
                condition, action = f'when "{rng.choice(_THINGS)}" fails twice', rng.choice(_ACTIONS)
                told = f"Decision: {condition} -> {action}"
                debug = (
                    f"DecisionPoint {{ {head}, condition: {debug_text(condition)}, action: {debug_text(action)}, "
                    f"outcome_stats: OutcomeStats {{ success_count: {won}, failure_count: {lost}, "
                    f"total_count: {occurrences}, avg_duration_secs: {round(rng.uniform(1, 90), 3)} }}, "
                    f"context: {context.debug()}, {tail} }}"
                )
            case 2:
                steps = rng.sample(_ACTIONS, 2)
                error, occurrences = rng.choice(_OUTPUT[2:4]), 2
                told, condition, action = (
                    f"Error recovery for: {error}",
                    f"Error: {error}",
                    f"Recovery: {' -> '.join(steps)}",
                )
                debug = (
                    f"ErrorRecovery {{ {head}, error_type: {debug_text(error)}, recovery_steps: {_debug_list(steps)}, "
                    f"success_rate: {rate}, context: {context.debug()}, {tail} }}"
                )
            case _:
                features, action = rng.sample(_TAGS, 2), rng.choice(_ACTIONS)
                occurrences, context = 2, Context(None, None, "Moderate", "general", ())
                told, condition = f"Context pattern: {action}", f"Features: {', '.join(features)}"
                evidence = ", ".join(rng.sample(self.recent, min(2, len(self.recent))))
                debug = (
                    f"ContextPattern {{ {head}, context_features: {_debug_list(features)}, "
                    f"recommended_approach: {debug_text(action)}, evidence: [{evidence}], "
                    f"success_rate: {rate}, {tail} }}"
                )
        born = iso(at, self._nanos())
        heuristic = {
            "heuristic_id": self.uuid(),
            "condition": condition,
            "action": action,
            "confidence": rate,
            "evidence": {"episode_ids": [], "success_rate": 0.0, "sample_size": 0},
            "created_at": born,
            "updated_at": born,
        }
        data = compact({"description": told, "context": context.json(), "heuristic": heuristic})
        tags = compact(list(context.tags))
        row = (identity, debug, data, _widened(rate), context.domain, context.language, tags, occurrences, at, at)
        self._db.execute("INSERT OR REPLACE INTO patterns VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        self.patterns.append(identity)
        if self._embeddings:
            self.embedding(f"{_SCOPE}:pattern:{identity}", "embedding", at)

    def heuristic(self, at: int) -> None:
        identity = self.uuid()
        evidence = {
            "episode_ids": self._rng.sample(self.recent, min(3, len(self.recent))),
            "success_rate": self._score(),
            "sample_size": self._rng.randrange(1, 80),
        }
        condition, action = f"{self._rng.choice(_THINGS)} is slow", self._rng.choice(_ACTIONS)
        row = (identity, condition, action, _widened(self._score()), compact(evidence), at - 3600, at)
        self._db.execute("INSERT OR REPLACE INTO heuristics VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self.heuristics.append(identity)

    def procedure(self, at: int) -> None:
        effectiveness, _ = self._effectiveness(at)
        steps = [
            {"order": number, "action": action, "tool_hint": self._rng.choice((None, *_TOOLS)), "expected_result": None}
            for number, action in enumerate(self._rng.sample(_ACTIONS, 3), start=1)
        ]
        place = self._rng.choice(_PLACES)
        row = (
            self.uuid(), f"Repair {place}", f"What to do when {place} is down", compact(self._context().json()),
            compact(steps), compact(effectiveness), compact(self.recent[-1:]), compact(self.patterns[-1:]),
            at - 7200, at,
        )  # fmt: skip
        self._db.execute("INSERT OR REPLACE INTO procedural_memory VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def episode(self, at: int, now_ms: int) -> str:
        """One finished episode with all that do-memory keeps about it; `at` is its start in epoch seconds."""
        rng, identity, context = self._rng, self.uuid(), self._context()
        kind, sentence = rng.choice(_WORK)
        title = sentence.format(thing=rng.choice(_THINGS), place=rng.choice(_PLACES))
        steps, end = self._steps(at)
        reflection = None
        if rng.random() < 0.6:
            reflection = {
                "successes": [rng.choice(_ACTIONS)],
                "improvements": [rng.choice(_INSIGHTS)],
                "insights": rng.sample(_INSIGHTS, 2),
                "generated_at": iso(end + 1, self._nanos()),
            }
        known = rng.sample(self.patterns, min(rng.randrange(3), len(self.patterns)))
        rules = rng.sample(self.heuristics, min(rng.randrange(2), len(self.heuristics)))
        metadata = {"ticket": f"T-{rng.randrange(9999)}", "source": "mcp"} if rng.random() < 0.5 else {}
        row = (
            identity, kind, title, compact(context.json()), at, end, compact(steps), compact(self._outcome()),
            compact(self._reward()), compact(reflection), compact(known), compact(rules), "[]", compact(metadata),
            context.domain, context.language, now_ms // 1000,
        )  # fmt: skip
        places = ", ".join("?" * len(row))
        self._db.execute(f"INSERT OR REPLACE INTO episodes VALUES ({places}, NULL)", row)  # noqa: S608
        self._revision = max(now_ms, self._revision + 1)
        self._db.execute("INSERT OR REPLACE INTO episode_revisions VALUES (?, ?)", (identity, self._revision))
        self._tags(identity, now_ms // 1000)
        if self._embeddings:
            item = (identity, "episode") if rng.random() < 0.5 else (f"{_SCOPE}:episode:{identity}", "embedding")
            self.embedding(*item, now_ms // 1000)
        self._beside(identity, title, context, end)
        self.recent = [*self.recent[-63:], identity]
        return identity

    def _tags(self, identity: str, at: int) -> None:
        tags = self._rng.sample(_TAGS, self._rng.randrange(4))
        self._db.executemany("INSERT INTO episode_tags VALUES (?, ?, ?)", [(identity, tag, at) for tag in tags])
        self._db.executemany(
            "INSERT INTO tag_metadata VALUES (?1, 1, ?2, ?2) "
            "ON CONFLICT(tag) DO UPDATE SET usage_count = usage_count + 1, last_used = ?2",
            [(tag, at) for tag in tags],
        )

    def _beside(self, identity: str, title: str, context: Context, at: int) -> None:
        """What stands beside some episodes: a summary, links, a recommendation and what came of it."""
        rng, db = self._rng, self._db
        if rng.random() < 0.25:
            steps = compact(rng.sample(_ACTIONS, 2))
            vector = struct.pack("<8f", *(rng.uniform(-0.1, 0.1) for _ in range(8))) if rng.random() < 0.5 else None
            row = (identity, title, compact(list(context.tags)), steps, vector, at)
            db.execute("INSERT OR REPLACE INTO episode_summaries VALUES (?, ?, ?, ?, ?, ?)", row)
        if self.recent and rng.random() < 0.25:
            kind = rng.choice(("parent_child", "depends_on", "follows", "related_to", "references"))
            weight = _widened(self._score()) if rng.random() < 0.7 else None
            reason = rng.choice((None, "found in the log"))
            link = (
                self.uuid(),
                identity,
                rng.choice(self.recent),
                kind,
                reason,
                "operator",
                rng.choice((None, 5)),
                weight,
                at,
            )
            db.execute(
                'INSERT INTO episode_relationships VALUES (?, ?, ?, ?, ?, ?, ?, ?, \'{"note":"ça va"}\', ?)', link
            )
        if self.patterns and rng.random() < 0.1:
            link2 = (self.uuid(), identity, rng.choice(self.patterns), "related_to", _widened(self._score()), at)
            db.execute("INSERT INTO episode_pattern_relationships VALUES (?, ?, ?, ?, ?, '{}', ?)", link2)
        if self.patterns and rng.random() < 0.2:
            self._recommendation(identity, at)

    def _recommendation(self, identity: str, at: int) -> None:
        session, nanos = self.uuid(), self._nanos()
        pattern = self._rng.choice(self.patterns)
        offer = {
            "session_id": session,
            "episode_id": identity,
            "timestamp": iso(at, nanos),
            "recommended_pattern_ids": [pattern],
            "recommended_playbook_ids": [self.uuid()],
        }
        row = (session, identity, at * 1000 + nanos // 1_000_000, compact(offer))
        self._db.execute("INSERT INTO recommendation_sessions VALUES (?, ?, ?, ?)", row)
        if self._rng.random() < 0.7:
            came = {
                "session_id": session,
                "applied_pattern_ids": [pattern],
                "consulted_episode_ids": [identity],
                "outcome": self._outcome(),
                "agent_rating": self._rng.choice((None, self._score())),
            }
            self._db.execute("INSERT INTO recommendation_feedback VALUES (?, ?)", (session, compact(came)))


# --------------------------------------------------------------------------------------- a whole one


def generate(
    path: Path,
    seed: int,
    episodes: int,
    *,
    embeddings: bool = True,
    patterns: int | None = None,
    step_bytes: int = 3000,
    now: int = 1_795_392_000,
) -> None:
    """Write a primary with so many episodes, the newest shortly before `now` (epoch seconds); the file must not exist.

    `patterns`: how many patterns and heuristics each (default: one per 40 episodes, at least 8). About 9 KB an
    episode with its embedding.
    """
    if path.exists():
        raise FileExistsError(path)
    many = max(8, episodes // 40) if patterns is None else patterns
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        # The file is new and made again after a crash: nothing here needs to be durable step by step.
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("BEGIN")
        for statement in DDL.split(";\n"):
            db.execute(statement)
        writer = Writer(db, seed, step_bytes=step_bytes, embeddings=embeddings)
        first = now - 60 * episodes - 600
        for _ in range(many):
            writer.pattern(first)
            writer.heuristic(first)
        for _ in range(max(3, many // 4) if many else 0):
            writer.procedure(first)
        for number in range(episodes):
            start = first + 60 * number
            writer.episode(start, start * 1000 + 500)
            if number % _BATCH == _BATCH - 1:
                db.execute("COMMIT")
                db.execute("BEGIN")
        if embeddings:
            writer.embedding("query:authentication", "embedding", now)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = DELETE")


def opened(path: Path) -> sqlite3.Connection:
    """A connection that writes a database which is there, and never makes one: an empty file at a primary's place
    would keep the primary from coming back. sqlite3.OperationalError, SQLITE_CANTOPEN while it is away."""
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, isolation_level=None, timeout=30)


class Demo(Struct, frozen=True):
    """A demo's folder: its primary, its configuration and the place of its cache."""

    directory: Path
    seed: int

    @property
    def primary(self) -> Path:
        return self.directory / "primary.db"

    @property
    def cache(self) -> Path:
        return self.directory / "cache.redb"

    @property
    def state_dir(self) -> Path:
        return self.directory / "state"

    @property
    def config_file(self) -> Path:
        return self.directory / "config.toml"

    @classmethod
    def create(cls, directory: Path, seed: int = 1, episodes: int = 240, *, now: int | None = None) -> Demo:
        """Make primary and configuration in a folder that exists; the cache is made by the first sync.

        The configured times are short, so that staleness, a sync and its proof are seen within a minute.
        """
        from storage_sync.config import edit

        demo = cls(directory, seed)
        generate(demo.primary, seed, episodes, now=int(time.time()) if now is None else now)
        with closing(opened(demo.primary)) as db:
            db.execute("PRAGMA journal_mode = WAL")
        values: dict[str, object] = {
            "primary": f"file:{demo.primary}",
            "cache": demo.cache,
            "state_dir": demo.state_dir,
            "interval_s": 30,
            "staleness_s": 45,
            "poll_s": 1,
            "max_episodes_cache": 10_000,
        }
        edit.init(demo.config_file, values)
        return demo

    def grow(self, count: int, now: float) -> list[str]:
        """Add episodes as do-memory would, in one transaction, the last one begun at `now`; gives their ids.

        sqlite3.OperationalError, as `opened` says.
        """
        with closing(opened(self.primary)) as db:
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("BEGIN IMMEDIATE")
            have, newest = db.execute("SELECT count(episode_id), coalesce(max(start_time), 0) FROM episodes").fetchone()
            writer = Writer(db, self.seed * 1_000_003 + have)
            writer.patterns = [row[0] for row in db.execute("SELECT pattern_id FROM patterns ORDER BY 1 LIMIT 64")]
            writer.heuristics = [
                row[0] for row in db.execute("SELECT heuristic_id FROM heuristics ORDER BY 1 LIMIT 64")
            ]
            newest_ids = db.execute("SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id LIMIT 64")
            writer.recent = [row[0] for row in newest_ids]
            start = max(int(now) - count + 1, newest + 1)
            ids = [writer.episode(start + number, int(now * 1000) + number) for number in range(count)]
            db.execute("COMMIT")
            return ids

    @contextmanager
    def growing(self) -> Iterator[subprocess.Popen[bytes]]:
        """Let episodes arrive from a process of their own, which ends with this block or with us."""
        command = child_command("storage_sync.demo.demo", str(self.directory.absolute()), str(self.seed))
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=SAFE_FOLDER
        )
        try:
            yield process
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def arrive(demo: Demo, ended: Callable[[float], bool], clock: Callable[[], float] = time.time) -> None:
    """Write until `ended(seconds)`, which waits that long at most, says so: nothing until ten seconds after the first
    proof, then one or two episodes at a time, and nothing while the primary is away."""
    rng = random.Random(demo.seed)  # noqa: S311
    while not (demo.state_dir / "acked.json").exists():
        if ended(0.2):
            return
    if ended(QUIET_S + 2.0):
        return
    while True:
        try:
            demo.grow(rng.choice((1, 1, 2)), clock())
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname not in AWAY:
                raise
        if ended(rng.uniform(*ARRIVAL_S)):
            return


def _input_ended(seconds: float) -> bool:
    """Wait for the end of standard input, which is the end of the process that started us."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])


if __name__ == "__main__":
    arrive(Demo(Path(sys.argv[1]), int(sys.argv[2])), _input_ended)
