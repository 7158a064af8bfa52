"""The helper that draws, as the program has it: whatever the program does to its descriptors, its own work goes on."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from headway.process import live, pidfd

if TYPE_CHECKING:
    from tests.conftest import RunPython

SHOWN = """
import os, resource, socket, sys
import headway

resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
board = headway.open(sys.argv[1], capacity=8, record=False)
"""

MANY = f"""{SHOWN}
many = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
with board.live(), board.task("one", total=1) as task:
    task.update()
board.remove(files=True)
print("done")
"""

CLOSED = f"""{SHOWN}
with board.live(), board.task("one", total=1) as task:
    os.closerange(3, 256)
    task.update()
board.remove(files=True)
print("done")
"""

TAKEN = f"""{SHOWN}
with board.live(), board.task("one", total=1) as task:
    os.closerange(3, 256)
    ours = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(20)]
    task.update()
for one, other in ours:
    one.setblocking(False)
    other.setblocking(False)
    for end in (one, other):
        try:
            raise SystemExit(f"a socket of the program got {{end.recv(16)!r}}")
        except BlockingIOError:
            pass
board.remove(files=True)
print("done")
"""


STOPPED = f"""{SHOWN}
import fcntl, pty, termios

terminal, ours = pty.openpty()
termios.tcsetwinsize(ours, (24, 80))
fcntl.ioctl(ours, termios.TIOCSCTTY, 0)
sys.stderr = os.fdopen(ours, "w")
with board.live(), board.task("one", total=1) as task:
    termios.tcflow(ours, termios.TCOOFF)
    task.update()
board.remove(files=True)
print("done", flush=True)
os._exit(0)
"""


def test_a_terminal_that_is_stopped_does_not_stop_the_program(run_python: RunPython, board_name: str) -> None:
    """Ctrl-S, for example: neither the helper nor who tidies up after it can write then."""
    assert run_python(STOPPED, board_name).stdout == "done\n"


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(MANY, id="has more than a thousand open"),
        pytest.param(CLOSED, id="closes all of them"),
        pytest.param(TAKEN, id="closes all of them and opens sockets of its own"),
    ],
)
def test_live_bars_end_in_good_order_in_a_program_that(program: str, run_python: RunPython, board_name: str) -> None:
    done = run_python(program, board_name)
    assert done.stdout == "done\n"
    assert "Traceback" not in done.stderr


def test_a_descriptor_of_another_process_is_not_taken_for_the_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 6.9 all descriptors of processes are one file by what `fstat` says."""
    helper, other = subprocess.Popen(["sleep", "60"]), subprocess.Popen(["sleep", "60"])
    try:
        descriptor = pidfd.open_pidfd(helper.pid)
        if descriptor < 0:
            pytest.skip("no descriptors of processes here")
        known = live.Helper.__new__(live.Helper)
        known._helper, known._told, known._files = descriptor, pidfd.told_by(descriptor), [(0, 0)]
        monkeypatch.setattr(live, "_file_of", lambda _: (0, 0))
        assert known._has(descriptor)
        theirs = os.pidfd_open(other.pid)
        os.dup2(theirs, descriptor)
        os.close(theirs)
        assert not known._has(descriptor)
        with open(os.devnull) as null:
            os.dup2(null.fileno(), descriptor)
        assert not known._has(descriptor)
        os.close(descriptor)
        descriptor = known._helper = pidfd.open_pidfd(helper.pid)
        helper.kill()
        helper.wait()
        assert known._has(descriptor), "it has ended, and its descriptor is to be closed"
        os.close(descriptor)
    finally:
        for process in (helper, other):
            process.kill()
            process.wait()
