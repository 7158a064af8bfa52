"""Segments, semaphores, directories and processes that vanish, stop, or are taken for each other, in real namespaces.

    python -m tests.faults.vanished

What is promised stands in the name of each scenario's function and its first line. Those that need root make
namespaces of their own with unshare.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from headway import errors
from headway.engine import segments
from headway.engine.board import Board, open_board
from headway.files import snapshot
from headway.native import core
from headway.system import shm
from headway.upkeep import removal
from headway.views.board_view import TaskView
from tests.faults.children import eventually, fork, fresh
from tests.faults.tally import Tally

BOUND_S = 25.0


def board_of(name: str) -> Board:
    return open_board(name, capacity=16, workers=64, result_bytes=64)


def child(work: Callable[[], object], *, wait: bool = True) -> int:
    """A forked process that does this and ends without tidying up."""
    pid = fork(work)
    if wait:
        assert os.waitpid(pid, 0)[1] == 0
    return pid


def view_of(board: Board, id: str) -> TaskView:
    found = board.get(id)
    assert found is not None, f"{id} is gone"
    return found


def path_of(board: Board) -> Path:
    return shm.SHM / segments.object_name(board.name, board._segment.uuid)[1:]


def recorded(name: str) -> Board:
    os.environ.pop("HEADWAY_RECORD", None)
    board = board_of(name)
    os.environ["HEADWAY_RECORD"] = "0"
    eventually(lambda: board._segment.recorder_alive and (board.directory / "snapshot.npz").exists(), "no recorder")
    return board


# ------------------------------------------------------------------------------------------------- what is taken away


def a_segment_that_is_unlinked_counts_into_the_void_says_so_once_and_the_next_open_makes_another(name: str) -> None:
    """By somebody's rm, or by systemd at the end of a session. Those who had it open go on."""
    board = board_of(name)
    task = board.task("t", total=9)
    task.update(2)
    path_of(board).unlink()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        time.sleep(1.1)
        task.update(3)
        time.sleep(1.1)
        task.set(stage="on")
    assert [one.category for one in caught] == [errors.StaleTaskWarning], [str(one.message) for one in caught]
    assert "removed from /dev/shm" in str(caught[0].message)
    assert task.count == 5
    child(lambda: task.update(1))
    assert task.count == 6
    script = "import sys, headway; b = headway.open(sys.argv[1]); assert b.get('t') is None; b.task('t').update()"
    subprocess.run([sys.executable, "-c", script, name], check=True, timeout=500)


def a_board_that_is_removed_says_so_once(name: str) -> None:
    board = board_of(name)
    task = board.task("t")
    task.update()
    fresh(lambda: board_of(name).remove(files=False))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        until = time.monotonic() + 3.5
        while time.monotonic() < until:
            task.update()
            time.sleep(0.1)
    assert [one.category for one in caught] == [errors.StaleTaskWarning], [str(one.message) for one in caught]


def a_semaphore_that_is_unlinked_costs_nothing(name: str) -> None:
    board = board_of(name)
    (shm.SHM / f"sem.{path_of(board).name}").unlink()
    for number in range(20):
        board.task(f"t-{number}").succeed()
    fresh(lambda: board_of(name).task("other").succeed())
    began = time.monotonic()

    def claim() -> None:
        for number in range(20):
            board_of(name).task(f"c-{os.getpid()}-{number}").succeed()

    pids = [child(claim, wait=False) for _ in range(4)]
    assert not any(os.waitpid(pid, 0)[1] for pid in pids)
    assert time.monotonic() - began < BOUND_S


def a_semaphore_without_a_token_costs_milliseconds(name: str) -> None:
    """As after a kill between taking the token and giving it back."""
    import posix_ipc

    board = board_of(name)
    semaphore = posix_ipc.Semaphore(f"/{path_of(board).name}")
    semaphore.acquire(0)
    began = time.monotonic()
    for number in range(5):
        board.task(f"t-{number}").succeed()
    assert time.monotonic() - began < 2, "a lost token costs more than its wait"
    assert semaphore.value == 1, "it was not given back"
    semaphore.close()


def a_directory_that_is_removed_stops_nobody_and_comes_back(name: str) -> None:
    import shutil

    board = recorded(name)
    task = board.task("t")
    task.update()
    shutil.rmtree(board.directory)
    for _ in range(10):
        task.update()
    board.task("u").succeed()
    assert task.count == 11
    eventually((board.directory / "snapshot.npz").exists, "a recorder whose directory is gone does not make it anew")
    board.remove()


# ------------------------------------------------------------------------------------------------------ what is stopped


