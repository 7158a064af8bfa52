"""One task for all who come: the first creates it, the others join, however many processes begin at once."""

from __future__ import annotations

import mmap
import os
import pickle
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

import headway
from headway import errors
from headway.engine import attached, claims, segments
from headway.engine.board import open_board
from headway.files import archive
from headway.native import core, records
from tests.unit.native.handles import SHM, beside, killed_after, poke, slot_offset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.attached import Attachment
    from headway.engine.board import Board
    from tests.conftest import RunPython


def test_the_first_creates_and_the_others_join_with_no_say_in_what_it_is(any_board: Board) -> None:
    first = any_board.task("one", total=5, label="First", join=True)
    first.update(2)
    second = any_board.task("one", total=9, label="Second", join=True)
    second.update()
    assert first == second
    view = first.view()
    assert (view.count, view.total, view.label, view.state) == (3, 5, "First", "running")
    assert len(any_board) == 1


def test_without_join_it_is_refused_still(any_board: Board) -> None:
    any_board.task("one", join=True)
    with pytest.raises(errors.TaskExists, match=r"join it with board\.task\('one', join=True\)"):
        any_board.task("one")


def test_a_block_of_who_joined_is_current_and_ends_nothing(any_board: Board) -> None:
    with any_board.task("one", join=True) as first:
        for error in (None, ValueError("of who joined")):
            joined = any_board.task("one", join=True)
            joined.__enter__()
            assert headway.current() is joined
            joined.__exit__(None if error is None else type(error), error, None)
            assert headway.current() is first
            assert first.state == "running"
        with pickle.loads(pickle.dumps(any_board.task("one", join=True))) as elsewhere:
            elsewhere.update()
        assert first.state == "running"
    assert first.state == "success"


def test_who_joined_may_take_over_by_adopting(any_board: Board) -> None:
    any_board.task("one", join=True)
    joined = any_board.task("one", join=True)
    with joined.adopt():
        pass
    assert joined.state == "success"


@pytest.mark.parametrize("end", ["succeed", "fail", "cancel"])
def test_one_that_has_ended_starts_anew_and_the_next_join_that(end: str, any_board: Board) -> None:
    old = any_board.task("one", join=True)
    old.update(3)
    getattr(old, end)(*(["why"] if end == "fail" else []))
    new = any_board.task("one", join=True)
    assert (new.count, new.state, new.resumed_from) == (0, "pending", None)
    with any_board.task("one", join=True) as joined:
        joined.update()
    assert (new.count, new.state) == (1, "running")


@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_with_resume_one_goes_on_with_it_and_the_next_join_that(end: str, any_board: Board) -> None:
    old = any_board.task("one", total=9, join=True, resume=True)
    old.update(3)
    getattr(old, end)("why")
    again = any_board.task("one", join=True, resume=True)
    assert (again.count, again.state, again.resumed_from) == (3, "running", 3)
    joined = any_board.task("one", join=True, resume=True)
    joined.update()
    with joined:
        pass
    assert (again.count, again.state, again.resumed_from) == (4, "running", 3)


def test_a_part_is_joined_too(any_board: Board) -> None:
    task = any_board.task("one")
    part = task.task("part", join=True)
    task.task("part", join=True).update(2)
    assert (part.id, part.parent, part.count) == ("one/part", "one", 2)


# --- processes that begin at once

STORM = '''
import os, sys, time
from headway.engine.board import open_board

def crew(name, size, work):
    go, come = os.pipe()
    pids = []
    for number in range(size):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(come)
                board = open_board(name)
                os.read(go, 1)  # ends when the parent closes its end: all begin at once
                work(board, number)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    os.close(come)
    os.close(go)
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0

def wait_until_it_is_lost():
    """Its owner and all who counted are gone. Who had to share a counter is seen to be so some seconds later: on a busy
    machine, where it does not get the lock in time."""
    until = time.monotonic() + 60
    while (state := board.get("shared").state) != "lost":
        assert time.monotonic() < until, state
        time.sleep(0.01)

board = open_board(sys.argv[1], capacity=64, workers=64)
'''

CREATE = f"""{STORM}
def work(board, number):
    task = board.task("shared", total=8000, join=True)
    for _ in range(1000):
        task.update()
    with open(sys.argv[2], "a") as log:
        log.write("joined" if task._joined else "created")
        log.write("\\n")
    while board.get("shared").count < 8000:  # nobody dies or leaves before all have counted
        time.sleep(0.001)

for round in range(20):
    crew(sys.argv[1], 8, work)
    assert board.get("shared").count == 8000, (round, board.get("shared").count)
    wait_until_it_is_lost()  # the next round starts it anew
board.remove(files=True)
"""


