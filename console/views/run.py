"""The sync panel: a run in progress, or the last one and the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from console.views.access import why_only_looking
from console.views.frame import Frame
from console.views.states import WRITING, generation_now, is_held, next_try, states_of
from console.views.top import heartbeat, share_words
from storage_sync.reports import sentences
from storage_sync.values.errors import CacheLocked
from storage_sync.values.outcome import CacheState, Word
from storage_sync.values.snapshot import Phase, Promise, Run, RunSummary, StepState
from widgets import fmt
from widgets.facts import Fact
from widgets.glyphs import Role, Tone
from widgets.line import Line, Piece, muted, plain, toned
from widgets.sync_meter import Pipe, Progress, Step, Stop, SyncMeter, Way

EDITING = sentences.NOT_PROVING - {"peek"}
"""Kinds of runs that write what a person chose, and stage nothing."""
PARTLY = 7
"""Exit code of a run that was proven and had to reject rows."""
_PATHS = {"in_place": "in place", "sibling": "new file", "staged": "staged"}
DIALOG_LINES = 6
WIDE = 86
"""Cells from which the line of figures has room for the remaining time."""
_LAST_STEPS = (Phase.GUARD, Phase.COMMIT, Phase.READ_BACK, Phase.WITNESS, Phase.HISTORY)
"""What comes after the rows are there."""
_DOING: Mapping[str, str] = {
    Phase.LEASE: "waits for its turn",
    Phase.COPY: "copies the cache",
    Phase.HASH: "reads the copy",
    Phase.MANIFEST: "asks what the primary has",
    Phase.GUARD: "counts what would be removed",
    Phase.COMMIT: "writes",
    Phase.READ_BACK: "reads it back",
    Phase.WITNESS: "notes the commit",
    Phase.HISTORY: "records the run",
}
_STEP_ROLES = {
    StepState.WAITING: Role.OFF,
    StepState.RUNNING: Role.RUNNING,
    StepState.DONE: Role.OK,
    StepState.FAILED: Role.FAILED,
}


def sync_meter(frame: Frame) -> SyncMeter:
    run = frame.snapshot.run
    if run is not None and run.ended_at is None:
        return _running(frame, run)
    return SyncMeter("Sync", _idle_words(frame), None, _idle_facts(frame))


def _running(frame: Frame, run: Run) -> SyncMeter:
    # which file the rows go into is known when they come
    path = (_PATHS.get(run.path, run.path),) if run.step in (Phase.FETCH, *_LAST_STEPS) else ()
    parts = (run.word.capitalize(), run.id, *path, run.trigger)
    asked = run.cancel_asked_at is not None
    lasting = fmt.tenths(frame.now - run.started_at)
    return SyncMeter(
        title=frame.label(" · ").join(frame.clean(part) for part in parts),
        right=f"cancelling{frame.label('…')}" if asked else f"running {lasting}",
        progress=Progress(
            way=_way(frame, run),
            percent=share_words(run),
            amounts=_amounts(run),
            steps=_steps(frame, run),
            rates=run.rates,
            bytes=_bytes(run),
            eta=fmt.tenths(run.eta_s) if run.eta_s is not None else "",
            kept=_kept(run),
            hint=_hint(frame, run),
            hint_short=_hint_short(run),
        ),
    )


def _steps(frame: Frame, run: Run) -> tuple[Step, ...]:
    """The running step takes time until now."""
    seconds: dict[str, float] = dict(run.spent)
    if run.step and run.step_since is not None:
        seconds[run.step] = seconds.get(run.step, 0.0) + max(0.0, frame.now - run.step_since)
    return tuple(Step(frame.clean(name), _STEP_ROLES[state], seconds.get(name)) for name, state in run.steps)


def _way(frame: Frame, run: Run) -> Way:
    states = dict(run.steps)
    fetched = states.get(Phase.FETCH) is StepState.DONE
    last = [state for name, state in run.steps if name in _LAST_STEPS]
    stages = run.kind in WRITING
    return Way(
        primary=Stop("primary", fmt.plural(run.total, "row") if run.total is not None else ""),
        fetch=Pipe(1.0 if fetched else run.share, _fetch_words(frame, run, fetched)),
        between=Stop("staged" if stages else "compared", f"{fmt.plural(run.done, 'row')} read" if run.done else ""),
        commit=Pipe(last.count(StepState.DONE) / len(last) if last else None, _commit_words(run)),
        cache=Stop("cache", _generation_words(frame)),
    )


def _generation_words(frame: Frame) -> str:
    """That of the file that is there; of one that was changed since it was read, what it was."""
    generation, was = generation_now(frame.snapshot), frame.snapshot.cache.generation
    if generation is not None:
        return f"g-{generation}"
    if was is not None:
        return f"was g-{was.was}"
    return "no file yet" if frame.snapshot.cache.size is None else ""


def _fetch_words(frame: Frame, run: Run, fetched: bool) -> tuple[str, ...]:
    if fetched:
        took = dict(run.spent).get(Phase.FETCH)
        # of a run that asks the primary for nothing this step took no time
        return (f"all fetched, in {fmt.took(took)}", "all fetched") if took is not None else ("nothing to fetch",)
    if run.step != Phase.FETCH:
        return (_DOING.get(run.step, frame.clean(run.step)),)
    if run.rate is None:
        return ("asks for rows",)
    rows = f"{run.rate:,.0f} rows/s"
    return (f"{rows}   {fmt.size(run.byte_rate)}/s", rows) if run.byte_rate else (rows,)


def _commit_words(run: Run) -> tuple[str, ...]:
    if run.step in _LAST_STEPS:
        return (_DOING[run.step],)
    if run.promise is Promise.PLAN or run.kind not in WRITING | EDITING:
        return ("nothing is written",)
    if run.writes is None:
        return ("not known yet what is written", "not known yet", "waits")
    if not run.writes:
        return ("nothing to write",)
    return (f"{fmt.plural(run.writes, 'row')} to be written at once, at the end", f"{run.writes:,} to write", "waits")


def _amounts(run: Run) -> tuple[str, ...]:
    rows = f"{run.done:,} / {run.total:,} rows" if run.total is not None else fmt.plural(run.done, "row")
    batch = f"batch {run.batch} of {run.batches}" if run.batches else f"batch {run.batch}" if run.batch else ""
    rounds = f"round {run.round}" if run.round > 1 else ""
    return tuple(part for part in (rows, batch, rounds) if part)


def _bytes(run: Run) -> str:
    """'' where nothing comes over a network."""
    if not run.bytes and not run.bytes_total:
        return ""
    return f"{fmt.size(run.bytes)} of about {fmt.size(run.bytes_total)}" if run.bytes_total else fmt.size(run.bytes)


def _kept(run: Run) -> Line:
    """Once all rows are staged, that; before, what a run that is stopped now leaves for the next one."""
    if run.kind in EDITING:
        return (*muted("change   "), *plain(fmt.plural(run.writes, "row") if run.writes else "not known yet"))
    if run.step in _LAST_STEPS:
        told = f"{fmt.plural(run.writes, 'row')} to write" if run.writes else "nothing to write"
        return (*muted("staged   "), *plain(told))
    if not run.checkpoint_rows:
        return (*muted("kept     "), *plain("nothing yet"))
    total = f" of {run.total:,}" if run.total is not None else ""
    return (*muted("kept     "), *plain(f"{run.checkpoint_rows:,}{total} rows, proven"))


def _hint(frame: Frame, run: Run) -> Line:
    if run.cancel_asked_at is not None:
        return plain(f"cancel requested {frame.ago(run.cancel_asked_at)} ago")
    if not run.cancellable:
        return plain("committing, ends in under 1 s")
    keeps = " and keeps them" if _keeps(run) else " it"
    return (Piece("x  "), *plain(f"stops{keeps}, the cache stays as it is"))


def _hint_short(run: Run) -> Line:
    stops = "x  stops, keeps them" if _keeps(run) else "x  stops it"
    return plain(stops) if run.cancellable and run.cancel_asked_at is None else ()


def _keeps(run: Run) -> bool:
    """Whether a run that is stopped now leaves rows for the next one."""
    return bool(run.done if run.step in _LAST_STEPS else run.checkpoint_rows)


def run_lines(frame: Frame, width: int) -> list[Line]:
    """The running operation for a dialog of its own: what it is, how far, what is kept, and the core's heartbeat."""
    meter = sync_meter(frame)
    role, core = heartbeat(frame.beat_age)
    beat: Line = (*muted(" core     "), *toned(role, core, glyphs=frame.look.glyphs))
    if meter.progress is None:
        return [plain(" It waits for its turn, or has just ended."), beat]
    eta = f"   ETA {meter.progress.eta}" if width < WIDE and meter.progress.eta else ""
    head = (*plain(f" {meter.title}"), *muted(f"   {meter.right}"), *plain(eta))
    return [head, *meter.lines(width, DIALOG_LINES, frame.look), beat]


