"""How long a server that wants to be left alone is left alone, by every loop that asks it."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from pathlib import Path

import pytest

from storage_sync.primary.errors import LONGEST_WAIT_S, retry_after
from storage_sync.primary.source import connect
from storage_sync.values.errors import PrimaryUnavailable
from tests.primary.scripted import Answer, Scripted
from tests.support import network, stores
from tests.support.command import Tool
from tests.support.relay import Fault, Relay
from tests.support.sqld import Sqld
from tests.support.watching import said, watching, well

BUSY = (429, '{"error":"Too many concurrent requests"}')


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("60", 60.0),
        (" 7 ", 7.0),
        ("²", None),
        ("٣", None),
        ("-1", None),
        ("1e9", None),
        ("", None),
        (None, None),
        ("999999999999", LONGEST_WAIT_S),
        ("9" * 400, LONGEST_WAIT_S),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 9999 07:28:00 GMT", LONGEST_WAIT_S),
        ("Wed, 99 Oct 2026 07:28:30 GMT", None),
        ("soon", None),
    ],
)
def test_what_a_header_says(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, "Wed, 21 Oct 2026 07:28:00 GMT") == seconds


@pytest.mark.parametrize("status", [429, 503])
async def test_no_request_is_made_before_the_time(status: int) -> None:
    async with Scripted(lambda _: Answer(status, headers={"Retry-After": "60"})) as server:
        source = connect(server.url)
        for ask in (source.ping, source.fingerprint, source.probe, source.ping):
            with pytest.raises(PrimaryUnavailable, match=str(status)) as caught:
                await ask()
            assert 55 < (caught.value.retry_after or 0) <= 60
        assert len(server.requests) == 1
        source.ask_now()
        with pytest.raises(PrimaryUnavailable):
            await source.ping()
        assert len(server.requests) == 2
        await source.close()


async def test_it_is_asked_again_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Answer(429, headers={"Retry-After": "60"}), Answer(500)]
    loop = asyncio.get_running_loop()
    time_of_day = loop.time
    async with Scripted(lambda _: answers.pop(0)) as server:
        source = connect(server.url)
        for _ in range(2):
            with pytest.raises(PrimaryUnavailable, match="429"):
                await source.ping()
        assert len(answers) == 1
        monkeypatch.setattr(loop, "time", lambda: time_of_day() + 61.0)
        with pytest.raises(PrimaryUnavailable, match="500"):
            await source.ping()
        await source.close()


WAIT_S = 6


def busy(seconds: str) -> Fault:
    return network.answer(*BUSY, Retry_After=seconds)


def test_a_command_gives_up_rather_than_ask_too_early(tmp_path: Path) -> None:
    with Sqld(stores.primary("small", tmp_path / "p")) as server, Relay(server.port) as relay:
        relay.play(lambda number, path: busy("60"))
        started = time.monotonic()
        result = Tool.at(tmp_path, relay.url).json("sync")
        assert (result.exit_code, len(relay.paths)) == (3, 1)
        assert time.monotonic() - started < 30
        assert "Too many concurrent requests" in result.document["error"]["message"]


def test_a_command_with_the_time_for_it_waits(tmp_path: Path) -> None:
    with Sqld(stores.primary("small", tmp_path / "p")) as server, Relay(server.port) as relay:
        relay.play(lambda number, path: busy("3") if number == 1 else None)
        started = time.monotonic()
        result = Tool.at(tmp_path, relay.url).json("sync", "--deadline", "60")
        assert result.document["verdict"] == "IN_SYNC"
        assert time.monotonic() - started > 3


def test_watch_leaves_a_busy_server_alone_and_comes_back(tmp_path: Path) -> None:
    with Sqld(stores.primary("small", tmp_path / "p")) as server, Relay(server.port) as relay:
        tool = Tool.at(tmp_path, relay.url, STORAGE_SYNC_POLL_S="0.1")
        with watching(tool, "--interval", "0.5") as watch:
            watch.until(well)
            refused: list[float] = []
            left_alone = threading.Event()

            def script(number: int, path: str) -> Fault | None:
                """Busy until nobody asked for as long as it says; it says so after the moment that is noted."""
                now = time.monotonic()
                if left_alone.is_set() or (refused and now - refused[-1] >= WAIT_S):
                    left_alone.set()
                    return None
                refused.append(now)
                return busy(str(WAIT_S))

            position = len(watch.lines)
            relay.play(script)
            watch.until(said("primary_unavailable: the primary answers 429"), after=position)
            watch.until(said("recovered after"), after=position)
            # beside the first, a poll and a run that were on the way when its answer came
            assert len(refused) <= 3, refused
            assert watch.stop(signal.SIGTERM)[0] == 143
        warnings = [line["message"] for line in watch.lines if line["level"] == "warning"]
        assert len(warnings) == 1, warnings


def test_polls_of_a_primary_that_is_down_come_at_growing_distances(tmp_path: Path) -> None:
    """Without a word from the server: as often as the settings say only while it answers."""
    with Sqld(stores.primary("small", tmp_path / "p")) as server, Relay(server.port) as relay:
        tool = Tool.at(tmp_path, relay.url, STORAGE_SYNC_POLL_S="0.1")
        with watching(tool, "--interval", "600") as watch:
            watch.until(well)
            relay.play(lambda number, path: network.answer(503, "{}"))
            watch.until(said("primary_unavailable"))
            started = time.monotonic()
            while time.monotonic() - started < 8:
                assert watch.process.poll() is None
                signal.sigtimedwait([], 0.2)
            assert len(relay.paths) < 30, len(relay.paths)
            relay.play()
            assert watch.stop(signal.SIGTERM)[0] == 143
