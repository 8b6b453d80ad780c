"""What one primary can do, found out once in one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from msgspec import Struct

from storage_sync.primary import schema as schema_module
from storage_sync.primary.binding import STATE
from storage_sync.primary.schema import (
    BESIDE_TABLES,
    METADATA_TABLE,
    REVISION_TABLE,
    SEEKS,
    UNIQUE,
    Schema,
    names_to_look_for,
)
from storage_sync.primary.statements import DIGESTS
from storage_sync.values.errors import PrimaryRefused

# What a manifest needs besides a digest function: the canonical text and the keys.
_HELPERS = "concat_ws('|',typeof(1),NULL,octet_length('é'))||hex(unhex('4B'))"
_HELPERS_ANSWER = "integer|24B"

_EMPTY_DIGESTS = {
    "sha3-256": "A7FFC6F8BF1ED76651C14756A061D662F580FF4DE43B49FA82D80A4B80F8434A",
    "blake3": "AF1349B9F5F9A1A6A0404DEA36DCC9499BCB25C9ADC112B7CC9A93CAE41F3262",
    "sha-256": "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
}
"""Digests of nothing: a function of the right name that computes something else is not used."""

_DIGEST_CALLS = {"sha3-256": "sha3('',256)", "blake3": "crypto_blake3('')", "sha-256": "crypto_sha256('')"}


class Capabilities(Struct, frozen=True):
    """Of one primary, probed once and remembered."""

    schema: Schema
    digest: str | None
    """Best digest function that the server has, by its name in `_native`; None: digests are made on the client."""
    server: str
    """What it says it is: `SQLite 3.45.1`."""
    foreign_keys: bool | None
    """Whether a REPLACE cascades (docs/formats.md#cascades)."""
    replication_index: int | None
    """As seen in the probe; None where the server sends none."""
    state: str = ""
    """`binding.STATE` when it was probed; '' for a file, which is probed in each read transaction."""
    access: str = "unknown"
    """`read-only` for a file that we opened so; a token's rights cannot be told without writing."""

    @property
    def generation(self) -> str:
        return self.schema.generation


_MADE_OF = "(SELECT group_concat(type||'|'||name||'|'||coalesce(sql,'')) FROM sqlite_master)"
"""SQL of the text of the whole schema."""


def digest_probes() -> list[str]:
    """One statement a digest function, best first; each fails on a server that lacks it. One row: helpers, digest of
    nothing, digest of the schema, `binding.STATE`."""
    calls = zip(_DIGEST_CALLS.values(), DIGESTS.values(), strict=True)
    return [f"SELECT {_HELPERS},hex({call}),hex({digest.format(_MADE_OF)}),{STATE}" for call, digest in calls]


def digest_of(rows: Sequence[Sequence[object] | None]) -> str | None:
    """The best function whose probe (in the order of `digest_probes`) gave the right answer."""
    for name, row in zip(_DIGEST_CALLS, rows, strict=True):
        if row is not None and list(row[:2]) == [_HELPERS_ANSWER, _EMPTY_DIGESTS[name]]:
            return name
    return None


def seen_of(rows: Sequence[Sequence[object] | None], digest: str | None) -> tuple[str, str] | None:
    """What the schema and the server are told by, and the state, of the probe of that function."""
    for name, row in zip(_DIGEST_CALLS, rows, strict=True):
        if name == digest and row is not None:
            state = str(row[3])
            return f"{row[2]}|{state.partition('|')[2]}", state
    return None


SCHEMA_PROBE = f"""
WITH want(n,c) AS MATERIALIZED (SELECT key,value FROM json_each(:want)),
have(n,kind,wr) AS MATERIALIZED (SELECT name,type,
 coalesce((SELECT l.wr FROM pragma_table_list(m.name) l WHERE l.schema='main'),0)
 FROM sqlite_master m WHERE m.type IN ('table','view') AND (m.name IN (SELECT n FROM want)
 OR m.name IN (SELECT value FROM json_each(:beside))))
SELECT json_object(
 'sqlite',sqlite_version(),
 'state',{STATE},
 'foreign_keys',(SELECT foreign_keys FROM pragma_foreign_keys),
 'seeks',(SELECT json_group_array(s.key) FROM json_each(:seeks) s WHERE EXISTS(
   SELECT 1 FROM pragma_index_list(json_extract(s.value,'$[0]')) l JOIN pragma_index_info(l.name) i
   WHERE l.partial=0 AND i.seqno=0 AND i.name=json_extract(s.value,'$[1]'))),
 'unique',(SELECT json_group_array(u.key) FROM json_each(:unique) u WHERE EXISTS(
   SELECT 1 FROM pragma_index_list(json_extract(u.value,'$[0]')) l WHERE l."unique"=1 AND l.partial=0
   AND (SELECT group_concat(i.name) FROM pragma_index_info(l.name) i)=json_extract(u.value,'$[1]'))),
 'keyless',(SELECT count(*) FROM pragma_table_info('episodes') WHERE name='episode_id' AND "notnull"=0),
 'tables',(SELECT json_group_object(have.n,json_array(have.kind='table' AND have.wr=0,
   (SELECT group_concat(value) FROM (SELECT value FROM json_each(want.c)
     EXCEPT SELECT name FROM pragma_table_info(have.n)))))
  FROM have LEFT JOIN want ON want.n=have.n))
""".strip()
"""One text cell: {sqlite, state, foreign_keys, seeks, unique, keyless, tables}; `tables` by name: [has a rowid, absent
columns joined by commas or null].

`:want` is an object of table name to the columns that we read; only what deviates is answered, so that the first
contact stays small. `:seeks` is `SEEKS` and `:unique` is `UNIQUE`, answered by their numbers.
"""


def probe_arguments() -> dict[str, str]:
    return {
        "want": orjson.dumps(names_to_look_for()).decode(),
        "beside": orjson.dumps(BESIDE_TABLES).decode(),
        "seeks": orjson.dumps(SEEKS).decode(),
        "unique": orjson.dumps(UNIQUE).decode(),
    }


def read_probe(cell: object) -> tuple[Schema, str, str, bool | None]:
    """(schema, state, version text, foreign keys) of the answer to `SCHEMA_PROBE`; PrimarySchema when it is not
    do-memory's."""
    try:
        found = orjson.loads(cell if isinstance(cell, (str, bytes, bytearray)) else b"")
        tables: Mapping[str, Sequence[object]] = found["tables"]
        missing = {
            name: frozenset(str(entry[1]).split(",") if entry[1] else ())
            for name, entry in tables.items()
            if name not in BESIDE_TABLES
        }
        rowids = frozenset(name for name, entry in tables.items() if entry[0])
        seeks = frozenset(SEEKS[number] for number in found["seeks"])
        unique = frozenset(UNIQUE[number][0] for number in found["unique"])
        keyless = bool(found["keyless"])
        version, keys = str(found["sqlite"]), found["foreign_keys"]
        state = str(found["state"])
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError, AttributeError, ValueError):
        raise PrimaryRefused("the primary's answer about its schema cannot be read") from None
    names, late = schema_module.judge(missing)
    schema = Schema(
        tables=names,
        late=late,
        rowids=rowids,
        seeks=seeks,
        unique=unique,
        revisions=REVISION_TABLE in tables,
        metadata=METADATA_TABLE in tables,
        keyless=keyless,
    )
    return schema, state, f"SQLite {version}", None if keys is None else bool(keys)
