"""URLs of a primary: which are understood, and how one is shown without its secrets."""

from __future__ import annotations

import re

from storage_sync.values.errors import ConfigError
from storage_sync.values.secrets import SECRET_PARAMETERS

TRANSPORTS = {"libsql": "https", "https": "https", "http": "http", "wss": "https", "ws": "http"}
"""How a server is asked, by the scheme of its URL."""
SCHEMES = (*(f"{scheme}://" for scheme in TRANSPORTS), "file:")


def check_url(url: str, where: str) -> None:
    """ConfigError for a kind of URL that we cannot read and for one with a secret inside, which is not repeated."""
    lowered = url.lower()
    scheme = next((known for known in SCHEMES if lowered.startswith(known)), None)
    if scheme is None:
        kind = url.split(":", 1)[0] if ":" in url else ""
        named = f" of kind {kind!r}" if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,20}", kind) else ""
        raise ConfigError(
            f"{where}: the primary's URL{named} is not understood; it must begin with {', '.join(SCHEMES)}",
            hint="a local database is file:PATH",
        )
    names = [part.split("=", 1)[0].lower() for part in re.split(r"[?&;#]", url)[1:] if part]
    host = "" if scheme == "file:" else re.split(r"[/?#]", url[len(scheme) :], maxsplit=1)[0]
    if any(name in SECRET_PARAMETERS for name in names) or "@" in host:
        raise ConfigError(
            f"{where}: the primary's URL holds a token or a password; it was not used",
            hint="put the token into a file (--token-file) or an environment variable (--token-env), not into the URL",
        )
    if scheme != "file:" and not host.split(":", 1)[0]:
        raise ConfigError(f"{where}: the primary's URL names no host", hint="a local database is file:PATH")
    if scheme == "file:" and not redact_url(url)[len("file:") :]:
        raise ConfigError(f"{where}: the primary's URL names no file", hint="a local database is file:PATH")


def redact_url(url: str) -> str:
    """The URL without user, password, query and fragment: what may be shown, logged and stored."""
    bare = re.split(r"[?#]", url, maxsplit=1)[0]
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/]*@", r"\1", bare)


def host_of(url: str) -> str:
    """Scheme and host of a web URL: what may be said of one whose path is a secret."""
    return "/".join(redact_url(url).split("/", 3)[:3])
