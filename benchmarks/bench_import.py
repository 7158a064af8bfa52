"""What a process pays before it counts: every spawned worker does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.contest import Contest, Side


def python(code: str) -> Side:
    """A fresh interpreter that runs this code. What it compiles, it compiled in the round for warming up."""

    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, stdin=subprocess.DEVNULL)

    return Side(run)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import headway", id="headway"),
        pytest.param("from headway.board import open_board", id="engine"),
    ],
)
def bench_import(contest: Contest, code: str) -> None:
    """headway: the package alone; engine: with all that a worker needs to count."""
    peers = {
        "import tqdm": python("import tqdm"),
        "import multiprocessing.managers": python("import multiprocessing.managers"),
    }
    contest(python(code), {"bare Python": python("pass"), **peers}, rounds=30)
