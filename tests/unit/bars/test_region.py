"""Lines that are kept out of what scrolls: whatever is printed, in whatever pieces, stands there as without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyte
from hypothesis import assume, given
from hypothesis import strategies as st

from headway.bars.region import Region, fresh_line

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS, ROWS = 12, 7


class Shown:
    """A terminal, and what scrolled off it."""

    def __init__(self) -> None:
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=10_000)
        self._stream = pyte.Stream(self.screen)

    def feed(self, text: str) -> None:
        self._stream.feed(text.replace("\n", "\r\n"))  # as the kernel does it

    def lines(self) -> list[str]:
        gone = ["".join(row[column].data for column in range(COLUMNS)) for row in self.screen.history.top]
        lines = [line.rstrip() for line in (*gone, *self.screen.display)]
        while lines and not lines[-1]:
            lines.pop()
        return lines


PRINTED = st.text("ab \n", max_size=30)
FRAMES = st.lists(st.sampled_from(["=one=", "=two=", ""]), max_size=3)


@given(st.lists(st.one_of(PRINTED, FRAMES, st.none()), max_size=12), st.booleans())
def test_what_is_printed_is_the_same_with_bars_and_without(steps: Sequence[str | list[str] | None], anew: bool) -> None:
    with_bars, without, region = Shown(), Shown(), Region()
    for step in steps:
        # Known limit: half a line that fills the terminal's width to the column forgets to wrap, as at any movement.
        assume(isinstance(step, str) or without.screen.cursor.x < COLUMNS)
        if isinstance(step, str):
            with_bars.feed(step)
            without.feed(step)
        elif step is None:
            with_bars.feed(region.release())
        elif step:
            with_bars.feed(region.frame(step, COLUMNS, ROWS, anew=anew))
            assert [line.rstrip() for line in with_bars.screen.display[ROWS - region.held :]][: len(step)] == step
    assume(without.screen.cursor.x < COLUMNS)
    with_bars.feed(region.release())
    assert with_bars.lines() == without.lines()
    assert with_bars.screen.margins is None
    assert with_bars.screen.cursor.x == without.screen.cursor.x


@given(PRINTED)
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