def an_owner_that_is_stopped_stalls_and_is_not_lost(name: str) -> None:
    board = board_of(name)

    def owner() -> None:
        board_of(name).task("t").update()
        time.sleep(60)

    pid = child(owner, wait=False)
    eventually(lambda: board.get("t") is not None and view_of(board, "t").state == "running", "it never ran")
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    time.sleep(0.5)
    view = view_of(board, "t")
    assert (view.state, view.owner_alive) == ("running", True), view
    assert (view.idle or 0) > 0.3
    assert board.reap() == []
    said = ""
    try:
        board.task("t")
    except errors.TaskExists as error:
        said = str(error)
    assert f"pid {pid}" in said, f"a stopped owner was robbed, or is not named: {said}"
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: view_of(board, "t").state == "lost", "it was killed, and is not lost")
    os.waitpid(pid, 0)


def recorded_view(board: Board) -> TaskView | None:
    """Its task "t" as the files have it; None as long as there is none."""
    with contextlib.suppress(errors.UnknownBoard):
        return snapshot.read(board.directory).get("t")
    return None


def a_recorder_that_is_stopped_is_not_replaced_and_goes_on(name: str) -> None:
    board = recorded(name)
    task = board.task("t", total=9)
    eventually(lambda: recorded_view(board) is not None, "it was not recorded")
    pid = board._segment.recorder_pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(core.SILENT_SECONDS + 1)
    for _ in range(3):
        task.update()
        time.sleep(0.4)
    assert board._segment.recorder_pid == pid, "a stopped recorder was robbed"
    assert board._segment.recorder_alive
    read = recorded_view(board)
    assert read is not None
    assert read.state in ("running", "pending"), "its tasks are taken for lost"
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: getattr(recorded_view(board), "count", 0) == 3, "it does not go on")
    board.remove(files=True)


def a_group_that_is_stopped_and_goes_on_loses_nothing(name: str) -> None:
    board = board_of(name)
    task = board.task("t", total=4 * 2000)
    task.update(0)

    def count() -> None:
        for _ in range(2000):
            task.update()
            if task.count % 500 == 0:
                board.task(f"of-{os.getpid()}").succeed()

    pids = [child(count, wait=False) for _ in range(4)]
    for _ in range(20):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        view_of(board, "t")
        board.snapshot()
        assert time.monotonic() - began < 3
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.005)
    assert not any(os.waitpid(pid, 0)[1] for pid in pids)
    assert view_of(board, "t").count == 8000


# --------------------------------------------------------------------------------------------------- who is who


