"""The recorder: a process that nobody sees, that outlives the program, and that there is one of."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from headway import errors
from headway.engine import segments
from headway.engine.board import Board, open_board
from headway.files import snapshot
from headway.recorder.recorder import Recorder
from headway.system import locks, shm
from headway.upkeep import listing, removal

if TYPE_CHECKING:
    from tests.conftest import RunPython

T = TypeVar("T")
PATIENCE_S = 40.0  # for what takes a second or three on a quiet machine


def eventually(look: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """What `look` gives once it is true."""
    until = time.monotonic() + patience_s
    while not (found := look()):
        assert time.monotonic() < until, f"still {found!r} after {patience_s:g} s"
        time.sleep(0.02)
    return found


def recorders(board: str) -> list[int]:
    """The pids of the recorder processes of a board."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            words = path.read_bytes().split(b"\0")
            if any(word == b"headway.recorder.recorder_process" for word in words) and board.encode() in words:
                found.append(int(path.parent.name))
    return found


@pytest.fixture(autouse=True)
def _recorded(headway_dir: Path, monkeypatch: pytest.MonkeyPatch, board_name: str) -> Iterator[None]:
    """Boards of these tests have recorders, and none is left behind."""
    monkeypatch.delenv("HEADWAY_RECORD")
    yield
    for pid in recorders(board_name):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    eventually(lambda: not recorders(board_name))
    for path in shm.SHM.glob(f"*-{board_name}-*"):
        path.unlink(missing_ok=True)


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    board = open_board(board_name, capacity=32, workers=32)
    yield board
    if not board._segment.closed:
        board.remove(files=True)


def recorded(board: Board) -> int:
    """The pid of the board's recorder, once it has written a snapshot."""
    eventually(lambda: board._segment.recorder_alive and (board.directory / "snapshot.npz").exists())
    return board._segment.recorder_pid


WORK = """
import os, sys, time
from headway.engine.board import open_board

board = open_board(sys.argv[1], capacity=32, workers=32)
with board.task("ended", total=3) as task:
    task.update(3)
    task.result = {"answer": 42}
task = board.task("going on", total=100, unit="row", label="Going on")
task.set(stage="fit", message="fold 3/5", metrics={"loss": 0.5})
task.result = {"half": 0.5}
for _ in range(50):
    task.update()
print(os.getpid(), flush=True)
"""
WORK_ON = WORK + "while True:\n    time.sleep(60)\n"


@contextlib.contextmanager
def program(source: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A program that works until it is killed, and its pid."""
    with subprocess.Popen(
        [sys.executable, "-c", source, *arguments], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


# --- a process that nobody sees


@pytest.fixture
def inheritable() -> Iterator[str]:
    """A descriptor that every program executed from here would get; what /proc calls it."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    yield os.readlink(f"/proc/self/fd/{writing}")
    os.close(reading)
    os.close(writing)


def test_it_is_no_child_has_its_own_session_and_inherits_nothing(inheritable: str, board: Board) -> None:
    pid = recorded(board)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[1]) != os.getpid()
    assert int(fields[3]) == pid  # the session

    def links() -> dict[str, str]:
        found = {}
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed again meanwhile
                found[path.name] = os.readlink(path)
        return found

    def foreign() -> list[str]:
        ours = ("/dev/null", "headway", str(board.directory), "socket:")  # at which it hears of boards
        return [link for link in links().values() if not any(part in link for part in ours)]

    seen = links()
    assert {seen[name] for name in "012"} == {"/dev/null"}
    assert inheritable not in seen.values()
    assert len([link for link in seen.values() if link.startswith("socket:")]) == 1
    eventually(lambda: not foreign())  # a module that it imports just now is open for a moment, in any folder
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


@pytest.mark.parametrize("threads", [0, 4])
def test_starting_it_warns_of_nothing_and_leaves_no_thread(
    run_python: RunPython, board_name: str, threads: int
) -> None:
    script = """
import os, sys, threading
from headway.engine.board import open_board

done = threading.Event()
threads = [threading.Thread(target=done.wait) for _ in range(int(sys.argv[2]))]
for thread in threads:
    thread.start()
board = open_board(sys.argv[1], capacity=8, workers=8)
while not board._segment.recorder_alive:
    pass
assert len(os.listdir("/proc/self/task")) == 1 + len(threads)
done.set()
board.remove(files=True)
"""
    assert not run_python(script, board_name, str(threads), env={"PYTHONWARNINGS": "always"}).stderr


