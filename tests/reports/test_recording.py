"""Recordings: what is written comes back equal, whatever the texts; a cut end is left out; secrets stay out."""

from __future__ import annotations

import gzip
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from storage_sync.reports import recording
from storage_sync.reports.recording import Recorder, Recording
from storage_sync.values.errors import LocalIO, UsageError
from storage_sync.values.events import (
    Accepted,
    Answer,
    ConfigChanged,
    CoreDied,
    Event,
    FileChanged,
    LogLine,
    Refused,
    RunEnded,
    RunStarted,
    StateChanged,
)
from storage_sync.values.extra import Extra, FollowStopped
from storage_sync.values.followed import Followed
from storage_sync.values.found import Basis, Found, PrimaryStand
from storage_sync.values.outcome import (
    CacheState,
    Check,
    CheckStatus,
    ErrorValue,
    FileIdentity,
    LockHolder,
    Outcome,
    Plan,
    PlanRow,
    Proof,
    TableChange,
    Word,
)
from storage_sync.values.snapshot import (
    Behind,
    CacheHealth,
    CheckResult,
    ConfigView,
    CoreBeat,
    Freshness,
    HistoryView,
    LockState,
    Peek,
    PrimaryHealth,
    PrimaryStatus,
    QuarantineView,
    RowsBehind,
    Run,
    RunSummary,
    Sample,
    Setting,
    Snapshot,
    StepState,
)

BASE = Snapshot(1, 1000.0, CoreBeat(1.0), profile="prod")