def test_of_processes_that_come_at_once_one_creates_it_and_every_count_arrives(
    run_python: RunPython, board_name: str, tmp_path: Any
) -> None:
    log = tmp_path / "log"
    run_python(CREATE, board_name, str(log), timeout_s=120)
    lines = log.read_text().splitlines()
    assert (lines.count("created"), lines.count("joined")) == (20, 140)


RESUME = f"""{STORM}
def work(board, number):
    task = board.task("shared", join=True, resume=True)
    for _ in range(100):
        task.update()
    if not task._joined:
        with open(sys.argv[2], "a") as log:
            log.write(f"{{task.resumed_from}}\\n")
    while task.count % 800:
        time.sleep(0.001)

for round in range(20):
    crew(sys.argv[1], 8, work)
    wait_until_it_is_lost()
view = board.get("shared")
assert (view.count, view.resumed_from) == (20 * 800, 19 * 800), view
board.remove(files=True)
"""


def test_of_processes_that_resume_at_once_one_does_and_the_others_join_that_run(
    run_python: RunPython, board_name: str, tmp_path: Any
) -> None:
    log = tmp_path / "log"
    run_python(RESUME, board_name, str(log), timeout_s=120)
    assert log.read_text().split() == ["None", *(str(800 * number) for number in range(1, 20))]


CHURN = f"""{STORM}
def work(board, number):
    for _ in range(200):
        task = board.task("shared", join=True)  # never TaskExists, whoever ends it meanwhile
        if not task._joined:
            task.succeed()

crew(sys.argv[1], 6, work)
board.remove(files=True)
"""


def test_joining_what_ends_all_the_time_never_fails(run_python: RunPython, board_name: str) -> None:
    run_python(CHURN, board_name, timeout_s=120)


SPAWNED = """
import multiprocessing, os, sys
import headway

def serve(name, barrier):
    board = headway.open(name)
    barrier.wait()
    with board.task("requests", join=True) as task:
        headway.current().update(10)
        barrier.wait()

if __name__ == "__main__":
    board = headway.open(sys.argv[1], capacity=8)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    workers = [context.Process(target=serve, args=(sys.argv[1], barrier)) for _ in range(3)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    assert [worker.exitcode for worker in workers] == [0] * 3
    print(board.get("requests").count)
    board.remove(files=True)
"""


def test_servers_that_share_nothing_but_a_name_count_on_one_task(run_python: RunPython, board_name: str) -> None:
    assert run_python(SPAWNED, board_name).stdout == "30\n"


def test_who_joins_does_not_become_the_owner(board: Board) -> None:
    task = board.task("one", join=True)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with board.task("one", join=True) as joined:
                joined.update()
                joined.stage = "by who joined"
            view = board.get("one")
            code = 0 if view is not None and view.owner_pid == os.getppid() and view.state == "running" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (task.view().owner_pid, task.stage, task.count) == (os.getpid(), "by who joined", 1)


def test_a_worker_counts_without_the_modules_of_files(board: Board, run_python: RunPython) -> None:
    handle = pickle.dumps(board.task("one"))
    script = f"import pickle, sys; pickle.loads({handle!r}).update(); print([*sys.modules])"
    loaded = run_python(script).stdout
    assert "'headway.native.core'" in loaded
    assert "'headway.files" not in loaded
    assert board.attach("one").count == 1


# --- making room


@pytest.fixture
def full(board_name: str) -> Iterator[Board]:
    """A board of four tasks, called a to d in the order in which they ended, whose history somebody writes."""
    board = open_board(board_name, capacity=4, record=False)
    board._segment.want_recorder()
    for id in "abcd":
        board.task(id).update()
    for id in "abcd":
        board.attach(id).succeed()
    yield board
    board.remove(files=True)


def archived(board: Board, id: str) -> None:
    """Archive a task, as the recorder or another process does."""
    at = attached.known(board._segment.uuid)
    assert at is not None
    assert archive.make_room(at.segment, at.directory, at.copy_meta(), board.attach(id)._where) == 1


def cannot(place: tuple[int, int] | None) -> None:
    """Archive nothing, as on a full disk."""


def ids_of(board: Board) -> list[str]:
    return sorted(view.id for view in board.tasks())


