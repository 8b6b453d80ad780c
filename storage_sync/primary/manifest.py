"""The manifest as one statement, and so of one instant (docs/protocol.md#what-a-proof-reads).

What hangs on the window is reached through indexes, each row about once, and listed family by family: an episode with
all that is its own, a pattern with its embeddings. Over that list goes one digest, the *imprint*; where it is the one
that the caller names, nothing else is sent. Else the list is sent as it is, and sorted and digested by who asked.

A hosted primary bills each step over an index, a table, a sorter or a `WITH` table; a seek that finds nothing and the
row behind an index entry are free. Hence no sorter within a family: rows come in the order of their index.
"""

from __future__ import annotations

from collections.abc import Iterator

from storage_sync.primary.schema import CHILD_SEEKS, SOURCES, Projection, Schema
from storage_sync.primary.statements import (
    SCOPED,
    TAIL,
    UUID,
    canonical,
    expected,
    half,
    key,
    part,
    relation,
    row_count,
    window,
)
from storage_sync.values.outcome import TABLES

MANY = 50_000
"""Rows above which the list is sent row by row, and the imprint is made in two steps: a libSQL server makes no text
above 5 MB."""
MARK = 16
"""Digits that name a family which the asker has."""

_HEX = "0123456789abcdef"
_SCOPES_BEGIN, _SCOPES_END = "emb_", "emb`"
_OWNER_PART = 45
_KIND = "coalesce(x.item_type,'embedding')"
_BEHIND = f"substr(x.item_id,1,length(x.item_id)-{_OWNER_PART})"
_OF_EPISODE, _OF_PATTERN = SCOPED.format("episode"), SCOPED.format("pattern")
_IS_UUID = UUID.format("x.item_id")
_READ_WHOLE = (
    "(typeof(x.item_id)='text' AND NOT (x.item_id GLOB '[0-9a-f][0-9a-f]*'"
    f" OR x.item_id>='{_SCOPES_BEGIN}' AND x.item_id<'{_SCOPES_END}'))"
)
"""Whether an embedding's id is of those that `_plain_ids` reads all of."""
_HAS_EPISODE = "EXISTS(SELECT 1 FROM episodes i WHERE i.episode_id=x.item_id)"
_HAS_PATTERN = "EXISTS(SELECT 1 FROM patterns i WHERE i.pattern_id=x.item_id)"

_FAMILY_SEEKS = (("episodes", "start_time"), ("episodes", "episode_id"))


def manifest(projection: Projection, schema: Schema, digest: str, *, whole: bool = True, many: bool = False) -> str:
    """One statement; parameters `:known` (JSON {first two digits: marks of families, joined}), `:imprint`, and without
    `whole` also `:beside` (JSON array of hex keys).

    Rows (d TEXT|NULL, n INTEGER|NULL, c TEXT|NULL, x TEXT|NULL). The first: the imprint; whether everything was looked
    at; with `whole` the rows of each source table (`NUMBER:ROWS`, joined by commas); the list, NULL where the imprint
    is `:imprint`. The list is families in order, joined by ';'. Each is its rows, `NUMBER:KEY:DIGEST` or
    `NUMBER.HEX:DIGEST`, joined by commas, or where it is known its mark, the first 16 digits of its own digest. With
    `many`, where there may be more than `MANY` rows, the first row has no list, and each family is a row
    (NULL, NULL, NULL, x) after it.

    Without `whole`, embeddings that nothing leads to are looked for among `:beside` alone.
    """
    whole = whole or not reaches(projection, schema)
    numbers = (f"'{TABLES.index(table)}:'||({row_count(table, schema)})" for table in projection.tables)
    counts = "||','||".join(numbers) if whole else "NULL"
    listed = _listed(projection, schema, digest, whole=whole, many=many, listing=True)
    if not _is_many(projection, schema, many=many):
        sent = "CASE WHEN i.d=:imprint THEN NULL ELSE i.x END"
        return f"{listed} SELECT i.d AS d,{int(whole)} AS n,{counts} AS c,{sent} AS x FROM i"
    family = _or_mark("f.x", half(digest, "f.x"))
    return (
        f"{listed} SELECT i.d AS d,{int(whole)} AS n,{counts} AS c,NULL AS x FROM i"
        f" UNION ALL SELECT NULL,NULL,NULL,{family} FROM i CROSS JOIN f WHERE i.d<>:imprint"
    )


