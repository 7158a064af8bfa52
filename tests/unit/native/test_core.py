"""Segments, slots and handles, against what a plain model of them says; with real processes beside."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import mmap
import os
import signal
import struct
import subprocess
import sysconfig
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import headway
from headway import errors
from headway.engine import segments
from headway.errors import StaleTaskWarning
from headway.native import core
from headway.native import records as native_records

if TYPE_CHECKING:
    from tests.conftest import RunPython

SHM = Path("/dev/shm")
STRIPES, STAGES, METRICS, LOST = 8, 15, 8, 8
LEFT = 2  # HW_SHARE_LEFT
LIMIT = 2**47  # of one stripe, exclusive
REST_S = 0.1
HW_STALE, HW_OVERFLOW = 1, 2  # answers of hw_add
GENERATION = 0  # in hw_control
SLOTS_OFFSET = 56  # in hw_header
Place = tuple[core.Segment, Path]


@pytest.fixture
def place(board_name: str) -> Iterator[Place]:
    segment, directory, _ = segments.open_or_create(board_name, capacity=16, workers=8, result_bytes=64)
    yield segment, directory
    segments.unlink(directory, segment)
    segment.close()


@pytest.fixture
def segment(place: Place) -> core.Segment:
    return place[0]


@pytest.fixture
def small(board_name: str) -> Iterator[core.Segment]:
    """A board of two slots."""
    segment, directory, _ = segments.open_or_create(f"{board_name}-small", capacity=2, workers=1, result_bytes=0)
    yield segment
    segments.unlink(directory, segment)
    segment.close()


def handle(segment: core.Segment, slot: int, generation: int, id: str) -> core.Slot:
    task = core.Slot()
    task._place(segment, slot, generation, id)
    return task


def claim(segment: core.Segment, id: str = "a", **more: Any) -> core.Slot:
    slot, generation, found = segment.claim(id, more.pop("label", ""), more.pop("unit", "it"), **more)
    assert found is None
    return handle(segment, slot, generation, id)


def end(task: core.Slot, state: str = "success") -> None:
    assert task._transition(state, ("pending", "running")) is not None


def generation_of(task: core.Slot) -> int:
    return task._where[1]


def tasks_of(segment: core.Segment) -> dict[str, Any]:
    """The records of the tasks, by id."""
    records = np.frombuffer(segment.copy()[1], np.dtype(native_records.DTYPES["tasks"]))
    found = {bytes(record["id"]).decode(): record for record in records}
    assert len(found) == len(records)
    return found


def shares_of(segment: core.Segment, task: core.Slot) -> list[tuple[int, int, int | None, float | None, int]]:
    raw = segment.copy_task(*task._where)
    assert raw is not None
    return native_records.share_rows(raw[3], 0)


def stages_of(segment: core.Segment, task: core.Slot) -> list[str]:
    raw = segment.copy_task(*task._where)
    assert raw is not None
    return [name for name, _ in native_records.stage_rows(raw[2], 0)]


@contextlib.contextmanager
def file_of(segment: core.Segment) -> Iterator[mmap.mmap]:
    path = SHM / segments.object_name(segment.name, segment.uuid)[1:]
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        yield memory


def slot_offset(segment: core.Segment, slot: int) -> int:
    with file_of(segment) as memory:
        (first,) = struct.unpack_from("<Q", memory, SLOTS_OFFSET)
        (size,) = struct.unpack_from("<I", memory, 24)
    return int(first + slot * size)


def poke(segment: core.Segment, offset: int, word: int) -> None:
    with file_of(segment) as memory:
        struct.pack_into("<Q", memory, offset, word)


# --- other processes


def fork(work: Callable[[], object]) -> int:
    """The pid of a child that does this and ends: with 0 if it went well."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def in_child(work: Callable[[], object]) -> int:
    pid = fork(work)
    assert os.waitpid(pid, 0)[1] == 0
    return pid


@contextlib.contextmanager
def beside(*works: Callable[[], object]) -> Iterator[list[int]]:
    """The pids of children that have done this, one after the other, and stay until the end."""
    pids: list[int] = []
    gates: list[int] = []
    try:
        for work in works:
            done, begun = os.pipe()
            wait, gate = os.pipe()

            def stay(work: Callable[[], object] = work, begun: int = begun, wait: int = wait, gate: int = gate) -> None:
                os.close(gate)
                for other in gates:
                    os.close(other)
                work()
                os.write(begun, b".")
                os.read(wait, 1)

            pids.append(fork(stay))
            os.close(begun)
            os.close(wait)
            gates.append(gate)
            came = os.read(done, 1)
            os.close(done)
            assert came, "a child failed"
        yield pids
    finally:
        for gate in gates:
            os.close(gate)
        for pid in pids:
            os.waitpid(pid, 0)


