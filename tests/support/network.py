"""Faults of a network and of what stands in it, for the script of a `Relay`: each is one function of an exchange."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from tests.support.relay import Exchange, Fault, Relay, Reply

Rows = list[list[dict[str, Any]]]
BYTE_PAUSE_S = 1.0


def is_close(exchange: Exchange) -> bool:
    """A request that only ends a stream: nobody waits for its answer."""
    requests = json.loads(exchange.body).get("requests", [])
    return [request["type"] for request in requests] == ["close"]


# ------------------------------------------------------------------------------------- the connection


def last_before(shut: Callable[[Relay], None]) -> Fault:
    """The server's answer and the end of its connection; the next one meets a closed door."""

    def fault(exchange: Exchange) -> None:
        reply = exchange.ask()
        shut(exchange.relay)
        exchange.send(reply, close=True)

    return fault


def no_answer(exchange: Exchange) -> None:
    exchange.end()


def reset_unanswered(exchange: Exchange) -> None:
    exchange.end(reset=True)


def reset_in_body(exchange: Exchange) -> None:
    _half(exchange)
    exchange.end(reset=True)


def cut_in_body(exchange: Exchange) -> None:
    _half(exchange)
    exchange.end()


def hang_in_headers(exchange: Exchange) -> None:
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    exchange.hang()


def hang_before_headers(exchange: Exchange) -> None:
    exchange.hang()


def hang_in_body(exchange: Exchange) -> None:
    _half(exchange)
    exchange.hang()


def one_byte_a_second(exchange: Exchange) -> None:
    reply = exchange.ask()
    exchange.write(exchange.head(reply))
    for number in range(len(reply.body)):
        exchange.write(reply.body[number : number + 1])
        if exchange.over.wait(BYTE_PAUSE_S):
            exchange.end()
            return


def _half(exchange: Exchange) -> None:
    reply = exchange.ask()
    exchange.write(exchange.head(reply) + reply.body[: len(reply.body) // 2])


# -------------------------------------------------------------------------------------- another answer


def answer(status: int, body: bytes | str = b"", content_type: str = "application/json", **headers: str) -> Fault:
    """This instead of what the server would say; `Retry_After` names the header `Retry-After`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = body.encode() if isinstance(body, str) else body
    return lambda exchange: exchange.send(Reply(status, data, {"Content-Type": content_type, **named}))


def raw(data: bytes) -> Fault:
    """These bytes and the end of the connection."""

    def fault(exchange: Exchange) -> None:
        exchange.write(data)
        exchange.end()

    return fault


def failing(code: str, message: str) -> Fault:
    """An answer of the right form in which each statement failed."""

    def fault(exchange: Exchange) -> None:
        error = {"message": message, "code": code}
        asked = json.loads(exchange.body)
        if "batch" in asked:
            lines = [{"baton": None, "base_url": None}, {"type": "error", "error": error}]
            exchange.send(Reply(200, b"".join(json.dumps(line).encode() + b"\n" for line in lines)))
            return
        results = [{"type": "error", "error": error} for _ in asked["requests"]]
        exchange.send(Reply(200, json.dumps({"baton": None, "base_url": None, "results": results}).encode()))

    return fault


# ------------------------------------------------------------------------------ the server's answer, changed


def cut_json(exchange: Exchange) -> None:
    """Half of the body, with the length that this half has."""
    body = plain(exchange.ask())
    exchange.send(Reply(200, body[: len(body) // 2]))


def twice(exchange: Exchange) -> None:
    """The whole response a second time, on the same connection."""
    reply = exchange.ask()
    exchange.write((exchange.head(reply) + reply.body) * 2)


def bad_chunks(exchange: Exchange) -> None:
    body = plain(exchange.ask())
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    exchange.write(head + b"%x\r\n" % (len(body) // 2) + body[: len(body) // 2] + b"\r\nno length\r\n")
    exchange.end()


def rows_changed(edit: Callable[[Rows], Rows]) -> Fault:
    """The rows of every result as `edit` makes them; an answer without rows stays as it is."""

    def fault(exchange: Exchange) -> None:
        body = plain(exchange.ask())
        edited = _cursor if exchange.path.endswith("/cursor") else _pipeline
        changed = edited(body, edit)
        exchange.left_alone = changed == edited(body, lambda rows: rows)
        exchange.send(Reply(200, changed))

    return fault


def a_column_less(rows: Rows) -> Rows:
    return [row[:-1] for row in rows]


def a_column_more(rows: Rows) -> Rows:
    return [[*row, {"type": "null"}] for row in rows]


def a_row_less(rows: Rows) -> Rows:
    return rows[:-1]


def a_row_twice(rows: Rows) -> Rows:
    return [*rows, *rows[-1:]]


def cells(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Rows], Rows]:
    return lambda rows: [[change(cell) for cell in row] for row in rows]


def too_large(cell: dict[str, Any]) -> dict[str, Any]:
    return {**cell, "value": "9" * 40} if cell["type"] == "integer" else cell


def not_a_number(cell: dict[str, Any]) -> dict[str, Any]:
    return {"type": "float", "value": math.nan} if cell["type"] in ("integer", "float") else cell


def of_no_type(cell: dict[str, Any]) -> dict[str, Any]:
    return {**cell, "type": "vector"}


def nothing(cell: dict[str, Any]) -> dict[str, Any]:
    return {"type": "null"}


def plain(reply: Reply) -> bytes:
    """The body without its encoding."""
    return gzip.decompress(reply.body) if reply.headers.get("Content-Encoding") == "gzip" else reply.body


def _pipeline(body: bytes, edit: Callable[[Rows], Rows]) -> bytes:
    document = json.loads(body)
    for entry in document["results"]:
        result = entry.get("response", {}).get("result")
        if result is not None:
            result["rows"] = edit(result["rows"])
    return json.dumps(document).encode()


def _cursor(body: bytes, edit: Callable[[Rows], Rows]) -> bytes:
    """As `_pipeline` for the lines of a cursor: the rows of a step come one a line."""
    out: list[dict[str, Any]] = []
    rows: Rows = []
    for line in _lines(body):
        if line.get("type") == "row":
            rows.append(line["row"])
            continue
        if rows:
            out += [{"type": "row", "row": row} for row in edit(rows)]
            rows = []
        out.append(line)
    return b"".join(json.dumps(line).encode() + b"\n" for line in out)


def _lines(body: bytes) -> Iterable[dict[str, Any]]:
    return (json.loads(line) for line in body.splitlines() if line)


def gzip_garbage(exchange: Exchange) -> None:
    reply = Reply(200, b"\x1f\x8bnot what it claims to be", {"Content-Encoding": "gzip"})
    exchange.send(replace(reply, headers={**reply.headers, "Content-Type": "application/json"}))


def gzip_cut(exchange: Exchange) -> None:
    """Half of a stream of gzip, with the length that this half has."""
    packed = zlib.compress(plain(exchange.ask()), wbits=16 + zlib.MAX_WBITS)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    exchange.send(Reply(200, packed[: len(packed) // 2], headers))
