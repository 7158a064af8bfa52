"""What loops leave in a log, by a clock that the test owns; and a helper that nobody needs."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from dataclasses import dataclass

import pytest

from headway.bars import shown
from headway.process import live
from headway.views.board_view import TaskView

NOW = 1_700_000_000.0


@dataclass(eq=False)
class Loop:
    """A loop as it is shown, at the time that its test says."""

    label: str
    depth: int = 0
    leave: bool = True
    with_parts: bool = False
    began: float = 0.0
    count: int = 0
    at: float = 0.0
    state: str = "running"
    error: str = ""

    def view(self) -> TaskView | None:
        ended = None if self.state == "running" else NOW + self.at
        return TaskView(
            id=self.label,
            state=self.state,
            count=self.count,
            total=100_000,
            started=NOW,
            ended=ended,
            error=self.error,
            taken_at=NOW + self.at,
        )

    def parts(self) -> list[tuple[TaskView, int]]:
        return []

    def address(self) -> tuple[str, str, str] | None:
        return None


class Log:
    """Standard error that is no terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", self.stream)
        output = shown.output_here()
        assert output is not None
        self.output = output

    def run(self, *loops: Loop, seconds: range) -> None:
        for second in seconds:
            for loop in loops:
                loop.at, loop.count = second, second
            self.output.show(loops, second)

    def end(self, loop: Loop, *others: Loop) -> None:
        loop.state = "success"
        self.output.end(loop, others, loop.at)

    def lines(self) -> list[str]:
        return [re.sub(r"^([\d-]{10} )?\d\d:\d\d:\d\d ", "", line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.delenv("HEADWAY_LINES_S", raising=False)
    return Log(monkeypatch)


def counts(lines: list[str]) -> list[int]:
    return [int(found[1].replace(",", "")) for line in lines if (found := re.search(r"([\d,]+)/", line))]


def test_a_log_has_a_line_at_the_start_at_growing_distances_and_at_the_end(log: Log) -> None:
    loop = Loop("rows")
    log.run(loop, seconds=range(300))
    log.end(loop)
    assert counts(log.lines()) == [0, 5, 15, 35, 75, 135, 195, 255, 299]
    assert log.lines()[0].startswith("rows: 0% 0/100,000")
    assert "succeeded" in log.lines()[-1]


def test_a_night_is_some_hundred_lines(log: Log) -> None:
    log.run(Loop("rows"), seconds=range(8 * 3600))
    assert len(log.lines()) == 483


def test_the_user_says_how_often_there_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_LINES_S", "30")
    log = Log(monkeypatch)
    log.run(Loop("rows"), seconds=range(100))
    assert counts(log.lines()) == [0, 30, 60, 90]


def test_a_line_tells_of_loops_inside_but_not_of_their_begin(log: Log) -> None:
    outer, inner = Loop("outer"), Loop("inner", depth=1)
    log.run(outer, seconds=range(2))
    log.run(outer, inner, seconds=range(2, 10))
    said = log.lines()
    assert len(said) == 2
    assert re.fullmatch(r"outer: .*5/100,000; inner: .*5/100,000", said[1])


def test_a_loop_of_another_thread_says_that_it_has_begun(log: Log) -> None:
    first, second = Loop("first"), Loop("second", leave=False)
    log.run(first, seconds=range(2))
    log.run(first, second, seconds=range(2, 4))
    log.end(second, first)
    log.end(first)
    assert [line.split(":")[0] for line in log.lines()] == ["first", "second", "second", "first"]


def test_of_many_loops_in_a_row_lines_come_as_of_a_long_one(log: Log) -> None:
    for second in range(8 * 3600):
        loop = Loop(f"loop {second}", began=second, at=second)
        log.output.show([loop], second)
        log.end(loop)
    shown.close()
    said = log.lines()
    assert said[:2] == ["loop 0: 0% 0/100,000", "loop 0: succeeded 0% 0/100,000 in 0.0 s"]
    assert len(said) < 1500
    ended = sum(int(line.split()[0]) for line in said if line.endswith("ended meanwhile"))
    assert ended + sum("succeeded" in line for line in said) == 8 * 3600


def test_what_failed_or_took_long_is_told_however_many_loops_there_are(log: Log) -> None:
    for second in range(100):
        log.end(Loop(f"loop {second}", began=second, at=second))
    failed, long = Loop("failed", at=100.0), Loop("long", began=100.0, at=160.0)
    failed.state = "failed"
    log.output.end(failed, [], 100.0)
    log.end(long)
    assert [line.split(" ")[:2] for line in log.lines()] == [["failed:", "failed"], ["long:", "succeeded"]]


def test_the_end_of_a_loop_says_why(log: Log) -> None:
    loop = Loop("rows")
    log.run(loop, seconds=range(1))
    loop.state, loop.error = "cancelled", "the loop was left early"
    log.output.end(loop, [], 0.0)
    assert log.lines()[-1].endswith(": the loop was left early")


def test_silenced_loops_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_BARS", "0")
    assert shown.output_here() is None
    monkeypatch.setenv("HEADWAY_BARS", "1")
    assert shown.output_here() is not None


def test_a_helper_that_has_nothing_to_draw_leaves_and_says_so() -> None:
    master, slave = os.openpty()
    helper = live.Helper(shown.DRAWER, "utf-8", "0.01", terminal=slave)
    try:
        deadline = time.monotonic() + 30
        while (there := helper.is_there()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert there is None
        assert not helper.hide()
    finally:
        helper.close()
        os.close(slave)
        os.close(master)


def test_a_helper_that_has_drawn_nothing_is_hidden_without_waiting_for_it() -> None:
    master, slave = os.openpty()
    helper = live.Helper(shown.DRAWER, "utf-8", "60", terminal=slave)
    try:
        assert helper.say(b'{"due": 1e12, "loops": []}')
        assert helper.hide()
        assert not helper.drawn
    finally:
        helper.end()
        os.close(slave)
        os.close(master)


def test_what_a_log_did_not_tell_yet_it_tells_when_loops_go_to_another_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Log(monkeypatch)
    for number in range(shown.LOOPS_MOST + 3):
        loop = Loop(f"loop {number}", count=1)
        first.output.show([loop], 0.0)
        loop.state = "success"
        first.output.end(loop, [], 0.1)
    assert "ended meanwhile" not in first.stream.getvalue()
    second = Log(monkeypatch)
    assert "3 loops ended meanwhile" in first.stream.getvalue()
    second.stream.close()
    Log(monkeypatch)
    shown.forget()
