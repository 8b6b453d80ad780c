"""Response bodies read the simple way."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.primary.judge import Bucket, Manifest, half

Cell = Any


async def whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def rows(body: bytes) -> list[list[Cell]]:
    """Rows of a cursor or of a pipeline's first result, as Hrana values."""
    if body.startswith(b'{"baton"') and b"\n" in body.rstrip():
        lines = [json.loads(line) for line in body.splitlines()]
        return [line["row"] for line in lines if line.get("type") == "row"]
    found: list[list[Cell]] = json.loads(body)["results"][0]["response"]["result"]["rows"]
    return found


def by_step(body: bytes) -> dict[int, list[list[Cell]]]:
    """Rows of a cursor by step."""
    steps: dict[int, list[list[Cell]]] = {}
    for line in map(json.loads, body.splitlines()):
        if line.get("type") == "step_begin":
            current = steps.setdefault(line["step"], [])
        elif line.get("type") == "row":
            current.append(line["row"])
    return steps


def plain(row: list[Cell]) -> list[str | None]:
    return [cell.get("value", cell.get("base64")) for cell in row]


def families(body: bytes) -> list[str]:
    """What a manifest lists, family by family, or the marks of those that are known."""
    found: list[str] = []
    for row in rows(body):
        imprint, _, _, listed = plain(row)
        if listed:
            found += listed.split(";") if imprint is not None else [listed]
    return found


def manifest(body: bytes) -> Manifest:
    """Buckets and roots of what is listed; of tables that were not counted only those with rows; nothing of no list."""
    _, _, counts, listed = plain(rows(body)[0])
    found = families(body)
    if listed is None and not found:
        return Manifest({}, {})
    entries: dict[int, dict[str, list[tuple[str, str]]]] = {}
    for entry in filter(None, ",".join(found).split(",")):
        name, _, digest = entry.rpartition(":")
        cut = next(place for place, letter in enumerate(name) if letter in ":.")
        key = name[cut + 1 :].encode().hex().upper() if name[cut] == ":" else name[cut + 1 :]
        entries.setdefault(int(name[:cut]), {}).setdefault(key[-4:], []).append((key, digest))
    counted = dict(one.split(":") for one in counts.split(",")) if counts else {}
    roots: dict[int, tuple[int, str | None, str]] = {}
    buckets: dict[tuple[int, str], Bucket] = {}
    for table in sorted({*entries, *map(int, counted)}):
        text = ""
        for bucket, some in sorted(entries.get(table, {}).items()):
            digest = half("".join(digest for _, digest in sorted(some)).encode())
            joined = ",".join(f"{key}:{digest}" for key, digest in sorted(some))
            buckets[table, bucket] = Bucket(len(some), joined, digest)
            text += bucket + digest
        total = sum(bucket.rows for (owner, _), bucket in buckets.items() if owner == table)
        roots[table] = (total, counted.get(str(table)), half(text.encode()) if text else "")
    return Manifest(roots, buckets)


def base64_bytes(cell: Cell) -> object:
    """A typed cell as SQLite gives it: a kind as text, a value as bytes, or None."""
    if cell["type"] == "blob":
        return base64.b64decode(cell["base64"] + "==")
    return cell.get("value")


def value(cell: Cell) -> object:
    """One Hrana value as Python has it."""
    if cell["type"] == "integer":
        return int(cell["value"])
    return base64_bytes(cell)
