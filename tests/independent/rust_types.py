"""do-memory's cached types, each able to read postcard bytes and serde_json values and to print Rust's Debug text.

A value of either origin has one Python form, so that equality of a cached row and a primary row is `==`:
f32 as the integer of its bits, a time as (epoch seconds, nanoseconds), a UUID as lower-case text, a struct as a
dict in field order, an enum as (variant, payload), an option as None or the value, a map as a dict.
Layouts: docs/formats.md#values.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import struct
import unicodedata
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_BLANK = r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
RFC3339 = re.compile(
    r"_(?P<year>[+-]\d+|\d{1,4})_-_(?P<month>\d{1,2})_-_(?P<day>\d{1,2})[Tt ]"
    r"_(?P<hour>\d{1,2})_:_(?P<minute>\d{1,2})_:_(?P<second>\d{1,2})(?:\.(?P<fraction>\d{1,9})\d*)?"
    r"_(?:UTC|Z|(?P<sign>[+\u2212-])(?P<hours>\d\d)(?::|_)*(?P<minutes>[0-5]\d))_".replace("_", f"{_BLANK}*"),
    re.ASCII | re.IGNORECASE,
)
"""What chrono takes for a time: blanks around each number, one digit where two are usual."""
YEARS = range(-262_143, 262_143)


class Unreadable(ValueError):
    """Bytes, JSON or a column that the type cannot hold."""


class Reader:
    """A position in postcard bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        if count < 0 or self._at + count > len(self._data):
            raise Unreadable("the bytes end early")
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise Unreadable("a number is too long")

    def finish(self) -> None:
        if self._at != len(self._data):
            raise Unreadable(f"{len(self._data) - self._at} bytes too many")


class Kind(Struct, frozen=True):
    """How values of one type are read and printed."""

    decode: Callable[[Reader], Any]
    from_json: Callable[[Any], Any]
    debug: Callable[[Any], str]

    def whole(self, data: bytes) -> Any:
        reader = Reader(data)
        value = self.decode(reader)
        reader.finish()
        return value


def _zigzag(reader: Reader) -> int:
    raw = reader.varint()
    return (raw >> 1) ^ -(raw & 1)