def cancel_label(frame: Frame) -> tuple[str, bool]:
    """What the cancel button says, and whether it can be pressed."""
    run = frame.snapshot.run
    if run is None or run.ended_at is not None:
        return "Cancel the run", False
    if run.cancel_asked_at is not None:
        return frame.label("Cancelling…"), False
    if not run.cancellable:
        return "Committing", False
    return (f"Cancel, keep {run.checkpoint_rows:,}" if run.checkpoint_rows else "Cancel the run"), True


def _idle_words(frame: Frame) -> str:
    if frame.verdict.word == "NO CONFIG":
        return "idle"
    if is_held(frame.snapshot):
        return "waiting for the lock"
    if frame.snapshot.primary.status.lost:
        return "waiting for the primary"
    state = "paused" if frame.snapshot.paused else "idle"
    return f"{state}{frame.label(' · ')}{_last_words(frame)}"


def _last_run(frame: Frame) -> RunSummary | None:
    """The newest run that could write, but none that found the file held and so wrote nothing; a look at the cache is
    no run here."""
    return next(
        (
            past
            for past in frame.snapshot.history.last
            if past.kind in WRITING | EDITING and past.exit_code != CacheLocked.exit_code
        ),
        None,
    )


def _last_words(frame: Frame) -> str:
    last = _last_run(frame)
    if last is None:
        return "no run yet" if frame.snapshot.seq else "no run known"
    return f"last {frame.clean(last.id)} {result_words(frame, last)}, {frame.ago(last.started_at + last.took_s)} ago"


