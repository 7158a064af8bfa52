"""Hundreds of workers begin to count on one task at the same moment: each has a counter of its own.

The workers are threads that take themselves for processes (many_workers.c), because 512 processes that do nothing else
need more memory than a small machine has; tests/unit/native/test_blocks.py has the real ones.
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

import pytest

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


def test_more_than_a_task_can_have_share_a_counter_and_the_count_is_exact(program: Path) -> None:
    done = subprocess.run([program, "560", "0"], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["count"] == said["total"] == 2 * sum(range(1, 561))
    assert said["shared"] == 560 - 518
    assert len(said["shares"]) == 518
    assert sum(not known for _, _, known, _ in said["shares"]) in range(1, 9)
