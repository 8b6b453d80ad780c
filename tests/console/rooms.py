"""A made-up core that answers what Validation, History and Config ask."""

from __future__ import annotations

from textual.pilot import Pilot

from console.app.app import Console
from storage_sync.values.events import Answer, Refused
from tests.console.app import settle
from tests.support.scenes import answers
from tests.support.scripted_bridge import Asked, ScriptedBridge


async def answered(app: Console, bridge: ScriptedBridge, pilot: Pilot[int], done: int = 0) -> int:
    """Answer from the `done`th question on until nothing is asked any more; how many there were."""
    await settle(app, pilot)
    while done != len(bridge.asked):
        done = answer_all(bridge, done)
        await settle(app, pilot)
    return done


def answer_all(bridge: ScriptedBridge, done: int = 0) -> int:
    """Answer the questions from the `done`th on; how many there were."""
    for command in bridge.asked[done:]:
        bridge.post(answer(command))
    return len(bridge.asked)


def answer(asked: Asked) -> Answer | Refused:
    value = answers.answer(asked.command)
    return Refused(asked.id, "nobody answers this", "") if value is None else Answer(asked.id, value)