def _unsigned(limit: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < limit:
            raise Unreadable(f"{value!r} is no whole number below {limit}")
        return value

    return check


def _text(reader: Reader) -> str:
    try:
        return reader.take(reader.varint()).decode()
    except UnicodeDecodeError as error:
        raise Unreadable(str(error)) from error


def _json_text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unreadable(f"{value!r} is no text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Unreadable(str(error)) from error
    return value


def debug_text(value: str) -> str:
    """Rust's Debug form of a string."""
    named = {"\0": "\\0", "\t": "\\t", "\r": "\\r", "\n": "\\n", '"': '\\"', "\\": "\\\\"}

    def one(char: str) -> str:
        if char in named:
            return named[char]
        extends = unicodedata.category(char) in ("Mn", "Me") or char in "\u200c\uff9e\uff9f"
        if char != " " and (extends or not char.isprintable()):
            return f"\\u{{{ord(char):x}}}"
        return char

    return '"' + "".join(map(one, value)) + '"'


def bits_of(value: float) -> int:
    """The bits of the nearest f32."""
    try:
        return int.from_bytes(struct.pack("<f", value), "little")
    except OverflowError:
        return int.from_bytes(struct.pack("<f", math.copysign(math.inf, value)), "little")


def float_of(bits: int) -> float:
    (value,) = struct.unpack("<f", bits.to_bytes(4, "little"))
    return float(value)


def _json_f32(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable(f"{value!r} is no number")
    return bits_of(float(value))


def debug_f32(bits: int) -> str:
    """Rust's Debug form of an f32: shortest digits that round-trip, exponent outside 1e-4 … 1e16."""
    value = float_of(bits)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    digits = next(text for p in range(9) if bits_of(float(text := f"{value:.{p}e}")) == bits)
    mantissa, exponent = digits.split("e")
    sign = "-" if mantissa.startswith("-") else ""
    figures = mantissa.lstrip("-").replace(".", "").rstrip("0") or "0"
    power = int(exponent)
    if value != 0 and not float_of(bits_of(1e-4)) <= abs(value) < 1e16:
        return f"{sign}{figures[0]}{'.' + figures[1:] if figures[1:] else ''}e{power}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{figures}"
    whole, rest = figures[: power + 1].ljust(power + 1, "0"), figures[power + 1 :]
    return f"{sign}{whole}.{rest or '0'}"


def parse_time(text: str) -> tuple[int, int]:
    """(epoch seconds, nanoseconds) of an RFC 3339 text."""
    match = RFC3339.fullmatch(text)
    if match is None:
        raise Unreadable(f"{text!r} is no time")
    year, month, day, hour, minute, second, hours, minutes = (
        int(match[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second", "hours", "minutes")
    )
    if year not in YEARS or hours > 23:
        raise Unreadable(f"{text!r} is outside the calendar")
    # the calendar repeats itself after 400 years; Python's ends with the year 9999
    cycles, rest = divmod(year - 2000, 400)
    leap = second == 60
    try:
        moment = dt.datetime(2000 + rest, month, day, hour, minute, second - leap, tzinfo=dt.UTC)
    except ValueError as error:
        raise Unreadable(str(error)) from error
    east = (hours * 3600 + minutes * 60) * (1 if match["sign"] == "+" else -1)
    seconds = int((moment - EPOCH).total_seconds()) - east + cycles * 146_097 * 86_400
    return seconds, int((match["fraction"] or "0").ljust(9, "0")) + leap * 1_000_000_000


def debug_time(value: tuple[int, int]) -> str:
    seconds, (leap, nanos) = value[0], divmod(value[1], 1_000_000_000)
    moment = EPOCH + dt.timedelta(seconds=seconds)
    fraction = f"{nanos:09d}"
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{moment:%Y-%m-%dT%H:%M:}{moment.second + leap:02d}" + (f".{fraction}" if nanos else "") + "Z"


def _uuid_bytes(reader: Reader) -> str:
    if reader.varint() != 16:
        raise Unreadable("a UUID has 16 bytes")
    return str(uuid.UUID(bytes=reader.take(16)))


UUID_TEXT = re.compile(
    r"[0-9a-f]{32}|(?:urn:uuid:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}",
    re.IGNORECASE | re.ASCII,
)


def _json_uuid(value: Any) -> str:
    if not UUID_TEXT.fullmatch(_json_text(value)):
        raise Unreadable(f"{value!r} is no UUID")
    try:
        return str(uuid.UUID(_json_text(value)))
    except ValueError as error:
        raise Unreadable(str(error)) from error


def _byte_as_bool(reader: Reader) -> bool:
    byte = reader.take(1)[0]
    if byte > 1:
        raise Unreadable("a truth value is 0 or 1")
    return bool(byte)


def _json_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unreadable(f"{value!r} is no truth value")
    return value


def _json_duration(value: Any) -> tuple[int, int]:
    if not (isinstance(value, list) and len(value) == 2 and all(type(part) is int for part in value)):
        raise Unreadable(f"{value!r} is no duration")
    return value[0], value[1]


U64 = Kind(Reader.varint, _unsigned(1 << 64), str)
BYTE = Kind(lambda reader: reader.take(1)[0], _unsigned(256), str)
F32 = Kind(lambda reader: int.from_bytes(reader.take(4), "little"), _json_f32, debug_f32)
TEXT = Kind(_text, _json_text, debug_text)
BOOL = Kind(_byte_as_bool, _json_bool, lambda value: "true" if value else "false")
UUID = Kind(_uuid_bytes, _json_uuid, str)
TIME = Kind(lambda reader: parse_time(_text(reader)), lambda value: parse_time(_json_text(value)), debug_time)
DURATION = Kind(
    lambda reader: (_zigzag(reader), _zigzag(reader)),
    _json_duration,
    lambda value: f"TimeDelta {{ secs: {value[0]}, nanos: {value[1]} }}",
)


def option(inner: Kind) -> Kind:
    def decode(reader: Reader) -> Any:
        return inner.decode(reader) if _byte_as_bool(reader) else None

    return Kind(
        decode,
        lambda value: None if value is None else inner.from_json(value),
        lambda value: "None" if value is None else f"Some({inner.debug(value)})",
    )


def many(inner: Kind) -> Kind:
    def from_json(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Unreadable(f"{value!r} is no list")
        return [inner.from_json(item) for item in value]

    return Kind(
        lambda reader: [inner.decode(reader) for _ in range(reader.varint())],
        from_json,
        lambda value: "[" + ", ".join(map(inner.debug, value)) + "]",
    )


_SINGLES = many(F32)


def _vector(reader: Reader) -> list[int]:
    count = reader.varint()
    return list(struct.unpack(f"<{count}I", reader.take(4 * count)))


def _json_vector(value: Any) -> list[int]:
    if isinstance(value, list) and set(map(type, value)) <= {int, float}:
        try:
            return list(struct.unpack(f"<{len(value)}I", struct.pack(f"<{len(value)}f", *value)))
        except (OverflowError, struct.error):
            pass  # a number beyond f32: one by one
    result: list[int] = _SINGLES.from_json(value)
    return result


VECTOR = Kind(_vector, _json_vector, _SINGLES.debug)
"""`many(F32)`, taken in one go: it is most of what a cache holds."""


def _json_map(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Unreadable(f"{value!r} is no map")
    return {_json_text(key): _json_text(item) for key, item in value.items()}


def _debug_map(value: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{debug_text(k)}: {debug_text(v)}" for k, v in value.items()) + "}"


MAP = Kind(lambda reader: {_text(reader): _text(reader) for _ in range(reader.varint())}, _json_map, _debug_map)


class Field(Struct, frozen=True):
    """One field of a struct; `default` gives the value when JSON has none."""

    name: str
    kind: Kind
    default: Callable[[], Any] | None = None
    alias: str | None = None


class Object(dict[str, Any]):
    """A JSON object; `twice`: keys that stand in it more than once, which a map takes and a struct does not."""

    twice: frozenset[str] = frozenset()


def _object(pairs: list[tuple[str, Any]]) -> Object:
    found = Object(pairs)
    if len(found) != len(pairs):
        found.twice = frozenset(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return found


def _constant(word: str) -> Any:
    raise Unreadable(f"{word} is no JSON")


_JSON = json.JSONDecoder(parse_constant=_constant, object_pairs_hook=_object)


def read_json(text: str) -> Any:
    """A JSON text as Rust's reader takes it. Unreadable, ValueError, RecursionError."""
    return _JSON.decode(text)


def struct_of(name: str, *fields: Field | tuple[str, Kind]) -> Kind:
    listed = [field if isinstance(field, Field) else Field(*field) for field in fields]

    def pick(field: Field, value: Mapping[str, Any]) -> Any:
        for key in (field.name, field.alias):
            if key is not None and key in value:
                return field.kind.from_json(value[key])
        if field.default is not None:
            return field.default()
        try:
            return field.kind.from_json(None)
        except (Unreadable, TypeError) as error:
            raise Unreadable(f"missing field {field.name}") from error

    def from_json(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Unreadable(f"{value!r} is no {name}")
        if isinstance(value, Object) and (twice := value.twice & {field.name for field in listed}):
            raise Unreadable(f"{sorted(twice)} twice in {name}")
        return {field.name: pick(field, value) for field in listed}

    def debug(value: Mapping[str, Any]) -> str:
        parts = ", ".join(f"{field.name}: {field.kind.debug(value[field.name])}" for field in listed)
        return f"{name} {{ {parts} }}"

    return Kind(lambda reader: {field.name: field.kind.decode(reader) for field in listed}, from_json, debug)


def enum_of(*variants: tuple[str, str, Kind | None]) -> Kind:
    """Variants as (name in JSON, name in Debug, payload or None)."""

    def decode(reader: Reader) -> tuple[str, Any]:
        index = reader.varint()
        if index >= len(variants):
            raise Unreadable(f"variant {index}")
        label, _, payload = variants[index]
        return label, payload.decode(reader) if payload else None

    def from_json(value: Any) -> tuple[str, Any]:
        label, content = value, None
        if isinstance(value, dict) and len(value) == 1:
            ((label, content),) = value.items()
        for name, _, payload in variants:
            if name == label and (payload is None) == (label is value):
                return name, payload.from_json(content) if payload else None
        raise Unreadable(f"{label!r} is no variant")

    def debug(value: tuple[str, Any]) -> str:
        label, content = value
        _, shown, payload = next(variant for variant in variants if variant[0] == label)
        return payload.debug(content) if payload else shown

    return Kind(decode, from_json, debug)


def words(*names: str) -> Kind:
    """An enum without payloads, the same name in JSON and in Debug."""
    return enum_of(*((name, name, None) for name in names))


def cases(*variants: tuple[str, Sequence[tuple[str, Kind]]]) -> Kind:
    """An enum of structs whose JSON names are those of Debug."""
    return enum_of(*((name, name, struct_of(name, *fields) if fields else None) for name, fields in variants))


TASK_TYPES = ("CodeGeneration", "Debugging", "Refactoring", "Testing", "Analysis", "Documentation", "Other")
TASK_TYPE = words(*TASK_TYPES)
COMPLEXITY = words("Simple", "Moderate", "Complex")
CONTEXT = struct_of(
    "TaskContext",
    ("language", option(TEXT)),
    ("framework", option(TEXT)),
    ("complexity", COMPLEXITY),
    ("domain", TEXT),
    ("tags", many(TEXT)),
)
RESULT = cases(("Success", [("output", TEXT)]), ("Error", [("message", TEXT)]), ("Timeout", []))
STEP = struct_of(
    "ExecutionStep",
    ("step_number", U64),
    ("timestamp", TIME),
    ("tool", TEXT),
    ("action", TEXT),
    ("parameters_json", TEXT),
    ("result", option(RESULT)),
    ("latency_ms", U64),
    ("tokens_used", option(U64)),
    ("metadata", MAP),
)
OUTCOME = cases(
    ("Success", [("verdict", TEXT), ("artifacts", many(TEXT))]),
    ("PartialSuccess", [("verdict", TEXT), ("completed", many(TEXT)), ("failed", many(TEXT))]),
    ("Failure", [("reason", TEXT), ("error_details", option(TEXT))]),
    ("Abstained", [("reason", TEXT), ("stopped_at_step", U64), ("infeasibility_signals", many(TEXT))]),
)
REWARD = struct_of(
    "RewardScore",
    ("total", F32),
    ("base", F32),
    ("efficiency", F32),
    ("complexity_bonus", F32),
    ("quality_multiplier", F32),
    ("learning_bonus", F32),
    ("abstention_score", F32),
    Field("raw_reward", F32, lambda: 0),
    Field("normalized_reward", F32, lambda: 0),
    Field("decayed_reward", F32, lambda: 0),
    Field("effective_reward", F32, lambda: 0),
)
REFLECTION = struct_of(
    "Reflection",
    ("successes", many(TEXT)),
    ("improvements", many(TEXT)),
    ("insights", many(TEXT)),
    ("generated_at", TIME),
)
APPLICATION = struct_of(
    "PatternApplication",
    ("pattern_id", UUID),
    ("applied_at_step", U64),
    ("outcome", words("Helped", "NoEffect", "Hindered", "Pending")),
    ("notes", option(TEXT)),
)
SALIENT = struct_of(
    "SalientFeatures",
    ("critical_decisions", many(TEXT)),
    ("tool_combinations", many(many(TEXT))),
    ("error_recovery_patterns", many(TEXT)),
    ("key_insights", many(TEXT)),
)
CHECKPOINT = struct_of(
    "CheckpointMeta",
    ("checkpoint_id", UUID),
    Field("episode_id", UUID, lambda: "00000000-0000-0000-0000-000000000000"),
    ("step_number", U64),
    Field("timestamp", TIME, alias="created_at"),
    Field("label", TEXT, alias="reason"),
    ("salient_features_snapshot", option(SALIENT)),
    Field("is_abstention_checkpoint", BOOL, lambda: False),
    ("note", option(TEXT)),
)
EPISODE = struct_of(
    "Episode",
    ("episode_id", UUID),
    ("task_type", TASK_TYPE),
    ("task_description", TEXT),
    ("context", CONTEXT),
    ("start_time", TIME),
    ("end_time", option(TIME)),
    ("steps", many(STEP)),
    ("outcome", option(OUTCOME)),
    ("reward", option(REWARD)),
    ("reflection", option(REFLECTION)),
    ("patterns", many(UUID)),
    ("heuristics", many(UUID)),
    Field("applied_patterns", many(APPLICATION), list),
    Field("salient_features", option(SALIENT), lambda: None),
    ("metadata", MAP),
    Field("tags", many(TEXT), list),
    Field("checkpoints", many(CHECKPOINT), list),
)
EFFECTIVENESS = struct_of(
    "PatternEffectiveness",
    ("times_retrieved", U64),
    ("times_applied", U64),
    ("success_when_applied", U64),
    ("failure_when_applied", U64),
    ("avg_reward_delta", F32),
    ("last_used", TIME),
    ("created_at", TIME),
)
STATS = struct_of(
    "OutcomeStats",
    ("success_count", U64),
    ("failure_count", U64),
    ("total_count", U64),
    ("avg_duration_secs", F32),
)
PATTERN = enum_of(
    (
        "tool_sequence",
        "ToolSequence",
        struct_of(
            "ToolSequence",
            ("id", UUID),
            ("tools", many(TEXT)),
            ("context", CONTEXT),
            ("success_rate", F32),
            ("avg_latency", DURATION),
            ("occurrence_count", U64),
            ("effectiveness", EFFECTIVENESS),
        ),
    ),
    (
        "decision_point",
        "DecisionPoint",
        struct_of(
            "DecisionPoint",
            ("id", UUID),
            ("condition", TEXT),
            ("action", TEXT),
            ("outcome_stats", STATS),
            ("context", CONTEXT),
            ("effectiveness", EFFECTIVENESS),
        ),
    ),
    (
        "error_recovery",
        "ErrorRecovery",
        struct_of(
            "ErrorRecovery",
            ("id", UUID),
            ("error_type", TEXT),
            ("recovery_steps", many(TEXT)),
            ("success_rate", F32),
            ("context", CONTEXT),
            ("effectiveness", EFFECTIVENESS),
        ),
    ),
    (
        "context_pattern",
        "ContextPattern",
        struct_of(
            "ContextPattern",
            ("id", UUID),
            ("context_features", many(TEXT)),
            ("recommended_approach", TEXT),
            ("evidence", many(UUID)),
            ("success_rate", F32),
            ("effectiveness", EFFECTIVENESS),
        ),
    ),
)
EVIDENCE = struct_of("Evidence", ("episode_ids", many(UUID)), ("success_rate", F32), ("sample_size", U64))
HEURISTIC = struct_of(
    "Heuristic",
    ("heuristic_id", UUID),
    ("condition", TEXT),
    ("action", TEXT),
    ("confidence", F32),
    ("evidence", EVIDENCE),
    ("created_at", TIME),
    ("updated_at", TIME),
)
SUMMARY = struct_of(
    "EpisodeSummary",
    ("episode_id", UUID),
    ("summary_text", TEXT),
    ("key_concepts", many(TEXT)),
    ("key_steps", many(TEXT)),
    ("summary_embedding", option(VECTOR)),
    ("created_at", TIME),
)
RELATION_NAMES = ("parent_child", "depends_on", "follows", "related_to", "blocks", "duplicates", "references")
RELATION_TYPE = words(*RELATION_NAMES)
RELATION_METADATA = struct_of(
    "RelationshipMetadata",
    ("reason", option(TEXT)),
    ("created_by", option(TEXT)),
    ("priority", option(BYTE)),
    ("weight", option(F32)),
    ("custom_fields", MAP),
)
RELATIONSHIP = struct_of(
    "EpisodeRelationship",
    ("id", UUID),
    ("from_episode_id", UUID),
    ("to_episode_id", UUID),
    ("relationship_type", RELATION_TYPE),
    ("metadata", RELATION_METADATA),
    ("created_at", TIME),
)
LINK = struct_of(
    "EpisodePatternRelationship",
    ("id", UUID),
    ("episode_id", UUID),
    ("pattern_id", UUID),
    ("relationship_type", RELATION_TYPE),
    ("metadata", RELATION_METADATA),
    ("created_at", TIME),
)
PLAYBOOK_STEP = struct_of(
    "PlaybookStep",
    ("order", U64),
    ("action", TEXT),
    ("tool_hint", option(TEXT)),
    ("expected_result", option(TEXT)),
)
PROCEDURAL = struct_of(
    "ProceduralMemory",
    ("id", UUID),
    ("name", TEXT),
    ("description", TEXT),
    ("context", CONTEXT),
    ("steps", many(PLAYBOOK_STEP)),
    ("effectiveness", EFFECTIVENESS),
    ("source_episodes", many(UUID)),
    ("source_patterns", many(UUID)),
    ("created_at", TIME),
    ("updated_at", TIME),
)
SESSION = struct_of(
    "RecommendationSession",
    ("session_id", UUID),
    ("episode_id", UUID),
    ("timestamp", TIME),
    ("recommended_pattern_ids", many(TEXT)),
    ("recommended_playbook_ids", many(UUID)),
)
FEEDBACK = struct_of(
    "RecommendationFeedback",
    ("session_id", UUID),
    ("applied_pattern_ids", many(TEXT)),
    ("consulted_episode_ids", many(UUID)),
    ("outcome", OUTCOME),
    ("agent_rating", option(F32)),
)
EMBEDDING = VECTOR

CACHED: Mapping[str, Kind] = {
    "episodes": EPISODE,
    "summaries": SUMMARY,
    "relationships": RELATIONSHIP,
    "recommendation_sessions": SESSION,
    "recommendation_feedback": FEEDBACK,
    "patterns": PATTERN,
    "heuristics": HEURISTIC,
    "procedural": PROCEDURAL,
    "episode_pattern_relationships": LINK,
    "embeddings": EMBEDDING,
}
"""Type of the values of each cache table."""
