"""How large the tests are: for daily work, as in CI, or as `make faults` wants them."""

from __future__ import annotations

import os

FULL = os.environ.get("STORAGE_SYNC_FAULTS") == "full"
WHOLE = FULL or os.environ.get("STORAGE_SYNC_HISTORIES") == "whole"
"""Whether what takes long and differs little is done for each case, as CI does it, or for a seeded part of them."""
HISTORIES = 1.0 if WHOLE else 0.1
"""Share of the random histories of the protocol that are played."""
