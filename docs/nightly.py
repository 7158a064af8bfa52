"""The program in the pictures of the dashboard: a night's work on 48 price series, by four worker processes.

For each series: make it (a random walk), derive features, fit weights by gradient descent in five folds, evaluate them.
One worker is killed midway, as the kernel would when memory is short; its series stays lost. One series is all NaN.
With --live it shows live bars, and its workers print what they found above them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

import headway

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SYMBOLS = ("BTC", "ETH", "SOL", "ADA", "XRP", "DOT", "LTC", "AVAX", "LINK", "ATOM", "NEAR", "UNI")
SPANS = ("1h", "4h", "1d", "1w")
BARS, FOLDS, STEPS = 4000, 5, 400
WINDOWS = (2, 5, 10, 20, 50, 100, 150, 200)
WORKERS = 4
KILL_AT, BROKEN = 0.3, "XRP-4h"


def analyse(task: headway.Task, seed: int) -> None:
    """One series, all stages of it. Raises ValueError for one that cannot be fitted."""
    random = np.random.default_rng(seed)
    task.stage = "load"
    prices = np.exp(np.cumsum(random.normal(0, 0.01, BARS)))
    if task.id.endswith(BROKEN):
        prices[:] = np.nan
    task.stage = "features"
    columns = []
    for window in WINDOWS:
        task.message = f"window {window}"
        means = np.convolve(prices, np.ones(window) / window)[:BARS]
        columns.append(prices / means - 1)
        time.sleep(0.1)
        task.update(STEPS // len(WINDOWS))
    features = np.column_stack(columns)
    future = np.append(np.diff(np.log(prices)), 0)
    if not np.isfinite(features).all():
        raise ValueError("features contain NaN or infinity: the series has gaps")
    features /= features.std(axis=0)
    task.stage = "fit"
    losses, hits = zip(*(fit(task, fold, features, future) for fold in range(FOLDS)), strict=True)
    task.stage = "evaluate"
    time.sleep(0.1)
    task.result = {
        "loss": round(float(np.mean(losses)), 6),
        "hit rate": round(float(np.mean(hits)), 4),
        "folds": FOLDS,
        "bars": BARS,
    }


def fit(task: headway.Task, fold: int, features: Array, future: Array) -> tuple[float, float]:
    """Fit without the bars of this fold; loss and share of right signs on them."""
    task.message = f"fold {fold + 1} of {FOLDS}"
    weights = np.zeros(len(WINDOWS))
    test = np.arange(BARS) % FOLDS == fold
    given, wanted = features[~test], future[~test]
    for step in range(STEPS):
        error = given @ weights - wanted
        slope = given.T @ error / len(given)
        weights -= 0.05 * slope
        if step % 10 == 0:
            loss = np.sqrt(np.mean((features[test] @ weights - future[test]) ** 2))
            task.set(metrics={"loss": float(loss), "gradient": float(np.linalg.norm(slope))})
            time.sleep(0.03)  # as if there were more to do
        task.update()
    missed = features[test] @ weights - future[test]
    return float(np.sqrt(np.mean(missed**2))), float(np.mean((features[test] @ weights > 0) == (future[test] > 0)))


def work(everything: headway.Task, jobs: list[headway.Task], taken: Synchronized[int]) -> None:
    """A worker: takes series until there are none."""
    while True:
        with taken.get_lock():
            number, taken.value = taken.value, taken.value + 1
        if number >= len(jobs):
            return
        with contextlib.suppress(ValueError), jobs[number] as task:  # a task tells by itself that it failed
            analyse(task, number)
            if "--live" in sys.argv:
                print(f"{task.id.rpartition('/')[2]:8} loss {task.metrics['loss']:.6f}", flush=True)
        everything.update()


def main(name: str) -> None:
    """Run it all; ends by itself when all is done but what was lost."""
    fork = multiprocessing.get_context("fork")
    ids = [f"{symbol}-{span}" for symbol in SYMBOLS for span in SPANS]
    with (
        headway.open(name, capacity=128) as board,
        board.live() if "--live" in sys.argv else contextlib.nullcontext(),
        board.task("all", total=len(ids), unit="series", label="Nightly analysis") as everything,
    ):
        jobs = [everything.task(id, total=STEPS * (FOLDS + 1), unit="step") for id in ids]
        taken = fork.Value("i", 0)
        workers = [
            fork.Process(target=work, args=(everything, jobs, taken), name=f"worker-{number + 1}")
            for number in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        while everything.count < KILL_AT * len(ids) or not is_fitting(board, workers[1].pid):
            time.sleep(0.1)
        os.kill(workers[1].pid or 0, signal.SIGKILL)
        for worker in workers:
            worker.join()


def is_fitting(board: headway.Board, pid: int | None) -> bool:
    return any(task.owner_pid == pid and task.stage == "fit" for task in board.tasks("running"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "nightly")
