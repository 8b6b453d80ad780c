"""Response bodies read the simple way."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.primary.judge import Bucket, Manifest

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


def manifest(body: bytes) -> Manifest:
    roots: dict[int, tuple[int, str | None, str]] = {}
    buckets: dict[tuple[int, str], Bucket] = {}
    for row in rows(body):
        t, b, n, x, d = plain(row)
        if t is None:
            continue
        assert n is not None
        assert d is not None
        if b is None:
            roots[int(t)] = (int(n), x, d)
        else:
            assert x is not None
            buckets[int(t), b] = Bucket(int(n), x, d)
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
