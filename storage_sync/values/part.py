"""A part of the rows, for `verify --subset`."""

from __future__ import annotations

import re

from msgspec import Struct

from storage_sync.values.errors import UsageError

MOST_PARTS = 256
"""As many as the last two bytes of a UUID can tell apart."""


class Part(Struct, frozen=True):
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
