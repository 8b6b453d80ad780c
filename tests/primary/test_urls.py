"""Which addresses are understood, and that a secret in one is neither used nor repeated."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from storage_sync.primary.urls import parse
from storage_sync.values.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("libsql://name-org.turso.io", "https://name-org.turso.io"),
        ("libsql://Name.Turso.io/", "https://name.turso.io"),
        ("wss://host:8443/dev/ns/", "https://host:8443/dev/ns"),
        ("https://host", "https://host"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("ws://[::1]:8080", "http://[::1]:8080"),
        ("libsql://localhost:8080?tls=0", "http://localhost:8080"),
        ("https://host?tls=1", "https://host"),
    ],
)
def test_what_is_asked(url: str, base: str) -> None:
    address = parse(url)
    assert (address.kind, address.base) == ("remote", base)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "name.turso.io",
        "postgres://host",
        "libsql://",
        "https://host:port",
        "https://host?tls=0",
        "http://host?tls=1",
        "https://host?secure=true",
        "https://host#part",
        "https://[::1",
        "file:",
        "file://server/share.db",
        "file:a.db?mode=rw",
    ],
)
def test_what_is_not_understood(url: str) -> None:
    with pytest.raises(ConfigError):
        parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "libsql://host?authToken=hunter2",
        "https://user:hunter2@host",
        "https://hunter2@host",
        "https://host?jwt=hunter2",
        "https://host?Password=hunter2",
        "https://host?hunter2=1",
        "https://user:hunter2@host:port",
        "hunter2",
        "file:a.db?authToken=hunter2",
    ],
)
def test_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(url)
    assert (
        "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__!r} {caught.value.__context__!r}"
    )


def test_identity_does_not_depend_on_how_it_is_written() -> None:
    assert parse("libsql://host/x").source_id == parse("https://HOST:443/x/").source_id
    assert parse("libsql://host").source_id == hashlib.sha256(b"host:443/").hexdigest()
    assert parse("http://host").source_id != parse("https://host").source_id


def test_identity_of_a_file_is_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    same = {
        parse(url).source_id for url in (f"file:{tmp_path}/real/a.db", "file:link/a.db", f"file://{tmp_path}/link/a.db")
    }
    assert len(same) == 1
    assert parse("file:a%3Fb.db").path == Path("a?b.db")


@pytest.mark.parametrize(
    ("host", "near"),
    [("127.0.0.1", True), ("localhost", True), ("192.168.1.4", True), ("name.turso.io", False), ("8.8.8.8", False)],
)
def test_where_compression_pays(host: str, near: bool) -> None:
    assert parse(f"https://{host}").loopback is near
