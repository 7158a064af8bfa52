"""Lines that are kept out of what scrolls: whatever is printed, in whatever pieces, stands there as without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyte
from hypothesis import assume, given
from hypothesis import strategies as st

from headway.bars.region import Region, fresh_line
from tests.terminals import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS, ROWS = 12, 7


class Shown:
    """A terminal, and what scrolled off it."""

    def __init__(self, *, keeps_wrap: bool = True) -> None:
        self.screen = Terminal(COLUMNS, ROWS, keeps_wrap=keeps_wrap)
        self._stream = pyte.Stream(self.screen)
        self.lines = self.screen.all_lines

    def feed(self, text: str) -> None:
        self._stream.feed(text.replace("\n", "\r\n"))  # as the kernel does it


PRINTED = st.text("ab \n\t全🎉", max_size=30)
FRAMES = st.lists(st.sampled_from(["=one=", "=two=", ""]), max_size=3)


@given(st.lists(st.one_of(PRINTED, FRAMES, st.none()), max_size=12), st.booleans(), st.booleans())
def test_what_is_printed_is_the_same_with_bars_and_without(
    steps: Sequence[str | list[str] | None], anew: bool, keeps_wrap: bool
) -> None:
    with_bars, without, region = Shown(keeps_wrap=keeps_wrap), Shown(), Region()
    for step in steps:
        # Known limit: some terminals forget, at any movement, that half a line has filled them to the last column.
        assume(isinstance(step, str) or keeps_wrap or without.screen.cursor.x < COLUMNS)
        if isinstance(step, str):
            with_bars.feed(step)
            without.feed(step)
        elif step is None:
            with_bars.feed(region.release(COLUMNS, ROWS))
        elif step:
            with_bars.feed(region.frame(step, COLUMNS, ROWS, anew=anew))
            assert [line.rstrip() for line in with_bars.screen.display[ROWS - region.held :]][: len(step)] == step
    assume(keeps_wrap or without.screen.cursor.x < COLUMNS)
    with_bars.feed(region.release(COLUMNS, ROWS))
    assert with_bars.lines() == without.lines()
    assert with_bars.screen.margins is None
    assert with_bars.screen.cursor.x == without.screen.cursor.x


def test_colours_that_were_begun_and_lines_below_the_cursor_are_kept() -> None:
    shown, region = Shown(), Region()
    shown.feed("one\ntwo\nthree\x1b[A\r\x1b[31m" + region.frame(["=bar="], COLUMNS, ROWS))
    shown.feed(region.release(COLUMNS, ROWS) + "red")
    assert shown.lines() == ["one", "red", "three"]
    assert shown.screen.buffer[1][0].fg == "red"


@given(st.text("ab \n全🎉", max_size=30))  # no tabs: one after the last column may go back onto it
def test_a_fresh_line_is_empty_and_erases_nothing(printed: str) -> None:
    with_line, without = Shown(), Shown()
    for shown in (with_line, without):
        shown.feed(printed)
    with_line.feed(fresh_line(COLUMNS) + "next")
    without.feed("next" if without.screen.cursor.x == 0 else "\nnext")
    assert with_line.lines() == without.lines()


def test_a_resized_terminal_gets_its_lines_at_the_new_end() -> None:
    shown, region = Shown(), Region()
    shown.feed("a\nb\nc\n" + region.frame(["=bar="], COLUMNS, ROWS))
    shown.screen.resize(ROWS + 3, COLUMNS)
    shown.feed(region.frame(["=bar="], COLUMNS, ROWS + 3))
    assert [line.rstrip() for line in shown.screen.display] == ["a", "b", "c", "", "", "", "", "", "", "=bar="]


def test_a_frame_for_the_old_size_erases_nothing_on_a_terminal_that_has_grown() -> None:
    shown, region = Shown(), Region()
    shown.feed("".join(f"{number}\n" for number in range(9)) + region.frame(["=bar="], COLUMNS, ROWS))
    lines = shown.lines()[:-1]
    tall = pyte.Screen(COLUMNS, ROWS + 3)  # as a terminal has it that takes back what had scrolled off
    stream = pyte.Stream(tall)
    stream.feed("\r\n".join(lines[-(ROWS + 2) :]) + "\r\n" + region.frame(["=now="], COLUMNS, ROWS, anew=False))
    assert [line.rstrip() for line in tall.display] == [*lines[-(ROWS + 2) :], "=now="]