def test_what_another_process_archived_meanwhile_goes_before_what_the_history_does_not_have(full: Board) -> None:
    """The claim has found none that is archived, and could not archive one; a moment later there is one."""

    def fails(place: tuple[int, int] | None) -> None:
        archived(full, "c")

    full._segment.claim("new", "", "it", archive=fails)
    assert (ids_of(full), full._segment.dropped) == (["a", "b", "d", "new"], 0)


def test_if_something_has_to_be_lost_it_is_rather_the_last_counts_of_a_task_than_a_task(full: Board) -> None:
    archived(full, "c")
    full.attach("c").update()
    full._segment.claim("new", "", "it", archive=cannot)
    assert (ids_of(full), full._segment.dropped) == (["a", "b", "d", "new"], 1)
    assert [(task.id, task.count) for task in full.history(None)] == [("c", 1)]


def test_if_a_task_has_to_be_lost_it_is_the_one_that_ended_first(full: Board) -> None:
    full._segment.claim("new", "", "it", archive=cannot)
    assert (ids_of(full), full._segment.dropped) == (["b", "c", "d", "new"], 1)


def test_a_board_of_open_tasks_is_full_at_once_and_nothing_is_archived_for_it(board_name: str) -> None:
    """Which is decided under the lock: a task that ends a moment later is not dropped because of it."""
    asked: list[object] = []
    board = open_board(board_name, capacity=4, record=False)
    board._segment.want_recorder()
    for id in "abcd":
        board.task(id).update()
    with pytest.raises(errors.BoardFull):
        board._segment.claim("new", "", "it", archive=asked.append)
    assert not asked
    board.remove(files=True)


def test_only_one_task_is_dropped_for_a_claim(board_name: str) -> None:
    """What goes for nothing goes by batches; what is lost with a task is not lost for the next claim."""
    board = open_board(board_name, capacity=64, record=False)
    try:
        board._segment.want_recorder()
        for number in range(64):
            board.task(f"{number}").succeed()
        board._segment.claim("new", "", "it", archive=cannot)
        assert (len(board.tasks()), board._segment.dropped) == (64, 1)
        archive_all(board)
        for number in range(1, 64):
            board.attach(f"{number}").update()
        board._segment.claim("newer", "", "it", archive=cannot)
        assert (len(board.tasks()), board._segment.dropped) == (64, 2)
    finally:
        board.remove(files=True)


def archive_all(board: Board) -> None:
    at = attached.known(board._segment.uuid)
    assert at is not None
    while archive.make_room(at.segment, at.directory, at.copy_meta(), None):
        pass


def unasked(place: tuple[int, int] | None) -> None:
    raise AssertionError("nothing is to be archived")


@pytest.mark.parametrize("late", [1, 3])
def test_late_counts_are_not_lost_while_a_task_can_go_with_which_nothing_is(full: Board, late: int) -> None:
    """However much older those are that were counted on since they were archived."""
    archive_all(full)
    for id in "abcd"[:late]:
        full.attach(id).update()
    full._segment.claim("new", "", "it", archive=unasked)
    assert {*"abcd"[:late], "new"} <= {*ids_of(full)} < {*"abcd", "new"}
    assert full._segment.dropped == 0


def test_claims_keep_slots_free_ahead_of_need_where_nothing_is_lost_for_it(board_name: str) -> None:
    """Of an eighth of the board, and other slots than those that were freed a moment ago are taken first."""
    board = open_board(board_name, capacity=64, record=False)
    try:
        board._segment.want_recorder()
        for number in range(64):
            board.task(f"{number}").succeed()
        archive_all(board)
        assert board._segment.stock == 0
        for number in range(21):
            board._segment.claim(f"new {number}", "", "it", archive=unasked)
        assert (board._segment.stock, board._segment.dropped) == (8, 0)
        assert {f"new {number}" for number in range(21)} <= {*ids_of(board)}
    finally:
        board.remove(files=True)


def test_without_a_history_nothing_is_dropped_as_long_as_there_is_a_free_slot(board_name: str) -> None:
    board = open_board(board_name, capacity=128, record=False)
    try:
        for number in range(128):
            board.task(f"{number}").succeed()
        assert (len(board), board._segment.dropped) == (128, 0)
    finally:
        board.remove(files=True)


EVICT_HINT = 792  # in hw_header


