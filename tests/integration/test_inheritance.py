"""What a process inherits or loses: descriptors, rights, its root, threads with locks. It goes on; nobody is robbed."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from headway.engine.board import open_board
from tests.integration.forking import BEGIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunPython

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving up rights needs root")


@pytest.fixture(autouse=True)
def put_away(board_name: str) -> Iterator[None]:
    """Remove the board, which most of these programs leave: they are killed, or have no rights to do it."""
    yield
    open_board(board_name, record=False).remove()


# ------------------------------------------------------------------------------------------------ descriptors are lost

ATTACHED_TWICE = """
twice = segments.attach(segments.object_name(board.name, board._segment.uuid), watching=True)
fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[-3:]
os.closerange(3, 4096)
while os.open("/dev/null", os.O_RDONLY) < fds[0]: pass
assert twice.find("job") and not twice.dead(1)
"""


@pytest.mark.parametrize(
    "loss",
    [
        "os.closerange(3, 4096)",
        "for fd in range(3, 64): os.dup2(0, fd)",
        ATTACHED_TWICE,
    ],
    ids=["closed", "overwritten", "attached twice"],
)
def test_who_lost_all_descriptors_is_alive_to_everybody_at_once_and_never_robbed(
    loss: str, run_python: RunPython, board_name: str
) -> None:
    body = f"""
{loss}
assert other(ROB).split() == ["running", "True", "kept"], other(ROB)
assert task.state == "running" and board.get("job").state == "running"  # reads open it again
task.update()
task.message = "on"
assert other(ROB).split() == ["running", "True", "kept"]
assert task.count == 2
"""
    run_python(BEGIN + body, board_name)


def test_who_lost_all_descriptors_and_dies_is_lost(run_python: RunPython, board_name: str) -> None:
    body = """
def work():
    mine = board.task("mine").adopt()
    mine.update()
    os.closerange(3, 4096)
    os.kill(os.getpid(), signal.SIGKILL)

os.waitpid(child(work), 0)
print(board.get("mine").state, other("print(board.get('mine').state)"))
"""
    assert run_python(BEGIN + body, board_name).stdout.split() == ["lost", "lost"]


STREAMS = """
import os, stat, subprocess, sys
if "closed before" in sys.argv:
    os.closerange(0, 3)
from headway.engine.board import open_board

def of_boards():
    found = []
    for fd in (0, 1, 2):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    return [path for path in found if "headway" in path or sys.argv[1] in path]

import fcntl, headway.process.live
name, result = sys.argv[1:3]
found = []
board = open_board(name, record=False)
task = board.task("job", total=9)
task.update()
found += of_boards()
for fd in (1, 2):
    try:
        os.write(fd, b"a traceback, or what a library has to say" * 4)
    except OSError:
        pass
task.update()
task.succeed()
board.write_snapshot()
found += of_boards()
look = "from headway.engine.board import open_board; import sys; " \\
    "print(open_board(sys.argv[1], record=False).get('job').count)"
devnull = open(os.devnull, "r+")
done = subprocess.run(
    [sys.executable, "-c", look, name], stdin=devnull, stdout=subprocess.PIPE, stderr=devnull, text=True
)
with open(result, "w") as file:
    file.write(f"{found} {done.stdout.strip()}")
"""


@pytest.mark.parametrize("how", ["<&- >&- 2>&-", ">&- 2>&-", "<&-", "2>&-", "closed before"])
def test_no_descriptor_is_one_of_the_standard_streams_that_were_closed(
    how: str, run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(STREAMS)
    body = f"""
import subprocess, sys
program, result = sys.argv[2] + "/program.py", sys.argv[2] + "/result"
closed = "" if {how!r} == "closed before" else {how!r}
subprocess.run(["sh", "-c", f'exec "$0" "$@" {{closed}}', sys.executable, program, sys.argv[1], result, {how!r}])
print(open(result).read())
"""
    assert run_python(body, board_name, str(tmp_path)).stdout.strip().endswith("[] 2")


# -------------------------------------------------------------------------------------------------- rights are given up

GIVE_UP = {
    "setuid": "os.setgid(65534); os.setuid(65534)",
    "seteuid": "os.seteuid(65534)",
    "chroot": "jail = os.environ['HEADWAY_DIR'] + '/jail'; os.mkdir(jail); os.chroot(jail); os.chdir('/')",
}


@needs_root
@pytest.mark.parametrize("how", GIVE_UP)
def test_children_count_and_write_after_their_parent_gave_up_what_it_opened_the_board_with(
    how: str, run_python: RunPython, board_name: str
) -> None:
    """And their own children, each of them somebody of its own, whose death is seen."""
    body = f"""