@pytest.mark.parametrize("inherits", [0, 1], ids=["by init", "a subreaper"])
def test_a_parent_that_waits_for_all_its_children_is_not_kept(
    inherits: int, run_python: RunPython, board_name: str
) -> None:
    script = """
import ctypes, os, signal, sys, time
from headway.engine.board import open_board

PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37
prctl, inherits = ctypes.CDLL(None).prctl, int(sys.argv[2])
assert prctl(PR_SET_CHILD_SUBREAPER, inherits) == 0
told = []
signal.signal(signal.SIGCHLD, lambda *_: told.append(1))
board = open_board(sys.argv[1], capacity=8, workers=8)
while not board._segment.recorder_alive:
    time.sleep(0.01)
assert not told, "the user's program was told of a child that it does not know"
pid = os.fork()
if pid == 0:
    os._exit(3)
assert os.wait() == (pid, 3 << 8)
try:
    os.wait()
except ChildProcessError:
    print("no more")
found = ctypes.c_int()
assert prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(found)) == 0
assert found.value == inherits
board.remove(files=True)
"""
    assert run_python(script, board_name, str(inherits), timeout_s=30).stdout == "no more\n"


def test_a_pipe_ends_with_the_program_not_with_its_recorder(board_name: str) -> None:
    command = f'"{sys.executable}" -c "$WORK" {board_name} 2>&1 | cat'
    began = time.monotonic()
    done = subprocess.run(
        ["/bin/sh", "-c", command], env={**os.environ, "WORK": WORK}, capture_output=True, timeout=60, check=True
    )
    assert done.stdout.strip().isdigit(), done.stdout
    assert recorders(board_name) or time.monotonic() - began > 3  # it is there still, and kept nobody


def test_a_program_that_ignores_or_blocks_signals_does_not_hand_that_down(
    run_python: RunPython, board_name: str
) -> None:
    script = """
import os, signal, sys, time
from headway.engine.board import open_board

for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2])
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
board = open_board(sys.argv[1], capacity=8, workers=8)
while not board._segment.recorder_alive:
    time.sleep(0.01)
time.sleep(0.3)
pid = board._segment.recorder_pid
lines = dict(line.split(":\\t", 1) for line in open(f"/proc/{pid}/status") if ":\\t" in line)
print(int(lines["SigBlk"], 16), int(lines["SigIgn"], 16) & (1 << signal.SIGTERM - 1 | 1 << signal.SIGUSR1 - 1))
print(len(os.sched_getaffinity(pid)) == os.cpu_count())
board.remove(files=True)
"""
    assert run_python(script, board_name).stdout == "0 0\nTrue\n"


