"""One recorder for all boards of a directory: whatever becomes of it, or of one board, all others are recorded."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headway import errors
from headway.engine.board import Board, open_board
from headway.files import query, retention, snapshot
from headway.native import core
from headway.process import address, launch
from headway.recorder.recorder import Recorder
from headway.system import locks, shm
from tests.conftest import RunPython
from tests.integration.test_recorder import eventually

MODULE = b"headway.recorder.recorder_process"


def recorders(root: Path) -> set[int]:
    """The recorder processes of the boards of this directory."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            words = path.read_bytes().split(b"\0")
            if MODULE in words and os.fsencode(root) in words:
                found.add(int(path.parent.name))
    return found


def listens(root: Path) -> bool:
    """Has anybody the address of this directory?"""
    return address.of(str(root))[1:].decode() in Path("/proc/net/unix").read_text()


@pytest.fixture(autouse=True)
def _recorded(headway_dir: Path, monkeypatch: pytest.MonkeyPatch, board_name: str) -> Iterator[None]:
    """Boards of these tests have recorders, and none is left behind."""
    monkeypatch.delenv("HEADWAY_RECORD")
    yield
    for pid in recorders(headway_dir):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGTERM)
    eventually(lambda: not recorders(headway_dir))
    for path in shm.SHM.glob(f"*-{board_name}-*"):
        path.unlink(missing_ok=True)


Make = Callable[[str], Board]


@pytest.fixture
def make(board_name: str) -> Iterator[Make]:
    """Boards of this test, by the ends of their names."""
    made: list[Board] = []

    def make(end: str) -> Board:
        made.append(open_board(f"{board_name}-{end}", capacity=32, workers=8))
        return made[-1]

    yield make
    for board in made:
        if not board._segment.closed:
            board.remove(files=True)


def recorder_of(board: Board) -> int:
    """The pid of the board's recorder, once it has written a snapshot."""
    eventually(lambda: board._segment.recorder_alive and (board.directory / "snapshot.npz").exists())
    return board._segment.recorder_pid


def count_in_file(board: Board) -> int:
    with contextlib.suppress(errors.UnknownBoard):
        task = snapshot.read(board.directory).get("one")
        return -1 if task is None else task.count
    return -1


def goes_on(board: Board) -> None:
    """What is counted now is in the file soon."""
    task = board.attach("one")
    task.update()
    eventually(lambda: count_in_file(board) == task.count)


# --- one for all

LOOP = """
import os, sys, time
import headway

for _ in headway.track(range(10**9), total=10**9, label="one"):
    time.sleep(0.02)
    if os.path.exists(sys.argv[1]):
        break
"""


