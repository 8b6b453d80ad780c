"""What people read holds nothing that a terminal would act on or hide."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from storage_sync.values import visible

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=200)


def test_clean_shows_what_would_act() -> None:
    assert visible.clean("\x1b[31mred") == "\\e[31mred"
    assert visible.clean("\x1b]0;t\x07") == "\\e]0;t\\x07"
    assert visible.clean("a\tb\nc\rd") == "a\\tb\\nc\\rd"
    assert visible.clean("\x9b2J") == "\\x9b2J"
    assert visible.clean("\u202eabc\u2066") == "\\u202eabc\\u2066"
    assert visible.clean("\ud800") == "\\ud800"
    assert visible.clean("[/b] [red]x 名前 e\u0301") == "[/b] [red]x 名前 e\u0301"


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
def test_clean_leaves_no_control_character(text: str) -> None:
    cleaned = visible.clean(text)
    assert all(character.isprintable() or not character.isascii() for character in cleaned)
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in cleaned)
    assert visible.clean(text, ascii_only=True).isascii()


def test_the_place_in_a_library_is_left_out_of_a_message() -> None:
    said = "index out of range (redb-4.6.0/src/tree_store/btree_cursor.rs:167)"
    assert visible.without_place(f"the cache is damaged: {said}") == "the cache is damaged: index out of range"
    assert visible.without_place("no place (of a file)") == "no place (of a file)"


def test_clean_is_bounded() -> None:
    assert len(visible.clean("x" * 1_000_000)) == visible.LONGEST


@pytest.mark.parametrize(
    "text", ["🇩🇪", "👍🏽", "1\u20e3", "👨\u200d👩", "\u3164", "\u034f", "\uffa0", "\u2800", "🏳\ufe0f"]
)
def test_what_terminals_join_or_hide_is_written_out(text: str) -> None:
    shown = visible.clean(text)
    assert "\\u" in shown.lower()
    assert cell_len(shown) == sum(cell_len(character) for character in shown)


@pytest.mark.parametrize("text", ["名前", "e\u0301", "ﾊﾝｶｸ", "שלום", "नमस्ते", "👍", "…"])
def test_what_people_write_is_left_alone(text: str) -> None:
    assert visible.clean(text) == text


@given(ANY_TEXT)
def test_printed_lines_hold_no_control_character(text: str) -> None:
    printed = visible.printable(text)
    assert not any(ord(sign) < 0x20 or 0x7F <= ord(sign) < 0xA0 for sign in printed.replace("\n", ""))
    assert printed.count("\n") == text.count("\n")


def test_only_colours_stay_in_painted_lines() -> None:
    assert visible.printable("\x1b[31mred\x1b[0m \x1b[2J", painted=True) == "\x1b[31mred\x1b[0m \\e[2J"


@given(st.text(max_size=200))
def test_json_means_what_it_meant(text: str) -> None:
    printed = visible.printable_json(json.dumps({"a": text}, ensure_ascii=False))
    assert json.loads(printed) == {"a": text}
    assert visible.printable(printed) == printed


def test_words_of_others_are_one_bounded_line() -> None:
    assert visible.spoken("one\r\ntwo\tthree \x1b[2J") == "one two three \\e[2J"
    assert len(visible.spoken("x y " * 100_000)) <= visible.LONGEST
