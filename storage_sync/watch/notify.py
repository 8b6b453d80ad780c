"""Telling others about a change of state: a command, a webhook, and a heartbeat after each proven success.

All three are conveniences: they have a time limit, never delay a run, and failing is one sentence for the log.
URLs are secrets (their path is the key), so only scheme and host are ever said.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress

import msgspec
from msgspec import Struct

from storage_sync.config.settings import Settings
from storage_sync.config.token import TOKEN_VARIABLES
from storage_sync.config.urls import host_of, redact_url
from storage_sync.reports.document import rfc3339
from storage_sync.values.outcome import Word
from storage_sync.values.visible import spoken
from storage_sync.watch.alert_state import Change

TIMEOUT_S = 10.0
SAID_OF_A_FAILURE = 200
_KEPT, _PIECE = 4096, 1 << 16


class Notice(Struct, frozen=True):
    """One change of state as it is told; `document` is what hook and webhook get."""

    document: Mapping[str, object]

    @property
    def body(self) -> bytes:
        return msgspec.json.encode(self.document)


def notice_of(change: Change, settings: Settings, verdict: Word, at: float) -> Notice:
    """The JSON of one change. Fields are only ever added."""
    old, new = change.old, change.new
    return Notice(
        {
            "schema": 1,
            "event": "recovered" if change.recovered else "trouble",
            "at": rfc3339(at),
            "host": socket.gethostname(),
            "profile": settings.profile,
            "primary": redact_url(settings.primary or ""),
            "cache": os.fspath(settings.cache) if settings.cache is not None else "",
            "old": old.word,
            "new": new.word,
            "verdict": verdict.value,
            "exit_code": new.exit_code,
            "message": new.message,
            "hint": new.hint,
            "failed_tries": old.tries if change.recovered else new.tries,
            "old_lasted_seconds": round(max(at - old.since, 0.0), 1),
        }
    )


async def tell(settings: Settings, notice: Notice, *, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Run the hook and post to the webhook, where they are set; sentences about what failed."""
    told = []
    if settings.notify_command is not None:
        told.append(run_hook(settings.notify_command, notice.body, hidden=settings.token_env, timeout_s=timeout_s))
    if settings.notify_url is not None:
        told.append(_ask("POST", settings.notify_url, notice.body, timeout_s))
    return [why for why in await asyncio.gather(*told) if why]


async def beat(settings: Settings, *, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Ask the heartbeat URL, where one is set. Only to be called after a proven success."""
    if settings.heartbeat_url is None:
        return []
    why = await _ask("GET", settings.heartbeat_url, None, timeout_s)
    return [why] if why else []


async def run_hook(command: str, body: bytes, *, hidden: str | None = None, timeout_s: float = TIMEOUT_S) -> str:
    """Run the command without a shell, `body` on its standard input; '' or a sentence about how it failed.

    It sees our environment without the primary's token (`hidden`: the variable that holds it), and is killed with
    its children when it takes too long.
    """
    secret = {*TOKEN_VARIABLES, hidden}
    environment = {name: value for name, value in os.environ.items() if name not in secret}
    try:
        words = shlex.split(command)
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except (OSError, ValueError, TypeError) as error:
        return f"the notify command cannot be run: {error}"
    try:
        async with asyncio.timeout(timeout_s):
            said = await _exchanged(process, body)
    except TimeoutError:
        return f"the notify command took longer than {timeout_s:g} s and was killed"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.returncode is None:
            await process.wait()
    if process.returncode == 0:
        return ""
    tail = spoken(said.decode("utf-8", "replace"))[-SAID_OF_A_FAILURE:]
    return f"the notify command ended with exit {process.returncode}" + (f": {tail}" if tail else "")


async def _exchanged(process: asyncio.subprocess.Process, body: bytes) -> bytes:
    """Give the body and wait for the end; the last of what it said, however much that was."""
    said = bytearray()

    async def give() -> None:
        if process.stdin is None:
            return
        with suppress(OSError):  # it need not read what it is told
            process.stdin.write(body)
            await process.stdin.drain()
        process.stdin.close()

    async def take() -> None:
        while process.stderr is not None and (piece := await process.stderr.read(_PIECE)):
            said.extend(piece)
            del said[:-_KEPT]

    await asyncio.gather(give(), take())
    await process.wait()
    return bytes(said)


async def _ask(method: str, url: str, body: bytes | None, timeout_s: float) -> str:
    """One request; '' or a sentence about how it failed."""
    import aiohttp

    headers = {"Content-Type": "application/json"} if body is not None else {}
    limit = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.request(method, url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            if response.status < 300:
                return ""
            return f"{host_of(url)} answered {response.status}"
    except TimeoutError:
        return f"{host_of(url)} did not answer within {timeout_s:g} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"{host_of(url)} cannot be asked: {type(error).__name__}"
