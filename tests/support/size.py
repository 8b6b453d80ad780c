"""How large the tests are: for daily work, as in CI, or as `make faults` wants them."""

from __future__ import annotations

import os
from typing import TypeVar

FULL = os.environ.get("STORAGE_SYNC_FAULTS") == "full"
"""Every case: the size of `make faults`."""
CI = not FULL and os.environ.get("STORAGE_SYNC_HISTORIES") == "whole"
"""A seeded part of the cases, with each kind of them: the size of `.ci/run`."""

Case = TypeVar("Case")


def of(daily: Case, ci: Case, full: Case) -> Case:
    """What a test takes at the size of this run; daily each kind of case still comes once."""
    return full if FULL else ci if CI else daily
