"""Whether a task is lost: handles, copies, claims and the list of the abandoned follow one rule."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from headway import errors
from headway.native import core, records
from tests.unit.native.handles import SLOTS_OFFSET, STRIPES, beside, claim, file_of, fork, handle, hw_add, tasks_of

OPEN = ("pending", "running")
STRIPE, STRIPES_OFFSET, BEAT, SHARED = 128, 128, 8, 48  # of headway_layout.h
PAUSE_NS = 6_000_000_000  # longer than HW_SHARED_GRACE_NS


@dataclass
class Counted:
    """The task "a": its owner is dead. A child that the owner forked counts by its handle, on a shared stripe."""

    segment: core.Segment
    task: core.Slot
    child: int
    news: int

    def count_again(self) -> None:
        os.kill(self.child, signal.SIGUSR1)
        assert os.read(self.news, 1) == b"."

    def pause(self) -> None:
        """Have it look as if the child had not counted for longer than a shared stripe is waited for."""
        index = self.task._where[0]
        with file_of(self.segment) as memory:
            slots, slot_bytes = (
                struct.unpack_from("<Q", memory, SLOTS_OFFSET)[0],
                struct.unpack_from("<I", memory, 24)[0],
            )
            for stripe in range(STRIPES):
                at = slots + index * slot_bytes + STRIPES_OFFSET + stripe * STRIPE
                if struct.unpack_from("<Q", memory, at + SHARED)[0]:
                    beat = struct.unpack_from("<Q", memory, at + BEAT)[0]
                    struct.pack_into("<Q", memory, at + BEAT, beat - PAUSE_NS)

    def states(self) -> dict[str, str]:
        """What each of those who tell says."""
        raw = self.segment.copy_task(*self.task._where)
        found = self.segment.copy_found("a")
        assert raw is not None
        assert found is not None
        try:
            self.segment.claim("a", "", "it", resumable=("lost",))
        except errors.TaskExists:
            claimed = "running"
        else:
            claimed = "lost"
        return {
            "handle": self.task.state,
            "board": records.STATES[tasks_of(self.segment)["a"]["state"]],
            "task": records.task_fields(raw[1], 0)["state"],
            "id": records.task_fields(found[1], 0)["state"],
            "claim": claimed,
        }

    def all_say(self, state: str) -> bool:
        return set(self.states().values()) == {state}


@contextmanager
def counted_by_a_child(segment: core.Segment) -> Iterator[Counted]:
    news, tell = os.pipe()
    pids, send = os.pipe()

    def own() -> None:
        native = claim(segment).native()
        hw_add(native, 1)

        def count() -> None:
            def once_more(*_: object) -> None:
                hw_add(native, 1)
                os.write(tell, b".")

            signal.signal(signal.SIGUSR1, once_more)
            once_more()
            while True:
                signal.pause()

        os.write(send, b"%d" % fork(count))
        signal.pause()

    owner = fork(own)
    child = int(os.read(pids, 20))
    assert os.read(news, 1) == b"."
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    try:
        yield Counted(segment, handle(segment, *(segment.find("a") or (0, 0)), "a"), child, news)
    finally:
        os.kill(child, signal.SIGKILL)
        for end in (news, tell, pids, send):
            os.close(end)


def test_a_child_that_counts_by_a_dead_owners_handle_carries_the_task(segment: core.Segment) -> None:
    with counted_by_a_child(segment) as counted:
        assert counted.all_say("running"), counted.states()
        assert segment.abandoned() == []


def test_a_child_that_pauses_too_long_is_taken_for_dead_until_it_counts_again(segment: core.Segment) -> None:
    with counted_by_a_child(segment) as counted:
        counted.pause()
        assert counted.all_say("lost"), counted.states()
        assert [where[:2] for where in segment.abandoned()] == [counted.task._where]
        counted.task._transition("lost", OPEN)  # as Board.reap and the recorder write it
        assert segment.abandoned() == []
        assert counted.all_say("lost"), counted.states()
        counted.count_again()
        assert counted.all_say("running"), counted.states()
        assert segment.abandoned() == []


def test_a_task_that_a_live_process_owns_is_not_lost_whatever_was_written(segment: core.Segment) -> None:
    """An observer that looked a moment too early wrote it."""
    task = claim(segment)
    task._set(stage="fit")
    task._transition("lost", OPEN)
    assert Counted(segment, task, 0, 0).all_say("running")
    assert segment.owned() == [task._where]


def test_a_task_that_goes_on_keeps_its_slot_though_it_was_written_as_lost(small: core.Segment) -> None:
    task = claim(small)
    with beside(task.update):
        task._transition("lost", OPEN)
        claim(small, "b")
        with pytest.raises(errors.BoardFull):  # neither may go, though nothing is archived on this board
            small.claim("c", "", "it")
        assert small.find("a") == task._where


@pytest.mark.parametrize("state", ["success", "failed", "cancelled"])
def test_an_end_that_was_said_stays(state: str, segment: core.Segment) -> None:
    with counted_by_a_child(segment) as counted:
        counted.task._transition(state, OPEN)
        counted.count_again()
        assert counted.task.state == state
        assert records.STATES[tasks_of(segment)["a"]["state"]] == state
