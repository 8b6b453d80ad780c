"""Take on another primary: only where this one is refused, and always typed."""

from __future__ import annotations

from console.flows.plans import Plans, Wish
from console.flows.stage import Stage
from console.views.disabled import NOT_REFUSED
from console.views.verdict import adoptable


def adopt(stage: Stage, plans: Plans) -> None:
    """Plan to build a new cache from the primary that is set."""
    if adoptable(stage.snapshot):
        plans.open(Wish("adopt", "Adopt"))
    else:
        stage.say(NOT_REFUSED)