def a_zombie_is_dead(name: str) -> None:
    board = board_of(name)
    pid = child(lambda: board_of(name).task("t").update(4), wait=False)
    eventually(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z", "no zombie")
    view = view_of(board, "t")
    os.waitpid(pid, 0)
    assert (view.state, view.count, view.owner_pid) == ("lost", 4, pid), view


def a_raw_fork_from_c_is_somebody_else(name: str) -> None:
    """_Fork and the bare system call run no handler, neither of Python nor of the C library."""
    libc = ctypes.CDLL(None, use_errno=True)
    board = board_of(name)
    task = board.task("t")
    task.update(1)
    for how in ("_Fork", "syscall"):
        native = ctypes.PyDLL(None)  # the child has to come back with the interpreter's lock
        pid = native._Fork() if how == "_Fork" else native.syscall(57, 0, 0, 0, 0, 0)
        if pid == 0:
            task.update(10)
            libc._exit(0 if board._segment.incarnation else 1)
        assert os.waitpid(pid, 0)[1] == 0, f"{how}: the child is nobody, or failed"
        view = view_of(board, "t")
        assert any(share.pid == pid and share.count == 10 for share in view.workers_lost), (how, view.workers_lost)
    assert view_of(board, "t").count == 21
    assert view_of(board, "t").owner_alive, "the parent was taken for dead"


def daemon_threads_at_the_end_of_the_interpreter_do_no_harm(name: str) -> None:
    script = textwrap.dedent(
        """
        import sys, threading, headway
        board = headway.open(sys.argv[1])
        task = board.task("t", total=10**9)
        def work():
            while True:
                task.update()
                task.message = "on"
                board.task("u-%d" % threading.get_ident()).succeed()
                board.snapshot()
        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        import time
        time.sleep(0.15)
        """
    )
    for _ in range(6):
        done = subprocess.run(
            [sys.executable, "-c", script, name], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (done.returncode, done.stderr)
        assert not done.stderr, done.stderr
        view = view_of(board_of(name), "t")
        assert view.state == "cancelled" and view.count > 0, view  # noqa: PT018
    fresh(lambda: board_of(name).task("after").succeed())


def exceptions_in_a_tracked_loop_end_it(name: str) -> None:
    import headway

    class Broken:
        def __iter__(self) -> Broken:
            return self

        def __next__(self) -> int:
            raise error

    board = board_of(name)
    for error, state in (
        (ValueError("bad"), "failed"),
        (MemoryError(), "failed"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(0), "success"),
        (SystemExit(3), "failed"),
        (GeneratorExit(), "cancelled"),
        (RecursionError("deep"), "failed"),
    ):
        id = f"{type(error).__name__}-{getattr(error, 'code', '')}"
        with contextlib.suppress(type(error)):
            for _ in headway.track(Broken(), label=id, board=board):
                raise AssertionError("an item came")
        view = view_of(board, id)
        assert (view.state, view.count) == (state, 0), view


# ------------------------------------------------------------------------------------------------------- namespaces


def two_pid_namespaces_on_one_segment_agree_on_who_is_alive(name: str) -> None:
    """Pids of the two have nothing to do with each other; who is alive is told by locks."""
    board = board_of(name)
    script = (
        "import os, sys, time\nfrom headway.engine.board import open_board\n"
        "assert os.getpid() == 1\nboard = open_board(sys.argv[1])\n"
        "assert board.get('outer').state == 'running', board.get('outer')\n"
        "task = board.task('inner')\ntask.update(3)\nprint('up', flush=True)\ninput()\n"
    )
    board.task("outer").update()
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-c", script, name]
    inner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert inner.stdout is not None
    assert inner.stdout.readline() == "up\n"
    view = view_of(board, "inner")
    assert (view.state, view.owner_pid, view.owner_alive) == ("running", 1, True), view
    assert board.reap() == []
    inner.kill()
    inner.wait()
    eventually(lambda: view_of(board, "inner").state == "lost", "the dead of another namespace are taken for alive")
    assert view_of(board, "outer").state == "running"
    inner.stdout.close()
    assert inner.stdin is not None
    inner.stdin.close()


def a_pid_that_is_used_again_is_another_process(name: str) -> None:
    """In a namespace whose next pid can be chosen: the new process is not taken for the owner or a worker that died."""
    script = textwrap.dedent(
        """
        import os, sys, signal
        from pathlib import Path
        from headway.engine.board import open_board

        name, last = sys.argv[1], Path("/proc/sys/kernel/ns_last_pid")
        board = open_board(name, capacity=16, workers=64)
        again = 0
        for round in range(20):
            last.write_text("499")
            pid = os.fork()
            if pid == 0:
                board.task(f"old-{round}").update(round + 1)
                os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(pid, 0)
            last.write_text("499")
            reused = os.fork()
            if reused == 0:
                view = board.get(f"old-{round}")
                ok = view.state == "lost" and view.owner_pid == os.getpid() and not view.owner_alive
                task = board.task(f"old-{round}")  # not TaskExists: nobody is alive
                task.update(100)
                ok = ok and board.get(f"old-{round}").count == 100
                task.succeed()
                os._exit(0 if ok else 1)
            assert os.waitpid(reused, 0)[1] == 0, round
            again += reused == pid
        print(again)
        """
    )
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-c", script, name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 20, f"the pid was used again only {done.stdout} times"


SCENARIOS = (
    a_segment_that_is_unlinked_counts_into_the_void_says_so_once_and_the_next_open_makes_another,
    a_board_that_is_removed_says_so_once,
    a_semaphore_that_is_unlinked_costs_nothing,
    a_semaphore_without_a_token_costs_milliseconds,
    a_directory_that_is_removed_stops_nobody_and_comes_back,
    an_owner_that_is_stopped_stalls_and_is_not_lost,
    a_recorder_that_is_stopped_is_not_replaced_and_goes_on,
    a_group_that_is_stopped_and_goes_on_loses_nothing,
    a_zombie_is_dead,
    a_raw_fork_from_c_is_somebody_else,
    daemon_threads_at_the_end_of_the_interpreter_do_no_harm,
    exceptions_in_a_tracked_loop_end_it,
)
WITH_ROOT = (
    two_pid_namespaces_on_one_segment_agree_on_who_is_alive,
    a_pid_that_is_used_again_is_another_process,
)


def remove(name: str) -> None:
    board_of(name).remove(files=True)
    removal.gc([name])


def main() -> int:
    os.environ["HEADWAY_RECORD"] = "0"
    removal.GRACE_S = 0.0
    tally = Tally()
    chosen = [*SCENARIOS, *(WITH_ROOT if os.geteuid() == 0 else ())]
    if sys.argv[1:]:
        chosen = [one for one in chosen if any(word in one.__name__ for word in sys.argv[1:])]
        if not chosen:
            sys.exit(f"vanished: no scenario is named so: {' '.join(sys.argv[1:])}")
    with tempfile.TemporaryDirectory(prefix="headway-vanished-") as folder:
        os.environ["HEADWAY_DIR"] = folder
        for number, scenario in enumerate(chosen):
            name = f"v-{os.getpid()}-{number}"
            tally.held(
                scenario.__name__, name, partial(scenario, name), last=partial(remove, name), bound_s=2 * BOUND_S
            )
    return tally.report("scenarios", "" if os.geteuid() == 0 else "no root")


if __name__ == "__main__":
    sys.exit(main())
