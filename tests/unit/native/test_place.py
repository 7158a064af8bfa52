"""Handles find their segment, and live as long as it."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import time
from typing import Any

import pytest

from headway import errors
from headway.engine import segments
from headway.native import core
from tests.unit.native.handles import claim, file_of, fork, handle, hw_add, is_mapped, quiet, shares_of


def test_a_segment_goes_with_its_last_handle(board_name: str) -> None:
    before = set(os.listdir("/proc/self/fd"))
    segment, directory, _ = segments.open_or_create(board_name, capacity=1, workers=1, result_bytes=0)
    task = claim(segment)
    segments.unlink(directory, segment)
    segment.close()
    assert set(os.listdir("/proc/self/fd")) == before
    del segment
    task.update()
    assert is_mapped(board_name)
    del task
    assert not is_mapped(board_name)


def test_a_handle_of_a_closed_board_is_not_taken_for_one_of_the_next(board_name: str) -> None:
    """Its process has the same number there, and what is kept of a board in a process is used again."""
    first, directory, _ = segments.open_or_create(f"{board_name}-1", capacity=2, workers=1, result_bytes=0)
    old = claim(first)
    old.update()
    native = old.native()
    first.close()
    second, other, _ = segments.open_or_create(f"{board_name}-2", capacity=2, workers=1, result_bytes=0)
    new = claim(second)
    new.update()
    assert second.incarnation == 1
    old.update(7)
    hw_add(native, 7)
    assert (old.count, new.count) == (8, 1)
    assert shares_of(second, new)[0][2] == 1
    segments.unlink(directory, first)
    segments.unlink(other, second)
    second.close()


class Late(core.Slot):
    """A handle that finds its segment on first use."""

    __slots__ = ("asked", "home")
    asked: int
    home: core.Segment | Exception

    def _segment(self) -> core.Segment:
        self.asked = getattr(self, "asked", 0) + 1
        if isinstance(self.home, Exception):
            raise self.home
        return self.home


def late(home: core.Segment | Exception, slot: int, generation: int) -> Late:
    task = Late()
    task.home = home
    task._place(None, slot, generation, "a")
    return task


def test_a_handle_finds_its_segment_on_first_use_and_once(segment: core.Segment) -> None:
    found = claim(segment)._where
    task = late(segment, *found)
    assert not hasattr(task, "asked")
    task.update(2)
    task.update(2)
    assert (task.count, task.stage, task.asked) == (4, "", 1)


def test_a_handle_without_a_board_counts_nothing_and_says_why_elsewhere(segment: core.Segment) -> None:
    for task in (core.Slot(), late(errors.BoardClosed("it is gone: open it anew"), 0, 1)):
        with quiet():
            task.update(3)
        with pytest.raises(errors.HeadwayError):
            _ = task.count
        with quiet(), pytest.raises(errors.HeadwayError):
            task.native()


@pytest.mark.parametrize("slot", [16, 17, 2**31, 2**32 - 1])
def test_a_handle_on_a_slot_that_is_not_there_is_refused(slot: int, segment: core.Segment) -> None:
    with pytest.raises(errors.UnknownTask, match=f"slot {slot} is not on board"):
        handle(segment, slot, 1, "a")
    task = late(segment, slot, 1)
    with pytest.raises(errors.UnknownTask, match=f"slot {slot} is not on board"):
        _ = task.stage
    with quiet():
        task.update()


def test_no_object_is_half_made(segment: core.Segment) -> None:
    kinds: tuple[Any, ...] = (core.Segment, core.NativeTask)
    for kind in kinds:
        with pytest.raises(TypeError):
            kind.__new__(kind)
    with pytest.raises(StopIteration):
        next(core.Tracker.__new__(core.Tracker))
    core.Tracker.__new__(core.Tracker).close()
    slot = core.Slot.__new__(core.Slot)
    assert (slot.id, slot._where) == ("", (0, 0))


def test_a_header_that_changes_while_it_is_read_is_read_once(segment: core.Segment) -> None:
    """What was checked is what is used: somebody else may write to the segment at any time."""
    claim(segment)
    name = segments.object_name(segment.name, segment.uuid)

    def flicker() -> None:
        with file_of(segment) as memory:
            right, wrong = memory[32:36], struct.pack("<I", 2**20)
            while True:
                memory[32:36] = wrong
                memory[32:36] = right

    pid = fork(flicker)
    attached = 0
    try:
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            with contextlib.suppress(errors.CorruptBoard, errors.LayoutMismatch):
                other = segments.attach(name)
                attached += 1
                assert (other.capacity, other.find("a"), other.find("b")) == (16, (0, 1), None)
                other.close()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with file_of(segment) as memory:
            memory[32:36] = struct.pack("<I", 16)
    assert attached > 0
