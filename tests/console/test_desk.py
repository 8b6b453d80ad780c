"""Who hears an answer, and who a refusal."""

from __future__ import annotations

from console.link.requests import Desk
from storage_sync.service.commands import TryPrimary
from storage_sync.values.events import Accepted, Answer, Progressed, Refused
from tests.support.scripted_bridge import ScriptedBridge


def test_answers_and_refusals_reach_the_one_who_asked() -> None:
    unheard: list[Refused] = []
    heard: list[object] = []
    desk = Desk(ScriptedBridge(), unheard.append)
    first = desk.ask(TryPrimary(), answered=heard.append, refused=heard.append)
    second = desk.ask(TryPrimary(), answered=heard.append, refused=heard.append)
    third = desk.ask(TryPrimary())
    refused = Refused(second, "no", "")
    assert desk.hear(Accepted(first))
    assert desk.hear(Answer(first, "yes"))
    assert desk.hear(refused)
    assert heard == ["yes", refused]
    assert desk.hear(Refused(third, "no", ""))
    assert [one.command_id for one in unheard] == [third]


def test_how_far_a_question_is_reaches_its_follower_until_the_answer() -> None:
    heard: list[object] = []
    desk = Desk(ScriptedBridge(), heard.append)
    number, other = desk.ask(TryPrimary(), answered=heard.append), desk.ask(TryPrimary())
    far = Progressed(number, 1, 2)
    desk.follow(number, heard.append)
    for event in (far, Progressed(other, 1, 2), Answer(number, "yes"), far):
        assert desk.hear(event)
    desk.follow(number, heard.append)
    assert desk.hear(far)
    assert heard == [far, "yes"]


def test_what_is_forgotten_is_dropped_whatever_it_becomes() -> None:
    unheard: list[Refused] = []
    heard: list[object] = []
    desk = Desk(ScriptedBridge(), unheard.append)
    for ending in (Answer, Refused):
        number = desk.ask(TryPrimary(), answered=heard.append, refused=heard.append)
        desk.forget(number)
        desk.forget(number)
        event = Answer(number, "late") if ending is Answer else Refused(number, "a newer question took its place", "")
        assert desk.hear(event)
    assert heard == []
    assert unheard == []
    desk.forget(99)
    assert desk.hear(Refused(99, "never asked", ""))
    assert [one.command_id for one in unheard] == [99]
