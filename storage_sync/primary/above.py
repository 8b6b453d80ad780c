"""What stands above the marks: the SQL of a follow run, and its answer as values (docs/protocol.md#follow).

One statement is one snapshot. It is entered through rowids and indexes only, so that it reads what changed and what
hangs on that, whatever the size of the primary. Rows (k, a, d, j): what the row is about, hex of a key, the digest of
the row, and what else is said, as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import orjson
from msgspec import Struct

from storage_sync.primary import statements
from storage_sync.primary.schema import METADATA_TABLE, SEEKS, SOURCES, TAG_TABLE, Projection, Schema
from storage_sync.values.errors import PrimaryRefused
from storage_sync.values.marks import Anchor, Marks

MOST_ABOVE = 2000
"""Rows above the marks of one table, above which a proof costs less than a follow run."""
FURTHER = (16, 32, 64, 256, 1024)
"""So far below the end of a table a row more is remembered: many episodes may be rewritten at once."""
MOST_SCOPES = 64
"""Kinds of scoped embedding keys that are looked for."""
LAST_ROWID = (1 << 63) - 1
"""From here on SQLite takes rowids by chance."""
LONGEST_KEY = 512
"""Octets of a key that are remembered; of a longer one only a proof can tell whether it was written again."""
_BELOW_ALL = "(-9223372036854775807-1)"
_EMB = "item_id>='emb_' AND item_id<'emb`'"


Digested = Callable[[str, Schema], str]
"""SQL of what tells the digest of a row `x` of a table."""


def on_server(digest: str) -> Digested:
    """The digest, by a function of the server."""
    return lambda table, schema: statements.half(digest, statements.canonical(table, schema))


def in_stock(table: str, schema: Schema) -> str:
    """The digest, by a function that we register (`local.digested`)."""
    return f"digested('{table}',{statements.select_list(table, schema, typed=True, stock=True)})"


def as_it_is(table: str, schema: Schema) -> str:
    """The row itself, of a server that has no digest function: JSON of kind and hex of each column."""
    columns = statements.typed_columns(table, schema)
    return f"json_array({','.join(f'{kind},hex({value})' for kind, value in columns)})"


class Track(Struct, frozen=True):
    """A source table whose end is remembered. `key`: SQL of what names a row `x`, as hex. `parents`: columns that name
    rows whose rewriting takes this one away, and the tables of those. `depth`: how many rows of its end."""

    table: str
    """Cache table; the source table itself for the tags of episodes."""
    name: str
    key: str
    parents: tuple[tuple[str, str], ...] = ()
    depth: int = 1


_CASCADED: Mapping[str, tuple[tuple[tuple[str, str], ...], int]] = {
    "summaries": ((("episode_id", "episodes"),), 2),
    "relationships": ((("from_episode_id", "episodes"), ("to_episode_id", "episodes")), 3),
    "episode_pattern_relationships": ((("episode_id", "episodes"), ("pattern_id", "patterns")), 3),
}


def _name(column: str) -> str:
    return f"hex(substr(CAST(x.{column} AS BLOB),1,{LONGEST_KEY}))"


_TAGS = Track(TAG_TABLE, TAG_TABLE, f"{_name('episode_id')}||'3A'||{_name('tag')}", (("episode_id", "episodes"),), 4)


def tracked(projection: Projection, schema: Schema) -> tuple[Track, ...]:
    """The tables of a primary that hold rows of the projection."""
    found: list[Track] = []
    for table in projection.tables:
        source = SOURCES[table]
        parents, depth = _CASCADED.get(table, ((), 1))
        key = _name(source.columns[0][0])
        names = schema.embedding_tables if table == "embeddings" else (source.name,)
        found += [Track(table, name, key, parents, depth) for name in names if name in schema.tables]
    return (*found, _TAGS) if TAG_TABLE in schema.tables else tuple(found)


def missing(projection: Projection, schema: Schema) -> str:
    """What of the primary keeps a follow run from it, in words; '' when nothing does."""
    tracks = tracked(projection, schema)
    if without := [track.name for track in tracks if track.name not in schema.rowids]:
        return f"{', '.join(without)} has no rowids"
    if schema.multi_dimension:
        return "its embeddings are divided by dimension"
    if schema.keyless:
        return "an episode may have no id"
    names = {track.name for track in tracks}
    absent = [f"{name}({column})" for name, column in SEEKS if name in names and (name, column) not in schema.seeks]
    return f"no index leads to {', '.join(absent)}" if absent else ""


def marks(projection: Projection, schema: Schema) -> str:
    """One row: the schema's version, what lies beside the rows, then of each track [[rowid, hex of the key, hex of each
    parent], …]."""
    ends = [_end(track) for track in tracked(projection, schema)]
    return (
        f"SELECT {','.join(['(SELECT schema_version FROM pragma_schema_version)', _beside(projection, schema), *ends])}"
    )


def _beside(projection: Projection, schema: Schema) -> str:
    """What moves the primary's index and is no row of ours: what do-memory's own sync remembers, and the tables that a
    switch leaves out."""
    parts = ["''"]
    if schema.metadata and (METADATA_TABLE, "key") in schema.seeks:
        parts.append(f"coalesce((SELECT hex(value) FROM {METADATA_TABLE} WHERE key='sync_watermark_ms'),'')")
    ours = {track.name for track in tracked(projection, schema)}
    others = sorted((schema.rowids & schema.tables) - ours)
    parts += [f"'.'||coalesce((SELECT max(rowid) FROM {name} NOT INDEXED),'')" for name in others]
    return "||".join(parts)


def read_marks(row: Sequence[object], projection: Projection, schema: Schema, index: int | None) -> Marks:
    """PrimaryRefused for an answer of another form."""
    tracks = tracked(projection, schema)
    try:
        version, beside, *ends = row
        tables = {track.name: _anchors(track, _parsed(end)) for track, end in zip(tracks, ends, strict=True)}
        return Marks(_integer(version), tables, index, str(beside))
    except (ValueError, TypeError, IndexError) as error:
        raise _wrong() from error


def _end(track: Track) -> str:
    """The last rows as a list, then a row or null for each of `FURTHER`, as JSON."""
    shown = f"json_array({','.join(['x.rowid', track.key, *(_name(column) for column, _ in track.parents)])})"
    table = f"{track.name} x NOT INDEXED"
    last = (
        f"(SELECT json_group_array(json(r)) FROM (SELECT {shown} AS r FROM {table} ORDER BY rowid DESC"
        f" LIMIT {track.depth}))"
    )
    if not track.parents:
        return f"json_array({last})"
    further = [
        f"(SELECT {shown} FROM {table} WHERE x.rowid<=m-{below} ORDER BY x.rowid DESC LIMIT 1)" for below in FURTHER
    ]
    # the highest rowid is looked up once, since each time is billed
    return f"(SELECT json_array({','.join([last, *further])}) FROM (SELECT max(rowid) AS m FROM {table}))"


def _anchors(track: Track, told: object) -> tuple[Anchor, ...]:
    if not isinstance(told, list):
        raise ValueError("no end of a table")
    last, *further = (_parsed(one) for one in told)
    rows = [*_rows(last), *_rows([row for row in further if row is not None])]
    found = [Anchor(_integer(row[0]), str(row[1]), tuple(map(str, row[2:]))) for row in rows]
    by_rowid = {anchor.rowid: anchor for anchor in found}
    return tuple(by_rowid[rowid] for rowid in sorted(by_rowid, reverse=True))


# ------------------------------------------------------------------------------------------ the statement


def above(projection: Projection, schema: Schema, digested: Digested, before: Marks, rejected: Sequence[str]) -> str:
    """The statement. `digested`: SQL of what tells a row's digest. `rejected`: hex of the ids of episodes whose start
    only the primary can tell."""
    tracks = {track.table: track for track in tracked(projection, schema)}
    floors = {name: _floor(track, before) for name, track in tracks.items()}
    cascaded = {name: track for name, track in tracks.items() if track.parents}
    scopes = "embeddings" in tracks
    with_ = [
        f"f_{name}(v) AS MATERIALIZED (SELECT {_safe_floor(track, before, floors)})" for name, track in cascaded.items()
    ]
    if scopes:
        with_ += [_LOOSE, *(_scopes(owner) for owner in _OWNERS_IN_SCOPES)]
    floors |= {name: f"(SELECT v FROM f_{name})" for name in cascaded}
    arms = [
        "SELECT 'schema' AS k,NULL AS a,NULL AS d,(SELECT schema_version FROM pragma_schema_version) AS j",
        f"SELECT 'beside',NULL,NULL,{_beside(projection, schema)}",
    ]
    for name, track in tracks.items():
        arms.append(f"SELECT 'end','{track.name}',NULL,{_end(track)}")
        if name in cascaded:
            arms.append(f"SELECT 'floor','{track.name}',NULL,v FROM f_{name}")
        elif before.tables[track.name]:
            at = before.tables[track.name][0].rowid
            arms.append(f"SELECT 'stands','{track.name}',{track.key},NULL FROM {track.name} x WHERE x.rowid={at}")
    if scopes:
        arms.append("SELECT 'scopes',NULL,NULL,count(*) FROM loose")
    arms.append(_episodes(tracks, schema, digested, floors))
    if TAG_TABLE in tracks:
        arms.append(_tagged(schema, digested, floors))
    if rejected:
        ids = ",".join(f"CAST(X'{one}' AS TEXT)" for one in rejected)
        arms.append(
            "SELECT 'start',hex(x.episode_id),NULL,json_array(x.start_time,typeof(x.start_time))"
            f" FROM episodes x WHERE x.episode_id IN ({ids})"
        )
    others = (name for name in tracks if name not in ("episodes", TAG_TABLE))
    arms += [_of_table(name, tracks, schema, digested, floors) for name in others]
    if "recommendation_sessions" in tracks and "recommendation_feedback" in tracks:
        arms.append(_feedback_of_sessions(schema, digested, floors))
    return f"WITH RECURSIVE {','.join(with_)} {' UNION ALL '.join(arms)}" if with_ else " UNION ALL ".join(arms)


def _floor(track: Track, before: Marks) -> str:
    anchors = before.tables[track.name]
    return str(anchors[0].rowid) if anchors else _BELOW_ALL


def _safe_floor(track: Track, before: Marks, floors: Mapping[str, str]) -> str:
    """The highest remembered row that stands and that no rewriting took away: what came since stands above it."""
    anchors = before.tables[track.name]
    if not anchors:
        return _BELOW_ALL
    # a small table can be read whole instead
    none_left = (
        f"CASE WHEN (SELECT max(rowid) FROM {track.name} NOT INDEXED)>{MOST_ABOVE} THEN {LAST_ROWID}"
        f" ELSE {_BELOW_ALL} END"
    )
    # highest first, so that mostly one is looked at
    known = ",".join(f"({anchor.rowid},'{_hex(anchor.key)}')" for anchor in anchors)
    kept = "".join(
        f" AND NOT EXISTS(SELECT 1 FROM {parent} p WHERE p.{SOURCES[parent].columns[0][0]}=x.{column}"
        f" AND p.rowid>{floors[parent]})"
        for column, parent in track.parents
    )
    return (
        f"coalesce((SELECT v.column1 FROM (VALUES {known}) v CROSS JOIN {track.name} x ON x.rowid=v.column1"
        f" WHERE {track.key}=v.column2{kept} LIMIT 1),{none_left})"
    )


_LOOSE = (
    "loose(k) AS MATERIALIZED (SELECT * FROM ("
    f"WITH RECURSIVE l(k) AS (SELECT min(item_id) FROM embeddings WHERE {_EMB} UNION ALL"
    " SELECT (SELECT min(x.item_id) FROM embeddings x WHERE x.item_id<'emb`' AND x.item_id>"
    "CASE WHEN substr(l.k,-45,9) IN (':episode:',':pattern:') THEN substr(l.k,1,length(l.k)-36)||'g' ELSE l.k END)"
    f" FROM l WHERE l.k IS NOT NULL LIMIT {MOST_SCOPES + 1}) SELECT k FROM l WHERE k IS NOT NULL))"
)
"""One key of each scope, found by seeks: after the ids of a scope comes the next one."""


_OWNERS_IN_SCOPES = ("episode", "pattern")


def _scopes(owner: str) -> str:
    return (
        f"scope_{owner}(p) AS MATERIALIZED (SELECT substr(k,1,length(k)-36) FROM loose"
        f" WHERE substr(k,-45,9)=':{owner}:')"
    )


def _row(table: str, schema: Schema, digested: Digested, owners: str) -> str:
    """Select list of one row `x`."""
    return f"'{table}' AS k,hex({statements.key(table)}) AS a,{digested(table, schema)} AS d,{owners} AS j"


def _ends(*columns: str) -> str:
    return f"json_array({','.join(f'hex(x.{column})' for column in columns)})"


_TAIL = "substr(x.item_id,-36)"
_OWNER = (
    "json_array(hex(x.item_type),hex(x.item_id),"
    # asked only where an id alone does not say whose it is
    "CASE WHEN x.item_type='episode' OR length(x.item_id)<>36 THEN 0"
    f" ELSE EXISTS(SELECT 1 FROM episodes o WHERE o.episode_id={_TAIL}) END,"
    f"EXISTS(SELECT 1 FROM patterns o WHERE o.pattern_id={_TAIL}))"
)
_OWNERS = {
    "summaries": _ends("episode_id"),
    "relationships": _ends("from_episode_id", "to_episode_id"),
    "recommendation_sessions": _ends("episode_id"),
    "episode_pattern_relationships": (
        "json_array(hex(x.episode_id),hex(x.pattern_id),"
        "EXISTS(SELECT 1 FROM patterns o WHERE o.pattern_id=x.pattern_id))"
    ),
    "embeddings": _OWNER,
}


def _episodes(tracks: Mapping[str, Track], schema: Schema, digested: Digested, floors: Mapping[str, str]) -> str:
    """Episodes that were written, each with what hangs on it and was not written since."""
    here = "FROM {} x WHERE {}"
    family = {
        "summaries": [here.format("episode_summaries", "x.episode_id=e.id")],
        "relationships": [
            here.format("episode_relationships", "x.from_episode_id=e.id"),
            here.format("episode_relationships", "x.to_episode_id=e.id AND +x.from_episode_id<>e.id"),
        ],
        "recommendation_sessions": [here.format("recommendation_sessions", "x.episode_id=e.id")],
        "episode_pattern_relationships": [here.format("episode_pattern_relationships", "x.episode_id=e.id")],
        "embeddings": _embeddings_of("episode"),
    }
    rows = _children(family, tracks, schema, digested, floors)
    if "recommendation_feedback" in tracks and "recommendation_sessions" in tracks:
        rows.append(
            f"SELECT {_row('recommendation_feedback', schema, digested, 'json_array(hex(s.episode_id))')}"
            " FROM recommendation_sessions s CROSS JOIN recommendation_feedback x ON x.session_id=s.session_id"
            f" WHERE s.episode_id=e.id AND s.rowid<={floors['recommendation_sessions']}"
            f" AND x.rowid<={floors['recommendation_feedback']}"
        )
    return (
        f"SELECT 'episodes',hex(e.id),e.d,json_array(e.s,e.y,({_group(rows)})) FROM"
        " (SELECT x.episode_id AS id,x.start_time AS s,typeof(x.start_time) AS y,"
        f"{digested('episodes', schema)} AS d FROM episodes x WHERE x.rowid>{floors['episodes']}"
        f" ORDER BY x.rowid LIMIT {MOST_ABOVE + 1}) e"
    )


def _tagged(schema: Schema, digested: Digested, floors: Mapping[str, str]) -> str:
    """Episodes whose tags were written after them."""
    return (
        f"SELECT 'tagged',hex(x.episode_id),{digested('episodes', schema)},"
        "json_array(x.start_time,typeof(x.start_time))"
        f" FROM (SELECT DISTINCT episode_id AS id FROM {TAG_TABLE} NOT INDEXED WHERE rowid>{floors[TAG_TABLE]}) g"
        f" CROSS JOIN episodes x ON x.episode_id=g.id WHERE x.rowid<={floors['episodes']}"
    )


def _of_table(
    table: str, tracks: Mapping[str, Track], schema: Schema, digested: Digested, floors: Mapping[str, str]
) -> str:
    """Rows of one table above its floor; patterns with their links and embeddings."""
    name, limit = tracks[table].name, f"ORDER BY x.rowid LIMIT {MOST_ABOVE + 1}"
    if table == "patterns":
        family = {
            "episode_pattern_relationships": ["FROM episode_pattern_relationships x WHERE x.pattern_id=e.id"],
            "embeddings": _embeddings_of("pattern"),
        }
        rows = _children(family, tracks, schema, digested, floors)
        return (
            f"SELECT 'patterns',hex(e.id),e.d,json_array(({_group(rows)})) FROM (SELECT x.pattern_id AS id,"
            f"{digested(table, schema)} AS d FROM patterns x WHERE x.rowid>{floors[table]} {limit}) e"
        )
    owners = _OWNERS.get(table, "NULL")
    if table == "recommendation_feedback":
        session = "SELECT hex(s.episode_id) FROM recommendation_sessions s WHERE s.session_id=x.session_id"
        owners = f"json_array(({session}))" if "recommendation_sessions" in tracks else "json_array(NULL)"
    return (
        f"SELECT * FROM (SELECT {_row(table, schema, digested, owners)} FROM {name} x"
        f" WHERE x.rowid>{floors[table]} {limit})"
    )


def _feedback_of_sessions(schema: Schema, digested: Digested, floors: Mapping[str, str]) -> str:
    """What was said of a session before the session itself was there."""
    return (
        f"SELECT {_row('recommendation_feedback', schema, digested, 'json_array(hex(s.id))')} FROM"
        " (SELECT session_id AS session,episode_id AS id FROM recommendation_sessions"
        f" WHERE rowid>{floors['recommendation_sessions']} ORDER BY rowid LIMIT {MOST_ABOVE + 1}) s"
        " CROSS JOIN recommendation_feedback x ON x.session_id=s.session"
        f" WHERE x.rowid<={floors['recommendation_feedback']}"
    )


def _embeddings_of(owner: str) -> list[str]:
    return [
        "FROM embeddings x WHERE x.item_id=e.id",
        f"FROM scope_{owner} s CROSS JOIN embeddings x WHERE x.item_id=s.p||e.id",
    ]


def _children(
    family: Mapping[str, Sequence[str]],
    tracks: Mapping[str, Track],
    schema: Schema,
    digested: Digested,
    floors: Mapping[str, str],
) -> list[str]:
    """Rows of a family below the floors of their tables: what stands above is read there."""
    return [
        f"SELECT {_row(table, schema, digested, _OWNERS[table])} {place} AND x.rowid<={floors[table]}"
        for table, places in family.items()
        if table in tracks
        for place in places
    ]


def _group(rows: Sequence[str]) -> str:
    if not rows:
        return "'[]'"
    return f"SELECT json_group_array(json_array(k,a,d,j)) FROM ({' UNION ALL '.join(rows)})"


# --------------------------------------------------------------------------------------------- the answer


class Child(Struct, frozen=True):
    """A row that hangs on others. `owners`: hex of the ids of those, then of a link '1' where its pattern is there; of
    an embedding its type, its item_id, and whether the id at its end is that of an episode and of a pattern."""

    table: str
    key: str
    digest: str
    owners: tuple[str | None, ...]


class Written(Struct, frozen=True):
    """An episode or a pattern that was written. `start` in seconds, None where it is no integer."""

    key: str
    digest: str
    start: int | None
    children: tuple[Child, ...] = ()


class Above(Struct, frozen=True):
    """What stands above the marks, at one instant. Keys are upper-case hex of their bytes, digests 32 hex digits."""

    marks: Marks
    """Of that instant, for the next time."""
    floors: Mapping[str, int]
    """By source table: above what its rows were read, for tables that lose rows with others."""
    stands: Mapping[str, str]
    """By source table: the key at its mark, where there is a row."""
    episodes: tuple[Written, ...] = ()
    tagged: tuple[Written, ...] = ()
    """Episodes below their mark whose tags are above the mark of the tags."""
    patterns: tuple[Written, ...] = ()
    rows: tuple[Child, ...] = ()
    starts: Mapping[str, int | None] | None = None
    """Of the episodes that were asked for."""
    scopes: int = 0

    @property
    def count(self) -> int:
        """Rows of the fullest table."""
        counted: dict[str, int] = {"episodes": len(self.episodes), "patterns": len(self.patterns)}
        for row in self.rows:
            counted[row.table] = counted.get(row.table, 0) + 1
        return max(*counted.values(), len(self.tagged))

    @property
    def nothing(self) -> bool:
        return not (self.episodes or self.tagged or self.patterns or self.rows)


ReadDigest = Callable[[str, object], str]
"""The digest of a row of a table, from what the answer says of it."""


class _Reader(Struct, frozen=True):
    digest_of: ReadDigest

    def child(self, row: Sequence[object]) -> Child:
        table, key, told, owners = row
        if str(table) not in SOURCES:
            raise ValueError("an unknown table")
        named = _rows([_parsed(owners)])[0] if owners is not None else []
        held = tuple(None if one is None else str(one) for one in named)
        return Child(str(table), _hex(key), self.digest_of(str(table), told), held)

    def written(self, table: str, name: object, told: object, start: int | None, children: object) -> Written:
        found = tuple(self.child(row) for row in _rows(_parsed(children)))
        return Written(_hex(name), self.digest_of(table, told), start, found)


def read_above(
    answer: Iterable[Sequence[object]],
    projection: Projection,
    schema: Schema,
    index: int | None,
    digest_of: ReadDigest = lambda _, told: _hex(told),
) -> Above:
    """PrimaryRefused for an answer of another form."""
    read = _Reader(digest_of)
    tracks = {track.name: track for track in tracked(projection, schema)}
    version, beside, ends = 0, "", dict[str, tuple[Anchor, ...]]()
    floors, stands, starts, scopes = dict[str, int](), dict[str, str](), dict[str, int | None](), 0
    episodes, tagged, patterns, rows = list[Written](), list[Written](), list[Written](), list[Child]()
    try:
        for kind, name, digest, said in answer:
            match kind:
                case "schema":
                    version = _integer(said)
                case "beside":
                    beside = str(said)
                case "end":
                    ends[str(name)] = _anchors(tracks[str(name)], _parsed(said))
                case "floor":
                    floors[str(name)] = _integer(said)
                case "stands":
                    stands[str(name)] = str(digest)
                case "scopes":
                    scopes = _integer(said)
                case "start":
                    starts[_hex(name)] = _start(_rows([_parsed(said)])[0])
                case "episodes":
                    start, typed, children = _rows([_parsed(said)])[0]
                    episodes.append(read.written("episodes", name, digest, _start([start, typed]), children))
                case "tagged":
                    tagged.append(read.written("episodes", name, digest, _start(_rows([_parsed(said)])[0]), "[]"))
                case "patterns":
                    patterns.append(read.written("patterns", name, digest, None, _rows([_parsed(said)])[0][0]))
                case _:
                    rows.append(read.child([kind, name, digest, said]))
        found = Marks(version, ends, index, beside)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise _wrong() from error
    if set(ends) != set(tracks):
        raise _wrong()
    return Above(found, floors, stands, tuple(episodes), tuple(tagged), tuple(patterns), tuple(rows), starts, scopes)


def read_row(told: object) -> list[object]:
    """The typed columns of `as_it_is`, for `local.canonical`. ValueError, TypeError for another form."""
    cells = _rows([_parsed(told)])[0]
    kinds, values = cells[::2], cells[1::2]
    pairs = zip(kinds, values, strict=True)
    return [part for kind, value in pairs for part in (kind, None if kind == "null" else bytes.fromhex(str(value)))]


def _start(pair: Sequence[object]) -> int | None:
    return _integer(pair[0]) if pair[1] == "integer" else None


def _parsed(value: object) -> object:
    """JSON that came as text inside of JSON, or is parsed already."""
    return orjson.loads(value) if isinstance(value, (str, bytes, bytearray)) else value


def _rows(value: object) -> list[list[object]]:
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        raise ValueError("no list of rows")
    return value


def _integer(value: object) -> int:
    """ValueError for anything but what SQLite can hold as one."""
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not -LAST_ROWID - 1 <= int(value) <= LAST_ROWID:
        raise ValueError("no integer")
    return int(value)


def _hex(value: object) -> str:
    """ValueError for anything but hex digits, which alone may stand in a statement."""
    text = str(value)
    bytes.fromhex(text)
    return text.upper()


def _wrong() -> PrimaryRefused:
    from storage_sync.primary.hrana import wrong_form

    return wrong_form()
