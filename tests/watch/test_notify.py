"""Notices: what is told, to whom, and that a listener that fails costs a sentence."""

from __future__ import annotations

import json
import os
import select
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage_sync.config.load import load_settings
from storage_sync.config.settings import Settings
from storage_sync.config.view import settings_view
from storage_sync.values.errors import ConfigError
from storage_sync.values.outcome import Word
from storage_sync.watch import notify
from storage_sync.watch.alert_state import Change, Condition
from tests.support.faulty import Faulty, reply
from tests.support.listener import Listener

WELL = Condition("ok", "in sync", since=100.0)
DOWN = Condition("primary_unavailable", "connection refused", "try later", 3, 110.0, 4)
SECRET_URL = "https://hooks.example.org/services/T0/B0/very-secret"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as made:
        yield made


def notice(settings: Settings) -> notify.Notice:
    return notify.notice_of(Change(WELL, DOWN), settings, Word.UNKNOWN, 110.0)


def script(folder: Path, text: str) -> str:
    file = folder / "hook with space.py"
    file.write_text(text)
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(file))}"


def test_a_notice_says_what_changed_and_no_secret() -> None:
    settings = Settings(primary="libsql://db.example.org/x?authToken=1", cache=Path("/data/c.redb"), profile="night")
    document = notice(settings).document
    assert (document["event"], document["old"], document["new"], document["exit_code"]) == (
        "trouble",
        "ok",
        "primary_unavailable",
        3,
    )
    assert document["primary"] == "libsql://db.example.org/x"
    assert (document["cache"], document["profile"], document["verdict"]) == ("/data/c.redb", "night", "UNKNOWN")
    back = notify.notice_of(Change(DOWN, WELL), settings, Word.IN_SYNC, 152.0).document
    assert (back["event"], back["failed_tries"], back["old_lasted_seconds"]) == ("recovered", 4, 42.0)


async def test_the_webhook_gets_the_json(listener: Listener) -> None:
    settings = Settings(notify_url=listener.url)
    assert await notify.tell(settings, notice(settings)) == []
    ((method, path, kind, body),) = listener.heard
    assert (method, path, kind) == ("POST", "/hook/secret", "application/json")
    assert json.loads(body)["new"] == "primary_unavailable"


async def test_the_heartbeat_is_asked_without_a_body(listener: Listener) -> None:
    assert await notify.beat(Settings(heartbeat_url=listener.url)) == []
    assert [(method, body) for method, _, _, body in listener.heard] == [("GET", b"")]
    assert await notify.beat(Settings()) == []


async def test_nobody_is_told_when_nobody_wants_to_know() -> None:
    assert await notify.tell(Settings(), notice(Settings())) == []


async def test_the_hook_reads_the_json_and_sees_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURSO_AUTH_TOKEN", "secret")
    monkeypatch.setenv("MY_TOKEN", "secret")
    out = tmp_path / "out"
    command = script(
        tmp_path,
        f"import os, sys; open({str(out)!r}, 'w').write(sys.stdin.read() + str('secret' in os.environ.values()))",
    )
    settings = Settings(notify_command=command, token_env="MY_TOKEN")
    assert await notify.tell(settings, notice(settings)) == []
    text = out.read_text()
    assert text.endswith("False")
    assert json.loads(text.removesuffix("False"))["event"] == "trouble"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import sys; sys.exit('the pager is broken')", "ended with exit 1: the pager is broken"),
        ("import signal, os; os.kill(os.getpid(), signal.SIGKILL)", "ended with exit -9"),
    ],
)
async def test_a_hook_that_fails_is_one_sentence(tmp_path: Path, text: str, why: str) -> None:
    assert await notify.run_hook(script(tmp_path, text), b"{}") == f"the notify command {why}"


async def test_a_hook_that_does_not_read_or_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    assert await notify.run_hook(script(tmp_path, "pass"), b"x" * 1_000_000) == ""
    assert "cannot be run" in await notify.run_hook("/nowhere/hook", b"{}")
    assert "cannot be run" in await notify.run_hook("'unbalanced", b"{}")
    assert "cannot be run" in await notify.run_hook("", b"{}")


async def test_a_hook_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    command = script(tmp_path, f"import subprocess; subprocess.run('sleep 60 > {alive}', shell=True)")
    started = time.monotonic()
    assert "longer than 1 s" in await notify.run_hook(command, b"{}", timeout_s=1)
    try:
        assert time.monotonic() - started < 5
        # the end of the file comes when the last of them is gone
        assert select.select([reader], [], [], 5)[0] == [reader]
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


async def test_a_listener_that_fails_is_one_sentence_without_the_path() -> None:
    for answer in (reply("500 no", "text/plain", b""), reply("302 go", "text/plain", b"")):
        with Faulty(answer) as server:
            (why,) = await notify.beat(Settings(heartbeat_url=f"{server.url}/very-secret"))
        assert why.startswith(f"{server.url} answered ")
    (why,) = await notify.beat(Settings(heartbeat_url=f"{server.url}/very-secret"))
    assert why == f"{server.url} cannot be asked: ClientConnectorError"


async def test_a_listener_that_hangs_is_given_up() -> None:
    with Faulty(None) as server:
        (why,) = await notify.beat(Settings(heartbeat_url=f"{server.url}/very-secret"), timeout_s=0.2)
    assert why == f"{server.url} did not answer within 0.2 s"


def test_the_urls_are_shown_without_their_path(tmp_path: Path) -> None:
    loaded = load_settings(tmp_path / "none", None, {"notify_url": SECRET_URL}, {}, required=False)
    (row,) = [row for row in settings_view(loaded, {}).settings if row.key == "notify.url"]
    assert row.value == "https://hooks.example.org/…"


@pytest.mark.parametrize("url", ["ftp://very-secret", "very-secret", "https://", "https://a b/very-secret"])
def test_a_url_that_is_none_is_refused_without_being_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="begins with https") as caught:
        load_settings(tmp_path / "none", None, {"heartbeat_url": url}, {}, required=False)
    assert "secret" not in caught.value.message


async def test_a_hook_that_says_gigabytes_and_reads_nothing_is_bounded(tmp_path: Path) -> None:
    command = script(
        tmp_path,
        "import os, sys\nfor _ in range(2000): os.write(2, b'x' * 65536)\n"
        "os.write(2, b'\\n\\x1b[2Jlast words'); sys.exit(3)",
    )
    told = await notify.run_hook(command, b"{}" * 1_000_000, timeout_s=60)
    assert told.startswith("the notify command ended with exit 3: ")
    assert told.endswith("\\e[2Jlast words")
    assert len(told) < 300
