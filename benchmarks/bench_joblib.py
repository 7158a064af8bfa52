"""What counting costs a call of joblib.Parallel: many small items, with and without a task behind them, in turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import joblib

from benchmarks.contest import Contest, Side
from headway.integrations import joblib as ours

if TYPE_CHECKING:
    from headway.engine.board import Board

ITEMS = 10_000  # the beginning and the end of a call are small beside them


def bench_joblib(contest: Contest, board: Board) -> None:
    items = [joblib.delayed(abs)(number) for number in range(ITEMS)]

    def calls(parallel: Any) -> Side:
        return Side(lambda: parallel(items), ITEMS)

    contest(calls(ours.Parallel(n_jobs=1, board=board)), {"joblib alone": calls(joblib.Parallel(n_jobs=1))}, rounds=30)
    view = board.get("abs")
    assert view is not None
    assert (view.state, view.count) == ("success", ITEMS)
