"""Answers without end: more bytes than they weigh, pages that do not advance, values of no form."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from storage_sync.primary import pages
from storage_sync.primary.hrana import HranaHttpClient, execute_request, values
from storage_sync.primary.urls import parse
from storage_sync.values.errors import PrimaryRefused, StorageSyncError
from storage_sync.values.outcome import Purpose
from tests.independent.projection_check import check
from tests.primary.scripted import Answer, Request, Scripted
from tests.support import hrana, network, stores
from tests.support.command import Tool, applied
from tests.support.relay import Exchange, Relay, Reply
from tests.support.sqld import Sqld

MEMORY = 300 << 20
UNFOLDED = 240 << 20


def bomb(head: bytes) -> bytes:
    """Some 240 kB of gzip that unfold to 240 MB, which begin like an answer."""
    pack = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    piece = b"[1,2]," * (1 << 16)
    body = pack.compress(head)
    for _ in range(UNFOLDED // len(piece)):
        body += pack.compress(piece)
    return body + pack.flush()


MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, file=sys.stderr)
sys.exit(code)
"""


def peak(tool: Tool, *words: str) -> tuple[int, int, str]:
    """Exit code, most bytes of memory that the process had at once, and its document.

    A small process starts it: the kernel counts what its starter had before, and this one may have much.
    """
    line = [sys.executable, "-c", MEASURE, *tool.line(*words, "--json")]
    ended = subprocess.run(line, env=tool.variables, capture_output=True, text=True, check=False)
    return ended.returncode, int(ended.stderr.split()[-1]), ended.stdout


@pytest.mark.parametrize("head", [b'{"results":[', b'{"baton":null}\n{"type":"row","row":['])
@pytest.mark.parametrize("number", [1, 2])
def test_a_bomb_does_not_unfold_in_memory(tmp_path: Path, head: bytes, number: int) -> None:
    """The probe and the first large answer."""
    packed = bomb(head)
    assert len(packed) < 1 << 20

    def fault(exchange: Exchange) -> None:
        exchange.send(Reply(200, packed, {"Content-Encoding": "gzip", "Content-Type": "application/json"}))

    with Sqld(stores.primary("small", tmp_path / "p")) as server, Relay(server.port) as relay:
        relay.play(lambda count, path: fault if count >= number else None)
        code, memory, out = peak(Tool.at(tmp_path, relay.url), "sync", "--deadline", "60")
    assert code in (3, 4), out
    assert memory < MEMORY, memory


async def test_a_body_above_the_bound_is_not_read_to_its_end() -> None:
    huge = gzip.compress(b'{"results":[' + b"1," * (20 << 20))
    async with Scripted(lambda _: Answer(body=(huge,), headers={"Content-Encoding": "gzip"})) as server:
        client = HranaHttpClient(parse(server.url))
        with pytest.raises(PrimaryRefused, match="longer than 16 MB"):
            await client.pipeline([execute_request("SELECT 1")])
        await client.close()


def rows(*keys: str) -> bytes:
    cells = [[{"type": "text", "value": key}] for key in keys]
    result = {"cols": [{"name": "k"}], "rows": cells, "affected_row_count": 0, "last_insert_rowid": None}
    answer = {"type": "ok", "response": {"type": "execute", "result": result}}
    return json.dumps({"baton": "B", "results": [answer]}).encode()


@pytest.mark.parametrize("page", [["41", "42"], ["41", "41"], ["42", "41"], ["40"]])
async def test_a_page_that_does_not_advance_is_refused(page: list[str]) -> None:
    async with Scripted(lambda _: Answer(body=(rows(*page),))) as server:
        client = HranaHttpClient(parse(server.url))
        stream = pages._Stream(client, held=False, purpose=Purpose.PROOF)

        async def all_pages() -> None:
            after = ""
            for _ in range(3):
                after = (await stream.keys("SELECT 1", after))[-1]

        with pytest.raises(PrimaryRefused, match="repeats a page"):
            await all_pages()
        await client.close()


