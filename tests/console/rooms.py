"""A made-up core that answers what Validation, History and Config ask."""

from __future__ import annotations

from console import scene_answers
from console.bridge import ScriptedBridge
from storage_sync.model import Answer, Command, Refused


def answer_all(bridge: ScriptedBridge, done: int = 0) -> int:
    """Answer the questions from the `done`th on; how many there were."""
    for command in bridge.asked[done:]:
        bridge.post(answer(command))
    return len(bridge.asked)


def answer(command: Command) -> Answer | Refused:
    value = scene_answers.answer(command.kind, command.arguments)
    return Refused(command.id, "nobody answers this", "") if value is None else Answer(command.id, value)
