"""The SQL, as pure functions of what is wanted (`Projection`) and what is there (`Schema`).

Keys travel as upper-case hex of their bytes. The canonical text, the manifest's rows and the select lists of a
fetch are fixed (docs/protocol.md#digests, `_native.pyi`); only their SQL form may change. Two dialects: a libSQL
server with `concat_ws`, `octet_length`, `unhex` and a digest function, and stock SQLite from 3.35 on, which has none
of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from storage_sync.primary.schema import (
    LATE_COLUMNS,
    METADATA_TABLE,
    REVISION_TABLE,
    SOURCES,
    TAG_COLUMNS,
    TAG_TABLE,
    Kind,
    Projection,
    Schema,
)

DIGESTS = {
    "sha3-256": "sha3({},256)",
    "blake3": "crypto_blake3({})",
    "sha-256": "crypto_sha256({})",
}
"""Digest functions by their names in `_native`, best first."""

PING = "SELECT 1"

LONGEST_ROW = 4_990_000
LONG_CELL = 65_536
OVERSIZE = "oversize:"
"""Of a row of more octets than the first, texts above the second travel as a blob of the third and their length.

The first leaves the canonical text room for the lengths and types of all columns below the 5,000,000 of a server.
"""

Form = Literal["key", "typed", "row"]

WINDOW_IDS = "SELECT id FROM w"

UUID = (
    "(length({0})=36 AND {0} NOT GLOB '*[^0-9a-f-]*' AND length(replace({0},'-',''))=32"
    " AND substr({0},9,1)||substr({0},14,1)||substr({0},19,1)||substr({0},24,1)='----')"
)
TAIL = "substr(x.item_id,-36)"
SCOPED = "(substr(x.item_id,-45,9)=':{}:' AND " + UUID.format(TAIL) + ")"
# ---------------------------------------------------------------------------------------------- fragments


def window(projection: Projection) -> str:
    """The newest episodes, in one total order; a CTE named `w`."""
    return (
        "w(id) AS MATERIALIZED (SELECT episode_id FROM episodes"
        f" ORDER BY start_time DESC, episode_id LIMIT {int(projection.window)})"
    )


def relation(table: str, schema: Schema) -> str | None:
    """The rows of a source table as a FROM item called `x`; None when there is no such table."""
    source = SOURCES[table]
    if table == "embeddings":
        names = schema.embedding_tables
        if not schema.multi_dimension:
            return f"{names[0]} x" if names else None
        columns = ",".join(column for column, _ in source.columns)
        return "(" + " UNION ALL ".join(f"SELECT {columns} FROM {name}" for name in names) + ") x"
    return f"{source.name} x" if source.name in schema.tables else None


def key(table: str) -> str:
    """The source key of a row `x`: the key that it has, or would have, in the cache."""
    if table != "embeddings":
        return f"x.{SOURCES[table].columns[0][0]}"
    return (
        "CASE x.item_type WHEN 'episode' THEN 'episode_'||x.item_id WHEN 'pattern' THEN 'pattern_'||x.item_id"
        " WHEN 'embedding' THEN x.item_id ELSE x.item_type||':'||x.item_id END"
    )


def expected(table: str, projection: Projection, schema: Schema) -> str:
    """Which rows `x` the projection holds, as a condition; needs `w`."""
    wanted = _expected_whole(table, projection, schema)
    if table == "episodes" and schema.keyless:
        # NULL is in no list; where the schema rules it out, this test would only keep the index out
        wanted = f"({wanted} OR x.episode_id IS NULL AND EXISTS(SELECT 1 FROM w WHERE id IS NULL))"
    return wanted if projection.part is None else f"({wanted}) AND {part(key(table), *projection.part)}"


def part(name: str, number: int, of: int) -> str:
    """Whether a source key falls into one part of so many, as a condition: by its last two bytes, as `_native` does."""
    bucket = f"hex(substr(CAST({name} AS BLOB),-2))||'0000'"
    digits = (f"{16 ** (4 - at)}*instr('123456789ABCDEF',substr({bucket},{at},1))" for at in range(1, 5))
    return f"({'+'.join(digits)})*40503%65536*{int(of)}/65536={int(number) - 1}"


def _expected_whole(table: str, projection: Projection, schema: Schema, episodes: str = WINDOW_IDS) -> str:
    """`episodes`: a select of the ids of those whose rows are wanted."""
    if table == "embeddings":
        return _expected_embedding(projection, episodes)
    # A unary plus keeps an index out: two IN lists on one index would multiply into a product of seeks.
    inside = "x.{} IN (" + episodes + ")"
    return {
        "episodes": inside.format("episode_id"),
        "summaries": inside.format("episode_id"),
        "relationships": f"{inside.format('from_episode_id')} AND +{inside.format('to_episode_id')}",
        "recommendation_sessions": inside.format("episode_id"),
        "recommendation_feedback": (
            f"x.session_id IN (SELECT session_id FROM recommendation_sessions WHERE episode_id IN ({episodes}))"
            if "recommendation_sessions" in schema.tables
            else "0"
        ),
        "episode_pattern_relationships": (
            f"{inside.format('episode_id')} AND +x.pattern_id IN (SELECT pattern_id FROM patterns)"
        ),
    }.get(table, "1")


def _expected_embedding(projection: Projection, episodes: str) -> str:
    """Owner expected, or none by design (docs/projection.md#owner-of-an-embedding).

    Rows of an unknown item_type are expected and refused.

    The window is named once, and in a WHEN, where NULL counts as no: else each look into it would read a row.
    """
    pattern = "{} IN (SELECT pattern_id FROM patterns)" if projection.patterns else "0"
    of_episode, of_pattern = SCOPED.format("episode"), SCOPED.format("pattern")
    return (
        "CASE"
        f" WHEN x.item_type='pattern' THEN {pattern.format('x.item_id')}"
        " WHEN x.item_type NOT IN ('embedding','episode') THEN 1"
        " WHEN CASE"
        " WHEN x.item_type='episode' THEN x.item_id"
        f" WHEN {of_episode} THEN {TAIL}"
        f" WHEN {UUID.format('x.item_id')} AND x.item_id IN (SELECT episode_id FROM episodes) THEN x.item_id"
        f" END IN ({episodes}) THEN 1"
        f" WHEN x.item_type='episode' OR {of_episode} THEN 0"
        f" WHEN {of_pattern} THEN {pattern.format(TAIL)}"
        f" WHEN NOT {UUID.format('x.item_id')} THEN 1"
        " WHEN x.item_id IN (SELECT episode_id FROM episodes) THEN 0"
        f" WHEN x.item_id IN (SELECT pattern_id FROM patterns) THEN {1 if projection.patterns else 0}"
        " ELSE 1 END"
    )


def column(table: str, name: str, schema: Schema) -> str:
    """One column of `x`, or what its absence means in an old schema."""
    place = (SOURCES[table].name, name)
    return LATE_COLUMNS[place] if place in schema.late else f"x.{name}"


def sent(table: str, name: str, schema: Schema, *, stock: bool = False) -> str:
    """One column of `x` as it is sent.

    A libSQL server makes no value above 5 MB, so a larger row could be neither digested nor read, and would fail the
    statement for all others. The long texts of such a row are replaced by a blob that names their length: the row is
    then rejected by name. The first, cheap test keeps the sum off almost every row.
    """
    value = column(table, name, schema)
    if stock or name not in _texts(table):
        return value
    return _shortened(value, f"octet_length({value})>{LONG_CELL} AND {_octets(table, schema)}>{LONGEST_ROW}")


def _shortened(value: str, condition: str) -> str:
    return f"CASE WHEN {condition} THEN CAST('{OVERSIZE}'||octet_length({value}) AS BLOB) ELSE {value} END"


def _texts(table: str) -> list[str]:
    """The columns that may be long and can be replaced, which is all but the key."""
    return [name for name, kind in SOURCES[table].columns[1:] if kind in ("text", "blob")]


def _octets(table: str, schema: Schema) -> str:
    """The octets of a row `x` in its texts."""
    names = [name for name, kind in SOURCES[table].columns if kind in ("text", "blob")]
    total = "+".join(f"coalesce(octet_length({column(table, name, schema)}),0)" for name in names)
    return f"{total}+{_tag_octets(schema)}" if table == "episodes" else total


def printed(value: str, kind: Kind, *, stock: bool = False) -> str:
    """`value` as it is digested and sent: a real of a real column as the 17 digits that name it.

    A real in another column does not belong there; it keeps SQLite's own text, and the row is rejected. The last digit
    of SQLite is off by one now and then and depends on its version, so for a file it is a function that we register
    (`local.seventeen`, `local.fifteen`): proofs outlive an update of Python.
    """
    if stock:
        text = f"{'seventeen' if kind == 'real' else 'fifteen'}({value})"
    elif kind == "real":
        text = f"printf('%!.17g',{value})"
    else:
        return value
    return f"CASE typeof({value}) WHEN 'real' THEN {text} ELSE {value} END"


def tags(schema: Schema, *, stock: bool = False) -> str:
    """Canonical text of the tags of an episode `x`: `<octets>:<tag>`, joined by commas in tag order.

    Where the schema says so, tags that make the row too large although its long texts are replaced (see `sent`) are
    replaced by a text that names their length, and the row is rejected. To look for them reads each tag twice.
    """
    if TAG_TABLE not in schema.tables:
        return "''"
    length = "length(CAST(tag AS BLOB))" if stock else "octet_length(tag)"
    joined = (
        f"coalesce((SELECT group_concat({length}||':'||tag,',') FROM"
        f" (SELECT tag FROM {TAG_TABLE} t WHERE t.episode_id=x.episode_id ORDER BY tag)),'')"
    )
    if stock or not schema.long_tags:
        return joined
    octets = _tag_octets(schema)
    beside = "+".join(
        f"CASE WHEN octet_length({value})>{LONG_CELL} THEN 0 ELSE coalesce(octet_length({value}),0) END"
        for value in (column("episodes", name, schema) for name in _texts("episodes"))
    )
    return f"CASE WHEN {octets}+{beside}>{LONGEST_ROW} THEN '{OVERSIZE}'||{octets} ELSE {joined} END"


def _tag_octets(schema: Schema) -> str:
    """The octets of that text, without making it."""
    if TAG_TABLE not in schema.tables:
        return "0"
    each = "octet_length(tag)+length(octet_length(tag))+2"
    return f"coalesce((SELECT sum({each})-1 FROM {TAG_TABLE} t WHERE t.episode_id=x.episode_id),0)"


def canonical(table: str, schema: Schema) -> str:
    """The canonical text of a row `x` (enc=1). `concat_ws` leaves NULLs out, hence the form of an absent value.

    It leaves out empty values too before SQLite 3.47, so each value is joined to its length, which is never empty.

    Whether the row is too large (see `sent`) is asked once for all its columns: a server takes longer to read a long
    statement than to answer it, and a text whose type or length is asked of the column itself is not read for that.
    """
    values = {name: column(table, name, schema) for name, _ in SOURCES[table].columns}
    plain = _canonical(table, schema, values)
    texts = {name: values[name] for name in _texts(table)}
    if not texts:
        return plain
    shortened = _canonical(table, schema, values | {name: f"s.{name}" for name in texts})
    columns = ",".join(
        f"{_shortened(value, f'octet_length({value})>{LONG_CELL}')} AS {name}" for name, value in texts.items()
    )
    too_large = f"{_octets(table, schema)}>{LONGEST_ROW}"
    if table == "episodes":
        some = " OR ".join(f"octet_length({value})>{LONG_CELL}" for value in texts.values())
        too_large = f"({some}) AND {too_large}"
    return f"CASE WHEN {too_large} THEN (SELECT {shortened} FROM (SELECT {columns}) s) ELSE {plain} END"


def _canonical(table: str, schema: Schema, values: Mapping[str, str]) -> str:
    parts: list[str] = []
    for name, kind in SOURCES[table].columns:
        shown = printed(values[name], kind)
        parts += [f"typeof({values[name]})", f"octet_length({shown})||'|'||{shown}"]
    if table == "episodes":
        parts.append(f"'tags|'||{tags(schema)}")
    return f"concat_ws('|',{','.join(parts)})"


def half(digest: str, text: str) -> str:
    """First 16 bytes of a digest, as upper-case hex."""
    return f"hex(substr({DIGESTS[digest].format(text)},1,16))"


def typed_columns(table: str, schema: Schema, *, stock: bool = False) -> Iterator[tuple[str, str]]:
    """`typeof(c), CAST(c AS BLOB)` of each column of `x`, and for episodes of its tags."""
    for name, kind in SOURCES[table].columns:
        value = sent(table, name, schema, stock=stock)
        yield f"typeof({value})", f"CAST({printed(value, kind, stock=stock)} AS BLOB)"
    if table == "episodes":
        text = tags(schema, stock=stock)
        yield f"typeof({text})", f"CAST({text} AS BLOB)"


def select_list(table: str, schema: Schema, *, typed: bool = False, stock: bool = False) -> str:
    """Columns of a fetch (`source_columns` in `_native.pyi`): each as it is, a real as text and `typeof`.

    `typed`: each as `typeof(c), CAST(c AS BLOB)`, so that text that is not UTF-8 can travel.
    """
    if typed:
        return ",".join(",".join(pair) for pair in typed_columns(table, schema, stock=stock))
    shown: list[str] = []
    for name, kind in SOURCES[table].columns:
        value = sent(table, name, schema, stock=stock)
        shown += [printed(value, kind, stock=stock), f"typeof({value})"] if kind == "real" else [value]
    if table == "episodes":
        shown.append(tags(schema, stock=stock))
    # a server names each column that has no name by its whole expression
    return ",".join(f"{value} AS c{number}" for number, value in enumerate(shown))


def row_count(table: str, schema: Schema, *, stock: bool = False) -> str:
    """Rows of a source table, expected or not.

    A server counts an index by its pages, and reads a few rows for it. Stock SQLite would take libSQL's vector index
    for an ordinary, empty one, so there the table is counted.
    """
    source = SOURCES[table]
    names = schema.embedding_tables if table == "embeddings" else (source.name,)
    scanned = " NOT INDEXED" if stock else ""
    counts = [f"(SELECT count(*) FROM {name}{scanned})" for name in names if name in schema.tables]
    return "+".join(counts) or "0"


def counts(projection: Projection, schema: Schema, *, announcing: bool = False) -> str:
    """(cache table, rows of its source table) for each table of the projection; `announcing`: and expected rows."""
    selects = []
    for table in projection.tables:
        place = relation(table, schema)
        columns = [f"'{table}'", row_count(table, schema, stock=not announcing)]
        if announcing and place is not None:
            columns.append(f"(SELECT count(*) FROM {place} WHERE {expected(table, projection, schema)})")
        elif announcing:
            columns.append("0")
        selects.append("SELECT " + ",".join(columns))
    window_first = f"WITH {window(projection)} " if announcing else ""
    return window_first + " UNION ALL ".join(selects)


def snapshot(
    table: str, projection: Projection, schema: Schema, *, typed: bool = False, stock: bool = False
) -> str | None:
    """All expected rows of one table, in key order where an index gives it; None when there is no such table."""
    place = relation(table, schema)
    if place is None:
        return None
    return (
        f"WITH {window(projection)} SELECT {select_list(table, schema, typed=typed, stock=stock)} FROM {place}"
        f" WHERE {expected(table, projection, schema)}{_order(table, schema)}"
    )


def _order(table: str, schema: Schema) -> str:
    if table == "embeddings" and (schema.multi_dimension or not schema.item_index):
        return ""
    return f" ORDER BY x.{SOURCES[table].columns[0][0]}"


def expected_keys(table: str, projection: Projection, schema: Schema) -> str | None:
    """Hex of the source keys of the expected rows, one a row, `:size` of them after `:after` (hex), in order."""
    place = relation(table, schema)
    if place is None:
        return None
    return (
        f"WITH {window(projection)} SELECT DISTINCT hex({key(table)}) AS k FROM {place}"
        f" WHERE {expected(table, projection, schema)} AND hex({key(table)})>:after ORDER BY 1 LIMIT :size"
    )


def by_keys(table: str, schema: Schema, keys: Sequence[str], *, typed: bool = False, keyed: bool = False) -> str | None:
    """Rows of given source keys (hex), window or not; `keyed`: after the hex of their key."""
    columns = select_list(table, schema, typed=typed)
    return _among(table, schema, keys, f"hex({key(table)}),{columns}" if keyed else columns)


def digests(table: str, schema: Schema, keys: Sequence[str], digest: str) -> str | None:
    """(hex of the source key, hex of the source digest) of given keys, window or not."""
    return _among(table, schema, keys, f"hex({key(table)}),{half(digest, canonical(table, schema))}")


def existing(table: str, schema: Schema, keys: Sequence[str]) -> str | None:
    """(hex of the source key, whether what it belongs to exists too) of those of the given keys that exist."""
    return _among(table, schema, keys, f"hex({key(table)}),{owned(table, schema)}")


def owned(table: str, schema: Schema) -> str:
    """1 for a row `x` that a window without an end would hold, else 0."""
    if table == "episodes":
        return "1"
    if table == "recommendation_feedback" and "recommendation_sessions" in schema.tables:
        # a list of all sessions with an episode would read both tables
        return (
            "EXISTS(SELECT 1 FROM recommendation_sessions r WHERE r.session_id=x.session_id"
            " AND r.episode_id IN (SELECT episode_id FROM episodes))"
        )
    wanted = _expected_whole(table, Projection(window=0), schema, "SELECT episode_id FROM episodes")
    return f"CASE WHEN {wanted} THEN 1 ELSE 0 END"


def _among(table: str, schema: Schema, keys: Sequence[str], columns: str) -> str | None:
    """The keys stand in the statement: read from a parameter, each would be billed several times.

    Keys are sought as text and as blobs: a TEXT column keeps a blob that somebody put there.
    """
    place = relation(table, schema)
    if place is None:
        return None
    names, condition = list(dict.fromkeys(keys)), ""
    if table == "embeddings":
        # the key is computed, so the index on item_id is entered by every id that could have given it
        condition = f" AND hex({key(table)}) IN ({','.join(_literal(name) for name in names)})"
        names = list(dict.fromkeys(item for name in names for item in _items(bytes.fromhex(name))))
    values = ",".join(f"(CAST(X{_literal(name)} AS TEXT)),(X{_literal(name)})" for name in names) or "(NULL)"
    column = SOURCES[table].columns[0][0]
    return f"SELECT {columns} FROM (VALUES {values}) v CROSS JOIN {place} WHERE x.{column}=v.column1{condition}"


def _literal(name: str) -> str:
    """ValueError for what is no hex, which alone may stand in a statement."""
    return f"'{bytes.fromhex(name).hex().upper()}'"


def _items(name: bytes) -> Iterator[str]:
    """Hex of every item_id that could have given an embedding's key: the key of an unknown kind has the kind before a
    colon, and is not called as scoped ids begin."""
    yield name.hex().upper()
    if name.startswith((b"episode_", b"pattern_")):
        yield name[8:].hex().upper()
    while b":" in name and not name.startswith(b"emb_"):
        name = name.partition(b":")[2]
        yield name.hex().upper()


def stock_by_keys(table: str, schema: Schema, count: int, form: Form) -> str | None:
    """For stock SQLite: rows of `count` source keys, which are given as blobs in positional parameters.

    `key`: hex of the key, and whether it is `owned`; `typed`: hex of the key, then the typed select list; `row`: the
    select list alone.
    """
    place = relation(table, schema)
    if place is None:
        return None
    shown = {
        "key": f"hex({key(table)}),{owned(table, schema)}",
        "typed": f"hex({key(table)}),{select_list(table, schema, typed=True, stock=True)}",
        "row": select_list(table, schema, stock=True),
    }[form]
    keys = ",".join(f"?{number},CAST(?{number} AS TEXT)" for number in range(1, count + 1))
    return f"SELECT {shown} FROM {place} WHERE ({key(table)}) IN ({keys})"


# --------------------------------------------------------------------------------------- hints


def fingerprint(schema: Schema) -> str:
    """One row of index seeks, some twenty rows read whatever the size: the highest rowid of each table, the key there.

    What do-memory inserts or rewrites stands above the highest rowid before; rows deleted below it and rows updated in
    place are not seen. A table without rowids, or a column without an index, is left out: asking it would scan
    (docs/primary.md#change-tokens).
    """
    values: list[str] = []
    for name, column in _polled(schema):
        if name in schema.rowids:
            values.append(
                f"(SELECT json_array(rowid,hex({column})) FROM {name} NOT INDEXED ORDER BY rowid DESC LIMIT 1)"
            )
    if ("episodes", "start_time") in schema.seeks:
        values.append("(SELECT hex(max(start_time)) FROM episodes)")
    if schema.revisions and (REVISION_TABLE, "modified_at_ms") in schema.seeks:
        values.append(f"(SELECT hex(max(modified_at_ms)) FROM {REVISION_TABLE})")
    if schema.metadata and (METADATA_TABLE, "key") in schema.seeks:
        values.append(f"(SELECT hex(value) FROM {METADATA_TABLE} WHERE key='sync_watermark_ms')")
    values.append("(SELECT schema_version FROM pragma_schema_version)")
    return "SELECT " + ",".join(values)


def _polled(schema: Schema) -> list[tuple[str, str]]:
    """(table, column that names a row) of all that a poll looks at."""
    found = [(source.name, source.columns[0][0]) for table, source in SOURCES.items() if table != "embeddings"]
    found += [(name, SOURCES["embeddings"].columns[0][0]) for name in schema.embedding_tables]
    found += [(TAG_TABLE, TAG_COLUMNS[0]), (REVISION_TABLE, "episode_id")]
    return [(name, column) for name, column in found if name in schema.tables or name in schema.rowids]


def in_window(projection: Projection) -> str:
    """Those of the episodes `:ids` (JSON array of ids) that are inside the window."""
    return f"WITH {window(projection)} SELECT id FROM w WHERE id IN (SELECT value FROM json_each(:ids))"


def rewritten(schema: Schema) -> str | None:
    """Hex of the source keys of embeddings that were written before their episode was, by the primary's seconds."""
    owner = f"CASE WHEN x.item_type='episode' THEN x.item_id WHEN {SCOPED.format('episode')} THEN {TAIL} END"
    selects = [
        f"SELECT hex({key('embeddings')}) FROM {name} x JOIN episodes e ON e.episode_id={owner}"
        " WHERE e.created_at>x.created_at"
        for name in schema.embedding_tables
    ]
    return " UNION ".join(selects) or None