def test_a_server_without_cursors_that_repeats_a_page_ends_a_run(tmp_path: Path) -> None:
    """Through the command: the same first page for ever."""
    first: dict[bytes, Reply] = {}

    def fault(exchange: Exchange) -> None:
        if exchange.path.startswith("/v3/"):
            exchange.send(Reply(404, b""))
            return
        listing = b":after" in exchange.body or b'"after"' in exchange.body
        for digest in (b"sha3", b"crypto_blake3", b"crypto_sha256"):
            exchange.body = exchange.body.replace(digest + b"(", b"no_" + digest + b"(")
        reply = exchange.ask()
        if listing:
            kept = first.setdefault(b"episodes", reply)
            body = json.loads(network.plain(reply))
            body["results"] = json.loads(network.plain(kept))["results"]
            reply = Reply(200, json.dumps(body).encode())
        exchange.send(reply)

    with Sqld(stores.primary("small", tmp_path / "p")) as server, Relay(server.port) as relay:
        relay.play(lambda number, path: fault)
        result = Tool.at(tmp_path, relay.url).json("sync", "--deadline", "60")
    assert result.exit_code == 4
    assert "repeats a page" in result.document["error"]["message"]


MALFORMED: list[Any] = [
    {"baton": None, "results": [{"type": "ok", "response": {"type": "execute", "result": 7}}] * 4},
    {"baton": None, "results": [{"type": "ok", "response": {"type": "execute", "result": {"cols": 1, "rows": 2}}}] * 4},
    {"baton": None, "results": [{"type": "ok", "response": 7}] * 4},
    {"baton": None, "results": [{"type": "error", "error": 7}] * 4},
    {"baton": None, "results": [{"type": "error", "error": {}}] * 4},
    {"baton": None, "results": [7] * 4},
    {"baton": None, "results": 7},
    {"baton": None, "results": {"0": 1}},
    {"baton": 7},
    [],
    7,
    None,
    "text",
]


@pytest.mark.parametrize("answer", MALFORMED)
async def test_no_form_of_an_answer_is_more_than_a_refusal(answer: Any) -> None:
    def script(request: Request) -> Answer:
        return Answer(body=(json.dumps(answer).encode(),))

    async with Scripted(script) as server:
        client = HranaHttpClient(parse(server.url))

        async def asked() -> object:
            (result,) = await client.pipeline([execute_request("SELECT 1")])
            return values(result)

        for ask in (asked(), client.execute("SELECT 1"), client.batch(["SELECT 1"])):
            with pytest.raises(StorageSyncError):
                await ask
        await client.close()


@pytest.mark.parametrize("number", range(1, 5))
@pytest.mark.parametrize("answer", [MALFORMED[0], MALFORMED[1], MALFORMED[6]])
def test_a_run_with_one_malformed_answer_is_a_failed_run(tmp_path: Path, number: int, answer: Any) -> None:
    with Sqld(stores.primary("small", tmp_path / "p")) as server, Relay(server.port) as relay:
        relay.play(lambda count, path: network.answer(200, json.dumps(answer)) if count == number else None)
        result = Tool.at(tmp_path, relay.url).json("sync")
    assert result.exit_code in (0, 3, 4), result.document["error"]


LONG = 4_900_000
"""Octets of a row that sqld still sends: it makes no value of 5,000,000 or more."""


def long_text(octets: int, letter: str) -> str:
    """SQL of a text; the letter is the greater part of what it holds."""
    return f"replace(hex(zeroblob({octets // 2})),'0','{letter}')"


@pytest.mark.parametrize("letter", ["x", "\x01", '"'], ids=["plain", "control characters", "quotes"])
def test_a_row_that_the_server_sends_arrives(tmp_path: Path, letter: str) -> None:
    """Also where its form on the way is six times as long, and where others of its size come with it."""
    with Sqld(stores.primary("v47-small", tmp_path / "p")) as server:
        some = "episode_id IN (SELECT episode_id FROM episodes ORDER BY episode_id LIMIT 3)"
        hrana.execute(server.url, [f"UPDATE episodes SET task_description={long_text(LONG, letter)} WHERE {some}"])
        tool = Tool.at(tmp_path, server.url)
        done = tool.run("sync", "--json")
        copy = stores.quiet_copy(server.database, tmp_path / "copy")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["verdict"], document["counts"]["episodes"]["refused"]) == (0, "IN_SYNC", 0)
    assert check(copy, tool.cache).holds(exact=True)


