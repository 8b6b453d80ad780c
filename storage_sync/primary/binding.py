"""Statements that refuse themselves where the primary is not the one that they were written for.

What is known of a primary (tables, columns, functions) was found out once, and goes into the SQL. A proof would then
speak of a primary that is no more: rows of a table that came since would be missing from both sides of it. So each
statement that a proof rests on compares, in its own snapshot, the state that it was written for with the one it meets.
"""

from __future__ import annotations

STATE = "(SELECT schema_version FROM pragma_schema_version)||'|'||sqlite_version()"
"""SQL of the state that a statement is bound to: any change of the schema, or another server, gives another text."""


def bound(sql: str) -> str:
    """The same rows where `:state` still is the primary's state; else the error "integer overflow", see `errors`."""
    refusal = "abs(-9223372036854775807-1)"
    return f"SELECT * FROM ({sql}) WHERE CASE WHEN {STATE}=:state THEN 1 ELSE {refusal} END"