def _or_mark(family: str, digest: str) -> str:
    """What is sent of a family: itself, or its mark where that is known."""
    mark = f"substr({digest},1,{MARK})"
    known = f"instr(coalesce(json_extract(:known,'$.\"'||substr({digest},1,2)||'\"'),''),{mark})"
    return f"CASE WHEN {known}>0 THEN {mark} ELSE {family} END"


def imprint(projection: Projection, schema: Schema, digest: str, *, whole: bool = True) -> str:
    """The imprint alone of what such a manifest lists; the only parameter is its `:beside`."""
    whole = whole or not reaches(projection, schema)
    return f"{_listed(projection, schema, digest, whole=whole, many=False)} SELECT i.d FROM i"


def reaches(projection: Projection, schema: Schema) -> bool:
    """Whether indexes lead from the window to its embeddings, so that a proof need not look at all of them."""
    return (
        "embeddings" in projection.tables
        and projection.part is None
        and _has_families(schema)
        and schema.unique >= {"episodes", "patterns"}
        and schema.item_index
        and not schema.multi_dimension
    )


# ------------------------------------------------------------------------------------------------- the list


def _listed(
    projection: Projection, schema: Schema, digest: str, *, whole: bool, many: bool, listing: bool = False
) -> str:
    """`WITH` tables up to `f(x)`, texts of 'NUMBER:KEY:DIGEST' joined by commas, and `i(d)`, the imprint over them;
    unless there are many also `i(x)`, their list, empty without `listing`."""
    families = _Families(projection, schema, digest)
    reached = reaches(projection, schema)
    selects = list(families.selects(embeddings=reached))
    tables = [window(projection), _edge(projection)]
    if reached:
        tables += list(_scopes())
        selects += families.patterns_and_plain()
        if whole:
            selects.append(families.beside_all())
        else:
            more, beside = families.beside_sought()
            tables += more
            selects.append(beside)
    whole_tables = [table for table in projection.tables if table not in families.covered(embeddings=reached)]
    for table in whole_tables:
        place = families.all_of(table)
        if place is not None:
            selects.append(f"SELECT {families.entry(table)} FROM {place}")
    families_text = " UNION ALL ".join(selects)
    imprinted = half(digest, "x")
    if not _is_many(projection, schema, many=many):
        # one pass, so that no row of the list is read again
        sent = f"coalesce(group_concat({_or_mark('x', 'h')},';'),'')" if listing else "''"
        made = f"SELECT {half(digest, _JOINED)} AS d,{sent} AS x FROM (SELECT x,{imprinted} AS h FROM f)"
        return f"WITH RECURSIVE {','.join(tables)},f(x) AS ({families_text}),i(d,x) AS MATERIALIZED ({made})"
    made = (
        f"SELECT {half(digest, _JOINED)} FROM (SELECT {half(digest, _JOINED)} AS h"
        f" FROM (SELECT {imprinted} AS h FROM f ORDER BY 1) GROUP BY substr(h,1,2) ORDER BY substr(h,1,2))"
    )
    return f"WITH RECURSIVE {','.join(tables)},f(x) AS MATERIALIZED ({families_text}),i(d) AS MATERIALIZED ({made})"


def _edge(projection: Projection) -> str:
    """Times of the last episode of the window and of the first one outside, and whether there is none outside; a CTE of
    one row called `edge`, so that the window is walked once for all relationships."""
    last = max(projection.window - 1, 0)
    return (
        "edge(inside,outside,whole) AS MATERIALIZED (SELECT max(s),min(s),count(*)<2 FROM"
        f" (SELECT start_time AS s FROM episodes ORDER BY start_time DESC LIMIT 2 OFFSET {last}))"
    )


_JOINED = "coalesce(group_concat(h,''),'')"


def _is_many(projection: Projection, schema: Schema, *, many: bool) -> bool:
    """Whether the list may be longer than one text of the server."""
    return many or not _has_families(schema) or projection.window > MANY


