"""The way to a primary: a proxy of the environment, and none without TLS for a token."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from storage_sync.primary.proxy import Proxy, proxy_for
from storage_sync.primary.source import connect
from storage_sync.primary.urls import parse
from storage_sync.values.errors import ConfigError
from tests.support import stores
from tests.support.command import Tool
from tests.support.relay import Exchange, Relay, Reply
from tests.support.sqld import Sqld

FAR = "http://memory.example:8080"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        ("libsql://db.example.org", {"HTTPS_PROXY": "http://gate:3128"}, Proxy("http://gate:3128")),
        ("libsql://db.example.org", {"https_proxy": "gate:3128"}, Proxy("http://gate:3128")),
        ("libsql://db.example.org", {"ALL_PROXY": "http://gate"}, Proxy("http://gate")),
        ("libsql://db.example.org", {"HTTPS_PROXY": "http://u%40x:p@gate:1"}, Proxy("http://gate:1", "u@x", "p")),
        ("libsql://db.example.org", {"HTTP_PROXY": "http://gate:3128"}, None),
        ("http://db.example.org", {"HTTP_PROXY": "http://[::1]:3128"}, Proxy("http://[::1]:3128")),
        ("libsql://db.example.org", {"HTTPS_PROXY": "http://gate", "NO_PROXY": "example.org"}, None),
        ("libsql://db.example.org", {"HTTPS_PROXY": "http://gate", "NO_PROXY": "*"}, None),
        ("libsql://db.example.org", {"HTTPS_PROXY": "http://gate", "NO_PROXY": "le.org"}, Proxy("http://gate")),
        ("http://127.0.0.1:8080", {"HTTP_PROXY": "http://gate"}, None),
        ("http://x.localhost:8080", {"HTTP_PROXY": "http://gate"}, None),
        ("file:memory.db", {"ALL_PROXY": "http://gate"}, None),
    ],
)
def test_which_proxy_is_on_the_way(
    clean: pytest.MonkeyPatch, url: str, variables: dict[str, str], proxy: Proxy | None
) -> None:
    for name, value in variables.items():
        clean.setenv(name, value)
    assert proxy_for(parse(url)) == proxy
    assert "u@x" not in repr(proxy)


@pytest.mark.parametrize("value", ["socks5://gate:1080", "http://", "http://gate:port", "://"])
def test_a_proxy_of_an_unknown_kind_is_a_setting_that_is_wrong(clean: pytest.MonkeyPatch, value: str) -> None:
    clean.setenv("HTTPS_PROXY", value)
    with pytest.raises(ConfigError, match="HTTPS_PROXY"):
        proxy_for(parse("libsql://db.example.org"))


def forwarded(seen: list[str]) -> object:
    def fault(exchange: Exchange) -> None:
        """As a proxy does: the whole address comes, the path goes on."""
        seen.append(exchange.path)
        seen.append(exchange.header("Proxy-Authorization"))
        exchange.send(exchange.ask(exchange.path.removeprefix(FAR)))

    return lambda number, path: fault


def test_a_sync_goes_through_the_proxy_and_ping_and_doctor_say_so(tmp_path: Path) -> None:
    seen: list[str] = []
    with Sqld(stores.primary("small", tmp_path / "p")) as server, Relay(server.port) as relay:
        relay.play(forwarded(seen))  # type: ignore[arg-type]
        gate = relay.url.replace("http://", "http://me:secret@")
        tool = Tool.at(tmp_path, FAR, HTTP_PROXY=gate, http_proxy=gate, NO_PROXY="", no_proxy="")
        tool.sync()
        ping = tool.json("ping")
        doctor = tool.json("doctor")
    assert ping.document["ping"]["proxy"] == relay.url
    assert f"through the proxy {relay.url}" in doctor.stdout
    assert "secret" not in ping.stdout + doctor.stdout + ping.stderr + doctor.stderr
    assert seen[0].startswith(f"{FAR}/v3/pipeline")
    assert seen[1] == "Basic " + base64.b64encode(b"me:secret").decode()


def test_a_proxy_that_is_not_there_or_refuses_is_named(tmp_path: Path) -> None:
    gate = "http://127.0.0.1:1"
    names = {"HTTPS_PROXY": gate, "https_proxy": gate, "NO_PROXY": "", "no_proxy": ""}
    gone = Tool.at(tmp_path / "a", "https://memory.example", None, **names).json("ping")
    assert gone.exit_code == 3
    assert gate in gone.document["error"]["message"]
    with Relay(1) as relay:

        def refuse(exchange: Exchange) -> None:
            exchange.send(Reply(407, b""), close=True)

        relay.play(lambda number, path: refuse)
        names = {name: relay.url if value else "" for name, value in names.items()}
        refused = Tool.at(tmp_path / "b", "https://memory.example", None, **names).json("ping")
    assert refused.exit_code == 4
    assert "HTTPS_PROXY" in refused.document["error"]["hint"]


# ------------------------------------------------------------------------------------------------ plain http


@pytest.mark.parametrize("url", ["http://db.example.org", "ws://10.1.2.3:8080", "libsql://db.example.org?tls=0"])
def test_a_token_does_not_travel_in_the_open(url: str) -> None:
    with pytest.raises(ConfigError, match="without TLS") as caught:
        connect(url, "token-of-ours")
    assert "allow_plain_http" in caught.value.hint
    connect(url, "token-of-ours", plain_http=True)
    connect(url, None)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1", "http://x.localhost:1", "https://db.example"])
def test_on_this_machine_and_with_tls_it_does(url: str) -> None:
    connect(url, "token-of-ours")


def test_the_command_refuses_before_anything_is_sent(tmp_path: Path) -> None:
    seen: list[str] = []
    with Sqld(stores.primary("small", tmp_path / "p")) as server, Relay(server.port) as relay:
        relay.play(forwarded(seen))  # type: ignore[arg-type]
        names = {"HTTP_PROXY": relay.url, "http_proxy": relay.url, "NO_PROXY": "", "no_proxy": ""}
        tool = Tool.at(tmp_path, FAR, None, TURSO_AUTH_TOKEN="token-of-ours", **names)
        for command in ("ping", "sync", "status --check"):
            result = tool.json(*command.split())
            assert result.exit_code == 2, command
            assert "without TLS" in result.stdout, command
        assert seen == []
        allowed = Tool.at(tmp_path, FAR, None, TURSO_AUTH_TOKEN="t-o-k-e-n", STORAGE_SYNC_ALLOW_PLAIN_HTTP="1", **names)
        assert allowed.json("ping").exit_code == 0
