"""Who a process is on a board, and how it leaves."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

from headway import errors
from headway.engine import segments
from headway.native import core
from headway.native import records as native_records
from tests.unit.native.handles import (
    beside,
    churned,
    claim,
    end,
    file_of,
    fork,
    handle,
    hw_add,
    kernel,
    killed_after,
    shares_of,
    slot_offset,
    tasks_of,
)

if TYPE_CHECKING:
    from tests.conftest import RunPython


def test_after_close_a_late_update_counts_nothing_and_the_rest_says_so(segment: core.Segment) -> None:
    task, new = claim(segment), claim(segment, "b")
    task.update(2)
    native = task.native()
    other = segments.attach(segments.object_name(segment.name, segment.uuid))
    segment.close()
    segment.close()
    assert segment.closed
    assert segment.incarnation == 0
    task.update(5)
    new.update(5)
    for operation in (
        lambda: task._set(message="x"),
        lambda: end(task),
        task._own,
        lambda: task._write_result(b"1"),
        lambda: claim(segment, "c"),
        segment.register,
    ):
        with pytest.raises(errors.BoardClosed, match="was closed in this process: open it again"):
            operation()
    assert (task.count, new.count) == (2, 0)
    assert (task.stage, task.total, task._metrics, task._read_result()[0]) == ("", None, {}, b"")
    assert task.state in ("running", "lost")
    assert segment.find("a") == task._where
    assert set(tasks_of(segment)) == {"a", "b"}
    assert segment.owned() == []
    segment.leave()
    with pytest.raises(errors.UnknownTask):
        new.native()
    assert hw_add(native, 3) == 0
    assert handle(other, *task._where, "a").count == 5
    other.close()


def test_a_process_is_somebody_from_its_first_registration_until_it_leaves(segment: core.Segment) -> None:
    assert segment.incarnation > 0, "who opens a board is present"
    segment.leave()
    assert segment.incarnation == 0
    first = segment.register(with_row=False)
    assert first == segment.incarnation == segment.register() > 0
    assert not segment.dead(first)
    segment.leave()
    assert segment.incarnation == 0
    second = segment.register()
    assert second > first
    assert segment.dead(first)
    assert not segment.dead(second)


@pytest.mark.parametrize("incarnation", [1000, 2**40, 2**61 - 1, 2**61, 2**63, 2**64 - 1])
def test_who_was_never_there_is_dead(incarnation: int, segment: core.Segment) -> None:
    segment.register()
    assert segment.dead(incarnation)


def test_nobody_is_not_dead(segment: core.Segment) -> None:
    assert not segment.dead(0)


def raw_fork() -> int:
    """A fork that tells neither Python nor the handlers of the C library."""
    return int(ctypes.PyDLL(None)._Fork())


@pytest.mark.parametrize("fork_it", [os.fork, raw_fork])
def test_a_forked_child_is_somebody_else_and_its_parents_death_is_seen(
    fork_it: Callable[[], int], segment: core.Segment
) -> None:
    """The child, which lives on, has inherited all that the parent had open."""
    done, begun = os.pipe()
    wait, gate = os.pipe()

    def parent() -> None:
        me = segment.register()
        pid = fork_it()
        if pid == 0:
            os.close(gate)
            assert segment.incarnation == 0
            assert not segment.dead(me)
            os.write(begun, struct.pack("<QQ", me, segment.register()))
            os.read(wait, 1)
            os._exit(0)
        os.read(wait, 1)

    pid = fork(parent)
    try:
        first, second = struct.unpack("<QQ", os.read(done, 16))
        assert first != second
        assert not segment.dead(first)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert segment.dead(first)
        assert not segment.dead(second)
    finally:
        for one in (done, begun, wait, gate):
            os.close(one)
    deadline = time.monotonic() + 10
    while not segment.dead(second):
        assert time.monotonic() < deadline
        time.sleep(0.001)


DAEMON = """
import os, signal, sys, time
from headway.engine.board import open_board
board = open_board(sys.argv[1], capacity=4)
segment = board._segment
task = board.task("a")
reader, writer = os.pipe()
other = os.fork()
if other == 0:
    os.write(writer, str(segment.register()).encode())
    time.sleep(60)
