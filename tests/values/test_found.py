"""What was found once is told as what holds now, or as the past with its age; never as it is."""

from __future__ import annotations

import pytest

from storage_sync.values.found import Basis, Found


def test_a_found_value_is_no_text() -> None:
    found = Found(9, Basis(None), 1.0)
    for template in ("g-{}", "{:>4}", "{!s}"):
        with pytest.raises(TypeError, match="is not a text"):
            template.format(found)
    assert "was=9" in repr(found)
