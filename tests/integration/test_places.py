"""Programs in other containers and under other names of the host: they are told apart, and find each other."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunPython

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")

CONTAINER = ("unshare", "--mount", "--uts", "sh", "-c", 'mount -t tmpfs tmpfs /dev/shm && hostname "$0" && exec "$@"')
OPEN = """
import sys
import headway
try:
    board = headway.open(sys.argv[1], capacity=4, record=False)
except headway.errors.BoardElsewhere as error:
    print(error, flush=True)
else:
    print("opened", flush=True)
    sys.stdin.read()
    board.close()
"""


def in_container(host: str, *arguments: str) -> subprocess.Popen[str]:
    """Run a Python program in a /dev/shm of its own, on a host of this name."""
    return subprocess.Popen(
        [*CONTAINER, host, sys.executable, "-c", *arguments], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_of_containers_with_one_directory_the_second_is_refused_also_without_a_recorder(board_name: str) -> None:
    with in_container("first", OPEN, board_name) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "opened\n"
        with in_container("second", OPEN, board_name) as second:
            said, _ = second.communicate(timeout=60)
        assert f"board {board_name!r} is in use by pid" in said
        assert "on first" in said
        first.communicate(timeout=60)
    with in_container("third", OPEN, board_name) as third:  # nobody uses it any more
        assert third.communicate(timeout=60)[0] == "opened\n"


RENAMED = """
import os, subprocess, sys
import headway
name = sys.argv[1]
board = headway.open(name, capacity=4, record=False)
board.task("t").update(3)
subprocess.run(["hostname", "elsewhere"], check=True)
assert headway.open(name, capacity=4) is board, "the process keeps the place that it found"
other = "import headway, sys; print([task.count for task in headway.open(sys.argv[1], record=False).tasks()])"
assert subprocess.check_output([sys.executable, "-c", other, name]) == b"[3]\\n"
shown = subprocess.check_output([sys.executable, "-m", "headway", "show", name], text=True)
assert "live from shared memory" in shown, shown
assert name in subprocess.check_output([sys.executable, "-m", "headway", "ls"], text=True)
board.remove()
assert not os.path.exists(board.directory)
"""


def test_a_board_in_use_is_found_under_the_hosts_next_name(board_name: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("HEADWAY_DIR", "XDG_STATE_HOME")}
    done = subprocess.run(
        ["unshare", "--uts", sys.executable, "-c", RENAMED, board_name],
        env=environment | {"HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


WITHOUT_PIDFD = """
import os, sys
del os.pidfd_open
import headway
with headway.open(sys.argv[1], capacity=4, record=False) as board:
    with board.live(), board.task("counted", total=2) as task:
        task.update(2)
    for _ in headway.track(range(2), "looped", board=board):
        pass
    board.remove()
"""


def test_live_bars_need_no_descriptor_of_a_process(board_name: str, run_python: RunPython) -> None:
    done = run_python(WITHOUT_PIDFD, board_name)
    assert "no live bars" not in done.stderr
    assert board_name in done.stderr
    assert "looped" in done.stderr
