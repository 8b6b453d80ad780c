"""What the token is good for: to read, at the address that it was given for, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.support import hrana, stores
from tests.support.command import Tool
from tests.support.network import answer
from tests.support.relay import Relay
from tests.support.sqld import Auth, Sqld

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("ping",),
    ("doctor",),
    ("sync", "--plan"),
    ("sync",),
    ("sync", "--full"),
    ("status", "--check"),
    ("verify", "--deep"),
    ("diff",),
    ("orphans", "list"),
    ("quarantine", "list"),
    ("repair", "--yes"),
    ("rebuild", "--yes"),
    ("undo", "--yes"),
    ("compact",),
    ("detach", "--yes"),
)


def writes(server: Sqld, auth: Auth) -> str:
    """What the server counts up with each write to it."""
    (result,) = hrana.execute(server.url, ["SELECT 1"], token=auth.token("ro"))[:1]
    index: str = result["response"]["result"]["replication_index"]
    return index


def test_no_command_needs_more_than_to_read(tmp_path: Path) -> None:
    auth = Auth.generate()
    with Sqld(stores.primary("small", tmp_path / "p"), auth=auth) as server:
        tool = Tool.at(tmp_path / "t", server.url, TURSO_AUTH_TOKEN=auth.token("ro"))
        before = writes(server, auth)
        for command in COMMANDS:
            result = tool.json(*command)
            assert result.document["error"] is None, (command, result.stdout)
        assert writes(server, auth) == before


def test_a_redirect_gets_no_token(tmp_path: Path) -> None:
    auth = Auth.generate()
    with Sqld(None, auth=auth) as server, Relay(server.port) as elsewhere, Relay(server.port) as relay:
        asked: list[str] = []
        elsewhere.play(lambda number, path: asked.append(path))
        redirect = answer(307, "", Location=f"{elsewhere.url}/v3/cursor")
        relay.play(lambda number, path: redirect)
        tool = Tool.at(tmp_path / "t", relay.url, TURSO_AUTH_TOKEN=auth.token("ro"))
        result = tool.json("sync")
    assert result.document["error"]["code"] == "primary_refused"
    assert asked == []
