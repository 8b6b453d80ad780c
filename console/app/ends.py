"""Why the application ended, where it is not an exit code: what opens instead."""

from __future__ import annotations

DEMO_ASKED = -1
"""A person asked for the demo."""
SET_UP = -2
"""A configuration was saved: the console starts again with that."""
REPLAY_ASKED = -3
"""A person asked for a recording, `Console.replay_file`."""
LEAVE_S = 2.0
"""Longest wait for the core when the console leaves."""
