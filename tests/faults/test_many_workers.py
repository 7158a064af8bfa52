"""Hundreds of workers begin to count on one task at the same moment: each has a counter of its own.

The workers are threads that take themselves for processes (many_workers.c), or real ones (workers_at_once.py).
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunPython

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "src" / "headway"
DEAD = 3


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("many") / "many_workers"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    command = [compiler, "-std=gnu11", "-O2", "-w", "-D_GNU_SOURCE", "-pthread"]
    paths = [f"-I{PACKAGE / 'include'}", f"-I{PACKAGE / 'native'}", str(HERE / "many_workers.c"), "-o", str(binary)]
    subprocess.run([*command, *paths], check=True, timeout=500)
    return binary


@pytest.mark.parametrize("workers", [8, 24, 64, 512])
def test_workers_that_begin_at_once_have_a_counter_each_and_the_dead_are_named_with_their_shares(
    workers: int, program: Path
) -> None:
    done = subprocess.run([program, str(workers), str(DEAD)], capture_output=True, text=True, timeout=500, check=True)
    said = json.loads(done.stdout)
    assert said["shared"] == 0
    assert said["count"] == said["total"] == 2 * sum(range(1, workers + 1))
    assert {known for _, _, known, _ in said["shares"]} == {1}
    assert sorted(share for _, share, _, _ in said["shares"]) == [2 * n for n in range(1, workers + 1)]
    dead = {share for _, share, _, alive in said["shares"] if not alive}
    assert dead == {2 * (1 + n * (workers // DEAD)) for n in range(DEAD)}
    assert len({worker for worker, *_ in said["shares"]}) == workers


def test_all_who_died_of_five_hundred_and_twelve_workers_are_named(program: Path) -> None:
    done = subprocess.run([program, "512", "511"], capture_output=True, text=True, timeout=500, check=True)
    said = json.loads(done.stdout)
    assert sorted(share for _, share, _, alive in said["shares"] if not alive) == [2 * n for n in range(1, 512)]


@pytest.mark.parametrize(("workers", "blocks"), [(3, 4), (100, 8)])
def test_a_task_whose_workers_die_and_are_replaced_all_day_has_hardly_more_counters_than_workers(
    workers: int, blocks: int, program: Path
) -> None:
    """Ten thousand of them; and another task beside it finds counters for all of its workers."""
    command = [str(program), str(workers), "10000", "100", "die"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    first, second = said["first"], said["second"]
    assert first["count"] == first["total"] == said["acknowledged"]
    assert first["blocks"] <= blocks
    assert first["dead"] + first["left_out"] == 10_000, "each is named or counted"
    assert first["unknown"] == second["unknown"] == said["shared"] == 0, "whose counter is another's now, shares none"
    assert said["last"] == [10_000, "it died of this"], "who died last is named with its share and its item"
    assert (second["count"], second["told"], second["blocks"]) == (100, 100, 7)


def test_more_than_a_task_can_have_share_a_counter_and_the_count_is_exact(program: Path) -> None:
    done = subprocess.run([program, "560", "0"], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["count"] == said["total"] == 2 * sum(range(1, 561))
    assert said["shared"] == 560 - 518
    assert len(said["shares"]) == 518
    assert sum(not known for _, _, known, _ in said["shares"]) in range(1, 9)


@pytest.mark.parametrize(("workers", "history"), [(16, 0), (24, 1)])
def test_blocks_of_tasks_that_have_ended_come_back_when_they_are_needed(
    workers: int, history: int, program: Path
) -> None:
    """Three times as many tasks as the pool has blocks, all still on the board: with a history, and without one."""
    said = one_after_the_other(program, workers, 3 * 290, history)
    assert said["pool"] == 290
    assert said["shared"] == 0
    assert said["kept"] <= 290, "the last ones"
    assert said["late"] == 2 * workers * said["kept"], "what is closed takes no more counts"
    assert said["links"] == 0, "nobody borrows a block for a task that is closed"
    assert said["listed"] >= 16 * 3 * 290, "eight by their counters in the slot, and eight of the others"


def test_who_counted_how_much_is_kept_as_long_as_the_history_does_not_have_it(program: Path) -> None:
    said = one_after_the_other(program, 16, 300, 2)
    assert said["kept"] == 290
    assert said["shared"] > 0


@pytest.mark.parametrize("times", [2000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_no_stale_handle_counts_on_a_task_of_64_workers_that_is_freed_and_begun_anew(times: int, program: Path) -> None:
    command = [str(program), "64", str(times), "8", "again"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["refused"] == 64 * (2 * times - 3), "by each worker, with one of the latest handles and an older one"
    assert said["shared"] < times, "blocks rest, and threads may be quicker than that"
    assert said["block"] < 2**16, "no tag came again"


@pytest.mark.parametrize(
    ("workers", "method"),
    [
        (24, "fork"),
        (64, "fork"),
        pytest.param(24, "spawn", marks=pytest.mark.slow),
        pytest.param(64, "spawn", marks=pytest.mark.slow),
        pytest.param(512, "fork", marks=pytest.mark.slow),
    ],
)
def test_real_processes_have_exact_shares_and_those_that_are_killed_are_named(
    workers: int, method: str, run_python: RunPython
) -> None:
    options = ("--workers", str(workers), "--method", method)
    environment = {"PYTHONPATH": str(HERE.parents[1])}
    said = json.loads(run_python(HERE / "workers_at_once.py", *options, env=environment, timeout_s=280).stdout)
    assert (said["tried"], said["failed"]) == (workers, 0)


def one_after_the_other(program: Path, workers: int, tasks: int, history: int) -> dict[str, int]:
    command = [str(program), str(workers), str(tasks), str(history)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, int] = json.loads(done.stdout)
    return said