living = int(os.read(reader, 32))
gone = os.fork()
if gone == 0:
    os.write(writer, str(segment.register()).encode())
    os._exit(0)
os.waitpid(gone, 0)
gone = int(os.read(reader, 32))
me = segment.register()
task.update()
os.closerange(3, 256)  # as programs do that become daemons
mine = [os.open(__file__, os.O_RDWR) for _ in range(64)]
assert not segment.dead(living), "a living process was taken for dead"
assert segment.dead(gone), "nothing can be told any more"

def is_alive():
    pid = os.fork()
    if pid == 0:
        os._exit(0 if segment.dead(gone) and not segment.dead(me) else 7)
    return os.waitpid(pid, 0)[1] == 0

assert is_alive(), "the process itself was taken for dead"
os.closerange(3, 256)
mine = [os.open(__file__, os.O_RDWR) for _ in range(64)]
give_up = time.monotonic() + 15
while not is_alive():  # nobody else died, so it is seen at the next look
    assert time.monotonic() < give_up
    task.update()
    time.sleep(0.01)
before = task.count
task.update()
assert task.count == before + 1 and segment.register() == me
os.kill(other, signal.SIGKILL)
os.waitpid(other, 0)
assert segment.dead(living)
board.remove(files=True)
for fd in mine:
    os.fstat(fd)  # none of them was closed
"""


def test_a_program_that_closes_all_descriptors_goes_on_and_robs_nobody(run_python: RunPython, board_name: str) -> None:
    run_python(DAEMON, board_name)


def test_a_handle_in_a_forked_child_counts_in_the_childs_name(segment: core.Segment) -> None:
    task = claim(segment)
    task.update(2)
    with beside(lambda: task.update(3)) as (pid,):
        assert {who: share for who, _, share, _, _ in shares_of(segment, task)} == {os.getpid(): 2, pid: 3}


def test_the_rows_of_the_dead_are_taken_over(small: core.Segment) -> None:
    for _ in range(3):
        pid = killed_after(small.register)
        workers = np.frombuffer(small.copy()[4], np.dtype(native_records.DTYPES["workers"]))
        assert [(worker["pid"], worker["alive"]) for worker in workers] == [(pid, 0)]


def test_who_arrives_is_told_once_for_each_process(segment: core.Segment, run_python: RunPython) -> None:
    script = f"""
import os
from headway.engine import segments
from headway.native import core
told = []
core.on_arrival(lambda: told.append(os.getpid()))
segment = segments.attach({segments.object_name(segment.name, segment.uuid)!r})
segment.register(with_row=False)
assert told == []
segment.register()
segment.register()
assert told == [os.getpid()]
if os.fork() == 0:
    segment.register()
    assert told[1:] == [os.getpid()]
    os._exit(0)
