"""Which proxy the environment wants for a primary: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.

Read by the standard library, so that their meaning is the one that operators know. This machine is never asked
through a proxy. The network library's own reading is not used: it would also read a `.netrc` of the home directory.
"""

from __future__ import annotations

import urllib.request
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from storage_sync.primary.urls import Address
from storage_sync.values.errors import ConfigError


class Proxy(Struct, frozen=True):
    """`url` without user and password; these are never shown."""

    url: str
    user: str | None = None
    password: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.url!r})"


def proxy_for(address: Address) -> Proxy | None:
    """The proxy on the way to this primary, None when there is none; ConfigError for one of an unknown kind."""
    if address.kind == "file" or address.here:
        return None
    parts = urlsplit(address.base)
    known = urllib.request.getproxies_environment()
    found = known.get(parts.scheme) or known.get("all")
    if not found or urllib.request.proxy_bypass(parts.netloc, known):
        return None
    return _read(found, parts.scheme)


def _read(text: str, scheme: str) -> Proxy:
    where = f"the environment variable {scheme.upper()}_PROXY (or ALL_PROXY)"
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host = _host(parts)
    except ValueError:
        host = ""
    if not host or parts.scheme.lower() not in ("http", "https"):
        raise ConfigError(
            f"{where} names no proxy of a known kind", hint="write http://HOST:PORT, or name the primary in NO_PROXY"
        )
    user = unquote(parts.username) if parts.username is not None else None
    return Proxy(f"{parts.scheme.lower()}://{host}", user, unquote(parts.password or ""))


def _host(parts: SplitResult) -> str:
    """Host and port; ValueError for a port that is not a port number."""
    name = parts.hostname or ""
    shown = f"[{name}]" if ":" in name else name
    return f"{shown}:{parts.port}" if parts.port is not None and shown else shown
