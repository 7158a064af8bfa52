"""What boards take of /dev/shm, where there is little of it: the 64 MiB that a container has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headway.native import core
from headway.tasks import checks

CONTAINER = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"', "sh")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount in a namespace of its own")

FIVE = """
import os, sys
import headway

boards = [headway.open(f"{sys.argv[1]}-{n}", record=False) for n in range(5)]
for board in boards:
    assert board._segment.capacity == 1024
    for n in range(1024):  # each of its pages can be written
        board.task(f"task-{n}").result = {"n": "x" * 2000}
room = os.statvfs("/dev/shm")
print(room.f_bfree * room.f_frsize)
for board in boards:
    board.remove()
"""

# Programs, each of a name of its own, that have a loop at the same moment; forked, as forty need a lot of memory.
FORTY = """
import os, sys, time
from pathlib import Path
import headway

here, went = os.pipe(), os.pipe()
children = []
for n in range(int(sys.argv[1])):
    if not (pid := os.fork()):
        sys.argv[0] = f"{sys.argv[2]}-{n}.py"
        for item in headway.track(range(3), label="items"):
            if item == 0:
                os.write(here[1], b".")
                os.close(went[1])
                os.read(went[0], 1)  # until all are there
        os._exit(0)
    children.append(pid)
for _ in children:
    os.read(here[0], 1)
segments = [path for path in Path("/dev/shm").iterdir() if path.name.startswith("headway-")]
sizes = [path.stat() for path in segments]
print(len(sizes), sum(one.st_size for one in sizes), sum(one.st_blocks * 512 for one in sizes))
os.close(went[1])
print(*{os.waitpid(pid, 0)[1] for pid in children})
"""


def in_a_container(script: str, *arguments: str, headway_dir: Path) -> list[str]:
    environment = {**os.environ, "HEADWAY_DIR": str(headway_dir), "HEADWAY_RECORD": "0", "HEADWAY_BARS": "0"}
    environment.pop("HEADWAY_BOARD", None)
    command = [*CONTAINER, sys.executable, "-W", "error", "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_a_loop_opens_takes_less_than_a_mebibyte_and_forty_of_them_forty() -> None:
    assert core.segment_bytes(**checks.board_geometry(**checks.LOOPS)) < 2**20
    assert 40 * core.segment_bytes(**checks.board_geometry(**checks.LOOPS)) <= 40 * 2**20


def test_five_boards_of_the_default_size_take_less_than_a_container_has() -> None:
    assert 5 * core.segment_bytes(**checks.board_geometry()) < 64 * 2**20 - 5 * 2 * 4096


@needs_root
@pytest.mark.slow
def test_five_boards_of_the_default_size_fit_into_a_container(board_name: str, headway_dir: Path) -> None:
    (free,) = in_a_container(FIVE, board_name, headway_dir=headway_dir)
    assert int(free) > 0


@needs_root
def test_forty_programs_with_a_loop_each_fit_into_a_container(board_name: str, headway_dir: Path) -> None:
    there, ended = in_a_container(FORTY, "40", board_name, headway_dir=headway_dir)
    segments, size, reserved = map(int, there.split())
    assert segments == 40, "none of them goes on without a board"
    assert size <= 40 * 2**20
    assert reserved >= size, "a page that is not reserved is a SIGBUS one day"
    assert ended == "0"


def test_a_board_that_somebody_named_or_opened_has_the_default_size_for_loops_too(
    board_name: str, headway_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import headway

    del headway_dir
    monkeypatch.delenv("HEADWAY_BOARD", raising=False)
    monkeypatch.setattr(sys, "argv", [f"{board_name}.py"])
    list(headway.track(range(1)))
    board = headway.open(record=False)
    assert board._segment.capacity == checks.LOOPS["capacity"], "made for loops alone"
    board.write_snapshot()
    board.remove(files=False)
    list(headway.track(range(1)))
    board = headway.open(record=False)
    assert board._segment.capacity == 1024, "somebody has opened it, so the next one has room for more"
    board.remove()
    list(headway.track(range(1), board=f"{board_name}-2"))
    board = headway.open(f"{board_name}-2", record=False)
    assert board._segment.capacity == 1024
    board.remove()
