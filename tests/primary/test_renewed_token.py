"""A token that is renewed in its file while a process lives."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage_sync.config.token import Token
from storage_sync.primary.source import connect
from storage_sync.values.errors import PrimaryRefused
from tests.primary.scripted import Answer, Request, Scripted
from tests.support import stores
from tests.support.command import Tool
from tests.support.sqld import Auth, Sqld
from tests.support.watching import said, watching, well

ANSWER = (
    b'{"baton":null,"results":[{"type":"ok","response":{"type":"execute","result":'
    b'{"cols":[{"name":"1"}],"rows":[],"affected_row_count":0,"last_insert_rowid":null}}}]}'
)


def only(token: str) -> object:
    def script(request: Request) -> Answer:
        return Answer(body=(ANSWER,)) if request.headers["authorization"] == f"Bearer {token}" else Answer(401)

    return script


async def test_a_refused_token_is_read_again_and_the_request_made_again() -> None:
    kept = iter(["new-token-of-ours"] * 9)
    async with Scripted(only("new-token-of-ours")) as server:  # type: ignore[arg-type]
        source = connect(server.url, "old-token-of-ours", renewed=lambda: next(kept))
        await asyncio.gather(*(source.ping() for _ in range(3)))
        count = len(server.requests)
        await source.ping()
        assert len(server.requests) == count + 1
        assert source.counters.retries >= 1
        await source.close()


async def test_the_same_token_is_not_sent_twice() -> None:
    async with Scripted(lambda _: Answer(403)) as server:
        source = connect(server.url, "old-token-of-ours", renewed=lambda: "old-token-of-ours")
        with pytest.raises(PrimaryRefused):
            await source.ping()
        assert len(server.requests) == 1
        await source.close()


def test_a_renewed_token_is_heard_of_before_it_is_used() -> None:
    heard: list[str] = []
    token = Token("first-token", "file x", lambda: "second-token", heard.append)
    assert token.renew()
    assert not token.renew()
    assert (token.value, heard) == ("second-token", ["first-token", "second-token"])


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[Auth, Sqld]]:
    auth = Auth.generate()
    with Sqld(stores.primary("small", tmp_path / "p"), auth=auth) as server:
        yield auth, server


def keep(file: Path, token: str) -> None:
    file.write_text(token)
    file.chmod(0o600)


def test_watch_goes_on_with_a_token_that_is_renewed(guarded: tuple[Auth, Sqld], tmp_path: Path) -> None:
    """What it had is not taken any more: another key, as after a rotation."""
    auth, server = guarded
    file = tmp_path / "token"
    keep(file, auth.token())
    tool = Tool.at(tmp_path, server.url, STORAGE_SYNC_POLL_S="0.2")
    with watching(tool, "--interval", "1", "--token-file", str(file)) as watch:
        watch.until(well)
        rotated = Auth.generate()
        server.stop()
        server.trust(rotated)
        server.start()
        position = len(watch.lines)
        watch.until(said("primary_refused: the primary refused us (401)"), after=position)
        fresh = rotated.token()
        keep(file, fresh)
        watch.process.send_signal(signal.SIGHUP)
        watch.until(said("recovered after"), after=position)
        assert watch.stop(signal.SIGTERM)[0] == 143
    assert fresh not in "".join(watch.raw)


def test_a_token_file_that_is_being_written_does_not_end_it(guarded: tuple[Auth, Sqld], tmp_path: Path) -> None:
    auth, server = guarded
    file = tmp_path / "token"
    keep(file, auth.token())
    tool = Tool.at(tmp_path, server.url, STORAGE_SYNC_POLL_S="0.2")
    with watching(tool, "--interval", "1", "--token-file", str(file)) as watch:
        watch.until(well)
        keep(file, "")
        position = len(watch.lines)
        watch.process.send_signal(signal.SIGHUP)
        watch.until(said("is empty; the old token stays"), after=position)
        keep(file, auth.token("ro"))
        watch.process.send_signal(signal.SIGHUP)
        watch.until(said("the token was read again"), after=position)
        assert watch.stop(signal.SIGTERM)[0] == 143