@pytest.mark.parametrize("programs", [6, pytest.param(40, marks=pytest.mark.slow)])
def test_scripts_with_a_loop_each_that_start_at_once_have_one_recorder_which_leaves_after_the_last(
    programs: int, board_name: str, headway_dir: Path, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(programs):
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", LOOP, str(tmp_path / "stop")],
                    env={**os.environ, "HEADWAY_BOARD": f"{board_name}-{number}"},
                    stdin=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        stack.callback((tmp_path / "stop").touch)
        boards = [headway_dir / f"{board_name}-{number}" for number in range(programs)]

        def shown() -> bool:
            with contextlib.suppress(errors.UnknownBoard):
                return all(snapshot.read(board).counts["running"] == 1 for board in boards)
            return False

        eventually(shown, 120)
        (pid,) = recorders(headway_dir)
        assert {snapshot.read(board).meta["recorder_pid"] for board in boards} == {pid}
    eventually(lambda: not recorders(headway_dir))
    assert [snapshot.read(board).counts["cancelled"] for board in boards] == [1] * programs
    assert not list(shm.SHM.glob(f"*-{board_name}-*"))


def test_a_board_is_taken_up_by_the_recorder_that_is_at_work(make: Make, headway_dir: Path) -> None:
    first = recorder_of(make("a"))
    for end in "bcd":
        assert recorder_of(make(end)) == first
    assert recorders(headway_dir) == {first}


def test_each_board_has_its_history_kept_as_its_program_wants_it(
    make: Make, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for end in "bc":  # a first look finds all of them
        board = open_board(f"{board_name}-{end}", capacity=32, workers=8, record=False)
        for number in range(10):
            board.task(f"{number}").succeed()
        board.close()
    first = recorder_of(make("a"))
    kept = make("b")
    monkeypatch.setenv(retention.ROWS, "3")
    shortened = make("c")
    assert recorder_of(kept) == recorder_of(shortened) == first
    eventually(lambda: query.count(shortened.directory, query.Query()) == 3)
    eventually(lambda: query.count(kept.directory, query.Query()) == 10)


def test_a_version_of_its_own_has_a_recorder_of_its_own(
    make: Make, headway_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that may not know the layout, or the files, is not even told."""
    import headway

    ours = recorder_of(make("a"))
    monkeypatch.setattr(headway, "__version__", "99.0")
    theirs = recorder_of(make("b"))
    assert ours != theirs
    monkeypatch.undo()


def test_where_another_user_has_the_address_each_board_has_a_recorder_of_its_own(
    make: Make, headway_dir: Path, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("another user needs root")
    squat = (
        "import os, sys; from headway.process import address; name = address.of(sys.argv[1]);"
        "os.setgid(65534); os.setuid(65534); taken = address.take(name); print(taken is not None, flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", squat, str(headway_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as foreign:
        assert foreign.stdout is not None
        assert foreign.stdout.readline() == "True\n"
        alone = {recorder_of(make("a")), recorder_of(make("b"))}
        assert len(alone) == 2
        foreign.communicate("", timeout=60)
    eventually(lambda: listens(headway_dir))
    assert recorder_of(make("c")) in alone, "one of them has taken the address"


def test_where_too_many_wait_at_the_address_a_board_has_a_recorder_of_its_own(
    make: Make, headway_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once: not when the time of one that was told has passed."""
    monkeypatch.setattr(core, "START_SECONDS", 600.0)
    monkeypatch.setattr(address, "BACKLOG", 1)
    name = address.of(str(headway_dir))
    taken = address.take(name)
    assert taken is not None
    with contextlib.suppress(BlockingIOError):
        while True:
            address.tell(name, address.Wish("nightly", "0" * 32))
    recorder_of(make("a"))
    address.release(taken)


SHORT = """
import headway
headway.open("BOARD", capacity=8, workers=8).task("one", total=3).succeed()
"""


def test_a_short_program_whose_word_is_lost_is_recorded(
    board_name: str, headway_dir: Path, run_python: RunPython
) -> None:
    """Whoever has the address never reads there, as a recorder that is killed before it does."""
    taken = address.take(address.of(str(headway_dir)))
    assert taken is not None
    run_python(SHORT.replace("BOARD", f"{board_name}-short"))
    eventually(lambda: not list(shm.SHM.glob(f"*-{board_name}-*")))
    assert snapshot.read(headway_dir / f"{board_name}-short").counts["success"] == 1
    address.release(taken)


MANY = """
import os, resource, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (88, 88))  # enough for three boards, says the recorder
import headway

boards = [headway.open(f"BOARD-{number}", capacity=8, workers=8) for number in range(7)]
until = time.monotonic() + 60
while not all(board._segment.recorder_alive for board in boards):
    assert time.monotonic() < until
    for board in boards:
        board.task("one", total=9) if board.get("one") is None else board.attach("one").update()
    time.sleep(0.05)
print(*(board._segment.recorder_pid for board in boards))
"""


def test_a_recorder_takes_up_as_many_boards_as_it_has_descriptors_for_and_the_next_one_the_others(
    board_name: str, headway_dir: Path, run_python: RunPython
) -> None:
    pids = run_python(MANY.replace("BOARD", board_name)).stdout.split()
    assert len(pids) == 7
    assert max(pids.count(pid) for pid in pids) == 3


def test_a_program_of_the_version_before_gets_a_recorder(
    make: Make, headway_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts what is installed by now, with what it knows: the name of its board and a uuid."""
    monkeypatch.setenv("HEADWAY_RECORD", "0")
    board = make("a")
    board._segment.want_recorder()
    launch.beside(launch.RECORDER, board.name, board._segment.uuid)
    recorder_of(board)


def test_one_that_is_recorded_by_hand_stays_so(make: Make, board_name: str, headway_dir: Path) -> None:
    first = recorder_of(make("a"))
    mine = open_board(f"{board_name}-b", capacity=8, workers=8, record=False)
    recorder = Recorder.elected(mine)
    try:
        assert address.tell(address.of(str(headway_dir)), address.Wish(mine.name, mine._segment.uuid))
        time.sleep(0.5)
        assert mine._segment.recorder_pid == os.getpid()
    finally:
        recorder.resign()
        mine.remove(files=True)
    assert recorders(headway_dir) == {first}


# --- one board is none of the others' business


@contextlib.contextmanager
def locked(board: Board) -> Iterator[None]:
    """Somebody holds the lock of its directory for ever."""
    with locks.locked(board.directory):
        yield


@contextlib.contextmanager
def unwritable(board: Board) -> Iterator[None]:
    """Nothing can be renamed to its snapshot."""
    (board.directory / "snapshot.npz").rename(board.directory / "away")
    (board.directory / "snapshot.npz").mkdir()
    try:
        yield
    finally:
        (board.directory / "snapshot.npz").rmdir()


@contextlib.contextmanager
def busy(board: Board) -> Iterator[None]:
    """Somebody is in a transaction of its history for ever."""
    import sqlite3

    board.task("ended").succeed()
    eventually(lambda: query.count(board.directory, query.Query()) == 1)
    connection = sqlite3.connect(board.directory / "history.sqlite3", isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        board.task("ended too").succeed()
        yield
    finally:
        connection.close()


@contextlib.contextmanager
def scribbled(board: Board) -> Iterator[None]:
    """Anything stands in its slots, and in all of its header that changes."""
    path = shm.SHM / f"headway-{os.geteuid()}-{board.name}-{board._segment.uuid}"
    with path.open("r+b") as file:
        file.seek(core.segment_bytes(1, 1, 64) // 2)
        file.write(os.urandom(path.stat().st_size - file.tell()))
    yield


@pytest.mark.parametrize("how", [locked, unwritable, busy, scribbled])
def test_one_board_in_trouble_holds_up_no_other(
    how: Callable[[Board], contextlib.AbstractContextManager[None]], make: Make, headway_dir: Path
) -> None:
    boards = [make(end) for end in "abc"]
    for board in boards:
        board.task("one", total=100).adopt()
    pids = {recorder_of(board) for board in boards}
    with how(boards[0]):
        for _ in range(3):
            for board in boards[1:]:
                goes_on(board)
        assert recorder_of(make("d")) in pids, "boards that come are taken up"
    assert recorders(headway_dir) == pids


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* A disk that hangs: whoever sets the times of a file of this board waits as long as there is the file HANGS. */
static void wait_for_it(int fd) {
    char path[64], file[4096];
    const char *hangs = getenv("HANGS");
    ssize_t size;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    size = readlink(path, file, sizeof file - 1);
    if (size < 0 || !hangs) return;
    file[size] = 0;
    while (strstr(file, "-hangs/recorder.lock") && access(hangs, F_OK) == 0) usleep(10000);
}
int futimens(int fd, const struct timespec times[2]) {
    static int (*real)(int, const struct timespec *);
    wait_for_it(fd);
    if (!real) real = (int (*)(int, const struct timespec *))dlsym(RTLD_NEXT, "futimens");
    return real(fd, times);
}
"""


def test_a_disk_that_hangs_under_one_board_holds_up_no_other(
    make: Make, tmp_path: Path, headway_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shim.c").write_text(SHIM)
    command = [
        os.environ.get("CC", "cc"),
        "-shared",
        "-fPIC",
        "-o",
        str(tmp_path / "shim.so"),
        str(tmp_path / "shim.c"),
    ]
    subprocess.run([*command, "-ldl"], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(tmp_path / "shim.so"))
    monkeypatch.setenv("HANGS", str(tmp_path / "hangs"))
    stuck, fine = make("hangs"), make("fine")
    for board in (stuck, fine):
        board.task("one", total=100).adopt()
    pid = recorder_of(stuck)
    assert recorder_of(fine) == pid
    (tmp_path / "hangs").touch()
    eventually(lambda: (stuck._segment.recorder_silence or 0.0) > 1.0)
    for _ in range(3):
        goes_on(fine)
    assert (stuck._segment.recorder_silence or 0.0) > 1.0
    assert recorder_of(make("new")) == pid
    (tmp_path / "hangs").unlink()
    goes_on(stuck)
    assert recorders(headway_dir) == {pid}


def test_a_board_that_is_damaged_before_it_is_taken_up_is_left_alone(make: Make, headway_dir: Path) -> None:
    first = make("a")
    first.task("one").adopt()
    pid = recorder_of(first)
    name, uuid = f"{first.name}-b", "b" * 32
    path = shm.SHM / f"headway-{os.geteuid()}-{name}-{uuid}"
    path.touch(mode=0o600)
    path.write_bytes(os.urandom(100_000))
    for wish in (address.Wish(name, uuid), address.Wish(name, "c" * 32)):
        assert address.tell(address.of(str(headway_dir)), wish)
    goes_on(first)
    assert recorder_of(make("d")) == pid
    path.unlink()


# --- whatever becomes of it


def test_killed_it_is_replaced_by_one_which_records_all_boards_again(make: Make, headway_dir: Path) -> None:
    boards = [make(end) for end in "abcde"]
    for board in boards:
        board.task("one", total=100).adopt()
    for _ in range(2):
        (pid,) = {recorder_of(board) for board in boards}
        os.kill(pid, signal.SIGKILL)

        def again(pid: int = pid) -> bool:
            for board in boards:
                board.attach("one").update()
            return all(board._segment.recorder_alive and board._segment.recorder_pid != pid for board in boards)

        eventually(again)
        for board in boards:
            goes_on(board)
    assert len(recorders(headway_dir)) == 1


def test_killed_it_is_replaced_also_for_boards_whose_programs_only_wait(make: Make, headway_dir: Path) -> None:
    counting, waiting, other = (make(end) for end in "abc")
    for board in (counting, waiting, other):
        board.task("one", total=100).adopt()
    (pid,) = {recorder_of(board) for board in (counting, waiting, other)}
    os.kill(pid, signal.SIGKILL)

    def again() -> bool:
        counting.attach("one").update()
        return all(
            board._segment.recorder_alive and board._segment.recorder_pid != pid for board in (counting, waiting, other)
        )

    eventually(again)
    assert len(recorders(headway_dir)) == 1


ONE_TASK = """
import time
import headway

with headway.open(record=True).task("one", total=100) as task:
    task.update(7)
    print("counts", flush=True)
    time.sleep(600)
"""


def test_a_board_all_of_whose_processes_were_killed_is_ended_by_the_next_recorder(
    make: Make, board_name: str, headway_dir: Path
) -> None:
    name = f"{board_name}-killed"
    with subprocess.Popen(
        [sys.executable, "-c", ONE_TASK], env={**os.environ, "HEADWAY_BOARD": name}, stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"counts\n"
        eventually((headway_dir / name / "snapshot.npz").exists)
        for pid in recorders(headway_dir):
            os.kill(pid, signal.SIGKILL)
        program.kill()
    assert list(shm.SHM.glob(f"*-{name}-*"))
    board = make("next")
    recorder_of(board)
    eventually(lambda: not list(shm.SHM.glob(f"*-{name}-*")), 120)
    (task,) = snapshot.read(headway_dir / name).tasks
    assert (task.id, task.state, task.count) == ("one", "lost", 7)
    assert board._segment.recorder_alive


def test_a_stop_has_it_write_all_boards_once_more_and_another_takes_them_up(make: Make, headway_dir: Path) -> None:
    boards = [make(end) for end in "abcd"]
    tasks = [board.task("one", total=100).adopt() for board in boards]
    (pid,) = {recorder_of(board) for board in boards}
    for number, task in enumerate(tasks):
        task.update(7 + number)
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: pid not in recorders(headway_dir))
    assert [count_in_file(board) for board in boards] == [7, 8, 9, 10]

    def taken_up_again() -> bool:
        for task in tasks:
            task.update()
        return all(board._segment.recorder_alive for board in boards)

    eventually(taken_up_again)
    assert len(recorders(headway_dir)) == 1


def test_beside_one_that_is_stopped_a_board_that_comes_gets_a_recorder_of_its_own(
    make: Make, headway_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "START_SECONDS", 0.5)
    first = recorder_of(make("a"))
    os.kill(first, signal.SIGSTOP)
    try:
        board = make("b")
        task = board.task("one", total=100)

        def has_one() -> bool:
            task.update()
            return board._segment.recorder_alive

        eventually(has_one)
        assert board._segment.recorder_pid != first
        goes_on(board)
    finally:
        os.kill(first, signal.SIGCONT)
    assert board._segment.recorder_pid != first


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4])
def test_a_board_that_comes_as_it_leaves_is_recorded_without_another_look(
    delay_s: float, make: Make, headway_dir: Path
) -> None:
    """The program asks once, and never counts: nothing but its first wish brings a recorder."""
    first = make("a")
    recorder_of(first)
    first.remove(files=True)
    time.sleep(delay_s)
    recorder_of(make("b"))
    eventually(lambda: len(recorders(headway_dir)) == 1)


def test_it_leaves_nothing_behind(make: Make, headway_dir: Path) -> None:
    board = make("a")
    recorder_of(board)
    board.close()
    eventually(lambda: not recorders(headway_dir))
    assert not listens(headway_dir)
    assert not [path for path in headway_dir.iterdir() if path.name != board.name]
