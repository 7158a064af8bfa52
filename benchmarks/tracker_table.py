"""What each call of the trackers costs beside the old one, with the budgets: `python -m benchmarks.tracker_table`.

All sides of a line run in turns, in one run; a figure is the median of the rounds. The verdict is by the budgets as
they were set, in microseconds, whatever the machine. They were set where the old tracker took, in tmpfs, what OLD_US
says. How many times that it took here, in the same rounds, stands beside the verdict, or on the line before, where
there is no old one to compare with: by that factor alone a budget may be missed on a machine that others use.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.contest import turns
from benchmarks.old_tracker import FileBasedProgressTracker as OldFileTracker
from headway.analysis import (
    FileBasedProgressTracker,
    MLPredictionResult,
    SharedMemoryProgressTracker,
    SupportResistanceResult,
)
from headway.engine.board import open_board

ROUNDS = 11
MEMORY = "/dev/shm"
# What the old tracker took for it, in tmpfs, where the budgets were set.
OLD_US = {
    "get_progress, nothing changed": 34.0,
    "update_ml_prediction, get_progress": 154.0 + 34.0,
    "update_ml_prediction": 154.0,
    "update_support_resistance, 20 levels": 157.0,
    "start_analysis, a new id": 73.0,
    "start_analysis, the same id": 73.0,
    "complete_analysis": 120.0,
    "get_all_recent, 200 running": 5500.0,
    "get_all_recent, 200 ended": 5500.0,
    "get_active_executions, 200": 5500.0,
    "cleanup_old, nothing old, 200": 900.0,
}
# Of each line: µs of the shared tracker; the file tracker's share of the old one's time; how many calls in a round.
BUDGETS: dict[str, tuple[float | None, float | None, int]] = {
    "get_progress, nothing changed": (8, 1.2, 100),
    "update_ml_prediction, get_progress": (12 + 15, None, 60),
    "update_ml_prediction": (12, 1.1, 60),
    "update_support_resistance, 20 levels": (30, 1.1, 60),
    "start_analysis, a new id": (25, 1.1, 15),
    "start_analysis, the same id": (25, 1.1, 15),
    "complete_analysis": (15, 1.1, 15),
    "get_all_recent, 200 running": (1500, 1.2, 2),
    "get_all_recent, 200 ended": (2000, 1.2, 2),
    "get_all_recent, 1000 ended": (10_000, None, 2),
    "get_active_executions, 64": (15, None, 4),
    "get_active_executions, 200": (40, 1.2, 4),
    "cleanup_old, nothing old, 200": (300, 1.2, 4),
}
Sides = dict[str, Any]


def sides(folders: list[Path], *, shared_only: bool = False) -> Sides:
    found: Sides = {"shared": SharedMemoryProgressTracker(f"table-{secrets.token_hex(4)}")}
    for folder in () if shared_only else folders:
        where = "tmpfs" if str(folder).startswith(MEMORY) else "disk"
        found[f"file, {where}"] = FileBasedProgressTracker(tempfile.mkdtemp(dir=folder))
        found[f"old, {where}"] = OldFileTracker(tempfile.mkdtemp(dir=folder))
    return found


def filled(trackers: Sides, running: int, ended: int) -> Sides:
    for tracker in trackers.values():
        for number in range(running):
            tracker.start_analysis("BTC", f"running-{number}")
        for number in range(ended):
            tracker.start_analysis("BTC", f"ended-{number}")
            tracker.complete_analysis(f"ended-{number}", "signal", "message")
    return trackers


def line(name: str, calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds of a call, on every side."""
    times = BUDGETS[name][2]
    figures: dict[str, list[float]] = {side: [] for side in calls}
    for call in calls.values():
        call()
    for side in turns(list(calls), ROUNDS):
        many = times if side == "shared" or times < 10 else max(2, times // 5)
        begun = time.perf_counter()
        for _ in itertools.repeat(None, many):
            calls[side]()
        figures[side].append((time.perf_counter() - begun) / many * 1e6)
    return {side: statistics.median(one) for side, one in figures.items()}


def measured(folders: list[Path]) -> dict[str, dict[str, float]]:
    levels = [{"price": 100.0 + number, "strength": 0.5} for number in range(10)]
    few = filled(sides(folders), 1, 0)
    for tracker in few.values():
        tracker.start_analysis("BTC", "one")
        tracker.update_support_resistance("one", SupportResistanceResult("ok", 5, 5, levels[:5], levels[:5]))

    def predict(tracker: Any, *, look: bool = False) -> Callable[[], object]:
        results = itertools.cycle([MLPredictionResult("ok", number, 0.75) for number in range(2)])
        if look:
            return lambda: (tracker.update_ml_prediction("one", next(results)), tracker.get_progress("one"))
        return lambda: tracker.update_ml_prediction("one", next(results))

    def find(tracker: Any) -> Callable[[], object]:
        results = itertools.cycle([SupportResistanceResult("ok", 10, number, levels, levels) for number in range(2)])
        return lambda: tracker.update_support_resistance("one", next(results))

    def begin(tracker: Any) -> Callable[[], object]:
        numbers = itertools.count()
        return lambda: tracker.start_analysis("BTC", f"new-{next(numbers)}")

    def end(tracker: Any) -> Callable[[], object]:
        numbers = itertools.count()
        return lambda: tracker.complete_analysis(f"new-{next(numbers)}", "signal_detected", "done")

    def each(made: Callable[[Any], Callable[[], object]], of: Sides) -> dict[str, Callable[[], object]]:
        return {side: made(tracker) for side, tracker in of.items()}

    found = {
        "get_progress, nothing changed": line(
            "get_progress, nothing changed", each(lambda tracker: lambda: tracker.get_progress("one"), few)
        )
    }
    calls: dict[str, Callable[[Any], Callable[[], object]]] = {
        "update_ml_prediction, get_progress": lambda tracker: predict(tracker, look=True),
        "update_ml_prediction": predict,
        "update_support_resistance, 20 levels": find,
        "start_analysis, a new id": begin,
        "complete_analysis": end,
        "start_analysis, the same id": lambda tracker: lambda: tracker.start_analysis("BTC", "same"),
    }
    for name, made in calls.items():
        found[name] = line(name, each(made, few))
    lists: dict[str, tuple[Sides, str]] = {
        "get_all_recent, 200 running": (filled(sides(folders), 200, 0), "get_all_recent"),
        "get_all_recent, 200 ended": (filled(sides(folders), 0, 200), "get_all_recent"),
        "get_all_recent, 1000 ended": (filled(sides(folders, shared_only=True), 0, 1000), "get_all_recent"),
        "get_active_executions, 64": (filled(sides(folders, shared_only=True), 64, 0), "get_active_executions"),
    }
    running = lists["get_all_recent, 200 running"][0]
    lists["get_active_executions, 200"] = running, "get_active_executions"
    lists["cleanup_old, nothing old, 200"] = running, "cleanup_old"
    for name, (of, call) in lists.items():
        found[name] = line(name, {side: getattr(tracker, call) for side, tracker in of.items()})
    for tracker in [few["shared"], *(of["shared"] for of, _ in lists.values())]:
        if tracker._at.existing() is not None:
            open_board(tracker.name).remove(files=True)
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    scale = 1.0
    columns = ("shared", "file, tmpfs", "old, tmpfs", "file, disk", "old, disk")
    lines = [
        "Times in µs.",
        "",
        f"| call | {' | '.join(columns)} | budget of shared | this machine, times | file / old, disk | budget |",
        f"| --- |{' ---: |' * (len(columns) + 4)}",
    ]
    for name, one in found.items():
        shared, share, _ = BUDGETS[name]
        if "old, tmpfs" in one:
            scale = one["old, tmpfs"] / OLD_US[name]
        ratio = one["file, disk"] / one["old, disk"] if "old, disk" in one else None
        met = "" if shared is None else f"{shared:g}{'' if one['shared'] <= shared else ' MISSED'}"
        told = "" if ratio is None else f"{ratio:.2f}"
        kept = "" if share is None else f"{share}{'' if ratio is None or ratio <= share else ' MISSED'}"
        cells = [f"{one[column]:.1f}" if column in one else "" for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} | {met} | {scale:.1f} | {told} | {kept} |")
    return "\n".join(lines)


def main() -> None:
    os.environ["HEADWAY_RECORD"] = "0"  # a recorder at work would be measured along
    folders = [Path(tempfile.mkdtemp(prefix="headway-bench-", dir=where)) for where in (MEMORY, None)]
    os.environ["HEADWAY_DIR"] = str(folders[1] / "boards")
    try:
        print(table(measured(folders)))
    finally:
        for folder in folders:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
