"""Every call of the shared analysis tracker, beside the file tracker, the old file tracker, and a dict.

comparison.py measures several processes at once, and the effect on their work.
"""

from __future__ import annotations

import itertools
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.budgets import TRACKER_CALLS
from benchmarks.contest import Contest, Side
from benchmarks.old_tracker import FileBasedProgressTracker as OldFileTracker
from headway.analysis import (
    AnalysisProgressTracker,
    FileBasedProgressTracker,
    LeverageDecisionResult,
    MarketContextResult,
    MLPredictionResult,
    SharedMemoryProgressTracker,
    SupportResistanceResult,
)
from headway.engine.board import open_board

MEMORY = Path("/dev/shm")
ANALYSES = 20  # beside the one that is written
LEVELS: list[dict[str, Any]] = [{"price": 100.0 + number, "strength": 0.5} for number in range(5)]
# How often a round calls: some milliseconds on each side.
TIMES = {"dict": 200, "in tmpfs": 20, "on disk": 4}
TIMES_SHARED, TIMES_OF_A_STAGE = 200, 20_000

Call = Callable[[], object]


def calls_of(tracker: Any) -> dict[str, Call]:
    """One call each, on an analysis that runs; an end with the start before it."""

    def stored(name: str) -> Call:
        update, changing = getattr(tracker, f"update_{name}"), itertools.cycle(results[name])
        return lambda: update("one", next(changing))

    stages = itertools.cycle(("data_fetch", "ml_prediction"))
    ends = itertools.count()

    def ended(end: Callable[[str], object]) -> Call:
        def run() -> None:
            execution_id = f"end-{next(ends) % ANALYSES}"
            tracker.start_analysis("BTC", execution_id)
            end(execution_id)

        return run

    results: dict[str, Any] = {  # two of each, so that each call changes something
        "support_resistance": [SupportResistanceResult("ok", 5, n, LEVELS, LEVELS) for n in range(2)],
        "ml_prediction": [MLPredictionResult("ok", n, 0.75) for n in range(2)],
        "market_context": [MarketContextResult("ok", "bullish", f"phase {n}") for n in range(2)],
        "leverage_decision": [LeverageDecisionResult("ok", 3.5, n, 2.1) for n in range(2)],
    }
    return {
        "start_analysis": lambda: tracker.start_analysis("BTC", "start"),
        "get_progress": lambda: tracker.get_progress("one"),
        "update_stage": lambda: tracker.update_stage("one", next(stages)),
        **{f"update_{name}": stored(name) for name in results},
        "complete_analysis": ended(lambda id: tracker.complete_analysis(id, "signal_detected", "done")),
        "fail_analysis": ended(lambda id: tracker.fail_analysis(id, "ml_prediction", "no model")),
        "get_all_recent": tracker.get_all_recent,
        "get_active_executions": tracker.get_active_executions,
        "cleanup_old": tracker.cleanup_old,
    }


def side_of(tracker: Any, call: str, times: int) -> Side:
    tracker.start_analysis("BTC", "one")
    tracker.update_support_resistance("one", SupportResistanceResult("ok", 5, 5, LEVELS, LEVELS))
    for number in range(ANALYSES):
        tracker.start_analysis("BTC", f"end-{number}")
    one = calls_of(tracker)[call]

    def run() -> None:
        for _ in itertools.repeat(None, times):
            one()

    return Side(run, times)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, where fsync costs nothing."""
    folder = tempfile.mkdtemp(prefix="headway-bench-", dir=MEMORY)
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("call", TRACKER_CALLS)
def bench_tracker(contest: Contest, directory: Path, memory: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_RECORD", "0")  # one core for each side; comparison.py has a recorder beside it
    shared = SharedMemoryProgressTracker(f"bench-{secrets.token_hex(4)}")
    beside: dict[str, Any] = {
        "file tracker on disk": FileBasedProgressTracker(directory),
        "file tracker in tmpfs": FileBasedProgressTracker(memory),
        "old file tracker on disk": OldFileTracker(directory / "old"),
        "old file tracker in tmpfs": OldFileTracker(memory / "old"),
        "dict under a lock": AnalysisProgressTracker(),
    }
    sides = {
        name: side_of(tracker, call, next(times for end, times in TIMES.items() if end in name))
        for name, tracker in beside.items()
    }
    try:
        times = TIMES_OF_A_STAGE if call == "update_stage" else TIMES_SHARED
        contest(side_of(shared, call, times), sides, rounds=12)
        assert shared.get_progress("one") == shared.get_all_recent()[-1], "the same analysis, by two ways"
    finally:
        open_board(shared.name).remove(files=True)
