"""What a front end asks the core for, as one value; light to import."""

from __future__ import annotations

import re
from dataclasses import dataclass

from storage_sync.config import Settings, Token
from storage_sync.errors import UsageError
from storage_sync.outcome import Plan

MOST_PARTS = 256
"""As many as the last two bytes of a UUID can tell apart."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of `of` parts of the rows, `number` from 1 on. A row is always in the same one, by table and key alone."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"part {self.number} of {self.of}"

    @staticmethod
    def read(text: str) -> Part:
        """`2/7` as a part; UsageError, with the allowed form, for anything else."""
        found = re.fullmatch(r"([0-9]{1,3})/([0-9]{1,3})", text)
        part = Part(*(int(figure) for figure in found.groups())) if found is not None else None
        if part is None or not 1 <= part.number <= part.of <= MOST_PARTS:
            raise UsageError(
                f"--subset: {text!r} is not n/t with 1 <= n <= t <= {MOST_PARTS}, such as 2/7",
                hint="see storage-sync verify --help",
            )
        return part


@dataclass(frozen=True, slots=True)
class Request:
    """One command's arguments. Times in seconds; `deadline` counts from the start of the command."""

    settings: Settings
    token: Token | None
    deadline: float | None = None
    wait_s: float = 5.0
    """How long to wait for another run of ours, and for the cache's lock."""
    max_attempts: int = 3
    flags: frozenset[str] = frozenset()
    """plan, full, strict, allow_shrink, adopt, repair, deep, check, keys; no_rebuild, discard, staged, swap."""
    part: Part | None = None
    """`verify` compares only these rows with the primary."""
    trigger: str = "manual"
    """Why it runs (`schedule.Trigger`)."""
    expected_plan: Plan | None = None
    """Do only what this plan said."""
    rows_per_second: float | None = None
    """Of earlier runs, for estimates."""