def test_a_claim_that_finds_nothing_that_may_go_ahead_of_need_lets_others_pass_by(board_name: str) -> None:
    board = open_board(board_name, capacity=512, record=False)
    try:
        board._segment.want_recorder()
        for number in range(506):
            board.task(f"{number}")
        hints = []
        path = SHM / segments.object_name(board.name, board._segment.uuid)[1:]
        for _ in range(34):
            board._restart("one", "again")
            hints.append(struct.unpack_from("<I", path.read_bytes(), EVICT_HINT)[0])
        assert 1 <= sum(one != other for one, other in pairwise(hints)) <= 3
    finally:
        board.remove(files=True)


def test_who_makes_room_archives_others_where_one_of_its_part_of_the_board_is_held(board_name: str) -> None:
    """Who is stopped over the only one that is left in it keeps the claimer from no other."""
    board = open_board(board_name, capacity=256, record=False)
    try:
        segment = board._segment
        segment.want_recorder()
        for number in range(256):
            board.task(f"{number}").succeed()
        own = [place for place in segment.finished(256) if place[0] // 32 % 2 == os.getpid() % 2]
        at = attached.known(segment.uuid)
        assert at is not None
        for place in own[1:]:
            assert archive.make_room(at.segment, at.directory, at.copy_meta(), place) == 1
        id = next(view.id for view in board.tasks() if board.attach(view.id)._where == own[0])
        with beside(segment.register) as (pid,):
            hold(board, id, incarnation_of(board, pid), pid)
            archive.make_room(at.segment, at.directory, at.copy_meta(), None)
        assert segment.finished(256) == own[:1]
    finally:
        board.remove(files=True)


LOCK, LOCK_PID = 8, 64  # of hw_control
HASHES_OFFSET, LOCK_OWNER = 48, 256  # in hw_header


def hold(board: Board, id: str, incarnation: int, pid: int) -> None:
    """Have a process hold the lock of a slot, as one that was stopped within a write."""
    at = slot_offset(board._segment, board.attach(id)._where[0])
    poke(board._segment, at + LOCK_PID, pid)
    poke(board._segment, at + LOCK, incarnation)


def incarnation_of(board: Board, pid: int) -> int:
    workers = board._segment.copy()[4]
    rows = [records.worker_fields(workers, i) for i in range(len(workers) // records.RECORD_BYTES["workers"])]
    return next(int(row["incarnation"]) for row in rows if row["pid"] == pid)


def test_a_process_that_is_stopped_over_one_task_keeps_no_other_from_giving_way(full: Board) -> None:
    archive_all(full)
    with beside(full._segment.register) as (pid,):
        hold(full, "a", incarnation_of(full, pid), pid)
        full._segment.claim("new", "", "it", archive=unasked)
    assert {"a", "new"} < {*ids_of(full)} < {*"abcd", "new"}
    assert full._segment.dropped == 0


def test_a_task_that_somebody_holds_is_not_archived_for_its_slot_and_the_holder_is_named(
    full: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    for id in "abc":
        full.task(id).update()
    archive_all(full)
    monkeypatch.setattr(core, "LOCK_SECONDS", 0.1)
    with beside(full._segment.register) as (pid,):
        hold(full, "d", incarnation_of(full, pid), pid)
        with pytest.raises(errors.LockTimeout, match=rf"being written, one by pid {pid}, which is alive"):
            full._segment.claim("new", "", "it", archive=unasked)
    full._segment.claim("new", "", "it", archive=unasked)


# --- a new task of the id of one that has ended


@pytest.mark.parametrize("recorded", [True, False])
def test_a_task_that_gives_way_to_a_new_one_and_that_the_history_does_not_have_counts_as_dropped(
    recorded: bool, board_name: str
) -> None:
    """Though there are free slots: what is lost is told, whatever it was lost for."""
    board = open_board(board_name, capacity=8, record=False)
    try:
        board._segment.want_recorder(recorded)
        task = board.task("x")
        task.update(41)
        task.succeed()
        board._segment.claim("x", "", "it", archive=cannot)
        assert (board.history(None), board._segment.dropped, sum(board._segment.gone)) == ([], 1, 1)
    finally:
        board.remove(files=True)


def test_late_counts_of_a_task_that_gives_way_count_as_dropped_if_the_history_cannot_have_them(
    board_name: str,
) -> None:
    board = open_board(board_name, capacity=8, record=False)
    try:
        board._segment.want_recorder()
        board.task("c").succeed()
        archived(board, "c")
        board.attach("c").update()
        board._segment.claim("c", "", "it", archive=cannot)
        assert board._segment.dropped == 1
    finally:
        board.remove(files=True)


def test_a_task_that_gives_way_and_is_archived_or_runs_does_not_count_as_dropped(board_name: str) -> None:
    board = open_board(board_name, capacity=8, record=False)
    try:
        board._segment.want_recorder()
        for _ in range(3):
            board.task("c").succeed()
        archived(board, "c")
        for _ in range(2):
            board._segment.claim("c", "", "it", archive=cannot, anew=True)
        assert (len(board.history(None)), board._segment.dropped) == (3, 0)
    finally:
        board.remove(files=True)


def made_twin(board: Board, old: str, new: str, pid: int) -> None:
    """Give a task the id of a newer one, as if process `pid` had been killed before it freed the old one."""
    segment = board._segment
    slots = [board.attach(id)._where[0] for id in (old, new)]
    path = SHM / segments.object_name(segment.name, segment.uuid)[1:]
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        (hashes,) = struct.unpack_from("<Q", memory, HASHES_OFFSET)
        at = memory.find(old.encode() + bytes(8), slot_offset(segment, slots[0]))
        memory[at : at + len(old)] = new.encode()
        memory[hashes + 8 * slots[0] : hashes + 8 * slots[0] + 8] = memory[
            hashes + 8 * slots[1] : hashes + 8 * slots[1] + 8
        ]
    poke(segment, LOCK_OWNER, incarnation_of(board, pid))


@pytest.mark.parametrize("writes", [True, False])
def test_what_a_killed_restart_left_is_archived_before_it_goes_and_dropped_only_if_it_cannot_be(
    writes: bool, board_name: str
) -> None:
    """Who is killed while it starts its own task anew leaves two of the id, and the old one is lost."""
    board = open_board(board_name, capacity=8, record=False)
    try:
        board._segment.want_recorder()
        pid = killed_after(lambda: board.task("old").update(41))
        board.task("new").update(1)
        made_twin(board, "old", "new", pid)
        at = attached.known(board._segment.uuid)
        assert at is not None
        if writes:
            claims.restart(at, "new", "again")
        else:
            board._segment.claim("new", "again", "it", archive=cannot, anew=True)
        rows = [(task.id, task.state, task.count) for task in board.history(None)]
        assert [(task.label, task.count) for task in board.tasks()] == [("again", 0)]
        assert rows == ([("new", "lost", 41)] if writes else [])
        assert board._segment.dropped == (not writes)
    finally:
        board.remove(files=True)


def test_that_room_could_not_be_made_gives_no_task_of_this_id_up(full: Board) -> None:
    """It is archived first: another process began and ended it meanwhile, and now the disk takes it."""
    asked: list[bool] = []

    def archive(place: tuple[int, int] | None) -> int | None:
        asked.append(place is not None)
        if place is not None:
            archived(full, "x")
            return 1
        other = full.task("x")
        other.update(41)
        other.succeed()
        return None

    full._segment.claim("x", "", "it", archive=archive)
    assert asked == [False, True]
    assert full._segment.dropped == 0
    assert [task.count for task in full.history(None) if task.id == "x"] == [41]


LATE = """
import sys, time
from headway.engine.board import open_board
from headway.native import core

core.LOCK_SECONDS = 0.05  # a claim archives for twice as long
board = open_board(sys.argv[1], capacity=4, record=False)
board._segment.want_recorder()
for id in "abcd":
    board.task(id).succeed()

def archive(place):
    time.sleep(0.3)

try:
    board._segment.claim("new", "", "it", archive=archive)
    print(*sorted(view.id for view in board.tasks()))
finally:
    board.remove(files=True)
"""


def test_a_claim_that_has_waited_for_the_disk_to_the_end_has_what_it_then_drops(
    run_python: RunPython, board_name: str
) -> None:
    """The slot rests for a moment, for which there is time still."""
    assert run_python(LATE, board_name).stdout == "b c d new\n"


CLOSED = """
import os, sys, threading, time
from headway.engine import attached
from headway.engine.board import open_board
from headway.files import archive, gate

board = open_board(sys.argv[1], capacity=4, record=False)
board._segment.want_recorder()
for id in "abcd":
    board.task(id).succeed()
if sys.argv[2] == "failing":
    board._segment.note(28)
within, done = threading.Event(), threading.Event()

def use():
    token = gate.enter()
    within.set()
    done.wait()
    gate.leave(token)

threading.Thread(target=use).start()
within.wait()
pid = os.fork()
if pid == 0:
    code = 1
    try:
        assert gate.is_closed()
        board.task("new")
        code = 0
    finally:
        os._exit(code)
done.set()
at = attached.known(board._segment.uuid)
if sys.argv[2] == "killed":
    time.sleep(4)  # until another recorder is at work
    while archive.make_room(at.segment, at.directory, at.copy_meta(), None):
        pass
ended = os.waitpid(pid, 0)[1]
print(ended, board._segment.dropped)
board.remove(files=True)
"""


@pytest.mark.parametrize(("recorder", "dropped"), [("killed", 0), ("failing", 1)])
def test_who_may_not_use_sqlite_waits_for_the_recorder_that_follows_a_killed_one(
    recorder: str, dropped: int, run_python: RunPython, board_name: str
) -> None:
    assert run_python(CLOSED, board_name, recorder, env={"HEADWAY_RECORD": "0"}).stdout == f"0 {dropped}\n"


# --- leaving


def test_a_board_that_cannot_be_left_keeps_no_other_from_being_left(
    board: Board, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(at: Attachment, reason: str, error: BaseException | None) -> None:
        raise RuntimeError("unforeseen")

    other = open_board(f"{board_name}-other", capacity=4, record=False)
    try:
        other.task("one").update()
        board.task("one").update()
        with monkeypatch.context() as patch:
            patch.setattr(claims, "end_owned", failing)
            with pytest.raises(RuntimeError, match="unforeseen"):
                claims.leave_all()
        assert (board._segment.incarnation, other._segment.incarnation) == (0, 0)
    finally:
        other.remove(files=True)


# --- interrupted

INTERRUPTED = """
import itertools, signal, sys
from headway import errors
from headway.engine.board import open_board

def handler(number, frame):
    global served
    served += 1

served, refused = 0, set()
board = open_board(sys.argv[1], capacity=4, record=False)
if sys.argv[2] == "recorded":
    board._segment.want_recorder()
for number in range(4):
    board.task(str(number)).update()
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
while served < 200:
    try:
        board.task("one more")
    except errors.HeadwayError as error:
        refused.add(f"{type(error).__name__}: {error}")
signal.setitimer(signal.ITIMER_REAL, 0)
print(*refused, sep="\\n")
board.remove(files=True)
"""


@pytest.mark.parametrize("kind", ["alone", "recorded"])
def test_a_full_board_is_called_full_whatever_interrupts_the_claim(
    kind: str, run_python: RunPython, board_name: str
) -> None:
    done = run_python(INTERRUPTED, board_name, kind)
    assert done.stdout.startswith(f"BoardFull: board {board_name!r} has 4 slots and all hold tasks that have not ended")
    assert done.stdout.count("\n") == 1


REENTERED = """
import signal, sys
from headway.engine.board import open_board

class Late:  # a signal handler that comes while a module is being imported
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[2]:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGUSR1)

def handler(number, frame):
    for number in range(4):
        board.task(f"of the handler {number}").succeed()

board = open_board(sys.argv[1], capacity=4, record=False)
board._segment.want_recorder()
for number in range(4):
    board.task(str(number)).succeed()
signal.signal(signal.SIGUSR1, handler)
sys.meta_path.insert(0, Late())
board.task("of the program").succeed()
assert not [one for one in sys.meta_path if isinstance(one, Late)], "no such import"
print("went on")
board.remove(files=True)
"""


@pytest.mark.parametrize("module", ["headway.files.gate", "headway.files.database", "sqlite3"])
def test_a_signal_handler_that_claims_while_a_claim_imports_goes_on(
    module: str, run_python: RunPython, board_name: str
) -> None:
    assert run_python(REENTERED, board_name, module).stdout == "went on\n"


HALF_LOADED = """
import signal, sys
from headway.engine.board import open_board

def on_call(frame, event, argument):
    return on_line if frame.f_code.co_filename.endswith("files/archive.py") else None

def on_line(frame, event, argument):  # in the first line of the module
    sys.settrace(None)
    board.task("of the handler").succeed()

board = open_board(sys.argv[1], capacity=4, record=False)
board._segment.want_recorder()
for number in range(4):
    board.task(str(number)).succeed()
sys.settrace(on_call)
board.task("of the program").succeed()
print("went on")
board.remove(files=True)
"""


def test_a_signal_handler_that_claims_while_what_archives_is_half_loaded_goes_on(
    run_python: RunPython, board_name: str
) -> None:
    assert run_python(HALF_LOADED, board_name).stdout == "went on\n"