@pytest.mark.parametrize(
    ("text", "tags", "arrives"),
    [(LONG, 50_000, True), (LONG, 200_000, False), (2_600_000, 2_600_000, False), (4_990_000, 10, False)],
)
def test_a_row_beyond_what_a_server_can_digest_is_rejected_and_no_other(
    tmp_path: Path, text: int, tags: int, arrives: bool
) -> None:
    with Sqld(stores.primary("v47-small", tmp_path / "p")) as server:
        hrana.execute(
            server.url,
            [
                f"UPDATE episodes SET task_description={long_text(text, 'x')}"
                " WHERE episode_id=(SELECT min(episode_id) FROM episodes)",
                f"INSERT INTO episode_tags(episode_id,tag) SELECT min(episode_id),{long_text(tags, 'y')} FROM episodes",
            ],
        )
        done = Tool.at(tmp_path, server.url).run("sync", "--json")
    document = json.loads(done.stdout)
    rejected = document["counts"]["episodes"]["refused"]
    assert (done.exit_code, rejected) == ((0, 0) if arrives else (7, 1)), document["error"]
    assert document["counts"]["episodes"]["cache"] == 60 - rejected


def tagged(octets: int, each: int) -> str:
    """SQL that gives the first episode tags of so many octets together."""
    counted = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{octets // each})"
    tag = f"printf('%08d',i)||{long_text(each - 8, 'y')}"
    first = "(SELECT min(episode_id) FROM episodes)"
    return f"{counted} INSERT INTO episode_tags(episode_id,tag) SELECT {first},{tag} FROM n"


NO_TAGS = "DELETE FROM episode_tags WHERE episode_id=(SELECT min(episode_id) FROM episodes)"


@pytest.mark.parametrize("cursor", [True, False], ids=["cursor", "pages"])
@pytest.mark.parametrize("each", [1_000_008, 108], ids=["large tags", "many tags"])
def test_an_episode_with_more_tags_than_a_server_can_join_is_rejected_and_no_other(
    tmp_path: Path, each: int, cursor: bool
) -> None:
    """By the first run, by one that goes on from its proof, and by a proof; what was rejected comes when it can."""
    with Sqld(stores.primary("v47-small", tmp_path / "p")) as server, Relay(server.port) as relay:
        if not cursor:
            relay.play(lambda number, path: network.answer(404, "") if path.startswith("/v3/") else None)
        tool = Tool.at(tmp_path, relay.url)
        hrana.execute(server.url, [tagged(6_200_000, each)])
        code, memory, out = peak(tool, "sync")
        first = json.loads(out)
        assert (code, first["counts"]["episodes"]["refused"], first["verdict"]) == (7, 1, "IN_SYNC"), first["error"]
        assert first["counts"]["episodes"]["cache"] == 59
        assert memory < MEMORY, memory
        (refused,) = tool.json("quarantine", "list").document["refused"]
        assert (refused["column"], "larger than the primary can send" in refused["reason"]) == ("tags", True)
        hrana.execute(server.url, [NO_TAGS])
        mended = tool.json("sync").document
        assert (mended["exit_code"], mended["counts"]["episodes"]["refused"]) == (0, 0), mended["error"]
        assert applied(mended) == {"episodes": {"insert": 1}}
        hrana.execute(server.url, [tagged(6_200_000, each)])
        again = tool.json("sync").document
        assert (again["exit_code"], again["counts"]["episodes"]["refused"]) == (7, 1), again["error"]
        verified = tool.json("verify", "--deep").document
        failed = [check["name"] for check in verified["checks"] if check["status"] != "pass"]
        # the owner of its embedding is not in the cache
        assert (verified["verdict"], failed) == ("IN_SYNC", ["orphaned_embeddings"]), verified["error"]


def test_an_episode_of_a_file_with_as_many_tags_as_do_memory_reads_arrives(tmp_path: Path) -> None:
    """A file has no bound on its texts; do-memory has one on a row."""
    primary = stores.primary("v47-small", tmp_path / "p")
    tool = Tool.at(tmp_path, f"file:{primary}")
    stores.execute(primary, [tagged(6_200_000, 108)])
    done = tool.json("sync").document
    assert (done["exit_code"], done["counts"]["episodes"]["cache"]) == (0, 60), done["error"]
    assert check(primary, tool.cache).holds(exact=True)
    stores.execute(primary, [NO_TAGS, tagged(10_200_000, 108)])
    code, memory, out = peak(tool, "sync")
    document = json.loads(out)
    assert (code, document["counts"]["episodes"]["refused"]) == (7, 1), document["error"]
    assert document["counts"]["episodes"]["cache"] == 59
    assert memory < MEMORY, memory