class Ticks:
    """A clock that moves half a second at each look."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        self.at += 0.5
        return self.at


def written(path: Path, told: Sequence[Snapshot | Event], **options: object) -> Recording:
    recorder = Recorder(path, clock=lambda: 5000.0, monotonic=Ticks(), **options)  # type: ignore[arg-type]
    for one in told:
        if isinstance(one, Snapshot):
            recorder.snapshot(one)
        else:
            recorder.event(one)
    recorder.close()
    return recording.read(path)


texts = st.text(st.characters(), max_size=8) | st.sampled_from(["[/b]", "\x1b[31m", "名前", "\ud800", 'a"b\\'])
numbers = st.integers(-(2**40), 2**40)
reals = st.floats(allow_nan=False, width=32)
maybe = st.none() | reals
errors = st.none() | st.builds(ErrorValue, texts, texts, texts, st.booleans(), numbers)
checks = st.builds(
    Check, texts, st.sampled_from(CheckStatus), st.none() | numbers | texts, st.none() | numbers | texts, texts,
    st.lists(texts, max_size=3).map(tuple), reals,
)  # fmt: skip
identities = st.none() | st.builds(FileIdentity, numbers, numbers, numbers, numbers, numbers)
proofs = st.none() | st.builds(Proof, texts, texts, numbers, texts, numbers, reals, texts, identities)
holders = st.none() | st.builds(LockHolder, numbers, texts, texts, maybe, st.booleans())
changes = st.dictionaries(texts, st.builds(TableChange, numbers, numbers, numbers), max_size=2)
rows = st.lists(st.builds(PlanRow, texts, texts, numbers, st.none() | numbers, texts), max_size=2).map(tuple)
plans = st.none() | st.builds(
    Plan, texts, texts, st.tuples(numbers, texts), texts, changes, rows, reals,
    st.lists(texts, max_size=2).map(tuple), numbers, st.none() | texts, errors, looked_s=maybe,
)  # fmt: skip
runs = st.none() | st.builds(
    Run, texts, texts, texts, texts, reals, steps=st.lists(st.tuples(texts, st.sampled_from(StepState))).map(tuple),
    rates=st.lists(reals, max_size=3).map(tuple), eta_s=maybe, total=st.none() | numbers, done=numbers,
)  # fmt: skip
summaries = st.builds(
    RunSummary, texts, texts, texts, reals, reals, numbers, numbers, numbers, numbers, texts, st.booleans(),
    st.none() | numbers,
)  # fmt: skip
recent = st.lists(st.builds(Sample, reals, maybe, st.booleans(), maybe, numbers, st.none() | numbers), max_size=2)
samples = st.lists(maybe, max_size=4).map(tuple)
identities = st.none() | st.builds(FileIdentity, numbers, numbers, numbers, numbers, numbers)
stands = st.none() | st.builds(PrimaryStand, texts, numbers, st.none() | numbers, texts)
bases = st.builds(Basis, identities, stands)


def found(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.builds(Found, values, bases, reals)


snapshots = st.builds(
    Snapshot,
    seq=numbers,
    taken_at=reals,
    beat=st.builds(CoreBeat, reals, texts, numbers, numbers, numbers),
    profile=texts,
    access=texts,
    paused=st.booleans(),
    verdict=st.sampled_from(Word),
    states=st.lists(st.sampled_from(CacheState), max_size=2).map(tuple),
    primary=st.builds(PrimaryHealth, st.sampled_from(PrimaryStatus), texts, maybe, maybe, samples, error=errors),
    cache=st.builds(
        CacheHealth, texts, st.lists(st.sampled_from(CacheState), max_size=2).map(tuple), holder=holders,
        lock=st.sampled_from(LockState), integrity=found(checks),
        counts=found(st.dictionaries(texts, numbers, max_size=2)), generation=found(numbers), identity=identities,
        peek=st.none() | st.builds(Peek, reals, reals, numbers),
    ),
    freshness=st.builds(
        Freshness, proofs, st.none() | st.builds(Followed, numbers, reals, numbers, texts), reals,
        found(
            st.builds(
                RowsBehind, st.dictionaries(texts, st.builds(Behind, numbers, numbers, numbers), max_size=2),
                st.booleans(),
            )
        ),
    ),
    run=runs,
    checks=st.lists(
        st.builds(
            CheckResult, texts, st.builds(Found, checks, bases, reals), texts,
            st.lists(st.sampled_from(CheckStatus), max_size=2).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    quarantine=st.builds(QuarantineView, found(numbers)),
    history=st.builds(HistoryView, numbers, numbers, numbers, numbers, st.lists(summaries, max_size=2).map(tuple)),
    config=st.builds(
        ConfigView, st.lists(st.builds(Setting, texts, texts, texts, texts, texts), max_size=2).map(tuple), texts, maybe
    ),
    plan=plans,
    error=errors,
    samples=recent.map(tuple),
)  # fmt: skip
outcomes = st.builds(
    Outcome, texts, st.sampled_from(Word), numbers, checks=st.lists(checks, max_size=2).map(tuple), proof=proofs,
    error=errors, proposal=plans, plan=changes,
    extra=st.builds(
        Extra,
        kept=texts, payload_bytes=numbers, expected=st.lists(texts, max_size=2), proof_age_seconds=st.none() | reals,
        follow=st.builds(FollowStopped, ended=texts, detail=texts),
        set_aside=numbers | st.lists(st.dictionaries(texts, st.none() | numbers | texts, max_size=2), max_size=2),
    ) | st.just(Extra()),
)  # fmt: skip
events = (
    st.builds(LogLine, reals, texts, texts, texts)
    | st.builds(RunStarted, texts, texts, texts)
    | st.builds(RunEnded, texts, outcomes)
    | st.builds(StateChanged, st.sampled_from(Word), st.sampled_from(Word), texts)
    | st.builds(FileChanged, texts)
    | st.builds(ConfigChanged, st.lists(texts, max_size=2).map(tuple))
    | st.builds(CoreDied, texts)
)


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(told=st.lists(snapshots | events, max_size=6))
def test_everything_comes_back_equal(name: str, tmp_path: Path, told: list[Snapshot | Event]) -> None:
    path = tmp_path / name
    path.unlink(missing_ok=True)
    read = written(path, told)
    heard = [event for _, event in read.events(0, len(read.lines))]
    assert heard == [one for one in told if not isinstance(one, Snapshot)]
    shown = [one for one in told if isinstance(one, Snapshot)]
    newest = read.picture(len(read.lines))
    assert (newest[0] if newest is not None else None) == (shown[-1] if shown else None)
    assert not read.cut


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(told=st.lists(snapshots, min_size=1, max_size=5), cut=st.integers(0, 10_000))
def test_a_file_cut_anywhere_is_read_up_to_there(tmp_path: Path, told: list[Snapshot], cut: int) -> None:
    path = tmp_path / "r.jsonl"
    path.unlink(missing_ok=True)
    whole = written(path, told)
    data = path.read_bytes()
    head = data.index(b"\n") + 1
    path.write_bytes(data[: head + cut % (len(data) - head + 1)])
    short = recording.read(path)
    assert short.lines == whole.lines[: len(short.lines)]
    assert short.picture(len(short.lines)) == whole.picture(len(short.lines))


def test_a_compressed_file_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl.gz"
    told = [replace(BASE, seq=number) for number in range(50)]
    written(path, told)
    path.write_bytes(path.read_bytes()[:-60])
    read = recording.read(path)
    newest = read.picture(len(read.lines))
    assert read.cut
    assert newest is not None
    assert newest[0] in told
    assert newest[0].seq > 20


def test_any_moment_is_found_without_the_ones_before(tmp_path: Path) -> None:
    told = [replace(BASE, seq=number, profile=f"p{number // 7}") for number in range(recording.FULL_EVERY * 2 + 30)]
    read = written(tmp_path / "r.jsonl", told)
    assert len(read.wholes) == 3
    for place in (1, 2, 99, 100, 101, 102, 201, 229, 230):
        found = read.picture(place)
        assert found is not None
        assert found[0] == told[place - 1]
        assert read.place(found[1]) == place
    assert read.picture(0) is None


def test_an_equal_picture_is_not_written_again(tmp_path: Path) -> None:
    read = written(tmp_path / "r.jsonl", [BASE, BASE, replace(BASE)])
    assert len(read.lines) == 1


def test_a_line_holds_only_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    written(path, [BASE, replace(BASE, beat=CoreBeat(2.0))])
    assert json.loads(path.read_text().splitlines()[2]).keys() == {"t", "parts"}
    assert json.loads(path.read_text().splitlines()[2])["parts"].keys() == {"beat"}


def test_answers_are_not_recorded(tmp_path: Path) -> None:
    read = written(tmp_path / "r.jsonl", [Accepted(1), Answer(1, object()), Refused(2, "no", "")])
    assert read.lines == ()
    assert read.seconds == 0


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_a_token_never_reaches_the_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    secret = 'eyJ"tok\\en'
    told: list[Snapshot | Event] = [
        LogLine(1.0, "info", "core", f"with {secret} inside"),
        replace(BASE, profile=secret),
    ]
    read = written(path, told, secrets=[secret])
    data = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
    assert json.dumps(secret)[1:-1].encode() not in data
    assert [event for _, event in read.events(0, 9)] == [LogLine(1.0, "info", "core", "with [hidden] inside")]


def test_the_file_is_new_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    written(path, [BASE])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="exists already"):
        Recorder(path)
    with pytest.raises(LocalIO):
        Recorder(tmp_path / "no" / "r.jsonl")


def test_a_recording_that_grows_too_large_ends_with_a_warning(tmp_path: Path) -> None:
    said: list[str] = []
    told = [replace(BASE, seq=number) for number in range(200)]
    read = written(tmp_path / "r.jsonl", told, warn=said.append, largest=4000)
    assert len(said) == 1
    assert "largest size" in said[0]
    assert 0 < len(read.lines) < 200
    assert (tmp_path / "r.jsonl").stat().st_size <= 4000


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_a_full_disk_ends_the_recording_and_nothing_else(name: str, tmp_path: Path) -> None:
    said: list[str] = []
    recorder = Recorder(tmp_path / name, warn=said.append)
    recorder._out.close()  # type: ignore[union-attr]
    full = os.open("/dev/full", os.O_WRONLY)
    recorder._out = os.fdopen(full, "wb")
    recorder.snapshot(BASE)
    recorder.snapshot(replace(BASE, seq=2))
    recorder.close()
    assert len(said) == 1
    assert "No space left" in said[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a recording"),
        (b"{}\n", "not a recording"),
        (b"\x00\xff\n", "not a recording"),
        (b'{"storage_sync_recording": 2}\n', "format 2"),
        (b'{"storage_sync_recording": 1}\nnonsense\n{"t":1}\n', "line 2"),
        (b'{"storage_sync_recording": 1}\n{"t":0,"parts":{"seq":1}}\n', "part of a picture"),
        (b'{"storage_sync_recording": 1}\n{"t":NaN}\n{"t":1}\n', "line 2"),
        (b'{"storage_sync_recording": 1}\n{"t":0,"full":{"taken_at":NaN}}\n{"t":1}\n', "line 2"),
        (b'{"storage_sync_recording": 1}\n{"t":-Infinity}\n{"t":1}\n', "line 2"),
        (b'{"storage_sync_recording": 1}\n{"t":1e308}\n{"t":1}\n', "line 2"),
        (b'{"storage_sync_recording": 1}\n{"t":1' + b"0" * 400 + b'}\n{"t":1}\n', "line 2"),
        (b'{"storage_sync_recording": 1}\n' + b"[" * 100_000 + b'\n{"t":1}\n', "line 2"),
    ],
)
def test_what_is_no_recording(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        recording.read(path)


@pytest.mark.parametrize("at", [b"1e300", b"-1e300", b'"x"', b"null"])
def test_a_beginning_that_no_clock_shows_is_none(at: bytes, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"storage_sync_recording": 1, "at": ' + at + b'}\n{"t":1}\n')
    assert (recording.read(path).at, recording.read(path).seconds) == (0.0, 1.0)


def test_a_line_of_another_shape_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"storage_sync_recording": 1, "version": "9"}\n{"t":0,"full":{"seq":"x"}}\n')
    read = recording.read(path)
    with pytest.raises(UsageError, match="line 2"):
        read.picture(1)


def test_a_file_that_is_not_there_or_no_gzip(tmp_path: Path) -> None:
    with pytest.raises(LocalIO):
        recording.read(tmp_path / "none.jsonl")
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(b"plain text")
    with pytest.raises(LocalIO):
        recording.read(path)


def mappings(kind: object, seen: set[object]) -> Iterator[tuple[str, object]]:
    """(field, type of its keys) of each mapping that a value of this kind may hold."""
    for argument in get_args(kind):
        yield from mappings(argument, seen)
    if not (isinstance(kind, type) and issubclass(kind, Struct)) or kind in seen:
        return
    seen.add(kind)
    for name, hint in get_type_hints(kind).items():
        for part in (hint, *get_args(hint)):
            if get_origin(part) in (Mapping, dict):
                yield f"{getattr(kind, '__name__', kind)}.{name}", get_args(part)[0]
        yield from mappings(hint, seen)


def test_every_mapping_that_is_recorded_has_texts_as_keys() -> None:
    """JSON knows no other; one that does not fit would end the run that is recorded."""
    seen: set[object] = set()
    found = [one for kind in (Snapshot, *recording.RECORDED.values()) for one in mappings(kind, seen)]
    assert {name for name, _ in found} >= {"Outcome.drift", "Outcome.counts", "RowsBehind.tables"}
    assert [name for name, key in found if not (isinstance(key, type) and issubclass(key, str))] == []


def test_a_run_that_found_drift_is_recorded(tmp_path: Path) -> None:
    event = RunEnded("s-1", Outcome("sync", Word.DRIFT, 1, drift={"episodes": {"absent": 1, "drifted": 2}}))
    recorder = Recorder(tmp_path / "session.jsonl")
    recorder.snapshot(BASE)
    recorder.event(event)
    recorder.close()
    read = recording.read(tmp_path / "session.jsonl")
    assert [one for _, one in read.events(0, len(read.lines))] == [event]
