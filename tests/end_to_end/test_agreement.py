"""What the screen says is what `status --check --json` says at the same instant, in every state.

See docs/console.md#verdict.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from console.views.verdict import verdict
from storage_sync import _native
from storage_sync.config.settings import Settings
from storage_sync.values.events import RunEnded
from storage_sync.values.outcome import CheckStatus
from storage_sync.values.snapshot import Snapshot
from tests.service.test_service import Watcher
from tests.service.test_service import running as serving
from tests.support import stores
from tests.support.command import Tool
from tests.support.loopback import Loopback
from tests.support.processes import HOLD_REDB, running

WORDS = {
    "IN SYNC": "IN_SYNC",
    "WRONG VERSION": "DAMAGED",
    "PARTIAL": "EMPTY",
    **dict.fromkeys(("NO ACCESS", "HELD", "UNCLEAN", "AUTH"), "UNKNOWN"),
}
"""The words of the screen refine the seven of the documents."""


class Stage:
    """A proven cache and the means to bring it into a state. `held` ends with the test."""

    def __init__(self, folder: Path, proven: Path, held: ExitStack) -> None:
        shutil.copytree(proven, folder, dirs_exist_ok=True)
        self.folder = folder
        self.held = held
        self.primary = folder / "primary.db"
        self.tool = Tool.at(folder / "tool", f"file:{self.primary}")

    @property
    def cache(self) -> Path:
        return self.tool.cache

    def settings(self) -> Settings:
        """Looks once and then only on request, so that both sides see one instant."""
        return Settings(
            primary=self.tool.primary,
            cache=self.cache,
            state_dir=self.tool.folder / "state",
            access="read-only",
            interval_s=86_400.0,
            staleness_s=3_600.0,
            timeout_s=5.0,
            poll_s=0.2,
        )

    def changed(self) -> None:
        stores.execute(self.primary, ["UPDATE episodes SET task_description = 'another ' || task_description"])


def quarantined(stage: Stage) -> None:
    first = "(SELECT min(episode_id) FROM episodes)"
    stores.execute(stage.primary, [f"UPDATE episodes SET steps = 'not JSON' WHERE episode_id = {first}"])
    assert stage.tool.json("sync").exit_code == 7


def drifted(stage: Stage) -> None:
    """An eviction: a row goes, and nobody told the primary."""
    look = stage.folder / "look"
    shutil.copyfile(stage.cache, look)
    file = _native.CacheFile.open(str(look), "private")
    ((key, value),) = file.page("episodes", None, 1)
    generation = int(file.meta()["generation"])
    file.close()
    _native.edit(str(stage.cache), [("episodes", key, _native.digest("blake3", value), None)], {}, generation, 0)


def overwritten(content: bytes, at: int = 0) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        with stage.cache.open("r+b") as file:
            file.seek(at)
            file.write(content)

    return prepare


def foreign(stage: Stage) -> None:
    """Under a name that never was a cache of ours."""
    stage.tool = Tool(stage.tool.folder, stage.tool.primary, stage.folder / "notes.redb")
    stage.cache.write_text("a shopping list\n" * 400)


def zeroed(stage: Stage) -> None:
    size = stage.cache.stat().st_size
    with stage.cache.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(size - 4096))


def truncated(stage: Stage) -> None:
    os.truncate(stage.cache, stage.cache.stat().st_size // 2)


def rolled_back(stage: Stage) -> None:
    old = stage.cache.read_bytes()
    stage.changed()
    stage.tool.sync()
    stage.cache.write_bytes(old)


def killed(stage: Stage) -> None:
    with running(HOLD_REDB, stage.cache, "write") as child:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()


def locked(stage: Stage) -> None:
    stage.held.enter_context(running(HOLD_REDB, stage.cache, "write"))


def of_another(stage: Stage) -> None:
    """Another primary under the same settings, with other rows."""
    stage.primary = stores.primary("small", stage.folder / "other")
    stage.tool = Tool(stage.tool.folder, f"file:{stage.primary}", stage.tool.cache)


def a_folder(stage: Stage) -> None:
    stage.cache.unlink()
    stage.cache.mkdir()


def refusing(stage: Stage) -> None:
    """A server that does not accept the token."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Nothing goes to standard error."""

    server = stage.held.enter_context(Loopback(ThreadingHTTPServer(("127.0.0.1", 0), Handler)))
    stage.tool = Tool(stage.tool.folder, server.address, stage.tool.cache)


def nothing(stage: Stage) -> None:
    """As the last proof left it."""


STATES: dict[str, tuple[str, Callable[[Stage], None]]] = {
    "in sync": ("IN SYNC", nothing),
    "a row refused": ("IN SYNC", quarantined),
    "primary moved": ("STALE", Stage.changed),
    "do-memory wrote": ("DRIFT", drifted),
    "no file": ("EMPTY", lambda stage: stage.cache.unlink()),
    "empty file": ("EMPTY", lambda stage: os.truncate(stage.cache, 0)),
    "overwritten": ("DAMAGED", overwritten(b"SQLite format 3\0")),
    "another program's file": ("REFUSED", foreign),
    "half a file": ("DAMAGED", truncated),
    "zeroed": ("DAMAGED", zeroed),
    "gone back": ("DAMAGED", rolled_back),
    "killed writer": ("IN SYNC", killed),
    "held": ("IN SYNC", locked),
    "another primary": ("REFUSED", of_another),
    "a folder": ("NO ACCESS", a_folder),
    "no primary": ("UNKNOWN", lambda stage: stage.primary.unlink()),
    "token refused": ("AUTH", refusing),
}


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proven")
    stores.primary("cli", folder)
    Tool.at(folder / "tool", f"file:{folder / 'primary.db'}").sync()
    return folder


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def seen(stage: Stage) -> Snapshot:
    """The core's picture after it has looked at both stores and compared them once."""
    async with serving(stage.settings()) as (_, watcher):
        await watcher.heard(lambda event: isinstance(event, RunEnded))
        return await watcher.until(lambda now: looked_at(watcher, now))


def looked_at(watcher: Watcher, now: Snapshot) -> bool:
    """A ping and a look at the file that are younger than the comparison."""
    run = now.run
    ended = run.ended_at if run is not None else None
    at, pinged = now.cache.looked_at, now.primary.next_at
    return ended is not None and at is not None and at > ended and pinged is not None and pinged > ended


@pytest.mark.parametrize("state", STATES, ids=lambda name: name.replace(" ", "_"))
async def test_the_screen_says_what_status_says(state: str, tmp_path: Path, proven: Path, held: ExitStack) -> None:
    word, prepare = STATES[state]
    stage = Stage(tmp_path / "stage", proven, held)
    # the file's identity is part of the proof, so the copy is proven where it lies
    stage.tool.sync("--full")
    prepare(stage)
    snapshot = await seen(stage)
    shown = verdict(snapshot, now=time.time(), beat_age=0.0)
    told = stage.tool.json("status", "--check").document
    assert (shown.word, shown.exit_code) == (word, told["exit_code"]), (shown, told)
    assert WORDS.get(shown.word, shown.word) == told["verdict"], (shown, told)
    assert {result.name: result.found.was.status for result in snapshot.checks} == {
        check["name"]: CheckStatus(check["status"]) for check in told.get("checks", [])
    }
