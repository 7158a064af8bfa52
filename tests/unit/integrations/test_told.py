"""The little language of HEADWAY_FD: what lines say, what of them is ignored, and that no input is too bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway
from headway.integrations.told import LINE_BYTES, Lines, Told, of_line, together, write
from headway.tasks import checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.board import Board

SAYS = {
    b"12/500": Told(12, total=500),
    b"12/500 reading it": Told(12, total=500, message="reading it"),
    b"12": Told(12),
    b" 12 ": Told(12),
    b"12 of them": Told(12, message="of them"),
    b"+1": Told(more=1),
    b"+25 more": Told(more=25, message="more"),
    b"45%": Told(percent=45),
    b"45.5% nearly": Told(percent=45.5, message="nearly"),
    b"100%": Told(percent=100),
    b"total 500": Told(total=500),
    b"stage fit": Told(stage="fit"),
    b"message  caf\xc3\xa9 \xff": Told(message="café �"),
    b"message": Told(message=""),
    str(checks.COUNT_LIMIT - 1).encode(): Told(checks.COUNT_LIMIT - 1),
    b"total %d" % checks.TOTAL_MOST: Told(total=checks.TOTAL_MOST),
}
IGNORED = (
    b"12.5", b"-3", b"1e3", b"nan", b"inf", b"12/", b"/12", b"12/500/1", b"+", b"+-1", b"+1.5",
    b"101%", b"-1%", b"%", b"total", b"total x", b"total -1", b"total 1.5", b"totals 3", b"total 1 2", b"some words",
    b"0x10", b"1_000", b"\xd9\xa1\xd9\xa2", b"12\x00", b"\x00\xff\xfe", b"message_text", b"+999999999999999",
    str(checks.COUNT_LIMIT).encode(), b"9" * 16, b"1/%d" % (checks.TOTAL_MOST + 1), b"9" * 4000,
)  # fmt: skip


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    with headway.open(board_name, capacity=8, record=False) as board:
        yield board
        board.remove()


@pytest.mark.parametrize("line", SAYS, ids=repr)
def test_a_line_says(line: bytes) -> None:
    assert of_line(line) == SAYS[line]


@pytest.mark.parametrize("line", IGNORED, ids=lambda line: repr(line[:24]))
def test_a_line_that_says_nothing_is_ignored(line: bytes) -> None:
    assert of_line(line) is None


@given(st.binary(max_size=200))
def test_no_line_is_too_bad(line: bytes) -> None:
    told = of_line(line)
    assert told is None or 0 <= (told.done or 0) < checks.COUNT_LIMIT


# --- lines


@given(st.lists(st.binary(max_size=12)), st.sampled_from([b"\n", b"\r", b"\r\n"]))
def test_a_line_is_the_same_however_its_bytes_arrive(pieces: list[bytes], end: bytes) -> None:
    whole, parts = Lines(), Lines()
    text = end.join(pieces)
    once = whole.feed(text)
    assert [line for at in range(len(text)) for line in parts.feed(text[at : at + 1])] == once
    assert parts.rest == whole.rest
    assert once == [line for line in text.replace(b"\r", b"\n").split(b"\n")[:-1] if line]


def test_a_line_without_an_end_takes_a_bounded_memory_and_costs_no_other_line() -> None:
    lines = Lines()
    assert lines.feed(b"1/9\n" + b"7" * 100) == [b"1/9"]
    for _ in range(100):
        assert lines.feed(b"8" * 1000) == []
        assert len(lines.rest) <= LINE_BYTES
    assert lines.feed(b"9\n2/9\n3") == [b"2/9"]
    assert lines.feed(b"/9\n") == [b"3/9"]
    assert lines.feed(b"x" * (LINE_BYTES + 1) + b"\n" + b"y" * LINE_BYTES + b"\n") == [b"y" * LINE_BYTES]


# --- together


def test_what_is_said_later_counts() -> None:
    said = [b"12/500 a", b"+1", b"+2 b", b"50%", b"+3", b"total 7", b"stage x"]
    assert together([told for line in said if (told := of_line(line))]) == Told(None, 50, 3, 7, "x", "b")
    assert together([Told(percent=50), Told(4)]) == Told(4)
    assert together([]) is None


# --- on a task


def test_a_task_shows_what_was_told(board: Board) -> None:
    with board.task("told") as task:
        for line, count, total in (
            (b"3", 3, None),
            (b"+2", 5, None),
            (b"50%", 50, 100),
            (b"4/8", 4, 8),
            (b"25%", 2, 8),
            (b"total 1000", 2, 1000),
            (b"29%", 290, 1000),
            (b"0", 0, 1000),
            (b"1/0", 1, 0),
            (b"10%", 10, 100),
        ):
            told = of_line(line)
            assert told is not None
            assert write(told, task)
            assert (task.count, task.total) == (count, total), line
        assert write(Told(message="a\0b" * 100, stage="s" * 100), task)
        view = task.view()
        assert len(view.message.encode()) <= checks.MESSAGE_BYTES
        assert len(view.stage.encode()) <= checks.STAGE_BYTES


def test_what_adds_up_to_too_much_is_left_out(board: Board) -> None:
    with board.task("told") as task:
        most = checks.COUNT_LIMIT - 1
        assert write(Told(most), task)
        assert write(Told(more=most), task)
        assert task.count == most
        assert write(Told(percent=100, total=checks.TOTAL_MOST), task)
        assert task.count == most


@pytest.mark.filterwarnings("ignore::headway.errors.StaleTaskWarning")
def test_a_task_that_has_ended_is_told_no_more(board: Board) -> None:
    task = board.task("told")
    task.succeed()
    assert not write(Told(1, message="late"), task)
    assert (task.count, task.view().message) == (0, "")
