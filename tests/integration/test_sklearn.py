"""Searches of scikit-learn whose candidates other processes fit, seen by the callback, and one that kills a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import headway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.board import Board
    from tests.conftest import RunPython

pytestmark = pytest.mark.timeout(300)  # three processes import scikit-learn
RUN_S = 250

SEARCH = """
import os, signal, sys
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from headway.integrations.sklearn import HeadwayCallback

class Model(LogisticRegression):
    def fit(self, X, y):
        if self.C == 4.0 and len(y) < 60:
            if sys.argv[2] == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("too much")
        return super().fit(X, y)

if __name__ == "__main__":
    X = np.random.default_rng(0).normal(size=(60, 5))
    y = (X[:, 0] > 0).astype(int)
    search = GridSearchCV(Model(), {"C": [0.1, 1.0, 2.0, 4.0]}, cv=3, n_jobs=2, error_score=0.0)
    search.set_callbacks(HeadwayCallback(label="all", board=sys.argv[1]))
    try:
        print(search.fit(X, y).best_params_["C"] in (0.1, 1.0, 2.0), os.getpid())
    except Exception as error:
        print(type(error).__name__, os.getpid())
"""


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    """The board of a program, watched by this process."""
    with headway.open(board_name) as board:
        yield board
        board.remove()


def test_a_search_is_counted_by_its_workers_and_what_failed_in_them_ends_with_it(
    run_python: RunPython, board: Board
) -> None:
    done = run_python(SEARCH, board.name, "raised", timeout_s=RUN_S)
    good, pid = done.stdout.split()
    assert good == "True"
    tasks = {task.id: task for task in board}
    whole, search = tasks.pop("all"), tasks.pop("all/search")
    assert (whole.state, whole.count, whole.total, whole.owner_pid) == ("success", 2, 2, int(pid))
    assert (search.state, search.count, search.total) == ("success", 12, 12)
    counters = {share.pid for share in search.workers if share.count}
    assert len(counters - {int(pid)}) >= 1, "they themselves, not the program for them"
    refit = tasks.pop("all/refit-with-best-params (Model)")
    assert (refit.state, refit.owner_pid) == ("success", int(pid))
    assert len(tasks) == 9, "a Model that raises before its first iteration tells of none"
    assert all(task.state == "success" and task.owner_pid != int(pid) for task in tasks.values())


def test_a_search_whose_worker_is_killed_has_failed_and_leaves_nothing_open(
    run_python: RunPython, board: Board
) -> None:
    name, _ = run_python(SEARCH, board.name, "killed", timeout_s=RUN_S).stdout.split()
    assert name == "TerminatedWorkerError"
    tasks = {task.id: task for task in board}
    assert tasks["all"].state == tasks["all/search"].state == "failed"
    assert tasks["all"].error is not None
    assert tasks["all"].error.startswith("TerminatedWorkerError: ")
    assert not board.tasks("running")