def result_words(frame: Frame, run: RunSummary, *, short: bool = False) -> str:
    """How a run ended: a verdict's or an error's word as words, anything else as it was said. `short`: for a column."""
    plain_words = sentences.ended(run.result)
    followed = "followed, " if run.followed else ""
    if short and run.followed and run.result == Word.IN_SYNC:
        plain_words, followed = "followed", ""
    undone = "undone, " if run.undone_by else ""
    undid = f", undid {run.undoes}" if run.undoes else ""
    left = left_over(run).removesuffix(" rows" if short else "")
    return frame.clean(f"{undone}{followed}{plain_words}{left}{_started_with(run)}{undid}")


def left_over(run: RunSummary) -> str:
    """What a proved run had to leave; of one that failed, that its rows were committed before."""
    proved = run.result in set(Word)
    if run.exit_code == PARTLY and proved:
        return ", rejected rows"
    wrote = run.new or run.changed or run.gone
    return ", after its commit" if run.exit_code and not proved and wrote else ""


def _started_with(run: RunSummary) -> str:
    """How far behind a program started that opened the cache after this run; '' for a run that none waited for."""
    if run.start is None:
        return ""
    behind = run.start.behind
    return ", unknown how far behind" if behind is None else f", {behind:,} behind"


def _idle_facts(frame: Frame) -> tuple[Fact, ...]:
    snapshot = frame.snapshot
    facts = [_why_idle(frame), *_resume(frame), *_last(frame), *_where_time_went(frame)]
    if is_held(snapshot):
        note = "the lock is never taken from another process, and a held file is never replaced"
        facts.append(Fact("note", plain(note)))
    elif snapshot.error is not None:
        said = frame.clean(snapshot.error.message)
        facts.append(Fact("error", plain(said), short=(plain(said.partition("; ")[0]),), whole=True))
    else:
        facts.extend(_advice(frame))
    return tuple(facts)


def _advice(frame: Frame) -> list[Fact]:
    """What would make the next syncs cheaper, and by what figures."""
    return [
        Fact(
            "advice",
            plain(
                f"{frame.clean(one.setting)} = {one.suggested:,}, now {one.now:,}, saves {fmt.took(one.saves_s)} a run"
            ),
            extra=muted(frame.clean(one.text)),
        )
        for one in frame.snapshot.advice
    ]


