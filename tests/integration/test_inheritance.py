"""What a process inherits or loses: descriptors, rights, its root. It goes on, and nobody is robbed."""

from __future__ import annotations

import os
import subprocess
import sys
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
    ["os.closerange(3, 4096)", ATTACHED_TWICE],
    ids=["closed", "attached twice"],
)
def test_who_lost_all_descriptors_is_alive_to_everybody_at_once_and_never_robbed(
    loss: str, run_python: RunPython, board_name: str
) -> None:
    body = f"""
{loss}
assert other(ROB).split() == ["running", "True", "kept"]
assert task.state == "running" and board.get("job").state == "running"  # reads open it again
task.update()
task.message = "on"
assert task.count == 2
"""
    run_python(BEGIN + body, board_name)


STREAMS = """
import os, sys
from headway.engine.board import open_board

def of_boards():
    found = []
    for fd in (0, 1, 2):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    return [path for path in found if "headway" in path or sys.argv[1] in path]

import fcntl, headway.process.live  # what loads more modules
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
with open(result, "w") as file:
    file.write(f"{found}")
"""


@pytest.mark.parametrize("how", ["<&- >&- 2>&-", "<&-", "2>&-"])
def test_no_descriptor_is_one_of_the_standard_streams_that_were_closed(
    how: str, board_name: str, tmp_path: Path
) -> None:
    program, result = tmp_path / "program.py", tmp_path / "result"
    program.write_text(STREAMS)
    command = ["sh", "-c", f'exec "$0" "$@" {how}', sys.executable, str(program), board_name, str(result)]
    subprocess.run(command, check=True, timeout=60)
    assert result.read_text() == "[]"
    assert [view.count for view in open_board(board_name, record=False).tasks()] == [2]


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
    loss = (
        "for fd in {*range(3, 256)}.difference(pipes): os.dup2(0, fd)" if how == "closed" else GIVE_UP.get(how, "pass")
    )
    body = f"""
def work():
    mine = board.task("mine").adopt()
    mine.update()
    {loss}

killed_beside_an_idle_child(work, raw={how == "raw"})
print(board.get("mine").state)
board.task("mine").succeed()
"""
    assert run_python(BEGIN + body, board_name).stdout.split() == ["lost"]


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
first = board._segment.incarnation

def work():
    assert board._segment.incarnation == 0
    task.update()
    assert board._segment.incarnation not in (0, first)
    board.task("mine").adopt().update()

killed_beside_an_idle_child(work)
print(task.count, task.state, board.get("mine").state)
"""
    done = run_python(BEGIN + body, board_name, env={"LD_PRELOAD": str(shim)})
    assert done.stdout.split() == ["2", "running", "lost"]
