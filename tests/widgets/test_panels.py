"""What the panels say at each size, without a terminal."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from widgets.check_list import CheckList, CheckRow
from widgets.facts import Fact, FactList, paint_fact
from widgets.freshness import Freshness, Lag
from widgets.glyphs import ASCII, UNICODE, Look, Role
from widgets.key_bar import KeyEntry, Keys
from widgets.key_bar import paint as paint_keys
from widgets.key_bar import spans as key_spans
from widgets.line import muted, plain, text_of, width_of
from widgets.plan_table import PlanStep, PlanTable
from widgets.store_card import StoreCard
from widgets.sync_meter import Pipe, Progress, Step, Stop, SyncMeter, Way
from widgets.tab_row import Tab, Tabs
from widgets.tab_row import paint as paint_tabs
from widgets.tab_row import spans as tab_spans
from widgets.verdict_line import VerdictText
from widgets.verdict_line import paint as paint_verdict

LOOK = Look()


def texts(lines: object) -> list[str]:
    return [text_of(line).rstrip() for line in lines]  # type: ignore[attr-defined]


def test_extra_facts_give_way_whole() -> None:
    fact = Fact("auth", plain("✓ accepted 2 s ago"), extra=muted("token from env"))
    assert "token from env" in text_of(paint_fact(fact, 49, LOOK))
    assert "token" not in text_of(paint_fact(fact, 39, LOOK))


def test_a_spark_outlives_an_extra() -> None:
    fact = Fact("ping", plain(" 44 ms"), extra=plain("p95  61 ms"), spark=(1.0, None, 2.0) * 6)
    narrow = text_of(paint_fact(fact, 32, LOOK))
    assert "p95" not in narrow
    assert "✗" in narrow


def test_a_store_card_shortens_its_place() -> None:
    card = StoreCard("redb", Role.OK, "clean", ("/var/lib/do-memory/cache.redb", "cache.redb"), ())
    assert "/var/lib" in texts(card.lines(60, 6, LOOK))[0]
    assert texts(card.lines(32, 6, LOOK))[0].endswith("cache.redb")


def test_a_store_card_tells_the_whole_of_a_fact_in_a_free_row_only() -> None:
    said = Fact("error", plain("one two three four five six seven"), short=(plain("one … seven"),), whole=True)
    card = StoreCard("Turso", Role.FAILED, "refused", ("x",), (said, Fact("next", plain("soon"))))
    assert texts(card.lines(32, 4, LOOK))[1:] == [
        " error    one two three four",
        "          five six seven",
        " next     soon",
    ]
    assert texts(card.lines(32, 3, LOOK))[1:] == [" error    one … seven", " next     soon"]


TOTAL = Lag("", 442, 161, 424)


def freshness(tables: int, behind: Lag | None = TOTAL) -> Freshness:
    lags = tuple(Lag(f"table{number}", 1, 2, 3) for number in range(tables))
    return Freshness(
        "Freshness",
        "",
        Fact("proof", plain("1 s ago")),
        behind,
        ("not compared yet",),
        lags,
        (),
        Fact("next", plain("soon")),
    )


def test_freshness_counts_the_tables_it_cannot_show() -> None:
    shown = texts(freshness(5).lines(49, 6, LOOK))
    assert len(shown) == 6
    assert "3 more tables" in shown[4]
    assert shown[-1].startswith(" next")


@pytest.mark.parametrize("width", [39, 49, 59])
def test_the_counts_stand_below_each_other(width: int) -> None:
    lines = [text_of(line) for line in freshness(1).lines(width, 6, LOOK)]
    assert lines[1].index("+442") + 4 == lines[2].index("+1") + 2
    assert lines[1].index("-424") + 4 == lines[2].index("-3") + 2


def test_unknown_is_not_zero_rows() -> None:
    assert "? not compared yet" in texts(freshness(0, None).lines(49, 6, LOOK))[1]


def row(role: Role, age: str = "17 s") -> CheckRow:
    return CheckRow(role, "latest episodes", ("788 of 1,000", "788/1,000"), age)


def test_checks_keep_their_order_and_are_counted() -> None:
    checks = CheckList(
        "Validation", "", (row(Role.OK), row(Role.FAILED), row(Role.UNKNOWN), row(Role.NONE), row(Role.ATTENTION))
    )
    shown = texts(checks.lines(60, 6, LOOK))
    assert [line[1] for line in shown[:5]] == ["✓", "✗", "?", "-", "▲"]
    assert shown[5] == " 5 checks:  1 ok  1 warned  1 failed  1 unknown  1 skipped"
    assert texts(checks.lines(49, 6, LOOK))[5] == "  1 ok  1 warned  1 failed  1 unknown  1 skipped"


def test_checks_on_a_narrow_panel_leave_out_ages() -> None:
    line = texts(CheckList("", "", (row(Role.FAILED),)).lines(39, 5, LOOK))[0]
    assert line.endswith("788 of 1,000")
    assert "latest episodes " in line


def test_no_check_yet_is_said() -> None:
    assert texts(CheckList("", "", (), "nothing yet").lines(39, 5, LOOK)) == [" nothing yet"]


def meter() -> SyncMeter:
    steps = (Step("lease", Role.OK, 0.002), Step("fetch", Role.RUNNING, 3.1), Step("commit", Role.OFF))
    fetch = Pipe(0.6, ("118 rows/s   12.0 KiB/s", "118 rows/s"))
    commit = Pipe(0.0, ("362 rows to be written", "waits"))
    way = Way(Stop("primary", "603 rows"), fetch, Stop("staged", "362 rows"), commit, Stop("cache", "g-7"))
    run = Progress(
        way, "60 %", ("362 / 603 rows",), steps, (1.0, 2.0), "2.1 MiB", "2.0 s", plain("kept"), plain("x stops")
    )
    return SyncMeter("Sync", "running", run)


@pytest.mark.parametrize("look", [Look(UNICODE), Look(ASCII)])
@pytest.mark.parametrize("width", [60, 78, 98, 218])
def test_a_run_shows_its_way_its_steps_its_figures_and_what_is_kept(width: int, look: Look) -> None:
    lines = meter().lines(width, 5, look)
    shown = [text_of(line) for line in lines]
    assert [width_of(line) for line in lines[:2]] == [width, width]
    assert shown[0].split()[0] == "primary"
    assert shown[0].rstrip().endswith("60 %")
    assert "118 rows/s" in shown[1]
    for name, words in (("staged", "362 rows"), ("cache", "g-7")):
        assert shown[0].index(name) == shown[1].index(words), name
    assert f"{look.glyphs.roles[Role.OK]} lease 2 ms" in shown[2]
    assert "fetch 3.1 s" in shown[2]
    assert "ETA" in shown[3]
    assert "x stops" in shown[4]


def test_steps_that_wait_are_counted_where_their_names_do_not_fit() -> None:
    shown = meter()
    assert shown.progress is not None
    waiting = tuple(Step(f"step number {number}", Role.OFF) for number in range(7))
    many = replace(shown.progress, steps=(*shown.progress.steps[:2], *waiting))
    line = texts(SyncMeter("Sync", "running", many).lines(78, 5, LOOK))[2]
    assert line.strip() == "✓ 1 done ● fetch ○ 7 to go"


def test_what_goes_through_a_pipe_has_the_wording_that_fits() -> None:
    assert "118 rows/s   12.0 KiB/s" in texts(meter().lines(98, 5, LOOK))[1]
    assert "KiB/s" not in texts(meter().lines(60, 5, LOOK))[1]


def test_a_low_panel_keeps_way_and_steps() -> None:
    shown = texts(meter().lines(78, 2, LOOK))
    assert len(shown) == 2
    assert shown[1].endswith("ETA 2.0 s")


@pytest.mark.parametrize("look", [Look(UNICODE), Look(ASCII)])
@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_footers_show_whole_entries_and_always_help(look: Look, width: int) -> None:
    entries = (*(KeyEntry(key, f"Entry {key}…", f"do_{key}") for key in "abcdefgh"), KeyEntry("?", "Help", "help"))
    keys = Keys(entries, KeyEntry("^p", "palette", "palette"))
    text = text_of(paint_keys(keys, width, look))
    assert width_of(paint_keys(keys, width, look)) == width
    assert "? Help" in text
    assert "^p palette" in text
    assert text.replace(look.glyphs.plain("…"), "").count("…") == 0
    for entry, start, end in key_spans(keys, width, look):
        assert text[start:end].startswith(entry.key)


def test_tabs_are_where_they_are_clicked() -> None:
    tabs = Tabs((Tab("one", "1", "One"), Tab("two", "2", "Two", Role.FAILED, "3")), "two")
    for width in (80, 100):
        lines = [text_of(line) for line in paint_tabs(tabs, width, 2, LOOK)]
        for name, start, end in tab_spans(tabs, width, LOOK):
            assert lines[0][start:end].startswith("1 One" if name == "one" else "2 Two ✗3")
        _, start, end = tab_spans(tabs, width, LOOK)[1]
        assert lines[1][start:end] == "━" * (end - start)


def test_the_verdict_takes_the_longest_wording_that_fits() -> None:
    value = VerdictText(Role.OK, "IN SYNC", ("a long sentence about it all", "short"), ("do that",))
    wide, following = texts(paint_verdict(value, 60, LOOK))
    assert wide == " ✓ IN SYNC  a long sentence about it all"
    assert following.index("do that") == wide.index("a long")
    assert texts(paint_verdict(value, 22, LOOK))[0].endswith("short")


def test_a_plan_shows_rows_bytes_and_undo() -> None:
    table = PlanTable(
        (PlanStep("1", "fetch", 603, 3_565_158, "set aside"), PlanStep("-", "primary", 0, None, "never written"))
    )
    shown = texts(table.lines(80, 9, LOOK))
    assert "603" in shown[1]
    assert "3.4 MiB" in shown[1]
    assert shown[2].endswith("never written")


@pytest.mark.parametrize("width", [60, 70, 88, 130])
def test_a_plan_keeps_each_of_its_words(width: int) -> None:
    text = "remove rows gone from the window or the primary"
    undo = "replaced bytes set aside where only the cache had them"
    shown = texts(PlanTable((PlanStep("1", text, 424, 2_411_724, undo),)).lines(width, 9, LOOK))
    assert all(len(line) <= width for line in shown)
    assert sorted(" ".join(shown[1:]).split()) == sorted(f"1 {text} 424 2.3 MiB {undo}".split())


def test_a_meter_counts_the_steps_whose_names_have_no_room() -> None:
    names = ("lease", "copy", "hash", "manifest", "fetch", "guard", "commit", "read-back", "witness", "history")
    steps = tuple(Step(name, Role.OK if at < 4 else Role.OFF) for at, name in enumerate(names))
    run = meter().progress
    assert run is not None
    low = texts(SyncMeter("Sync", "", replace(run, steps=steps)).lines(80, 2, LOOK))
    assert low[1].startswith(" ✓ 4 done ○ fetch ○ guard ○ commit ○ read-back ○ witness ○ history")


def test_the_figures_of_a_meter_begin_in_one_column() -> None:
    shown = texts(meter().lines(98, 5, LOOK))
    assert shown[3][1:10] == "rows/s   "
    assert shown[4].startswith(" kept")


@pytest.mark.parametrize("look", [Look(UNICODE), Look(ASCII)])
def test_a_fact_that_is_shown_whole_goes_on_below(look: Look) -> None:
    words = "episodes +9 ~2 -9   embeddings +3 ~1 -3"
    facts = FactList("x", "", (Fact("tables", plain(words), whole=True), Fact("next", plain("s"))), labels=10)
    assert texts(facts.lines(50, 9, look)) == [f" tables    {words}", " next      s"]
    low = texts(facts.lines(44, 9, look))
    assert low == [" tables    episodes +9 ~2 -9", "           embeddings +3 ~1 -3", " next      s"]
    assert not any(line.endswith(look.glyphs.ellipsis) for line in texts(facts.lines(25, 9, look)))
    assert texts(facts.lines(25, 3, look))[1].endswith(look.glyphs.ellipsis)


def test_fact_lists_are_cut_to_their_height() -> None:
    facts = FactList("x", "", tuple(Fact(f"f{number}", plain("v")) for number in range(9)))
    assert len(list(facts.lines(40, 3, LOOK))) == 3


@pytest.mark.parametrize("width", range(38, 90))
def test_what_is_behind_is_whole_at_every_width(width: int) -> None:
    shown = Freshness(
        "Freshness", "", Fact("proof", plain("1 s ago")), Lag("", 442, 161, 424), ("",), (), (), Fact("next", ())
    )
    line = text_of(shown.lines(width, 6, LOOK)[1])
    assert width_of(shown.lines(width, 6, LOOK)[1]) <= width
    for number in ("+442", "~161", "-424"):
        assert number in line