def _has_families(schema: Schema) -> bool:
    return schema.seeks.issuperset(_FAMILY_SEEKS) and not schema.keyless and "episodes" in schema.unique


class _Families:
    """Selects of one projection over one schema."""

    def __init__(self, projection: Projection, schema: Schema, digest: str) -> None:
        self._projection = projection
        self._schema = schema
        self._digest = digest
        self.present = _has_families(schema)
        """Whether an episode of the window leads to what is its own."""

    def covered(self, *, embeddings: bool) -> set[str]:
        """Tables that need not be read by themselves."""
        if not self.present:
            return set()
        found = {"episodes", *self._children()}
        return found | {"patterns", "embeddings"} & set(self._projection.tables) if embeddings else found

    def entry(self, table: str) -> str:
        """What is listed of a row `x`."""
        digested = half(self._digest, canonical(table, self._schema))
        number, name = TABLES.index(table), key(table)
        # where a key would be taken apart otherwise, its bytes are sent
        plain = f"typeof({name})='text' AND NOT {name} GLOB '*[^-0-9A-Za-z_:./#]*'"
        return f"CASE WHEN {plain} THEN '{number}:'||{name} ELSE '{number}.'||hex({name}) END||':'||{digested}"

    def selects(self, *, embeddings: bool) -> Iterator[str]:
        """The families of episodes, one row each."""
        if not self.present:
            return
        newest = (
            f"SELECT x.episode_id AS id,{self._own('episodes')} AS x FROM episodes x"
            f" ORDER BY x.start_time DESC,x.episode_id LIMIT {int(self._projection.window)}"
        )
        members = [text for table in self._children() if (text := self._child(table)) is not None]
        if embeddings:
            members += [
                self._members(
                    "embeddings",
                    "embeddings x",
                    f"x.item_id=e.id AND CASE {_KIND} WHEN 'episode' THEN 1"
                    f" WHEN 'embedding' THEN {_IS_UUID} ELSE 0 END",
                ),
                self._scoped("episode", "e.id"),
            ]
        yield f"SELECT {'||'.join(['e.x', *members])} FROM ({newest}) e"

    def patterns_and_plain(self) -> list[str]:
        """Patterns with their embeddings, and embeddings whose id is of no owner's kind."""
        plain = f"CASE WHEN {_KIND} IN ('episode','pattern') THEN 0 WHEN {_KIND}<>'embedding' THEN 1"
        plain += f" WHEN {_OF_EPISODE} THEN 0 WHEN {_OF_PATTERN} THEN 0 ELSE 1 END"
        found = [f"SELECT {self.entry('embeddings')} FROM {_plain_ids()} g CROSS JOIN embeddings x"
                 f" ON x.item_id>=g.lo AND x.item_id<g.hi WHERE {plain}"]  # fmt: skip
        if not self._projection.patterns:
            return found
        own = self._members(
            "embeddings",
            "embeddings x",
            f"x.item_id=e.id AND CASE {_KIND} WHEN 'pattern' THEN 1"
            f" WHEN 'embedding' THEN CASE WHEN {_IS_UUID} THEN NOT {_HAS_EPISODE} ELSE 0 END ELSE 0 END",
        )
        members = "||".join(["e.x", own, self._scoped("pattern", "e.id")])
        return [
            f"SELECT {members} FROM (SELECT x.pattern_id AS id,{self._own('patterns')} AS x FROM patterns x) e",
            *found,
        ]

    def beside_all(self) -> str:
        """Embeddings that nothing leads to, looked for among all."""
        condition = self._beside()
        if "embeddings" not in self._schema.rowids:
            return f"SELECT {self.entry('embeddings')} FROM embeddings x WHERE {condition}"
        # whose it is stands in the index, so the long rows of others are not touched
        return (
            f"SELECT {self.entry('embeddings')} FROM (SELECT x.rowid AS r FROM embeddings x WHERE {condition}"
            " ORDER BY x.item_id,x.item_type) c CROSS JOIN embeddings x ON x.rowid=c.r"
        )

    def beside_sought(self) -> tuple[list[str], str]:
        """The same, among `:beside` alone: what it needs of `WITH` tables, and the select."""
        wanted = (
            "keys(v) AS MATERIALIZED (SELECT CAST(unhex(value) AS TEXT) FROM json_each(:beside)"
            " UNION ALL SELECT unhex(value) FROM json_each(:beside))"
        )
        # The key is computed, so the index on item_id is entered by every id that could have given it: a kind of row
        # that nobody knows may have colons, but is not called as scoped ids begin.
        texts = (
            "texts(v) AS (SELECT v FROM keys"
            " UNION SELECT substr(v,9) FROM keys WHERE substr(v,1,8) IN ('episode_','pattern_')"
            " UNION SELECT substr(v,instr(v,':')+1) FROM texts"
            " WHERE typeof(v)='text' AND instr(v,':')>0 AND substr(v,1,4)<>'emb_')"
        )
        ids = "ids(v) AS MATERIALIZED (SELECT v FROM texts UNION SELECT CAST(v AS BLOB) FROM texts)"
        among = f"x.item_id IN (SELECT v FROM ids) AND ({key('embeddings')}) IN (SELECT v FROM keys)"
        rows = f"SELECT {self.entry('embeddings')} AS v FROM embeddings x WHERE {among} AND {self._beside()}"
        return [wanted, texts, ids], f"SELECT v FROM ({rows} ORDER BY x.item_id,x.item_type)"

    def all_of(self, table: str) -> str | None:
        """The expected rows of a table that no family brings, as a FROM clause; None when there is no such table."""
        place = relation(table, self._schema)
        return place and f"{place} WHERE {expected(table, self._projection, self._schema)}"

    def _own(self, table: str) -> str:
        """The head of a family; '' where it is of another part."""
        of_part = self._of_part(table)
        return f"CASE WHEN 1{of_part} THEN {self.entry(table)} ELSE '' END" if of_part else self.entry(table)

    def _of_part(self, table: str) -> str:
        chosen = self._projection.part
        return f" AND {part(key(table), *chosen)}" if chosen is not None else ""

    def _children(self) -> list[str]:
        """Tables whose rows an index leads to from their episode."""
        found = [
            table
            for table, seek in CHILD_SEEKS.items()
            if table in self._projection.tables and seek in self._schema.seeks and seek[0] in self._schema.tables
        ]
        if "recommendation_sessions" not in found and "recommendation_feedback" in found:
            found.remove("recommendation_feedback")
        return found

    def _members(self, table: str, place: str, condition: str, more: str = "") -> str:
        """What is listed of the rows of a family in one table, each after a comma; '' for none."""
        rows = f"SELECT {self.entry(table)}{more} AS d FROM {place} WHERE {condition}{self._of_part(table)}"
        return f"coalesce((SELECT ','||group_concat(d,',') FROM ({rows})),'')"

    def _child(self, table: str) -> str | None:
        """Rows of a table that belong to the episode `e.id`; None for those that come with another table's."""
        place, condition = f"{SOURCES[table].name} x", "x.episode_id=e.id"
        if table == "relationships":
            return self._members(table, place, f"x.from_episode_id=e.id AND {self._in_window('x.to_episode_id')}")
        if table == "episode_pattern_relationships":
            seek = "EXISTS(SELECT 1 FROM patterns i WHERE i.pattern_id=x.pattern_id)"
            named = seek if "patterns" in self._schema.unique else "+x.pattern_id IN (SELECT pattern_id FROM patterns)"
            return self._members(table, place, f"{condition} AND {named}")
        if table == "recommendation_feedback":
            return None
        if table == "recommendation_sessions" and "recommendation_feedback" in self._children():
            answers = self._members("recommendation_feedback", "recommendation_feedback x", "x.session_id=o.id")
            sessions = f"SELECT x.session_id AS id,{self._own(table)} AS x FROM {place} WHERE {condition}"
            return f"coalesce((SELECT ','||group_concat(o.x||{answers},',') FROM ({sessions}) o),'')"
        return self._members(table, place, condition)

    def _in_window(self, episode: str) -> str:
        """Whether an episode is one of the newest: its time tells, unless the window ends among episodes of one time;
        then it is walked again."""
        there = f"EXISTS(SELECT 1 FROM episodes i WHERE i.episode_id={episode})"
        at = f"(SELECT i.start_time FROM episodes i WHERE i.episode_id={episode})"
        return (
            f"CASE WHEN (SELECT whole FROM edge) THEN {there}"
            f" WHEN {at}>(SELECT outside FROM edge) THEN 1 WHEN {at}<(SELECT inside FROM edge) THEN 0"
            f" WHEN +{episode} IN ({self._newest()}) THEN 1 ELSE 0 END"
        )

    def _newest(self) -> str:
        return (
            f"SELECT episode_id FROM episodes ORDER BY start_time DESC,episode_id LIMIT {int(self._projection.window)}"
        )

    def _scoped(self, kind: str, owner: str) -> str:
        """Embeddings of an owner under scoped keys (docs/projection.md#owner-of-an-embedding)."""
        condition = f"x.item_id=c.p||':{kind}:'||{owner} AND +{_KIND}='embedding' AND {UUID.format(owner)}"
        return self._members("embeddings", "scopes c CROSS JOIN embeddings x", condition)

    def _beside(self) -> str:
        """Expected embeddings `x` that no owner, no scope and no plain id leads to."""
        of_pattern = f"EXISTS(SELECT 1 FROM patterns i WHERE i.pattern_id={TAIL})" if self._projection.patterns else "0"
        known_scope = f"{_BEHIND} IN (SELECT p FROM scopes)"
        return (
            f"CASE WHEN {_KIND} IN ('episode','pattern') THEN 0"
            f" WHEN {_KIND}<>'embedding' THEN NOT {_READ_WHOLE}"
            f" WHEN {_OF_EPISODE} THEN CASE WHEN {known_scope} THEN 0 WHEN {TAIL} IN ({self._newest()}) THEN 1"
            " ELSE 0 END"
            f" WHEN {_OF_PATTERN} THEN CASE WHEN {known_scope} THEN 0 ELSE {of_pattern} END"
            f" WHEN {_IS_UUID} THEN CASE WHEN {_HAS_EPISODE} THEN 0 WHEN {_HAS_PATTERN} THEN 0 ELSE 1 END"
            f" ELSE NOT {_READ_WHOLE} END"
        )


