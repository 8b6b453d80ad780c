"""What a front end asks of the core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Command:
    """Something a front end asks for; answered by events that carry the same id, never by a return value.

    Kinds so far: ping, compare, validate, make_plan, execute, cancel, set_access, pause, try_now, reload, page, stop.
    """

    id: int
    kind: str
    arguments: Mapping[str, object] = field(default_factory=dict)
