"""What an operator is told for each refusal of a server: its own words, and the step that helps."""

from __future__ import annotations

import datetime as dt
import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from storage_sync.primary import errors
from storage_sync.primary.source import connect
from storage_sync.primary.urls import parse
from storage_sync.values.errors import ConfigError, PrimaryRefused, PrimaryUnavailable, StorageSyncError
from tests.primary.scripted import Answer, Scripted
from tests.support.command import Tool
from tests.support.faulty import Faulty, reply


def inside(code: str, message: str) -> Answer:
    error = {"type": "error", "error": {"message": message, "code": code}}
    return Answer(body=(json.dumps({"baton": None, "results": [error] * 4}).encode(),))


def said(status: int, text: str, kind: str = "application/json", **headers: str) -> Answer:
    return Answer(status, (text.encode(),) if text else (), {"Content-Type": kind, **headers})


REFUSED, LATER = PrimaryRefused, PrimaryUnavailable
WORDS: list[tuple[Answer, type[StorageSyncError], str, str]] = [
    (inside("BLOCKED", "Operation was blocked: reads are blocked"), REFUSED, "reads are blocked", "quota"),
    (said(403, '{"error":"Operation was blocked: quota exceeded"}'), REFUSED, "quota exceeded", "quota"),
    (said(401, '{"error":"The JWT has expired"}'), REFUSED, "expired", "check the token"),
    (inside("AUTH_JWT_EXPIRED", "The JWT has expired"), REFUSED, "expired", "check the token"),
    (said(404, '{"error":"database not found"}'), REFUSED, "database not found", "name of the database"),
    (said(404, '{"error":"Namespace `x` doesn\'t exist"}'), REFUSED, "Namespace", "first part of the host name"),
    (said(400, '{"error":"could not parse namespace from host"}'), REFUSED, "namespace", "first part of the host name"),
    (said(404, '{"error":"no route"}'), REFUSED, "no route", "check the URL"),
    (said(502, "<html>bad gateway</html>", "text/html"), LATER, "502", "starting or asleep"),
    (said(503, '{"error":"group is sleeping"}'), LATER, "group is sleeping", "starting or asleep"),
    (inside("SQLITE_CORRUPT", "database disk image is malformed"), REFUSED, "malformed", "restore the primary"),
    (inside("SQLITE_CORRUPT_VTAB", "malformed"), REFUSED, "malformed", "restore the primary"),
    (inside("SQLITE_UNKNOWN", "malformed database schema (x)"), REFUSED, "malformed", "restore the primary"),
    (inside("SQLITE_TOOBIG", "string or blob too big"), REFUSED, "too big", "shorten it in the primary"),
    (inside("SQLITE_NOTADB", "file is not a database"), REFUSED, "encrypted or not a database", "key"),
    (inside("SQLITE_SCHEMA", "database schema has changed"), LATER, "schema has changed", "automatically"),
    (inside("SQLITE_PROTOCOL", "locking protocol"), LATER, "locking protocol", "try again"),
    (inside("SQLITE_FULL", "database or disk is full"), LATER, "disk is full", "try again"),
    (inside("SQLITE_CANTOPEN", "unable to open database file"), LATER, "unable to open", "try again"),
    (inside("SQL_PARSE_ERROR", "near x"), REFUSED, "near x", "doctor"),
    (said(307, "", Location="https://elsewhere.example/db"), REFUSED, "https://elsewhere.example", "elsewhere.example"),
    (said(301, ""), REFUSED, "redirects", "the address that it redirects to"),
    (
        said(400, "<html>The plain HTTP request was sent to HTTPS port</html>", "text/html"),
        REFUSED,
        "HTTPS port",
        "https://",
    ),
    (said(200, "<html>log in</html>", "text/html"), REFUSED, "web page", "check the URL"),
]