def killed_after(work: Callable[[], object]) -> int:
    """The pid of a child that did this and was killed, and is reaped."""

    def die() -> None:
        work()
        os.kill(os.getpid(), signal.SIGKILL)

    pid = fork(die)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    return pid


# --- claimed


def test_a_claimed_slot_shows_what_it_was_claimed_with(segment: core.Segment) -> None:
    before = time.time_ns()
    task = claim(segment, "a/ä", label="A label", unit="bar", parent_bytes=1, total=7)
    record = tasks_of(segment)["a/ä"]
    assert (record["label"], record["unit"], record["parent_bytes"]) == (b"A label", b"bar", 1)
    assert (record["total"], record["count"], record["state"]) == (7, 0, 0)
    assert (record["owner"], record["owner_pid"], record["owner_alive"]) == (segment.incarnation, os.getpid(), 1)
    assert before <= record["created_ns"] <= time.time_ns()
    assert (record["started_ns"], record["ended_ns"], record["resumed"]) == (0, 0, 0)
    assert (task.state, task.total, task.parent, task.stage, task.message, task._metrics) == (
        ("pending", 7, "a", "", "", {})
    )
    assert task._read_result()[0] == b""


@pytest.mark.parametrize("id", ["a", "x" * 95, "ä" * 47, "a/b", "../..", "/", " ", "🦊", "a\nb", "."])
def test_a_legal_id_is_found_again(id: str, segment: core.Segment) -> None:
    core.check_id(id)
    task = claim(segment, id)
    assert segment.find(id) == task._where
    assert list(tasks_of(segment)) == [id]


@pytest.mark.parametrize(
    ("id", "says"),
    [
        ("", "is empty: give it 1 to 95 bytes"),
        ("a\0b", "NUL"),
        ("x" * 96, "has 96 bytes of UTF-8: shorten it to 95"),
        ("ä" * 48, "has 96 bytes"),
        ("\ud800", "lone surrogates"),
    ],
)
def test_an_id_that_is_no_key_is_refused_and_nothing_is_claimed(id: str, says: str, segment: core.Segment) -> None:
    for refuse in (core.check_id, segment.find, lambda id: claim(segment, id)):
        with pytest.raises(ValueError, match=says):
            refuse(id)
    assert not tasks_of(segment)
    assert segment.copy()[4] == b"", "who was refused stands in the process table"


@pytest.mark.parametrize("id", [None, b"a", 1])
def test_an_id_of_another_type_is_refused(id: Any, segment: core.Segment) -> None:
    for refuse in (core.check_id, segment.find, lambda id: claim(segment, id)):
        with pytest.raises(TypeError):
            refuse(id)


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("x" * 95, "x" * 95),
        ("x" * 96, "x" * 92 + "…"),
        ("ä" * 60, "ä" * 46 + "…"),
        ("🦊" * 30, "🦊" * 23 + "…"),
        ("a\0b", "a b"),
        ("\ud800", "?"),
    ],
)
def test_a_text_for_people_is_cut_at_a_character(label: str, shown: str, segment: core.Segment) -> None:
    claim(segment, label=label)
    assert bytes(tasks_of(segment)["a"]["label"]).decode() == shown


