"""Take on another primary: only where this one is refused, and always typed."""

from __future__ import annotations

from console.flows.plans import Plans, Wish
from console.flows.stage import Stage
from console.views.disabled import NOT_REFUSED
from console.views.states import adoptable
from storage_sync.service.operations import Sync
from storage_sync.values.options import Options


def adopt(stage: Stage, plans: Plans) -> None:
    """Plan to build a new cache from the primary that is set."""
    if adoptable(stage.snapshot):
        plans.open(Wish(Sync(), "Adopt", Options(adopt=True)))
    else:
        stage.say(NOT_REFUSED)
