"""Texts of programs on the screen of whoever watches: harmless, of known width, in the encoding there is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.terminal.text import cut, pad, safe, width

TEXTS = st.text(st.characters(codec=None), max_size=40)  # surrogates too


@given(TEXTS)
def test_a_safe_text_can_move_no_cursor_and_reverses_no_line(text: str) -> None:
    kinds = {unicodedata.category(char) for char in safe(text)}
    assert not kinds & {"Cc", "Cf", "Cn", "Cs", "Zl", "Zp"}


@given(TEXTS, st.sampled_from(["utf-8", "ascii", "latin-1", "cp1252", "euc-jp"]))
def test_a_safe_text_can_be_written_in_its_encoding(text: str, encoding: str) -> None:
    shown = safe(text, encoding)
    assert shown.encode(encoding).decode(encoding) == shown


def test_a_stream_of_text_in_memory_has_no_encoding_and_takes_everything() -> None:
    assert safe("é…\n", None) == "é…\\n"


@given(TEXTS)
def test_safe_twice_is_safe_once(text: str) -> None:
    assert safe(safe(text)) == safe(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("ring\a", r"ring\x07"),
        ("two\nlines\ttabbed", r"two\nlines\ttabbed"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("é全🎉", "é全🎉"),
        ("a\u200bb", "ab"),
        ("z" + "\u0335" * 50, "z" + "\u0335" * 3),
        ("lone \ud800", r"lone \ud800"),
        ("no\u00a0break", "no break"),
    ],
)
def test_what_is_unprintable_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_what_the_encoding_lacks_is_shown_as_an_escape() -> None:
    assert safe("é全", "ascii") == r"\xe9\u5168"
    assert safe("é全", "latin-1") == "é\\u5168"


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("全部", 4), ("é", 1), ("e\u0301", 1), ("🎉", 2), ("", 0)])
def test_wide_characters_take_two_columns_and_marks_none(text: str, columns: int) -> None:
    assert width(text) == columns


@given(TEXTS, st.integers(0, 50), st.sampled_from(["…", "..."]))
def test_a_cut_text_fits_and_begins_as_the_whole_one(text: str, columns: int, ellipsis: str) -> None:
    text = safe(text)
    shown = cut(text, columns, ellipsis)
    assert width(shown) <= columns
    if width(text) <= columns:
        assert shown == text
    elif columns >= width(ellipsis):
        assert shown.endswith(ellipsis)
        assert text.startswith(shown.removesuffix(ellipsis))


@given(TEXTS, st.integers(0, 60), st.booleans())
def test_a_padded_text_has_its_width(text: str, columns: int, right: bool) -> None:
    text = safe(text)
    shown = pad(text, columns, right=right)
    assert width(shown) == max(columns, width(text))
    assert shown.strip(" ") == text.strip(" ")
