"""What is said to be no fault of the code is still in the code."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_each_mutant_that_is_left_out_is_one_of_the_code_with_a_reason() -> None:
    listed = tomllib.loads((ROOT / "mutants" / "equivalent.toml").read_text(encoding="utf-8"))["mutant"]
    assert len({(one["path"], one["before"], one["after"]) for one in listed}) == len(listed)
    for one in listed:
        code = " ".join(line.strip() for line in (ROOT / one["path"]).read_text(encoding="utf-8").splitlines())
        assert one["before"] in code, one
        assert one["after"] != one["before"], one
        assert len(one["why"].split()) > 5, one