warnings.simplefilter("error")
{GIVE_UP[how]}

def grandchild():
    task.update(100)
    assert board._segment.incarnation not in (0, parent, board_of_child)

def work():
    global board_of_child
    task.update(10)
    board_of_child = board._segment.incarnation
    assert board_of_child not in (0, parent)
    task.message = "hi"
    assert os.waitpid(child(grandchild), 0)[1] == 0
    assert not board._segment.dead(parent)
    mine = board.task("mine").adopt()
    mine.update()
    os.kill(os.getpid(), signal.SIGKILL)

parent = board._segment.incarnation
assert os.waitpid(child(work), 0)[1] == signal.SIGKILL
assert task.count == 111 and task.message == "hi", task.count
assert board.get("mine").state == "lost"
print("done", flush=True)
os._exit(0)
"""
    assert run_python(BEGIN + body, board_name).stdout.split() == ["done"]


@pytest.mark.parametrize("how", ["fork", "raw", "closed", *(pytest.param(one, marks=needs_root) for one in GIVE_UP)])
def test_an_idle_child_does_not_keep_its_dead_parent_alive(how: str, run_python: RunPython, board_name: str) -> None:
    body = f"""
ready, told = os.pipe()
stop, stopped = os.pipe()

def parent():
    mine = board.task("mine").adopt()
    mine.update()
    {GIVE_UP.get(how, "pass" if how != "closed" else "os.closerange(64, 4096)")}
    pid = ctypes.CDLL(None).syscall(57) if {how!r} == "raw" else os.fork()
    if not pid:
        os.write(told, b"x")
        os.close(stopped)
        os.read(stop, 1)
        os._exit(0)
    os.read(ready, 1)
    os.kill(os.getpid(), signal.SIGKILL)

os.waitpid(child(parent), 0)
print(board.get("mine").state)
board.task("mine").succeed()
os.close(stopped)
"""
    assert run_python(BEGIN + body, board_name).stdout.split() == ["lost"]


# ------------------------------------------------------------------------------------------------ the end of a process


@pytest.mark.parametrize("imported", ["first", "after"])
def test_exit_handlers_of_the_program_count_whenever_they_were_registered(
    imported: str, run_python: RunPython, board_name: str
) -> None:
    body = f"""
import atexit, sys
def finish():
    task.update()
    task.succeed()
    print(task.state, task.count, repr(board.get("job").error), board._segment.dead(board._segment.incarnation))
{"import headway.engine.board" if imported == "first" else ""}
atexit.register(finish)
from headway.engine.board import open_board
board = open_board(sys.argv[1], record=False)
task = board.task("job").adopt()
task.update()
other = board.task("left").adopt()
"""
    done = run_python(body, board_name)
    assert done.stdout.split() == ["success", "2", "''", "False"]
    look = """
import sys
from headway.engine.board import open_board
board = open_board(sys.argv[1], record=False)
print(board.get("job").state, board.get("left").error)
"""
    assert run_python(look, board_name).stdout.split("\n")[0] == "success left open at exit"


def test_a_board_that_is_first_opened_in_an_exit_handler_is_left_in_good_order(
    run_python: RunPython, board_name: str
) -> None:
    body = """
import atexit, sys
def begin():
    from headway.engine.board import open_board
    open_board(sys.argv[1], record=False).task("late").adopt().update()
atexit.register(begin)
"""
    run_python(body, board_name)
    look = """
import sys
from headway.engine.board import open_board
print(open_board(sys.argv[1], record=False).get("late").state)
"""
    assert run_python(look, board_name).stdout.split() == ["cancelled"]


@pytest.mark.parametrize("want", ["descriptors", "memory"])
def test_a_program_that_ends_for_want_of_something_shows_its_own_error_and_no_other(
    want: str, run_python: RunPython, board_name: str
) -> None:
    body = f"""