def _scopes() -> Iterator[str]:
    """`scopes(p)`: what stands before `:episode:` and `:pattern:` in scoped ids, each found by one seek."""
    marks = {":episode:": ":episode;", ":pattern:": ":pattern;"}
    behind = " ".join(
        f"WHEN substr(n,-{_OWNER_PART},9)='{mark}' THEN substr(n,1,length(n)-{_OWNER_PART})||'{end}'"
        for mark, end in marks.items()
    )
    first = f"SELECT min(item_id) FROM embeddings WHERE item_id>='{_SCOPES_BEGIN}' AND item_id<'{_SCOPES_END}'"
    later = f"SELECT min(item_id) FROM embeddings WHERE item_id>CASE {behind} ELSE n END AND item_id<'{_SCOPES_END}'"
    yield f"named(n) AS (SELECT ({first}) UNION ALL SELECT ({later}) FROM named WHERE n IS NOT NULL)"
    owned = ",".join(f"'{mark}'" for mark in marks)
    yield (
        f"scopes(p) AS MATERIALIZED (SELECT DISTINCT substr(n,1,length(n)-{_OWNER_PART}) FROM named"
        f" WHERE substr(n,-{_OWNER_PART},9) IN ({owned}))"
    )


def _plain_ids() -> str:
    """Ranges (lo, hi) of all ids that do not begin with two hexadecimal digits, as UUIDs do, nor as scopes do."""
    ends = [("''", "'00'")]
    for digit, after in zip(_HEX, [*_HEX[1:], ""], strict=True):
        upper = f"'{after}0'" if after else "x''"
        ends.append((f"'{digit}:'", f"'{digit}a'"))
        if digit == _SCOPES_BEGIN[0]:
            ends += [(f"'{digit}g'", f"'{_SCOPES_BEGIN}'"), (f"'{_SCOPES_END}'", upper)]
        else:
            ends.append((f"'{digit}g'", upper))
    rows = ",".join(f"({low},{high})" for low, high in ends)
    return f"(SELECT column1 AS lo,column2 AS hi FROM (VALUES {rows}))"
