"""Addresses of a primary: which transport, which endpoint, which identity (docs/cli.md#primary-urls)."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

from storage_sync.config.urls import SCHEMES, TRANSPORTS
from storage_sync.values.errors import ConfigError
from storage_sync.values.secrets import SECRET_PARAMETERS

KINDS = f"{', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}"
AUTH_HINT = "put the token into a file (--token-file) or the environment (TURSO_AUTH_TOKEN)"

_ENDPOINT = re.compile(r"/v[0-9](-protobuf)?(/(pipeline|cursor|execute|batch))?$")
_PORTS = {"https": 443, "http": 80}


class Address(Struct, frozen=True):
    """One primary. `text` is what may be shown; it never holds a secret."""

    kind: Literal["remote", "file"]
    text: str
    base: str
    """Remote: scheme, host, port and path without a slash at its end; file: the path as given."""
    source_id: str
    """SHA-256, lower hex, of `host:port/path`, or of `file:` and the real path (docs/protocol.md#identities)."""
    loopback: bool
    """Whether bytes cost nothing on the way: this machine or a private network."""
    here: bool
    """Whether it is this machine: nobody else can listen on the way."""

    @property
    def path(self) -> Path:
        """File of a `file:` primary."""
        return Path(self.base)


def parse(url: str) -> Address:
    """The address that a setting names; ConfigError without echoing anything secret."""
    text = url.strip()
    if not text:
        raise ConfigError("the URL of the primary is empty", hint=f"give --primary with {KINDS}")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ConfigError("the URL of the primary cannot be read", hint=f"give --primary with {KINDS}") from None
    scheme = parts.scheme.lower()
    if scheme == "file":
        return _file(parts)
    if scheme not in TRANSPORTS:
        shown = f"of the unknown kind {scheme}:" if scheme and "://" in text else "without a kind"
        raise ConfigError(f"the primary is a URL {shown}", hint=f"known kinds are {KINDS}")
    return _remote(parts, scheme, port)


def _remote(parts: SplitResult, scheme: str, port: int | None) -> Address:
    if parts.username is not None or parts.password is not None:
        raise ConfigError("the URL of the primary holds a user name or a password", hint=AUTH_HINT)
    tls = _tls(parts)
    if parts.fragment:
        raise ConfigError("the URL of the primary has a fragment (#…), which means nothing here", hint="remove it")
    host = (parts.hostname or "").lower()
    if not host:
        raise ConfigError("the URL of the primary names no host", hint="for example libsql://name.turso.io")
    target = TRANSPORTS[scheme]
    if tls is False:
        if scheme not in ("libsql", "ws", "http"):
            raise ConfigError(f"?tls=0 contradicts {scheme}:", hint="write http: when the server has no TLS")
        target = "http"
    elif tls is True:
        if scheme in ("http", "ws"):
            raise ConfigError(f"?tls=1 contradicts {scheme}:", hint="write https:")
        target = "https"
    name = f"[{host}]" if ":" in host else host
    number = port or _PORTS[target]
    shown_port = f":{port}" if port else ""
    path = parts.path.rstrip("/")
    if (endpoint := _ENDPOINT.search(path)) is not None:
        raise ConfigError(
            f"the URL of the primary ends in {endpoint.group()}, which is one of the server's endpoints",
            hint="leave it out: the tool finds the endpoints by itself",
        )
    identity = f"{name}:{number}{path or '/'}"
    return Address(
        kind="remote",
        text=f"{scheme}://{name}{shown_port}{path}",
        base=f"{target}://{name}{shown_port}{path}",
        source_id=hashlib.sha256(identity.encode()).hexdigest(),
        loopback=_near(host),
        here=is_here(host),
    )


def _tls(parts: SplitResult) -> bool | None:
    """What `?tls=` says; every other parameter is an error."""
    answer: bool | None = None
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key.lower() in SECRET_PARAMETERS:
            raise ConfigError("a secret in the URL is refused: URLs end up in logs and lists", hint=AUTH_HINT)
        if key != "tls" or value not in ("0", "1"):
            raise ConfigError("the URL of the primary has a parameter that is not known", hint="only ?tls=0 and ?tls=1")
        answer = value == "1"
    return answer


def _file(parts: SplitResult) -> Address:
    if parts.netloc not in ("", "localhost"):
        raise ConfigError("a file: URL names a host", hint="write file:relative/path or file:///absolute/path")
    if parts.query or parts.fragment:
        # A path may hold ? and #, but then it must be escaped, or `?mode=` would silently name another file.
        raise ConfigError("a file: URL has parameters, which are not known here", hint="write ? as %3F and # as %23")
    path = unquote(parts.path)
    if not path:
        raise ConfigError("a file: URL names no file", hint="write file:relative/path or file:///absolute/path")
    real = os.path.realpath(path)
    return Address(
        kind="file",
        text=f"file:{path}",
        base=path,
        source_id=hashlib.sha256(f"file:{real}".encode("utf-8", "surrogateescape")).hexdigest(),
        loopback=True,
        here=True,
    )


def refuse_plain(address: Address) -> None:
    """ConfigError for an address on another machine without TLS: whoever stands in between reads the token."""
    if address.base.startswith("http:") and not address.here:
        raise ConfigError(
            f"the token would be sent to {address.text} without TLS: that address is on another machine",
            hint="write libsql:// or https://; or, on a network that you trust, set allow_plain_http (primary."
            "allow_plain_http = true, or STORAGE_SYNC_ALLOW_PLAIN_HTTP=1)",
        )


def is_here(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _near(host: str) -> bool:
    address = _address(host)
    return is_here(host) or (address is not None and address.is_private)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
