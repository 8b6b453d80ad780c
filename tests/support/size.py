"""How large the tests of what breaks are: as in CI, or as `make faults` wants them."""

from __future__ import annotations

import os

FULL = os.environ.get("STORAGE_SYNC_FAULTS") == "full"
