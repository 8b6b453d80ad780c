"""Hints of the core in the words of the console: the key in place of the command line."""

from __future__ import annotations

import re

from storage_sync.values.events import Refused

_KEYS = {
    "sync --adopt": "A on 1",
    "sync --allow-shrink": "s",
    "sync --plan": "s",
    "storage-sync repair": "r",
    "storage-sync rebuild": "R",
    "storage-sync sync": "s",
    "storage-sync undo": "u",
    "storage-sync quarantine list": "u",
    "storage-sync orphans expect": "i on 3",
    "storage-sync orphans list": "3",
    "storage-sync history": "4",
    "storage-sync config show": "5",
    "storage-sync config check": "5",
    "storage-sync diff": "2",
    "storage-sync verify": "v",
    "storage-sync peek": "p on 1",
    "storage-sync ping": "t on 1",
    "storage-sync status": "t on 1",
    "wait with --wait SECONDS": "wait",
    ", or wait for it with --wait SECONDS": ", or wait for it",
    "; or --wait SECONDS": "",
}
"""Command to key, the longer one first where two begin alike."""
_COMMANDS = re.compile(rf"(?:storage-sync (?=sync --))?({'|'.join(_KEYS)})(?: --(?:plan|yes|check|staged|deep))*(?!\w)")


def in_keys(hint: str) -> str:
    """The hint with each command that has a key named by it; what has none stays as it is."""
    return _COMMANDS.sub(lambda match: _KEYS[match.group(1)], hint)


def reason_and_hint(refused: Refused) -> str:
    """Why something was not done, and what to do about it where that is known."""
    return f"{refused.reason}; {refused.hint}" if refused.hint else refused.reason