def test_modules_of_the_program_that_are_named_like_pythons_own_do_not_disturb_it(
    run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    for name in ("json", "sqlite3", "signal", "traceback"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "main.py").write_text(
        "import sys, time\n"
        "here = sys.path.pop(0)\n"
        "from headway.engine.board import open_board\n"
        "sys.path.insert(0, here)\n"
        "board = open_board(sys.argv[1], capacity=8, workers=8)\n"
        "until = time.monotonic() + 30\n"
        "while not board._segment.sequence and time.monotonic() < until: time.sleep(0.01)\n"
        "print(board._segment.sequence > 0)\n"
        "board.remove(files=True)\n"
    )
    done = run_python(tmp_path / "main.py", board_name, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "nowhere")})
    assert done.stdout == "True\n"


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_no_recorder_is_started_for_who_does_not_want_one(
    board_name: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "environment":
        monkeypatch.setenv("HEADWAY_RECORD", "0")
    board = open_board(board_name, capacity=8, workers=8, record=how != "argument")
    board.task("one").update()
    time.sleep(0.5)
    assert not recorders(board_name)
    assert not board._segment.recorder_wanted
    board.remove(files=True)


# --- what it writes


def test_the_files_follow_the_board(board: Board) -> None:
    recorded(board)
    task = board.task("one", total=10)
    task.update(4)
    task.set(stage="fit", message="fold 3/5")
    seen = eventually(lambda: (v := snapshot.read(board.directory).get("one")) is not None and v.count == 4 and v)
    assert isinstance(seen, object)
    view = snapshot.read(board.directory).get("one")
    assert view is not None
    assert (view.stage, view.message, view.state) == ("fit", "fold 3/5", "running")
    task.succeed()
    eventually(lambda: snapshot.read(board.directory).counts["success"])


def test_a_board_on_which_nothing_happens_is_not_written_again(board: Board) -> None:
    recorded(board)
    board.task("one").succeed()
    eventually(lambda: snapshot.read(board.directory).counts["success"])
    time.sleep(1.0)  # the archive's mark counts as a change, once
    before = snapshot.read(board.directory).sequence
    alive = (board.directory / "recorder.lock").stat().st_mtime_ns
    time.sleep(1.5)
    assert snapshot.read(board.directory).sequence == before
    assert (board.directory / "recorder.lock").stat().st_mtime_ns > alive  # the sign of life for readers of files


def test_an_error_is_counted_shown_and_survived(board: Board) -> None:
    """A folder in the place of the snapshot: nothing can be renamed to there."""
    recorded(board)
    eventually(lambda: board._segment.sequence)
    (board.directory / "snapshot.npz").rename(board.directory / "away")
    (board.directory / "snapshot.npz").mkdir()
    task = board.task("one")
    task.update()
    eventually(lambda: board._segment.recorder_errors[0] > 0)
    assert board.snapshot().meta["recorder_error"]
    task.update()  # workers do not care
    assert task.count == 2
    (board.directory / "snapshot.npz").rmdir()
    eventually(lambda: board._segment.recorder_errors[1] == 0)
    assert snapshot.read(board.directory).get("one") is not None
    assert board.snapshot().meta["recorder_error"] is None


# --- it outlives the program


def test_after_the_program_was_killed_its_tasks_are_lost_with_all_that_was_known(board_name: str) -> None:
    with program(WORK_ON, board_name) as (process, pid):
        eventually(lambda: recorders(board_name))
        os.kill(pid, signal.SIGKILL)
        process.wait()
        found = listing.find(board_name)
        assert found is not None
        directory = found.directory

        def lost() -> bool:
            with contextlib.suppress(errors.UnknownBoard):
                view = snapshot.read(directory)
                return view.counts["lost"] == 1
            return False

        eventually(lost)
        view = snapshot.read(directory).get("going on")
        assert view is not None
        assert (view.state, view.stage, view.message, view.count, view.total) == ("lost", "fit", "fold 3/5", 50, 100)
        assert (view.result, view.metrics, view.owner_pid) == ({"half": 0.5}, {"loss": 0.5}, pid)
        assert view.ended is not None
        eventually(lambda: not recorders(board_name))
    assert not list(shm.SHM.glob(f"*{board_name}*")), "a board that nobody uses is still in shared memory"
    again = open_board(board_name, capacity=32, workers=32)
    try:
        ended, lost_one = again.get("ended"), again.get("going on")
        assert ended is not None
        assert lost_one is not None
        assert (ended.state, ended.count, ended.result) == ("success", 3, {"answer": 42})
        assert (lost_one.state, lost_one.count, lost_one.stage) == ("lost", 50, "fit")
        assert [stage.name for stage in lost_one.stages] == ["fit"]
        assert [(share.pid, share.count) for share in lost_one.workers_lost] == [(pid, 50)]
        assert (lost_one.created, lost_one.started) == (view.created, view.started)
        task = again.task("going on", resume=True)
        task.update()
        assert (task.resumed_from, task.count) == (50, 51)
    finally:
        again.remove(files=True)


def test_when_everything_was_killed_the_last_snapshot_reads_and_the_next_open_finds_the_board(board_name: str) -> None:
    with program(WORK_ON, board_name) as (process, pid):
        info = eventually(lambda: listing.find(board_name))
        assert info is not None
        eventually(lambda: recorders(board_name))
        eventually((info.directory / "snapshot.npz").exists)
        eventually(lambda: (v := snapshot.read(info.directory).get("going on")) is not None and v.count == 50)
        for recorder in recorders(board_name):
            os.kill(recorder, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        process.wait()
    view = snapshot.read(info.directory).get("going on")
    assert view is not None
    assert (view.count, view.stage, view.result) == (50, "fit", {"half": 0.5})
    again = open_board(board_name, capacity=32, workers=32)  # the segment is there still
    try:
        one = again.get("going on")
        assert one is not None
        assert (one.state, one.count) == ("lost", 50)
    finally:
        again.remove(files=True)


def test_without_a_recorder_old_files_tell_of_lost_tasks(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = recorded(board)
    board.task("one", total=5).update(2)
    eventually(lambda: (v := snapshot.read(board.directory).get("one")) is not None and v.count == 2)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: locks.lock_holder(board.directory) is None)
    before = snapshot.read(board.directory)
    assert before.counts["running"] == 1  # fresh: it may well be started again
    monkeypatch.setattr(snapshot, "ABANDONED_AFTER_S", 0.0)
    after = snapshot.read(board.directory)
    assert after.counts["lost"] == 1
    one = after.get("one")
    assert one is not None
    assert one.ended is not None


# --- one, and only one


def test_killed_again_and_again_it_is_started_again_by_one_process_and_numbers_go_on(
    run_python: RunPython, board_name: str
) -> None:
    script = """
import json, multiprocessing, os, signal, sys, time
from headway.files import snapshot
from headway.engine.board import open_board

def work(task, stop):
    while not stop.is_set():
        task.update()
        task.message = str(time.monotonic())
        time.sleep(0.001)

if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    board = open_board(sys.argv[1], capacity=32, workers=32)
    stop = fork.Event()
    task = board.task("all")
    workers = [fork.Process(target=work, args=(task, stop)) for _ in range(3)]
    for worker in workers:
        worker.start()
    segment = board._segment
    killed, sequences, damaged, writers = set(), [], 0, set()
    until = time.monotonic() + 60
    while len(killed) < 4 and time.monotonic() < until:
        try:
            view = snapshot.read(board.directory)
            if not sequences or view.sequence != sequences[-1]:
                sequences.append(view.sequence)
            writers.add(view.meta["recorder_pid"])
        except snapshot.errors.UnknownBoard:
            pass
        pid = segment.recorder_pid
        if pid not in killed and pid in writers and segment.recorder_alive:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    stop.set()
    for worker in workers:
        worker.join()
    print(json.dumps({"killed": len(killed), "sequences": sequences}))
    board.remove(files=True)
"""
    told = json.loads(run_python(script, board_name, timeout_s=110).stdout)
    assert told["killed"] == 4
    assert told["sequences"] == sorted(set(told["sequences"])), "numbers went back: two recorders wrote"


def test_a_stop_that_comes_during_a_look_is_followed_by_another_one(
    board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = open_board(board_name, capacity=8, workers=8, record=False)
    task = board.task("one", total=10)
    recorder = Recorder.elected(board)
    look, looks = recorder._look, []

    def looked() -> str | None:
        answer = look()
        looks.append(task.count)
        if len(looks) == 1:  # it has copied the board by now
            task.update(4)
            recorder.stop()
        return answer

    monkeypatch.setattr(recorder, "_look", looked)
    assert recorder.run() == "it was stopped"
    view = snapshot.read(board.directory).get("one")
    assert view is not None
    assert (view.count, len(looks)) == (4, 2)
    board.remove()


def test_a_second_recorder_is_refused_by_name(board: Board) -> None:
    pid = recorded(board)
    with pytest.raises(errors.BoardRecorded, match=str(pid)):
        Recorder.elected(board)


def test_a_directory_that_another_machine_records_is_refused_by_name(board_name: str, headway_dir: Path) -> None:
    """Another container with the same directory: its lock is held, and its segment is not in this /dev/shm."""
    board = open_board(board_name, capacity=8, workers=8, record=False)
    directory = board.directory
    uuid = segments.referenced(directory)
    board.remove(files=False)
    (directory / "segment").write_text(f"{uuid}\n")
    with program(
        "import sys, time, os; from pathlib import Path; from headway.system import locks, machine\n"
        "machine.shared_memory = lambda: 'another'\n"
        "lock = locks.recorder_lock(Path(sys.argv[1])); print(os.getpid(), flush=True); time.sleep(60)",
        str(directory),
    ) as (_, pid):
        with pytest.raises(errors.BoardElsewhere, match=f"pid {pid}"):
            open_board(board_name, capacity=8, workers=8, record=False)
        assert sorted(path.name for path in directory.iterdir()) == [
            "board.lock",
            "recorder.lock",
            "segment",
            "users.lock",
        ]
    again = open_board(board_name, capacity=8, workers=8, record=False)
    again.remove(files=True)


def test_it_leaves_when_the_board_is_removed(board: Board, board_name: str) -> None:
    recorded(board)
    board.remove(files=False)
    eventually(lambda: not recorders(board_name))
    assert not (board.directory / "segment").exists()


def test_it_writes_nothing_beside_somebody_who_removes_the_files(board: Board, board_name: str) -> None:
    task = board.task("one")
    recorded(board)
    with locks.locked(board.directory):
        task.update()
        snapshot.remove(board.directory)
        time.sleep(1.0)  # four looks of the recorder
        assert not (board.directory / "snapshot.npz").exists()
    eventually((board.directory / "snapshot.npz").exists)
    board.remove(files=True)
    eventually(lambda: not recorders(board_name))
    assert not board.directory.exists()


def test_whoever_opens_while_it_is_leaving_gets_a_whole_board(board_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opened again and again around the moment at which the recorder removes a quiet board."""
    for delay_s in (2.9, 3.0, 3.1, 3.2, 3.3):
        board = open_board(board_name, capacity=8, workers=8)
        eventually(lambda board=board: board._segment.recorder_alive)  # type: ignore[misc]
        task = board.task(f"after {delay_s}")
        task.update(7)
        task.succeed()
        board.close()
        time.sleep(delay_s)
        again = open_board(board_name, capacity=8, workers=8)
        view = again.get(f"after {delay_s}")
        assert view is not None
        assert (view.state, view.count) == ("success", 7)
        again.task("new").update()
        assert not again._segment.retired
        again.close()
    open_board(board_name, capacity=8, workers=8).remove(files=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace needs root")
@pytest.mark.parametrize("end", ["", "raise ValueError('nonsense')"])
def test_the_last_state_of_a_program_that_is_process_one_is_written_though_its_recorder_goes_with_it(
    board_name: str, end: str
) -> None:
    """As in a container without an init: when process 1 ends, the kernel kills everybody else."""
    source = WORK + "assert os.getpid() == 1\ntask.succeed()\nboard.task('left open').update()\n" + end
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", source, board_name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (1 if end else 0), done.stderr
    assert not recorders(board_name)
    found = listing.find(board_name)
    assert found is not None
    view = snapshot.read(found.directory)
    assert {task.id: task.state for task in view.tasks} == {
        "ended": "success",
        "going on": "success",
        "left open": "failed" if end else "cancelled",
    }
    removal.remove(board_name, force=True)


FULL = """
import errno, os, sys, time
from pathlib import Path

from headway.files import snapshot
from headway.engine.board import open_board

NAME, PLACE = sys.argv[1:]
board = open_board(NAME, capacity=32, workers=32)
segment, task = board._segment, board.task("one")


def eventually(look):
    until = time.monotonic() + 40
    while not look():
        assert time.monotonic() < until, look
        task.update()
        time.sleep(0.05)


def count_in_file():
    try:
        return snapshot.read(board.directory).get("one").count
    except (snapshot.errors.UnknownBoard, AttributeError):
        return -1


eventually(lambda: count_in_file() > 0)
ballast = open(PLACE + "/ballast", "wb", buffering=0)
size = 1 << 20
while size:
    try:
        ballast.write(bytes(size))
    except OSError:
        size //= 2
before = task.count
eventually(lambda: segment.recorder_errors[1] == errno.ENOSPC)
print(errno.errorcode[segment.recorder_errors[1]], board.snapshot().meta["recorder_error"])
pid = segment.recorder_pid
assert count_in_file() <= before + 100
os.truncate(PLACE + "/ballast", 0)
eventually(lambda: segment.recorder_errors[1] == 0 and count_in_file() > before)
assert segment.recorder_pid == pid, "another recorder"
print("resumed", segment.recorder_errors[0] > 0)
board.remove(files=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_is_counted_shown_and_survived_by_the_same_recorder(board_name: str, tmp_path: Path) -> None:
    place, script = tmp_path / "disk", tmp_path / "script.py"
    place.mkdir()
    script.write_text(FULL)
    mount = f'mount -t tmpfs -o size=1m tmpfs "{place}" && exec "$0" "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, sys.executable, str(script), board_name, str(place)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "HEADWAY_DIR": str(place / "boards")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ENOSPC No space left on device\nresumed True\n"