import resource, sys
import headway
kept = []
for number in headway.track(range(100_000), board=sys.argv[1]):
    if number == 1 and {want!r} == "descriptors":
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    if number == 1 and {want!r} == "memory":
        used = int(open("/proc/self/statm").read().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), used + (4 << 20)))
    kept.append(open("/dev/null") if {want!r} == "descriptors" else bytearray(1 << 20))
"""
    done = run_python(body, board_name, check=False)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    assert ("Too many open files" if want == "descriptors" else "MemoryError") in done.stderr


# ------------------------------------------------------------------------------------------- signals, locks, forks


def test_a_signal_handler_that_opens_the_board_being_made_is_told_so_at_once(
    run_python: RunPython, board_name: str
) -> None:
    body = """
import os, signal, sys, time
from headway import errors
from headway.engine import segments
from headway.engine.board import open_board

def handler(number, frame):
    try:
        open_board(sys.argv[1], record=False)
    except errors.LockTimeout as error:
        said.append((time.monotonic() - began < 5, "this very thread" in str(error)))

def interrupted(*arguments):
    os.kill(os.getpid(), signal.SIGUSR1)
    return original(*arguments)

said, original, began = [], segments.end_unfinished, time.monotonic()
segments.end_unfinished = interrupted  # called under the lock
signal.signal(signal.SIGUSR1, handler)
board = open_board(sys.argv[1], record=False)
assert open_board(sys.argv[1], record=False) is board
print(said)
"""
    assert run_python(body, board_name).stdout.strip() == "[(True, True)]"


def test_a_child_that_was_forked_under_a_file_lock_does_not_hold_it_for_its_dead_parent(
    run_python: RunPython, board_name: str
) -> None:
    body = """
import threading
from headway.system import locks
ready, told = os.pipe()
stop, stopped = os.pipe()

def parent():
    held = threading.Event()

    def hold():
        with locks.locked(board.directory):
            held.set()
            time.sleep(60)

    threading.Thread(target=hold, daemon=True).start()
    held.wait()

    def idle():
        os.write(told, b"x")
        os.close(stopped)
        os.read(stop, 1)

    child(idle)
    os.read(ready, 1)
    os.kill(os.getpid(), signal.SIGKILL)

os.waitpid(child(parent), 0)
with locks.locked(board.directory, wait_s=1.0):
    print("free")
os.close(stopped)
"""
    assert run_python(BEGIN + body, board_name).stdout.split() == ["free"]


# ---------------------------------------------------------------------------- kernels that do less than they are told

SHIM = """
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
int madvise(void *at, size_t bytes, int advice) {
    (void)at, (void)bytes, (void)advice;
    errno = EINVAL;
    return ANSWER;
}
"""


@pytest.mark.parametrize("answer", ["0", "-1"], ids=["ignored", "refused"])
def test_children_are_somebody_else_where_the_kernel_wipes_no_page_and_hands_every_mapping_on(
    answer: str, run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    """Emulators ignore what they are told about memory; old kernels and sandboxes refuse it."""
    (tmp_path / "shim.c").write_text(SHIM)
    shim = tmp_path / "shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", f"-DANSWER={answer}", "-o", shim, tmp_path / "shim.c"], check=True)
    body = """
ready, told = os.pipe()
stop, stopped = os.pipe()
first = board._segment.incarnation

def parent():
    assert board._segment.incarnation == 0
    task.update()
    assert board._segment.incarnation not in (0, first)
    board.task("mine").adopt().update()

    def idle():
        os.write(told, b"x")
        os.close(stopped)
        os.read(stop, 1)

    child(idle)
    os.read(ready, 1)
    os.kill(os.getpid(), signal.SIGKILL)

os.waitpid(child(parent), 0)
print(task.count, task.state, board.get("mine").state)
os.close(stopped)
"""
    done = run_python(BEGIN + body, board_name, env={"LD_PRELOAD": str(shim)})
    assert done.stdout.split() == ["2", "running", "lost"]
