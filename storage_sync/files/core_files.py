"""Core files: a copy of our memory on the disk, with the token and rows in it."""

from __future__ import annotations

import resource


def forbid_core_files() -> int:
    """None for this process and its children from now on; the limit that was in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    return soft


def allow_core_files(limit: int) -> None:
    """As it was before `forbid_core_files`, for a program that this process becomes."""
    resource.setrlimit(resource.RLIMIT_CORE, (limit, resource.getrlimit(resource.RLIMIT_CORE)[1]))