@pytest.mark.parametrize(("answer", "kind", "words", "step"), WORDS)
async def test_the_servers_words_and_the_step_that_helps(
    answer: Answer, kind: type[StorageSyncError], words: str, step: str
) -> None:
    async with Scripted(lambda _: answer) as server:
        source = connect(server.url, "a-token-of-ours")
        with pytest.raises(StorageSyncError) as caught:
            await source.ping()
        await source.close()
    error = caught.value
    assert isinstance(error, kind)
    assert words in error.message
    assert step in error.hint
    assert ("token" in error.hint) == (step == "check the token" or "no other token helps" in error.hint)


@pytest.mark.parametrize("code", ["SQLITE_SCHEMA", "SQLITE_PROTOCOL", "SQLITE_BUSY_SNAPSHOT"])
def test_what_passes_is_tried_again(code: str) -> None:
    assert errors.error_for(code, "x").retry


def test_every_sentence_of_the_table_holds_what_was_said() -> None:
    for meaning in errors._CODES:
        assert "{}" in meaning.sentence or meaning.words or meaning.code == "real$", meaning


@pytest.mark.parametrize(
    "path", ["/v2/pipeline", "/v3/pipeline", "/v3/cursor", "/v1/execute", "/v2", "/base/v2/pipeline/"]
)
def test_a_pasted_endpoint_is_named(path: str) -> None:
    with pytest.raises(ConfigError, match="endpoints") as caught:
        parse(f"https://db.example.org{path}")
    assert "leave it out" in caught.value.hint


def test_a_path_that_is_none_of_its_endpoints_stays() -> None:
    assert parse("http://127.0.0.1:8080/dev/v2ray").base.endswith("/dev/v2ray")


async def test_every_name_under_localhost_is_this_machine() -> None:
    async with Scripted(lambda _: inside("SQL_PARSE_ERROR", "it answered")) as server:
        source = connect(server.url.replace("127.0.0.1", "memory.localhost"))
        with pytest.raises(PrimaryRefused, match="it answered"):
            await source.ping()
        await source.close()


async def test_tls_to_a_port_without_it() -> None:
    async with Scripted(lambda _: Answer()) as server:
        source = connect(server.url.replace("http:", "https:"))
        with pytest.raises(PrimaryRefused, match="no TLS connection") as caught:
            await source.ping()
        await source.close()
    assert "write http://" in caught.value.hint


def authority(folder: Path, **differs: Any) -> tuple[Path, ssl.SSLContext]:
    """A private authority's certificate, and a server's context with one that it signed for `localhost`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a private authority")])
    now = dt.datetime.now(dt.UTC)
    host = str(differs.get("host", "localhost"))
    until = now + dt.timedelta(days=-1 if differs.get("expired") else 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = folder / "authority.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = folder / "key.pem"
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, secret)
    return public, context


@pytest.mark.parametrize(
    ("differs", "known", "step"),
    [
        ({}, False, "SSL_CERT_FILE"),
        ({"host": "other.example"}, True, "another host"),
        ({"expired": True}, True, "out of date"),
    ],
)
def test_a_certificate_that_is_not_taken(tmp_path: Path, differs: dict[str, Any], known: bool, step: str) -> None:
    public, context = authority(tmp_path, **differs)
    with Faulty(reply("200 OK", "application/json", b"{}"), tls=context) as server:
        variables = {"SSL_CERT_FILE": str(public)} if known else {}
        tool = Tool.at(tmp_path / "t", server.url.replace("127.0.0.1", "localhost"), None, **variables)
        result = tool.json("ping")
    assert result.exit_code == 4
    assert step in result.document["error"]["hint"], result.document["error"]


def test_a_private_authority_is_taken_where_it_is_named(tmp_path: Path) -> None:
    public, context = authority(tmp_path)
    body = json.dumps({"results": [{"type": "error", "error": {"message": "it answered", "code": "X"}}] * 4}).encode()
    with Faulty(reply("200 OK", "application/json", body), tls=context) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        result = Tool.at(tmp_path / "t", url, SSL_CERT_FILE=str(public)).json("ping")
    assert "it answered" in result.document["error"]["message"]
