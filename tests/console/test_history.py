"""History: every run that is remembered, its charts, one in detail, and the keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Input
from textual.widgets._toast import Toast

from console.app.app import Console
from console.app.ends import REPLAY_ASKED
from console.dialogs.note import NoteDialog
from console.dialogs.run_rows import RunRowsDialog
from console.dialogs.text import TextDialog
from console.screens.history import ROWS_SHOWN, HistoryScreen, columns_at
from console.screens.rows import what_fits
from console.views import runs
from console.views.columns import table_row
from console.views.frame import Frame
from console.views.run import result_words
from console.views.verdict import verdict
from storage_sync.reports import run_groups
from storage_sync.service.commands import ExportRows, ListChangedRows, ListRuns, MakePlan
from storage_sync.service.operations import Undo
from storage_sync.values.answers import ChangedRows, PastRun, RunDetail, Runs
from storage_sync.values.events import Answer, Refused
from storage_sync.values.snapshot import HistoryView, StartFacts
from tests.console.app import asked, console, live, screen_text, settle
from tests.console.rooms import answered
from tests.support.scenes import answers, snapshots
from tests.support.scripted_bridge import ScriptedBridge
from widgets import fmt
from widgets.glyphs import Look, Role
from widgets.line import plain, text_of, width_of

NASTY = "[/b][red]x 名前 \x1b[31m\u202eabc"


async def opened(app: Console, bridge: ScriptedBridge, pilot: Pilot[int]) -> HistoryScreen:
    await pilot.press("4")
    await answered(app, bridge, pilot)
    assert isinstance(app.screen, HistoryScreen)
    return app.screen


@pytest.mark.parametrize(
    ("facts", "listed", "told"),
    [
        (
            StartFacts(3, 0, 0.41, "IN_SYNC"),
            "in sync, 0 behind",
            "started after 410 ms: 0 behind of 3 rows found, in sync",
        ),
        (
            StartFacts(None, None, 3.0, "UNKNOWN"),
            "in sync, unknown how far behind",
            "started after 3.0 s: not known how far behind, unknown",
        ),
        (
            StartFacts(2, 2, None, "STALE"),
            "in sync, 2 behind",
            "started by itself, pid 4711: 2 behind of 2 rows found, stale",
        ),
    ],
)
def test_what_a_program_started_with_is_shown(facts: StartFacts, listed: str, told: str) -> None:
    snapshot = snapshots.scene("in_sync").snapshot
    frame = Frame(snapshot, verdict(snapshot, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())
    run = replace(snapshot.history.last[0], kind="exec", exit_code=0, result="IN_SYNC", start=facts)
    past = PastRun(run, None, None)
    assert text_of(runs.row(frame, past)[-1]).endswith(listed)
    document = {"holder": {"pid": 4711}} if facts.delay_s is None else {}
    shown = runs.detail(frame, past, RunDetail(run.id, (), document))
    (program,) = [fact for fact in shown.narrow if fact.label == "program"]
    assert text_of(program.value) == told
    assert not [
        fact
        for fact in runs.detail(frame, replace(past, summary=replace(run, start=None)), None).narrow
        if fact.label == "program"
    ]


def test_what_is_not_told_yet_of_a_run_is_not_said_to_be_missing() -> None:
    snapshot = snapshots.scene("in_sync").snapshot
    frame = Frame(snapshot, verdict(snapshot, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())
    past = PastRun(snapshot.history.last[0], None, None)
    said = []
    for found in (None, RunDetail("another", (("fetch", 0.1),), {}), RunDetail(past.summary.id, (), {})):
        (steps,) = [fact for fact in runs.detail(frame, past, found).narrow if fact.label == "steps"]
        said.append(text_of(steps.value))
    assert said == ["not known yet", "not known yet", "not recorded"]


async def test_what_is_known_of_a_run_stays_until_it_is_told_anew() -> None:
    scene = snapshots.scene("in_sync")
    app, bridge = console(scene)
    async with live(app, size=(100, 30)) as pilot:
        screen = await opened(app, bridge, pilot)
        before = screen.detail.value
        history = replace(scene.snapshot.history, revision=scene.snapshot.history.revision + 1)
        bridge.show(replace(scene.snapshot, seq=scene.snapshot.seq + 1, history=history))
        await settle(app, pilot)
        assert asked(bridge)[-1] == ListRuns() or ListRuns() in asked(bridge)[-2:]
        assert screen.detail.value == before


def test_the_result_of_a_proved_run_fits_its_column_on_the_smallest_terminal() -> None:
    """Also where rows were rejected."""
    snapshot = snapshots.scene("in_sync").snapshot
    frame = Frame(snapshot, verdict(snapshot, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())
    run = replace(snapshot.history.last[0], exit_code=7, result="IN_SYNC", undone_by="", start=None)
    for one, said in ((run, "in sync, rejected"), (replace(run, followed=True), "followed, rejected")):
        line = text_of(table_row(columns_at(80), runs.narrow_row(frame, PastRun(one, None, None)), 80, Look().glyphs))
        assert line.rstrip().endswith(said)
        assert width_of(plain(line)) <= 80
        assert f"{one.word} " in line
        assert fmt.clock(one.started_at) in line, "of a run of today, to the second"


@pytest.mark.parametrize("result", ["STALE", "DRIFT", "UNKNOWN"])
def test_a_run_that_found_a_difference_has_no_tick(result: str) -> None:
    run = replace(snapshots.scene("in_sync").snapshot.history.last[0], kind="verify", exit_code=0, result=result)
    assert runs.role_of(run) is Role.ATTENTION
    assert runs.role_of(replace(run, result="IN_SYNC")) is runs.role_of(replace(run, result="DONE")) is Role.OK


async def test_a_run_says_its_kind_and_second_and_only_what_there_is_of_it() -> None:
    scene = snapshots.scene("in_sync")
    newest = replace(scene.snapshot.history.last[0], id="s-9", kind="quarantine", started_at=snapshots.NOW)
    known = replace(scene.snapshot.history, last=(newest, *scene.snapshot.history.last))
    app, _ = console(replace(scene, snapshot=replace(scene.snapshot, history=known)))
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("4")
        await settle(app, pilot)
        text = screen_text(app)
        assert "2 Sep 14:32:07Z   quarantine" in text
        assert "resume" not in text


def test_a_run_that_followed_shows_no_proof_of_its_own() -> None:
    """Its document has the proof that it went on from; the root of that is not the root of this cache."""
    snapshot = snapshots.scene("in_sync").snapshot
    frame = Frame(snapshot, verdict(snapshot, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())
    run = replace(snapshot.history.last[0], exit_code=0, result="IN_SYNC", generation=19, followed=True)
    found = RunDetail(run.id, (), {"proof": {"generation": 18, "root": "7fce" * 16}, "followed": {"changes": 3}})
    shown = runs.detail(frame, PastRun(run, None, None), found)
    (proof,) = [fact for fact in shown.narrow if fact.label == "proof"]
    assert text_of(proof.value) == "no proof; followed, last proved g-18"
    assert result_words(frame, run) == "followed, in sync"
    stopped = replace(run, id="s-0", started_at=run.started_at - 9, resumable=True, generation=None, followed=False)
    after = replace(frame, snapshot=replace(snapshot, history=replace(snapshot.history, last=(run, stopped))))
    kept = [fact for fact in runs.detail(after, PastRun(stopped, None, None), None).narrow if fact.label == "resume"]
    assert "a later run proved" not in text_of(kept[0].value)


def test_a_run_that_failed_after_its_commit_says_so_beside_its_rows() -> None:
    snapshot = snapshots.scene("in_sync").snapshot
    frame = Frame(snapshot, verdict(snapshot, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())
    run = replace(snapshot.history.last[0], exit_code=5, result="cache_damaged", new=3, changed=0, gone=0)
    assert result_words(frame, run) == "cache damaged, after its commit"
    assert result_words(frame, replace(run, new=0)) == "cache damaged"


def test_follow_runs_are_counted_apart_from_those_that_prove() -> None:
    view = HistoryView(runs=30, compared=18, in_sync=17, followed=12)
    assert runs.ended_words(view) == "17 of 18 ended in sync, 12 followed"
    assert runs.ended_words(HistoryView(runs=12, followed=12)) == "12 followed"
    assert runs.ended_words(HistoryView(runs=12, compared=12, in_sync=12)) == "12 of 12 ended in sync"
    assert runs.ended_words(HistoryView()) == ""


def followed_in_a_row(follows: str) -> tuple[PastRun, ...]:
    """One run for each letter, the newest first: `f` followed, `p` proved."""
    newest = snapshots.scene("in_sync").snapshot.history.last[0]
    run = replace(newest, kind="sync", trigger="poll", exit_code=0, result="IN_SYNC", took_s=2.0, new=1, changed=2)
    return tuple(
        PastRun(replace(run, id=f"s-{number}", started_at=run.started_at - 10 * number, followed=letter == "f"))
        for number, letter in enumerate(follows)
    )


async def test_follow_runs_in_a_row_are_one_line_as_on_the_command_line() -> None:
    """It stands for the newest of them; a filter and another order list each, and so does an export."""
    known = followed_in_a_row("ffpfffp")
    app, bridge = console("in_sync")
    async with live(app, size=(120, 30)) as pilot:
        await pilot.press("4")
        await settle(app, pilot)
        bridge.post(Answer(bridge.asked[0].id, Runs(known)))
        await settle(app, pilot)
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        lines = [tuple(one.summary.id for one in past.all) for past in screen.rows().shown]
        assert lines == in_a_row([past.summary.id for past in known], {past.summary.id: past for past in known})
        assert lines == [("s-0", "s-1"), ("s-2",), ("s-3", "s-4", "s-5"), ("s-6",)]
        text = screen_text(app)
        assert "3 followed since" in text
        assert "newest of 2 follow runs" in text
        (third,) = [line for line in text.splitlines() if " s-3 " in line]
        assert third.split()[third.split().index("sync") + 1 :][:2] == ["3", "6"]
        await pilot.press("e")
        await settle(app, pilot)
        exported = [command for command in asked(bridge) if isinstance(command, ExportRows)][-1]
        assert [row["id"] for row in exported.rows] == [past.summary.id for past in known]


def in_a_row(ids: list[str], runs_by_id: dict[str, PastRun]) -> list[tuple[str, ...]]:
    """As the command line lists them."""
    return run_groups.in_a_row(ids, lambda one: runs_by_id[one].summary)


async def test_a_run_of_a_line_is_found_by_itself() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(120, 30)) as pilot:
        await pilot.press("4")
        await settle(app, pilot)
        bridge.post(Answer(bridge.asked[0].id, Runs(followed_in_a_row("ffff"))))
        await settle(app, pilot)
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        screen.seek("s-2")
        await settle(app, pilot)
        assert [past.summary.id for past in screen.rows().shown] == ["s-2"]
        assert screen.query_one("#filter", Input).value == "id:s-2"
        await pilot.press("escape")
        await settle(app, pilot)
        assert len(screen.rows().shown) == 1
        await pilot.press("o")
        await settle(app, pilot)
        assert len(screen.rows().shown) == 4


async def test_the_newest_runs_are_there_before_the_core_answers() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("4")
        await settle(app, pilot)
        assert "Runs · 7 of 412" in screen_text(app)
        assert ListRuns() in asked(bridge)
        bridge.post(Refused(bridge.asked[0].id, "the core has no history", ""))
        await settle(app, pilot)
        assert "s-4117" in screen_text(app)


async def test_an_answer_without_runs_does_not_hide_those_that_are_known() -> None:
    """The file of the history is away; the core still holds what it wrote there."""
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("4")
        await settle(app, pilot)
        bridge.post(Answer(bridge.asked[0].id, Runs()))
        await settle(app, pilot)
        assert "s-4117" in screen_text(app)
        assert "nothing has run yet" not in screen_text(app)


async def test_all_runs_charts_and_the_chosen_one() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await opened(app, bridge, pilot)
        text = screen_text(app)
        for words in ("Runs · 47 of 412", "Rows/s", "Proof age", "Duration", "Latency", "2 failed"):
            assert words in text
        assert "episodes +9 ~2 -9" in text
        await pilot.press("j", "j", "j")
        await answered(app, bridge, pilot)
        text = screen_text(app)
        assert "exit 130" in text
        assert "cancelled by" in text
        assert "the operator; the cache is unchanged" in text
        assert "resumable" not in text
        assert "run it again" not in text
        assert "nothing: a later run proved the cache" in text


@pytest.mark.parametrize(("kind", "key"), [("sync", "s"), ("repair", "r"), ("rebuild", "R")])
async def test_the_key_that_goes_on_with_a_run_does_so(kind: str, key: str) -> None:
    shown = snapshots.scene("in_sync")
    newest = shown.snapshot.history.last[0]
    stopped = replace(
        newest, id="s-9", kind=kind, started_at=newest.started_at + 60, exit_code=130, resumable=True, generation=None
    )
    history = replace(shown.snapshot.history, last=(stopped, *shown.snapshot.history.last))
    app, bridge = console(replace(shown, snapshot=replace(shown.snapshot, history=history)))
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("4")
        await settle(app, pilot)
        assert f"{key} goes on where it stopped" in screen_text(app)
        assert "resumable · exit 130" in screen_text(app)
        await pilot.press(key)
        await pilot.pause()
        plans = [command.operation.command for command in asked(bridge) if isinstance(command, MakePlan)]
        assert plans == [kind]


async def test_a_late_detail_of_another_run_is_dropped() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await opened(app, bridge, pilot)
        await pilot.press("j")
        await settle(app, pilot)
        late = RunDetail("s-4120", (("fetch", 1.0),), {"error": {"message": "of another run"}})
        bridge.post(Answer(bridge.asked[-1].id, late))
        await settle(app, pilot)
        assert "of another run" not in screen_text(app)


async def test_a_run_that_ends_asks_again() -> None:
    app, bridge = console("in_sync")
    async with live(app) as pilot:
        await opened(app, bridge, pilot)
        before = asked(bridge).count(ListRuns())
        snapshot = snapshots.scene("in_sync").snapshot
        bridge.show(replace(snapshot, seq=2, history=replace(snapshot.history, revision=2, runs=413)))
        await settle(app, pilot)
        app.paint(panels=True)
        assert asked(bridge).count(ListRuns()) == before + 1


@pytest.mark.parametrize("keys", [("U",), ("enter",)])
@pytest.mark.parametrize("before", [(), ("j", "j"), ("o", "j"), ("slash", *"kind:sync", "enter", "j")])
async def test_runs_that_arrive_leave_the_chosen_one_under_the_cursor(
    before: tuple[str, ...], keys: tuple[str, ...]
) -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        screen = await opened(app, bridge, pilot)
        await pilot.press(*before)
        await answered(app, bridge, pilot)
        chosen = screen.copied()
        snapshot = snapshots.scene("in_sync").snapshot
        newest = snapshot.history.last[0]
        arrived = tuple(replace(newest, id=f"s-n{n}", started_at=newest.started_at + n) for n in (3, 2, 1))
        known = replace(snapshot.history, revision=2, runs=415, last=(*arrived, *snapshot.history.last))
        bridge.show(replace(snapshot, seq=2, history=known))
        await settle(app, pilot)
        app.paint(panels=True)
        listed = answers.runs().runs
        question = next(one for one in reversed(bridge.asked) if one.kind is ListRuns)
        bridge.post(Answer(question.id, Runs((*(PastRun(run) for run in arrived), *listed))))
        await settle(app, pilot)
        assert len(screen.rows().items) == 50
        assert screen.copied() == chosen
        await pilot.press(*keys)
        await pilot.pause()
        told = [one for one in asked(bridge) if isinstance(one, MakePlan | ListChangedRows)]
        assert told == [MakePlan(Undo(chosen)) if keys == ("U",) else ListChangedRows(chosen, ROWS_SHOWN)]


@pytest.mark.parametrize(
    ("typed", "number"),
    [("rejected", 1), ("!rejected", 46), ("exit:0", 43), ("kind:sync exit:3", 1), ("nothing-like-it", 0)],
)
async def test_slash_filters_and_escape_clears(typed: str, number: int) -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        screen = await opened(app, bridge, pilot)
        await pilot.press("slash", *typed)
        await settle(app, pilot)
        assert screen.table.rows == number
        assert f"filter {typed}" in screen_text(app)
        await pilot.press("enter")
        assert screen.table.has_focus
        await pilot.press("escape")
        await settle(app, pilot)
        assert screen.table.rows == 47
        assert not screen.box.display


async def test_o_sorts_by_the_next_column_and_capital_o_the_other_way() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        screen = await opened(app, bridge, pilot)
        came = [past.summary.id for past in screen.rows().shown]
        await pilot.press("o")
        took = [past.summary.took_s for past in screen.rows().shown]
        assert took == sorted(took)
        assert "sort took" in screen_text(app)
        await pilot.press("O")
        assert [past.summary.took_s for past in screen.rows().shown] == sorted(took, reverse=True)
        for _ in range(5):
            await pilot.press("o")
        assert [past.summary.id for past in screen.rows().shown] == came


async def test_y_copies_the_id_and_e_exports_what_is_shown() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        await opened(app, bridge, pilot)
        await pilot.press("y")
        assert app.clipboard == "s-4120"
        await pilot.press("slash", *"exit:3", "enter", "e")
        await settle(app, pilot)
        export = asked(bridge)[-1]
        assert isinstance(export, ExportRows)
        assert [row["exit_code"] for row in export.rows] == [3]
        json.dumps(export.rows)
        await answered(app, bridge, pilot)
        assert "storage-sync-rows" in screen_text(app)


async def test_j_opens_the_document_and_y_copies_it() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await opened(app, bridge, pilot)
        await pilot.press("J")
        await pilot.pause()
        assert isinstance(app.screen, TextDialog)
        assert '"verdict": "IN_SYNC"' in screen_text(app)
        await pilot.press("y")
        assert json.loads(app.clipboard)["verdict"] == "IN_SYNC"
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, HistoryScreen)


async def test_a_run_opens_into_its_rows_and_these_into_their_fields_before_and_after() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(120, 40)) as pilot:
        await opened(app, bridge, pilot)
        await pilot.press("enter")
        await answered(app, bridge, pilot)
        assert isinstance(app.screen, RunRowsDialog)
        text = screen_text(app)
        assert "~ changed" in text
        assert "write the report of May" in text
        await pilot.press("j")
        await settle(app, pilot)
        assert "sort the mail" in screen_text(app)
        await pilot.press("y")
        assert app.clipboard.startswith("episodes/")
        await pilot.press("U")
        await settle(app, pilot)
        assert asked(bridge)[-1] == MakePlan(Undo("s-4120"))


async def test_a_run_without_rows_says_why_there_are_none() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(120, 40), notifications=True) as pilot:
        await opened(app, bridge, pilot)
        await pilot.press("enter")
        await settle(app, pilot)
        bridge.post(
            Answer(
                bridge.asked[-1].id,
                ChangedRows("s-4120", said="nothing of it is kept", undo_off="its old file is gone"),
            )
        )
        await settle(app, pilot)
        assert "nothing of it is kept" in screen_text(app)
        assert "U undo   tab rows" not in screen_text(app)
        await pilot.press("U", "y")
        assert isinstance(app.screen, RunRowsDialog)
        await settle(app, pilot)
        assert "this run cannot be undone: its old file is gone" in " ".join(screen_text(app).split())


async def test_ctrl_o_leaves_for_a_recording_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "[b]session.jsonl"
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        await opened(app, bridge, pilot)
        for text in ("", str(file)):
            await pilot.press("ctrl+o")
            await pilot.pause()
            assert isinstance(app.screen, NoteDialog)
            app.screen.query_one(Input).value = text
            await pilot.press("enter", "enter")
            await pilot.pause()
            assert isinstance(app.screen, HistoryScreen)
        assert "there is no file" in screen_text(app)
        file.touch()
        await pilot.press("ctrl+o")
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert app.replay_file == ""
        await pilot.press("ctrl+o")
        await pilot.pause()
        app.screen.query_one(Input).value = str(file)
        await pilot.press("enter", "enter")
        await pilot.pause()
        assert (app.return_value, app.replay_file) == (REPLAY_ASKED, str(file))


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (140, 45)])
async def test_hostile_values_are_shown_as_they_are(size: tuple[int, int]) -> None:
    app, bridge = console("in_sync")
    past = answers.runs().runs[0]
    bad = PastRun(replace(past.summary, id=NASTY, kind=NASTY, result=NASTY, trigger=NASTY), None, None)
    document: dict[str, object] = {
        "error": {"message": NASTY, "hint": NASTY},
        "warnings": [NASTY],
        "applied": {NASTY: {"insert": 3}, "episodes": NASTY},
        "proof": NASTY,
    }
    async with live(app, size=size) as pilot:
        await pilot.press("4")
        await settle(app, pilot)
        bridge.post(Answer(bridge.asked[0].id, Runs((bad,), ((1.0, None),), NASTY)))
        await settle(app, pilot)
        bridge.post(Answer(bridge.asked[-1].id, RunDetail(NASTY, ((NASTY, 1.0),), document)))
        await settle(app, pilot)
        text = screen_text(app)
        assert "[/b][red]x 名前 \\e[31m" in text
        assert "\x1b" not in text
        await pilot.press("J")
        await pilot.pause()
        assert isinstance(app.screen, TextDialog)


async def test_five_thousand_runs_are_only_drawn_where_they_are_seen() -> None:
    app, bridge = console("in_sync")
    one = answers.runs().runs[0]
    many = tuple(PastRun(replace(one.summary, id=f"s-{n}", started_at=snapshots.NOW - n)) for n in range(5_000))
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("4")
        await settle(app, pilot)
        bridge.post(Answer(bridge.asked[0].id, Runs(many)))
        await settle(app, pilot)
        await pilot.press("G")
        await settle(app, pilot)
        assert "s-4999" in screen_text(app)
        assert "5,000/5,000" in screen_text(app)


@pytest.mark.parametrize(
    ("room", "shown"),
    [(60, "filter x   sort took   a/long/path   1/2"), (30, "filter x   sort took   1/2"), (8, "1/2"), (2, "")],
)
def test_the_place_in_a_list_is_the_last_to_give_way(room: int, shown: str) -> None:
    parts = ("filter x", "sort took", "a/long/path", "1/2")
    assert what_fits(parts, (parts[3], parts[0], parts[1], parts[2]), room) == shown


async def test_a_filter_that_cannot_be_understood_changes_nothing_and_says_what_is_allowed() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        screen = await opened(app, bridge, pilot)
        await pilot.press("slash", *"exit:3", "enter")
        await settle(app, pilot)
        kept = screen.rows().shown
        assert kept
        await pilot.press("slash", *"x colour:red", "enter")
        await settle(app, pilot)
        assert "filter not understood" in screen_text(app)
        (toast,) = app.screen.query(Toast)
        assert "the filter knows no field 'colour'; fields: id, kind, why, result, exit, started" in str(toast.render())


def test_a_run_that_was_undone_is_marked_in_the_list_and_says_by_which() -> None:
    snapshot = snapshots.scene("in_sync").snapshot
    frame = Frame(snapshot, verdict(snapshot, now=snapshots.NOW, beat_age=0.1), snapshots.NOW, 0.1, Look())
    run = replace(snapshot.history.last[0], exit_code=0, result="IN_SYNC")
    undone, undo = replace(run, undone_by="s-2"), replace(run, id="s-2", kind="undo", result="DONE", undoes=run.id)
    assert text_of(runs.row(frame, PastRun(undone, None, None))[-1]) == "○ undone, in sync"
    assert text_of(runs.row(frame, PastRun(undo, None, None))[-1]) == f"✓ done, undid {run.id}"
    (said,) = [fact for fact in runs.detail(frame, PastRun(undone, None, None), None).narrow if fact.label == "undone"]
    assert text_of(said.value) == "by s-2"
