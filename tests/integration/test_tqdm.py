"""Bars of tqdm in several processes: all on one board, and what becomes of them when a process is killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import headway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.board import Board
    from tests.conftest import RunPython

POOL = """
import multiprocessing, sys
from headway.integrations import tqdm as hw
from tqdm import tqdm

def work(number):
    kind = tqdm if number % 2 else hw.tqdm   # of the process, and of the module
    hw.install()
    for _ in kind(range(10), desc=f"part {number}", position=number, leave=False):
        pass

if __name__ == "__main__":
    hw.install(sys.argv[1])
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        for _ in tqdm(pool.imap_unordered(work, range(4)), total=4, desc="all"):
            pass
        pool.close()
        pool.join()
"""

LIVE = """
import multiprocessing, sys
import headway
from headway.integrations.tqdm import tqdm

def work(number):
    for _ in tqdm(range(10), desc=f"part {number}"):
        pass

if __name__ == "__main__":
    with headway.open(sys.argv[1]).live():
        bar = tqdm(total=2, desc="all")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            for _ in pool.imap_unordered(work, range(2)):
                bar.update()
            pool.close()
            pool.join()
        bar.close()
"""

KILLED = """
import os, signal, sys
from headway.integrations.tqdm import install, process_map, tqdm

def work(number):
    for item in tqdm(range(50), desc="in a worker"):
        if item == 20:
            os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    import multiprocessing
    multiprocessing.set_start_method(sys.argv[2])
    install(sys.argv[1])
    process_map(work, range(1), max_workers=1, desc="map")
"""

FORK = """
import os, sys
import headway
from headway.integrations.tqdm import install, tqdm

install(sys.argv[1])
bar = tqdm(total=4, desc="forked over")
bar.update(2)
child = os.fork()
if not child:
    bar.update(2)
    bar.refresh()
    bar.close()
    for _ in tqdm(range(3), desc="of the child"):
        pass
    os._exit(0)
os.waitpid(child, 0)
view = headway.open(sys.argv[1]).get("forked over")
print(view.state, view.count)
bar.update(2)
bar.close()
"""


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    """The board of a program, watched by this process."""
    with headway.open(board_name) as board:
        yield board
        board.remove()


def found(board: Board) -> dict[str, tuple[str, int, int | None]]:
    return {task.id: (task.state, task.count, task.total) for task in board}


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_bars_of_a_pool_are_on_the_board_of_their_parent(run_python: RunPython, board: Board, start: str) -> None:
    done = run_python(POOL, board.name, start)
    assert "Warning" not in done.stderr
    parts = {f"part {number}": ("success", 10, 10) for number in range(4)}
    assert found(board) == {"all": ("success", 4, 4), **parts}
    assert len({task.owner_pid for task in board}) >= 2


def test_workers_use_the_board_that_their_parents_bars_are_on_though_nobody_named_it(
    run_python: RunPython, board: Board
) -> None:
    run_python(LIVE, board.name)
    assert found(board) == {"all": ("success", 2, 2), "part 0": ("success", 10, 10), "part 1": ("success", 10, 10)}


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_the_bar_of_a_killed_worker_reads_lost_and_that_of_its_map_failed(
    run_python: RunPython, board: Board, start: str
) -> None:
    done = run_python(KILLED, board.name, start, check=False)
    assert done.returncode == 1
    id = "map/in a worker" if start == "fork" else "in a worker"  # a fork is still in the block of the map's bar
    assert {task.id: task.state for task in board} == {"map": "failed", id: "lost"}
    assert found(board)[id] == ("lost", 20, 50)
    view = board.get("map")
    assert view is not None
    assert view.error is not None
    assert view.error.startswith("BrokenProcessPool: ")


def test_a_bar_belongs_to_the_process_that_made_it(run_python: RunPython, board: Board) -> None:
    done = run_python(FORK, board.name)
    assert done.stdout == "running 2\n"
    assert found(board) == {"forked over": ("success", 4, 4), "of the child": ("success", 3, 3)}


def test_a_program_that_nobody_told_of_a_board_has_its_own(run_python: RunPython, headway_dir: Path) -> None:
    script = "from headway.integrations.tqdm import trange\nfor _ in trange(3, desc='loop'): pass\n"
    run_python(script)
    (directory,) = headway_dir.iterdir()
    assert directory.name.startswith("script_")
    (task,) = headway.read(directory.name).tasks
    assert (task.id, task.state, task.count) == ("loop", "success", 3)