def _why_idle(frame: Frame) -> Fact:
    snapshot = frame.snapshot
    if frame.verdict.word == "NO CONFIG":
        return Fact("no run", plain("nothing is set up; s asks for what it needs"))
    if frame.verdict.word == "DAMAGED":
        return Fact("no run", plain("syncs cannot write to a damaged cache; r plans a repair"))
    if is_held(snapshot):
        holder = snapshot.cache.holder
        who = f"pid {holder.pid} runs" if holder is not None else "another process holds the file"
        return Fact("in place", plain(f"not possible while {who}"))
    if snapshot.primary.status.lost:
        tries = fmt.plural(snapshot.primary.retries, "attempt")
        at = next_try(snapshot)
        again = f"; next try {frame.due(at)}" if at is not None else ""
        why = "no sync until the primary answers"
        return Fact("no run", plain(f"{why} ({tries} failed){again}"), short=(plain(f"{why}{again}"),))
    if snapshot.access != "rw":
        return Fact("no run", plain(f"read-only: {why_only_looking(snapshot.access)}"))
    if snapshot.paused:
        return Fact("no run", plain("scheduled syncs are paused; P resumes, s plans one now"))
    at = snapshot.freshness.next_sync_at
    if at is None:
        return Fact("next", muted("no time is set yet; s plans one now"))
    reason = frame.clean(snapshot.freshness.next_sync_reason)
    return Fact("next", plain(f"{fmt.clock(at)}, {frame.due(at)}"), extra=muted(reason))


def _resume(frame: Frame) -> tuple[Fact, ...]:
    if CacheState.PARTIAL in states_of(frame.snapshot):
        return (Fact("resume", plain("an unfinished build was found; s goes on with it")),)
    run = frame.snapshot.run
    if run is not None and run.ended_at is not None and run.checkpoint_rows and run.exit_code not in {0, 7}:
        return (Fact("resume", plain(f"{run.checkpoint_rows:,} proven rows are staged; s goes on with them")),)
    return ()


def _last(frame: Frame) -> tuple[Fact, ...]:
    """What the run of the title changed."""
    last = _last_run(frame)
    return (Fact("last", plain(what_changed(last)), extra=muted(transfer(last))),) if last is not None else ()


LEAST_S = 0.001
FEWER_STEPS = (6, 4, 2)
"""How many of the longest are told where all do not fit."""


def _where_time_went(frame: Frame) -> tuple[Fact, ...]:
    """Of the run of the title, if it ended while this console looked: its steps in their order, and how fast rows
    came."""
    run, last = frame.snapshot.run, _last_run(frame)
    if run is None or run.ended_at is None or last is None or last.id != run.id:
        return ()
    spent = [(name, took) for name, took in run.spent if took >= LEAST_S]
    if not spent:
        return ()
    longest = sorted(spent, key=lambda step: step[1], reverse=True)
    all_of_them, *fewer = (
        _steps_line(frame, run, [step for step in spent if step in longest[:most]])
        for most in (len(spent), *FEWER_STEPS)
    )
    rate = f"{fmt.plural(run.done, 'row')} at {run.rate:,.0f} rows/s" if run.done and run.rate else ""
    return (Fact("time", all_of_them, short=tuple(fewer), extra=muted(rate)),)


def _steps_line(frame: Frame, run: Run, spent: Sequence[tuple[str, float]]) -> Line:
    """As the row of steps said it while it ran."""
    states, glyphs = dict(run.steps), frame.look.glyphs
    pieces: list[Piece] = []
    for name, took in spent:
        role = _STEP_ROLES[states.get(name, StepState.DONE)]
        pieces.extend((*toned(role, frame.clean(name), glyphs=glyphs), Piece(f" {fmt.took(took)}  ", Tone.MUTED)))
    return tuple(pieces)


def what_changed(run: RunSummary) -> str:
    """`+3  ~0  -1  in 43 ms`, or that nothing was changed."""
    rows = f"+{run.new:,}  ~{run.changed:,}  -{run.gone:,}" if run.new or run.changed or run.gone else "no row changed"
    return f"{rows}  in {fmt.took(run.took_s)}"


def transfer(run: RunSummary) -> str:
    """What went over the network."""
    if not run.requests:
        return "nothing went over the network"
    return f"{fmt.plural(run.requests, 'request')}, {fmt.size(run.bytes_received)} received"
