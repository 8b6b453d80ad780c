"""Secrets taken out of what is said. Values are redacted, never the text that they were encoded to."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

MASK = "[hidden]"
SECRET_PARAMETERS = ("authtoken", "auth_token", "token", "jwt", "password")
"""Parameters of a URL whose value nobody may be shown, in small letters."""
_IN_URL = re.compile(rf"(?i)([?&;]\s*(?:{'|'.join(SECRET_PARAMETERS)})=)[^\s&\"'#;]+")


def redacted(text: str, secrets: Collection[str]) -> str:
    """The text without any of the secrets, and without what a URL parameter of such a name holds."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _IN_URL.sub(rf"\g<1>{MASK}", text)


def redacted_values(value: object, secrets: Collection[str], untouched: Collection[str] = ()) -> object:
    """Plain values (as of JSON) with every text in them redacted; names of fields stay, and so does all that lies below
    a field of `untouched`: data of rows."""
    if isinstance(value, str):
        return redacted(value, secrets)
    if isinstance(value, Mapping):
        return {
            name: inner if name in untouched else redacted_values(inner, secrets, untouched)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted_values(inner, secrets, untouched) for inner in value]
    return value