print(os.wait()[1])
"""
    assert run_python(script).stdout == "0\n"


def test_who_only_watches_is_nobody_again_after_each_copy_however_busy_the_writer(segment: core.Segment) -> None:
    task = claim(segment)
    watcher = segments.attach(segments.object_name(segment.name, segment.uuid), watching=True)
    until = time.monotonic() + 20.0

    def write() -> None:
        while time.monotonic() < until:
            task._set(stage="a", message="m" * 200)
            task._set(stage="b", message="n" * 200)

    writer = fork(write)
    try:
        for _ in range(300):
            for copy in (watcher.copy, lambda: watcher.copy_found("a"), lambda: watcher.copy_slots([task._where])):
                assert copy()
                assert watcher.incarnation == 0, "the board would be in use for as long as it watches"
        watcher.register(with_row=False)
        assert watcher.copy_found("a")
        assert watcher.incarnation, "an identity that was not taken for a copy stays"
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        watcher.close()


@pytest.fixture
def watched(board_name: str) -> Iterator[tuple[core.Segment, core.Segment, core.Slot]]:
    """A board, a watcher of it, and a task there, whose status is written without a pause."""
    segment, directory, _ = segments.open_or_create(f"{board_name}-watched", capacity=2048, workers=8, result_bytes=64)
    watcher = segments.attach(segments.object_name(segment.name, segment.uuid), watching=True)
    task = claim(segment)
    task.update(3)
    for number in range(16):  # much to copy: while one is at it, the writer has come by
        metrics = {f"metric {place}": float(place) for place in range(8)}
        task._set(stage=f"{number:02}" + "s" * 45, message="m" * 191, metrics=metrics)
    task._transition("running", ("running",), error="e" * 191)
    with churned(segment, task._where[0]):
        yield segment, watcher, task
    segments.unlink(directory, segment)
    segment.close()
    watcher.close()


def again() -> Iterator[None]:
    """Some thousand times: the writer is at work on the other core only now and then."""
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        yield


def aside(*works: Callable[[], object]) -> contextlib.ExitStack:
    """Threads that do this again and again, until the end of the block."""
    stop = threading.Event()

    def repeat(work: Callable[[], object]) -> None:
        while not stop.is_set():
            work()

    stack = contextlib.ExitStack()
    for thread in [threading.Thread(target=repeat, args=(work,)) for work in works]:
        thread.start()
        stack.callback(thread.join)
    stack.callback(stop.set)
    return stack


def test_a_watcher_is_nobody_again_after_a_copy_whatever_its_other_threads_do(
    watched: tuple[core.Segment, core.Segment, core.Slot],
) -> None:
    _, watcher, task = watched
    with aside(watcher.standing, watcher.standing):
        for _ in again():
            assert watcher.copy_task(*task._where) is not None
            assert watcher.incarnation == 0, "the board would be in use for as long as it watches"


def test_a_watcher_whose_threads_copy_at_once_is_nobody_when_the_last_has_its_copy_and_holds_no_lock(
    watched: tuple[core.Segment, core.Segment, core.Slot],
) -> None:
    segment, watcher, task = watched
    seen: list[int] = []

    def copy() -> None:
        copied = watcher.copy()
        seen.append(np.frombuffer(copied[1], np.dtype(native_records.DTYPES["tasks"]))["count"].sum())

    def copy_one() -> None:
        assert watcher.copy_task(*task._where) is not None

    with aside(copy, copy, copy_one, copy_one):
        for _ in again():
            time.sleep(0.001)
    assert set(seen) == {3}
    assert watcher.incarnation == 0
    with file_of(segment) as memory:
        lock = slot_offset(segment, task._where[0]) + int(kernel().lock_at())
        assert struct.unpack_from("<Q", memory, lock) == (0,), "a lock whose holder is dead and at work"


def test_a_watcher_that_reads_a_handle_is_nobody_again(watched: tuple[core.Segment, core.Segment, core.Slot]) -> None:
    _, watcher, task = watched
    mine = handle(watcher, *task._where, "a")
    for _ in again():
        for _ in range(20):
            assert mine.total is None
        assert (mine.state, mine.stage[:2], len(mine._metrics), mine._read_result()[0]) == ("running", "15", 8, b"")
        assert watcher.incarnation == 0
    with contextlib.suppress(errors.LockTimeout):  # it changes something: then it is somebody, to stay
        mine._own()
    me = watcher.incarnation
    assert me
    assert (mine.state, watcher.copy_task(*task._where) is not None, watcher.incarnation) == ("running", True, me)


def test_an_identity_that_is_taken_to_stay_while_it_is_borrowed_stays(
    watched: tuple[core.Segment, core.Segment, core.Slot],
) -> None:
    _, watcher, task = watched

    def copy() -> None:
        assert watcher.copy_task(*task._where) is not None

    for _ in again():
        with aside(copy, copy):
            me = watcher.register(with_row=False)
            assert me
            for _ in range(20):
                time.sleep(0.0005)
                assert watcher.incarnation == me
        watcher.leave()


def test_a_watcher_without_memory_for_its_copy_is_nobody_again(
    watched: tuple[core.Segment, core.Segment, core.Slot],
) -> None:
    testcapi = pytest.importorskip("_testcapi", reason="this Python cannot be made to run out of memory")
    _, watcher, _ = watched
    failed = 0
    for _ in again():
        for allocation in range(24):  # a copy that had to borrow an identity makes twice as many
            testcapi.set_nomemory(allocation, allocation + 1)
            try:
                watcher.copy()
            except MemoryError:
                failed += 1
            finally:
                testcapi.remove_mem_hooks()
            assert watcher.incarnation == 0
    assert failed
