"""How large the tests are: for daily work, as in CI, or as `make faults` wants them."""

from __future__ import annotations

import os

FULL = os.environ.get("STORAGE_SYNC_FAULTS") == "full"
HISTORIES = 1.0 if os.environ.get("STORAGE_SYNC_HISTORIES") == "whole" else 0.1
"""Share of the random histories of the protocol that are played; CI plays all of them."""
