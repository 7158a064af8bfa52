"""CPU time of imports before a process counts or a command answers, with cached byte code."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from benchmarks.building import BUILD
from benchmarks.contest import Contest, Side


def command(*words: str) -> Side:
    """CPU time of a program from its start to its end. Byte code is cached in the warm-up round, whatever the
    environment says, as for an installed package.
    """

    def run() -> float:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = str(BUILD / "compiled")
        quiet = subprocess.DEVNULL
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(words, check=True, stdin=quiet, stdout=quiet, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return Side(run, timed=True)


def python(code: str) -> Side:
    """A fresh interpreter that runs this code."""
    return command(sys.executable, "-c", code)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import headway", id="headway"),
        pytest.param("from headway.engine.board import open_board", id="engine"),
    ],
)
def bench_import(contest: Contest, code: str) -> None:
    """headway: the package alone; engine: with everything that a worker needs to count."""
    peers = {
        "import tqdm": python("import tqdm"),
        "import multiprocessing.managers": python("import multiprocessing.managers"),
    }
    contest(python(code), {"bare Python": python("pass"), **peers}, rounds=30)
