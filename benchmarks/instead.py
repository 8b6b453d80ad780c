"""What a user would do instead: a script that selects everything and writes it in one transaction, each time.

The script is measured at its best: it reads each answer and parses it, and the rows are inserted by redb itself. What
it would take to make cached values of the parsed rows is left out.
"""

from __future__ import annotations

import http.client
import json
import time

from benchmarks import floors
from benchmarks.cases import REPEATS, Bench, Figure, child, served, touch
from benchmarks.recorder import Asked
from tests.support.sqld import Sqld

TABLES = (
    "episodes",
    "episode_tags",
    "patterns",
    "heuristics",
    "embeddings",
    "episode_summaries",
    "episode_relationships",
    "recommendation_sessions",
    "recommendation_feedback",
    "procedural_memory",
)


def _select_everything() -> list[Asked]:
    return [
        Asked("/v2/pipeline", json.dumps({"requests": [_statement(f"SELECT * FROM {table}")]}).encode(), 0)
        for table in TABLES
    ]


def _statement(sql: str) -> dict[str, object]:
    return {"type": "execute", "stmt": {"sql": sql}}


def _answer(server: Sqld, asked: Asked) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    connection.request("POST", asked.path, asked.body, {"Content-Type": "application/json"})
    answer = connection.getresponse().read()
    connection.close()
    return answer


def script(bench: Bench, episodes: int) -> None:
    """The first load, and a later one after a hundredth of the episodes changed."""
    changed = max(episodes // 100, 1)
    asked = _select_everything()
    with served(bench.primary(episodes)) as server:
        rows = bench.folder / "instead.bin"
        first, scripts = [], []
        for _ in range(REPEATS):
            folder = bench.fresh("instead")
            first.append(child(server.url, folder, episodes)["runs"][0])
            floors.dump(folder / "cache.redb", rows)
            began = time.perf_counter()
            answers = [_answer(server, one) for one in asked]
            for answer in answers:
                json.loads(answer)
            scripts.append(time.perf_counter() - began + floors.insert(bench.program, rows, bench.folder))
            size = sum(map(len, answers))
        case = f"beside a SELECT * script, {episodes:,} episodes"
        wall, floor = min(run["wall"] for run in first), min(scripts)
        bench.add(Figure(case, "first load", wall, "s", floor, 1 / 0.9))
        bytes_first = first[0]["document"]["transfer"]["bytes_received"]
        bench.add(Figure(case, "bytes of the first load", bytes_first, "B", size))
        walls = []
        for number in range(REPEATS):
            touch(server, changed, chr(ord("a") + number))
            later = child(server.url, folder, episodes)["runs"][0]
            assert later["document"]["applied"]["episodes"]["update"] == changed
            walls.append(later["wall"])
        bench.add(Figure(case, f"later, {changed} changed", min(walls), "s", floor, 1 / 5))
        received = later["document"]["transfer"]["bytes_received"]
        bench.add(Figure(case, "bytes of the later one", received, "B", size, 1 / 20))
