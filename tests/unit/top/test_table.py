"""Pieces of text as a line of a table."""

from __future__ import annotations

from headway.terminal.row import Piece
from headway.top.table import COLOURS, strip_of


def test_a_line_is_as_wide_as_the_table_whatever_is_on_it() -> None:
    for text in ("", "ab", "日本語の", "abcdefghij"):
        strip = strip_of([Piece(text, "failed"), Piece("more")], 7)
        assert strip.cell_length == sum(segment.cell_length for segment in strip) == 7


def test_what_does_not_fit_is_cut_and_what_follows_it_left_out() -> None:
    strip = strip_of([Piece("abcdefghij", "failed"), Piece("more")], 5)
    assert strip.text.startswith("abcd")
    assert "m" not in strip.text


def test_a_chosen_line_has_its_background_up_to_its_end() -> None:
    for chosen in (False, True):
        strip = strip_of([Piece("ab", "failed")], 6, chosen=chosen)
        first, *_, last = strip
        assert first.style is not None
        assert first.style.color == COLOURS["failed"].color
        assert [one.style is not None and one.style.bgcolor is not None for one in (first, last)] == [chosen, chosen]