def test_an_id_that_runs_is_refused_and_says_whose_it_is(segment: core.Segment) -> None:
    claim(segment)
    before = segment.find("a")
    with pytest.raises(errors.TaskExists, match="owned by this process"):
        claim(segment)
    assert segment.find("a") == before
    pid = os.fork()
    if pid == 0:
        try:
            claim(segment)
        except errors.TaskExists as error:
            os._exit(0 if f"its owner (pid {os.getppid()}) is alive" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_an_id_whose_owner_is_dead_is_refused_with_the_pid_of_a_worker(segment: core.Segment) -> None:
    killed_after(lambda: claim(segment))
    found = segment.find("a")
    assert found is not None
    with beside(lambda: handle(segment, *found, "a").update()) as (pid,):
        with pytest.raises(errors.TaskExists, match=rf"its owner is dead, but a worker on it \(pid {pid}\)"):
            claim(segment)
        assert handle(segment, *found, "a").state == "running"
    claim(segment)


def test_an_ended_task_starts_anew_in_another_slot(segment: core.Segment) -> None:
    old = claim(segment, total=3)
    old.update(2)
    old._write_result(b"1")
    old.stage = "fit"
    end(old)
    new = claim(segment)
    assert new._where[0] != old._where[0]
    assert (new.count, new.total, new.stage, new._read_result()[0]) == (0, None, "", b"")
    assert segment.find("a") == new._where
    assert tasks_of(segment)["a"]["serial"] == 2


def test_generations_are_odd_and_never_used_twice(small: core.Segment) -> None:
    seen: dict[int, list[int]] = {0: [], 1: []}
    for _ in range(8):
        task = claim(small)
        end(task)
        seen[task._where[0]].append(task._where[1])
    assert seen == {0: [1, 3, 5, 7], 1: [1, 3, 5, 7]}


def test_a_freed_slot_rests(small: core.Segment) -> None:
    other = claim(small, "other")
    end(claim(small))
    end(other)
    claim(small, "other")  # a slot has to be freed for it, and rests
    freed = claim(small)  # as does the one that this frees
    began = time.monotonic()
    end(freed)
    claim(small)
    took = time.monotonic() - began
    assert REST_S <= took + 0.02 < 10 * REST_S


def test_a_board_full_of_live_tasks_is_full_and_nothing_changed(small: core.Segment) -> None:
    claim(small, "a").update(3)
    claim(small, "b")
    before = tasks_of(small)
    with pytest.raises(errors.BoardFull, match="has 2 slots and all hold tasks that have not ended: end some"):
        claim(small, "c")
    after = tasks_of(small)
    assert list(before) == list(after)
    assert [before[id]["count"] for id in before] == [after[id]["count"] for id in after]
    assert small.dropped == 0


def test_where_room_is_needed_the_task_that_ended_first_goes(small: core.Segment) -> None:
    first, second = claim(small, "first"), claim(small, "second")
    end(second)
    time.sleep(0.002)
    end(first)
    claim(small, "third")
    assert set(tasks_of(small)) == {"first", "third"}
    assert small.dropped == 1


def test_a_task_in_a_state_to_be_resumed_is_handed_back(segment: core.Segment) -> None:
    task = claim(segment)
    end(task, "failed")
    states = ("failed", "lost")
    assert segment.claim("a", "", "it", 0, None, states) == (*task._where, ("failed", segment.incarnation))
    assert segment.claim("b", "", "it", 0, None, states)[2] is None
    end(handle(segment, *(segment.find("b") or (0, 0)), "b"))
    assert segment.claim("b", "", "it", 0, None, states)[2] is None


@pytest.mark.parametrize("total", [-1, LIMIT, 2**64])
def test_a_total_out_of_range_is_refused_and_nothing_is_claimed(total: int, segment: core.Segment) -> None:
    with pytest.raises((ValueError, OverflowError)):
        claim(segment, total=total)
    assert not tasks_of(segment)


def test_a_retired_board_takes_no_task(segment: core.Segment) -> None:
    segment.retire()
    assert segment.retired
    with pytest.raises(errors.BoardClosed, match="was removed: open it anew"):
        claim(segment)


# --- counted


class Index:
    def __index__(self) -> int:
        return 5


@pytest.mark.parametrize(
    ("items", "sum_"),
    [([], 0), ([1, 1, 1], 3), ([5, -7], -2), ([0], 0), ([True, Index(), np.int64(4), np.uint8(2)], 12)],
)
def test_the_count_is_the_sum_of_the_updates(items: list[Any], sum_: int, segment: core.Segment) -> None:
    task = claim(segment)
    for n in items:
        task.update(n)
    assert task.count == sum_ == tasks_of(segment)["a"]["count"]


@pytest.mark.parametrize("n", [1.5, "1", None, np.float64(0.5), float("nan")])
def test_what_is_no_whole_number_is_not_counted(n: Any, segment: core.Segment) -> None:
    task = claim(segment)
    with pytest.raises(TypeError, match="is not a whole number"):
        task.update(n)
    assert task.count == 0


@pytest.mark.parametrize(
    ("before", "n"),
    [
        (0, LIMIT),
        (0, -LIMIT),
        (0, 2**63 - 1),
        (0, -(2**63)),
        (0, 2**64),
        (LIMIT - 1, 1),
        (1, LIMIT - 1),
        (-LIMIT + 1, -2),
        (-5, -LIMIT + 1),
    ],
)
def test_a_count_that_would_leave_its_range_is_refused_whole(before: int, n: int, segment: core.Segment) -> None:
    task = claim(segment)
    task.update(before)
    with pytest.raises(OverflowError):
        task.update(n)
    assert task.count == before
    task.update(-1 if before > 0 else 1)
    assert task.count == before + (-1 if before > 0 else 1)


def test_the_last_count_in_range_is_taken(segment: core.Segment) -> None:
    task = claim(segment)
    task.update(LIMIT - 1)
    task.update(-LIMIT + 1)
    task.update(-LIMIT + 1)
    task.update(-1)
    assert task.count == -LIMIT


def test_handles_of_one_process_share_its_stripe(segment: core.Segment) -> None:
    task = claim(segment)
    again = handle(segment, *task._where, "a")
    task.update(2)
    again.update(3)
    assert task.count == again.count == 5
    ((pid, incarnation, share, beat, alive),) = shares_of(segment, task)
    assert (pid, incarnation, share, alive) == (os.getpid(), segment.incarnation, 5, True)
    assert beat == pytest.approx(time.time(), abs=5)


def test_the_first_update_makes_a_pending_task_run(segment: core.Segment) -> None:
    task = claim(segment)
    assert task.state == "pending"
    task.update(0)
    assert task.state == "running"
    assert tasks_of(segment)["a"]["started_ns"] > 0


def test_an_update_of_an_ended_task_counts_and_leaves_its_state(segment: core.Segment) -> None:
    task = claim(segment)
    end(task)
    task.update(4)
    assert (task.count, task.state) == (4, "success")


def test_eight_processes_have_stripes_and_the_ninth_shares_one(segment: core.Segment) -> None:
    task = claim(segment)
    with beside(*(functools.partial(task.update, n) for n in range(1, STRIPES + 2))) as pids:
        shares = {pid: share for pid, _, share, _, _ in shares_of(segment, task)}
        assert task.count == sum(range(1, STRIPES + 2))
        assert set(shares) == set(pids[:STRIPES])
        unknown = [pid for pid, share in shares.items() if share is None]
        assert len(unknown) == 1, "the one whose stripe is shared"
        assert {shares[pid] for pid in shares if pid not in unknown} == {
            n for n, pid in enumerate(pids[:STRIPES], 1) if pid not in unknown
        }


def test_who_leaves_gives_its_stripe_back_and_the_next_ones_share_begins_there(segment: core.Segment) -> None:
    task = claim(segment)
    came = {}
    for n in range(3 * STRIPES):

        def come_and_go(n: int = n) -> None:
            task.update(n)
            mine = [share for pid, _, share, _, _ in shares_of(segment, task) if pid == os.getpid()]
            assert mine == [n]
            segment.leave()

        came[in_child(come_and_go)] = n
    assert task.count == sum(range(3 * STRIPES))
    left = {pid: (share, alive) for pid, _, share, _, alive in shares_of(segment, task)}
    assert left == {pid: (came[pid], LEFT) for pid in left}
    assert len(left) == STRIPES, "each counter tells who had it last"


def test_dead_workers_are_remembered_with_their_shares_as_far_as_there_is_room(segment: core.Segment) -> None:
    task = claim(segment)
    pids = [killed_after(functools.partial(task.update, n)) for n in range(1, STRIPES + LOST + 3)]
    shares = {pid: share for pid, _, share, _, alive in shares_of(segment, task) if not alive}
    remembered = {pid: n for n, pid in enumerate(pids, 1) if pid in shares}
    assert shares == remembered
    assert len(shares) == STRIPES + LOST
    raw = segment.copy_task(*task._where)
    assert raw is not None
    assert native_records.task_fields(raw[1], 0)["lost_left_out"] == 2
    assert task.count == sum(range(1, STRIPES + LOST + 3))


def test_threads_of_one_process_count_exactly(segment: core.Segment) -> None:
    task = claim(segment)

    def work() -> None:
        own = handle(segment, *task._where, "a")
        for _ in range(5_000):
            own.update()
            task.update(2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert task.count == 4 * 5_000 * 3


def test_more_processes_than_rows_count_all_the_same(small: core.Segment) -> None:
    task = claim(small)  # takes the only row
    with beside(task.update, task.update):
        assert task.count == 2
        workers = np.frombuffer(small.copy()[4], np.dtype(native_records.DTYPES["workers"]))
        assert list(workers["pid"]) == [os.getpid()]


# --- stale


@pytest.fixture
def stale(segment: core.Segment, monkeypatch: pytest.MonkeyPatch) -> core.Slot:
    """A handle that counted, of a task whose slot holds another task by now."""
    task = claim(segment)
    task.update()
    end(task)
    claim(segment)  # frees the old slot
    time.sleep(REST_S + 0.02)
    number = 0
    while segment.find("other") is None or segment.find("other") != (task._where[0], task._where[1] + 2):
        found = segment.find("other")
        if found is not None:
            end(handle(segment, *found, "other"))
        claim(segment, "other")
        number += 1
        assert number < 40, "the slot does not come round again"
    return task


def test_a_stale_handle_counts_nothing(stale: core.Slot, segment: core.Segment) -> None:
    with quiet():
        stale.update(5)
        handle(segment, *stale._where, "a").update(5)
        assert hw_add(stale.native(), 5) == HW_STALE
    assert tasks_of(segment)["other"]["count"] == 0


def test_a_stale_handle_says_so_once_a_process(run_python: RunPython, board_name: str) -> None:
    script = f"""
import time
from headway.engine.board import open_board
board = open_board({board_name!r}, capacity=1)
old = board.task("a")
old.update()
old.succeed()
board.task("b").update()
old.update()
old.update()
print(board.attach("b").count)
board.remove(files=True)
"""
    done = run_python(script)
    assert done.stdout == "1\n"
    assert (
        done.stderr.count("StaleTaskWarning: updates of task 'a' are not counted: it ended and its slot was given") == 1
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The warning of stale handles is given once a process: it may come here or elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StaleTaskWarning)
        yield


def test_a_stale_handle_reads_and_writes_nothing(stale: core.Slot, segment: core.Segment) -> None:
    for operation in (
        lambda: stale.count,
        lambda: stale.stage,
        lambda: stale.state,
        lambda: stale.parent,
        lambda: stale._run,
        lambda: stale._set(message="x"),
        lambda: setattr(stale, "stage", "x"),
        lambda: setattr(stale, "total", 3),
        lambda: end(stale),
        stale._own,
        stale._read_result,
        lambda: stale._write_result(b"1"),
    ):
        with pytest.raises(errors.UnknownTask, match="task 'a' is no longer on board"):
            operation()
    assert segment.copy_task(*stale._where) is None
    record = tasks_of(segment)["other"]
    assert (record["message"], record["stage"], record["total"], record["state"]) == (b"", b"", -1, 0)


def test_a_tag_that_recurs_does_not_make_a_stale_handle_count(segment: core.Segment) -> None:
    """After 65536 claims of a slot its counters have the same tag. Once a second a handle looks at the generation."""
    task = claim(segment)
    task.update()
    poke(segment, slot_offset(segment, task._where[0]) + GENERATION, generation_of(task) + 2 * 65536)
    now = handle(segment, task._where[0], generation_of(task) + 2 * 65536, "a")
    assert now.count == 1
    time.sleep(1.01)
    with quiet():
        task.update()
    assert now.count == 1


# --- shown


def test_one_transition_shows_everything(segment: core.Segment) -> None:
    task = claim(segment)
    assert task._set(stage="fit", message="fold 3/5", total=9, metrics={"loss": 0.5, "auc": 1})
    assert (task.stage, task.message, task.total, task._metrics) == ("fit", "fold 3/5", 9, {"loss": 0.5, "auc": 1.0})
    assert task._set(metrics={"loss": 0.25}, total=None)
    assert (task.stage, task.total, task._metrics) == ("fit", None, {"loss": 0.25, "auc": 1.0})


def test_a_write_of_another_process_is_seen_at_once(segment: core.Segment) -> None:
    task = claim(segment)
    in_child(lambda: task._set(stage="elsewhere", message="é" * 95))
    assert (task.stage, task.message) == ("elsewhere", "é" * 95)


def test_the_log_keeps_the_last_stages_and_tells_how_many_are_left_out(segment: core.Segment) -> None:
    task = claim(segment)
    for number in range(20):
        task.stage = f"stage {number}"
        task.stage = f"stage {number}"  # it is in that one already
        assert stages_of(segment, task) == [f"stage {n}" for n in range(max(0, number - STAGES + 1), number + 1)]
    assert tasks_of(segment)["a"]["stages_left_out"] == 20 - STAGES


@pytest.mark.parametrize(("text", "shown"), [("x" * 47, "x" * 47), ("x" * 48, "x" * 44 + "…"), ("", "")])
def test_a_stage_that_is_too_long_is_cut(text: str, shown: str, segment: core.Segment) -> None:
    task = claim(segment)
    task.stage = "another"
    task.stage = text
    assert task.stage == shown


def test_a_shorter_text_leaves_nothing_of_a_longer_one(segment: core.Segment) -> None:
    task = claim(segment)
    for text in ("a long message that takes many words", "short", "", "longer again, yes"):
        task.message = text
        assert task.message == text
        assert bytes(tasks_of(segment)["a"]["message"]) == text.encode()


def test_there_are_eight_metrics_and_a_ninth_changes_nothing(segment: core.Segment) -> None:
    task = claim(segment)
    names = [f"m{n}" for n in range(METRICS)]
    for name in names:
        task._set(metrics={name: 1})
    with pytest.raises(ValueError, match="has 8 metrics already: reuse their names"):
        task._set(message="never", metrics={"m0": 2, "ninth": 2})
    assert (task.message, task._metrics) == ("", dict.fromkeys(names, 1.0))
    task._set(metrics=dict.fromkeys(names, 3))
    assert task._metrics == dict.fromkeys(names, 3.0)
    with pytest.raises(ValueError, match="9 metrics are too many: a task has 8"):
        task._set(metrics={f"n{n}": 1.0 for n in range(METRICS + 1)})


class Liar(Mapping[str, float]):
    """A mapping with more items than it says."""

    def __getitem__(self, key: str) -> float:
        return 1.0

    def __iter__(self) -> Iterator[str]:
        return (f"m{n}" for n in range(1000))

    def __len__(self) -> int:
        return 1


def test_a_mapping_that_understates_its_length_is_refused(segment: core.Segment) -> None:
    task = claim(segment)
    with pytest.raises(ValueError, match="more than 8 metrics"):
        task._set(metrics=Liar())
    assert task._metrics == {}


@pytest.mark.parametrize("name", ["", "x" * 24, "a\0"])
def test_a_metrics_name_is_a_key(name: str, segment: core.Segment) -> None:
    task = claim(segment)
    with pytest.raises(ValueError, match="metric name"):
        task._set(metrics={name: 1.0})
    assert task._metrics == {}


@pytest.mark.parametrize(
    "change", [{"stage": 1}, {"message": b"x"}, {"total": 1.5}, {"total": "9"}, {"metrics": {"a": "b"}}]
)
def test_a_value_of_another_type_changes_nothing(change: dict[str, Any], segment: core.Segment) -> None:
    task = claim(segment, total=3)
    with pytest.raises((TypeError, ValueError)):
        task._set(**change)
    assert (task.stage, task.message, task.total, task._metrics, task.state) == ("", "", 3, {}, "pending")


# --- states


@pytest.mark.parametrize("state", ["success", "failed", "cancelled"])
def test_the_first_end_counts(state: str, segment: core.Segment) -> None:
    task = claim(segment)
    task.update()
    assert task._transition(state, ("pending", "running"), error="why", message="last") == "running"
    for other in ("success", "failed", "cancelled"):
        assert task._transition(other, ("pending", "running", "lost"), error="no") is None
    assert not task._set(stage="late", message="late", total=1, metrics={"late": 1})
    assert not task._own()
    record = tasks_of(segment)["a"]
    assert (task.state, record["error"], task.message, task.stage) == (state, b"why", "last", "")
    assert record["ended_ns"] >= record["started_ns"] > 0


def test_a_transition_happens_only_from_where_and_for_whom_it_may(segment: core.Segment) -> None:
    task = claim(segment)
    assert task._transition("failed", ("running",)) is None
    assert task._transition("failed", ("pending",), expected_owner=segment.incarnation + 1) is None
    assert task.state == "pending"
    assert task._transition("failed", ("pending",), expected_owner=segment.incarnation) == "pending"


def test_a_resumed_run_goes_on_at_the_count_of_that_moment(segment: core.Segment) -> None:
    task = claim(segment)
    task.update(5)
    task._transition("failed", ("running",), error="no")
    assert task._transition("running", ("failed",), own=True, resume=True) == "failed"
    task.update(2)
    assert task._run == (5, True, segment.incarnation, os.getpid())
    record = tasks_of(segment)["a"]
    assert (record["base"], record["count"], record["error"], record["ended_ns"]) == (5, 7, b"", 0)


def test_who_becomes_the_owner_stands_there(segment: core.Segment) -> None:
    task = claim(segment)
    with beside(task._own) as (pid,):
        base, resumed, owner, owner_pid = task._run
        assert (base, resumed, owner_pid) == (0, False, pid)
        assert owner != segment.incarnation
        assert not segment.dead(owner)
    assert segment.dead(owner)
    assert task.state == "lost"


def test_a_task_whose_owner_is_dead_runs_as_long_as_somebody_counts_on_it(segment: core.Segment) -> None:
    killed_after(lambda: claim(segment))
    task = handle(segment, *(segment.find("a") or (0, 0)), "a")
    assert task.state == "lost"
    with beside(task.update):
        assert task.state == "running"
        assert segment.abandoned() == []
        assert task._carried_by_others()
    assert task.state == "lost"
    assert not task._carried_by_others()
    assert [where[:2] for where in segment.abandoned()] == [task._where]
    task._transition("lost", ("pending", "running"))
    assert segment.abandoned() == []
    task.update()
    assert task.state == "running"


def test_what_a_process_owns_is_what_it_began_and_has_not_ended(segment: core.Segment) -> None:
    assert segment.owned() == []
    tasks = [claim(segment, id) for id in "abc"]
    end(tasks[1])
    in_child(lambda: claim(segment, "another's"))
    assert segment.owned() == [tasks[0]._where, tasks[2]._where]
    in_child(tasks[0]._own)
    assert segment.owned() == [tasks[2]._where]


# --- results


@pytest.mark.parametrize("json", [b"", b"1", b"x" * 7, b"x" * 8, b"x" * 63, b"x" * 64])
def test_a_result_is_what_was_written(json: bytes, segment: core.Segment) -> None:
    task = claim(segment)
    task._write_result(b"something longer before it")
    assert task._write_result(json)
    assert task._read_result()[0] == json
    raw = segment.copy_task(*task._where)
    assert raw is not None
    place = native_records.result_place(raw[5], 0, len(raw[6]))
    assert (raw[6][slice(*place)] if place else b"") == json


def test_results_lie_apart_so_that_each_is_copied_word_by_word(segment: core.Segment) -> None:
    for id in "abc":
        claim(segment, id)._write_result(b"12345")
    _, _, _, _, _, index, results = segment.copy()
    offsets = np.frombuffer(index, np.dtype(native_records.DTYPES["index"]))["offset"]
    assert list(offsets) == [0, 8, 16]
    assert results == b"12345\0\0\0" * 3


def test_a_result_too_large_is_refused_and_the_old_one_kept(segment: core.Segment) -> None:
    task = claim(segment)
    task._write_result(b"old")
    with pytest.raises(errors.ResultTooLarge, match="has 65 bytes of JSON, its place 64"):
        task._write_result(b"x" * 65)
    assert task._read_result()[0] == b"old"


def test_a_result_is_replaced_only_if_it_is_still_the_one_that_was_read(segment: core.Segment) -> None:
    task = claim(segment)
    _, first = task._read_result()
    assert task._write_result(b"1", first)
    assert not task._write_result(b"2", first)
    json, second = task._read_result()
    assert json == b"1"
    in_child(lambda: task._write_result(b"3", second))
    assert not task._write_result(b"4", second)
    assert task._read_result()[0] == b"3"


# --- copied


def test_a_copy_of_an_empty_board_is_empty(segment: core.Segment) -> None:
    now, *arrays = segment.copy()
    assert now == pytest.approx(time.time_ns(), abs=5e9)
    assert [len(array) for array in arrays] == [0] * 6


def test_a_copy_has_every_task_and_its_own_memory(segment: core.Segment) -> None:
    tasks = [claim(segment, f"t{n}", total=n) for n in range(16)]
    _, records, *_ = segment.copy()
    tasks[3].update(9)
    found = np.frombuffer(records, np.dtype(native_records.DTYPES["tasks"]))
    assert [bytes(id).decode() for id in found["id"]] == [f"t{n}" for n in range(16)]
    assert list(found["total"]) == list(range(16))
    assert found["count"].sum() == 0


def test_a_copy_of_one_task_is_of_that_one_or_none(segment: core.Segment) -> None:
    task = claim(segment)
    claim(segment, "b")
    raw = segment.copy_task(*task._where)
    assert raw is not None
    assert native_records.task_ids(raw[1]) == ["a"]
    slot, generation = task._where
    for other in ((slot, generation + 1), (slot, generation + 2), (slot + 2, 1), (16, 1), (2**32 - 1, 1)):
        assert segment.copy_task(*other) is None


def test_a_copy_lists_who_is_there(segment: core.Segment) -> None:
    claim(segment)
    pid = killed_after(segment.register)
    with beside(segment.register, lambda: segment.register(with_row=False)) as (worker, _):
        workers = np.frombuffer(segment.copy()[4], np.dtype(native_records.DTYPES["workers"]))
        assert {(w["pid"], bool(w["alive"])) for w in workers} == {(os.getpid(), True), (worker, True), (pid, False)}


def test_copies_are_whole_while_tasks_come_and_go(segment: core.Segment) -> None:
    """A child starts tasks anew and writes to them, all the time."""
    ids = [f"t{n}" for n in range(6)]
    for id in ids:
        end(claim(segment, id))

    def churn() -> None:
        while True:
            for number, id in enumerate(ids):
                task = claim(segment, id)
                task._set(stage=f"s{number}", message=f"m{number}" * 20, total=number)
                task.update(number)
                end(task)

    pid = fork(churn)
    try:
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            found = tasks_of(segment)
            assert set(found) == set(ids)
            for number, id in enumerate(ids):
                if found[id]["stage"]:
                    record = found[id]
                    assert (record["message"], record["total"]) == (f"m{number}".encode() * 20, number)
                    assert record["count"] in (0, number)
                assert segment.find(id) is not None
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# --- closed


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


# --- handles for native code


@functools.cache
def kernel() -> ctypes.CDLL:
    """hw_add of headway.h in a library: called without the GIL."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "kernel.c"), Path(folder, "kernel.so")
        source.write_text("""
#include "headway.h"
int add(hw_task *task, int64_t n, int64_t times) {
    int answer = HW_OK;
    while (times-- > 0) answer |= hw_add(task, n);
    return answer;
}
""")
        compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
        include = headway.get_include()
        command = [compiler, "-O2", "-shared", "-fPIC", f"-I{include}", "-o", str(binary), str(source)]
        subprocess.run(command, check=True, timeout=60)
        found = ctypes.CDLL(str(binary))
    found.add.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    return found


def hw_add(native: core.NativeTask, n: int, times: int = 1) -> int:
    return int(kernel().add(native.address, n, times))


def test_native_threads_without_the_gil_count_exactly_beside_python(segment: core.Segment) -> None:
    task = claim(segment)
    native = task.native()
    threads = [threading.Thread(target=hw_add, args=(native, 1, 200_000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10_000):
        task.update(3)
    for thread in threads:
        thread.join()
    assert task.count == 4 * 200_000 + 3 * 10_000
    ((pid, _, share, _, _),) = shares_of(segment, task)
    assert (pid, share) == (os.getpid(), task.count)


def test_a_native_handle_refuses_a_count_out_of_range(segment: core.Segment) -> None:
    task = claim(segment)
    native = task.native()
    assert hw_add(native, LIMIT - 1) == 0
    assert hw_add(native, 1) == hw_add(native, LIMIT) == hw_add(native, -(2**63)) == HW_OVERFLOW
    assert task.count == LIMIT - 1


def test_a_forked_child_may_count_with_its_parents_native_handle(segment: core.Segment) -> None:
    task = claim(segment)
    native = task.native()
    in_child(lambda: hw_add(native, 2))
    hw_add(native, 3)
    assert task.count == 5
    ((_, _, share, _, _),) = shares_of(segment, task)
    assert share is None, "nobody's share can be told any more"


def test_a_capsule_keeps_its_handle_and_the_mapping_alive(board_name: str) -> None:
    segment, directory, _ = segments.open_or_create(board_name, capacity=1, workers=1, result_bytes=0)
    task = claim(segment)
    capsule = task.native().capsule
    segments.unlink(directory, segment)
    del task, segment
    gc.collect()
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    assert kernel().add(pointer(capsule, b"headway.hw_task"), 1, 1) == 0
    assert is_mapped(board_name)
    del capsule
    gc.collect()
    assert not is_mapped(board_name)


def is_mapped(name: str) -> bool:
    return f"-{name}-" in Path("/proc/self/maps").read_text()


# --- handles and their segments


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


def test_who_needs_a_slot_does_not_wait_for_stragglers_on_a_slow_disk(small: core.Segment) -> None:
    """Copied long ago, counted on since, and written down only now: that is archived, for a moment."""
    ended = [claim(small, id) for id in ("a", "b")]
    copied_ns = time.clock_gettime_ns(6) - 300_000_000  # CLOCK_MONOTONIC_COARSE
    for task in ended:
        end(task)
        task.update()  # a straggler
    for record in tasks_of(small).values():
        place = int(record["slot"]), int(record["generation"])
        assert small.mark_archived(*place, int(record["version"]), copied_ns)
    claim(small, "c", archive=lambda _place: pytest.fail("it is archived once more"))
    assert small.dropped == 0


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
    with pytest.raises(errors.UnknownTask, match=f"slot {slot} is not on its board"):
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


# --- who is who


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
