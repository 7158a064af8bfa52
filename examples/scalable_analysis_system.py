"""Tests hundreds of (symbol, time frame, strategy) on past prices, in chunks over a pool.

Each symbol is one analysis. Its chunks run in several workers at once, carry its execution id with them and report to
it; beside that, all workers feed one total. A chunk that fails, or kills its worker, costs nothing but itself. Follow
it meanwhile: `python examples/web_dashboard/app.py`, with the same --tracker.
"""

import argparse
import contextlib
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

import analysis_tracker
import crash_proof_pool
import headway
import market
from headway.analysis import AnalysisProgress, ProgressTracker, SharedMemoryProgressTracker
from market_results import LeverageDecisionResult

COST = 0.0005  # of the position, at each change
LEARN_SHARE = 0.6  # of the bars choose the parameters; the rest tells what they are worth
HIGHEST_LEVERAGE = 5.0
BEARABLE_LOSS = 0.20  # of the capital, from its highest point

# ---------------------------------------------------------------------------------------------------------- strategies

Positions: TypeAlias = pd.Series  # of each bar: 1 in the market, 0 out of it, -1 against it, decided at its close


def hold(bars: pd.DataFrame) -> Positions:
    return pd.Series(1.0, bars.index)


def crossing(bars: pd.DataFrame, fast: int, slow: int) -> Positions:
    """In the market while the fast moving average is above the slow one."""
    return (bars.close.rolling(fast).mean() > bars.close.rolling(slow).mean()).astype(float)


def momentum(bars: pd.DataFrame, length: int) -> Positions:
    """With the direction of the last bars."""
    return np.sign(bars.close.pct_change(length)).fillna(0.0)


def breakout(bars: pd.DataFrame, enter: int, leave: int) -> Positions:
    """In at a new high, out at a new low."""
    rises = bars.close >= bars.high.rolling(enter).max().shift()
    falls = bars.close <= bars.low.rolling(leave).min().shift()
    return pd.Series(np.where(rises, 1.0, np.where(falls, 0.0, np.nan)), bars.index).ffill().fillna(0.0)


def reversion(bars: pd.DataFrame, length: int, width: float) -> Positions:
    """Against whatever leaves the band around the moving average."""
    spread = (bars.close - bars.close.rolling(length).mean()) / bars.close.rolling(length).std()
    return -np.sign(spread.where(spread.abs() > width, 0.0)).fillna(0.0)


def strength(bars: pd.DataFrame, length: int, low: int) -> Positions:
    """In after falls: while the relative strength index is below `low`."""
    moves = bars.close.diff()
    gains = moves.clip(lower=0).ewm(alpha=1 / length).mean()
    losses = -moves.clip(upper=0).ewm(alpha=1 / length).mean()
    return (100 - 100 / (1 + gains / losses) < low).astype(float)


# Each with the values to try for its parameters.
STRATEGIES: dict[str, tuple[Callable[..., Positions], list[tuple[float, ...]]]] = {
    "hold": (hold, [()]),
    "crossing": (crossing, [(3, 10), (5, 20), (10, 20), (10, 50), (20, 50)]),
    "momentum": (momentum, [(2,), (5,), (10,), (20,), (40,)]),
    "breakout": (breakout, [(5, 5), (10, 5), (20, 10), (40, 20)]),
    "reversion": (reversion, [(5, 1.0), (10, 1.0), (10, 1.5), (20, 1.5), (20, 2.0)]),
    "strength": (strength, [(3, 20), (3, 30), (7, 30), (7, 40), (14, 40)]),
}


@dataclass(frozen=True)
class Backtest:
    """The performance of a strategy on the bars that were not used to choose its parameters."""

    symbol: str
    time_frame: str
    strategy: str
    parameters: tuple[float, ...]
    profit: float  # of the capital
    sharpe: float  # a year's return over its standard deviation
    drawdown: float  # the deepest loss from a highest point, of the capital
    trades: int


def backtest(symbol: str, time_frame: str, strategy: str) -> Backtest:
    bars = market.bars(symbol, time_frame)
    _, bars_a_year = market.TIME_FRAMES[time_frame]
    positions_of, choices = STRATEGIES[strategy]
    moves = bars.close.pct_change().fillna(0.0).to_numpy()
    split = int(len(bars) * LEARN_SHARE)

    def earned(parameters: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
        held = positions_of(bars, *parameters).shift(fill_value=0.0).to_numpy()  # decided at the close before
        return held * moves - COST * np.abs(np.diff(held, prepend=0.0)), held

    def sharpe(returns: np.ndarray) -> float:
        spread = float(returns.std())
        return float(returns.mean()) / spread * math.sqrt(bars_a_year) if spread > 0 else 0.0

    best = max(choices, key=lambda parameters: sharpe(earned(parameters)[0][:split]))
    returns, held = (values[split:] for values in earned(best))
    capital = np.cumprod(1 + returns)
    drawdown = float(np.max(1 - capital / np.maximum.accumulate(np.maximum(capital, 1.0))))
    return Backtest(
        symbol,
        time_frame,
        strategy,
        best,
        float(capital[-1]) - 1,
        sharpe(returns),
        drawdown,
        int(np.count_nonzero(np.diff(held))),
    )


# -------------------------------------------------------------------------------------------------------------- chunks


@dataclass(frozen=True)
class Chunk:
    """Some backtests of one symbol, and the analysis that they are part of."""

    execution_id: str
    symbol: str
    pairs: tuple[tuple[str, str], ...]  # time frame, strategy
    tracker: ProgressTracker


def run_chunk(chunk: Chunk) -> list[Backtest]:
    """In a worker: run the backtests, name each to the symbol's analysis, and count each on the total of them all."""
    total = headway.current()  # the one that main has entered; where there is none, counting on it does nothing
    found = []
    for time_frame, strategy in chunk.pairs:
        chunk.tracker.update_stage(chunk.execution_id, f"{strategy} {time_frame}")
        found.append(backtest(chunk.symbol, time_frame, strategy))
        total.update()
    return found


def in_chunks(symbols: Sequence[str], size: int, run: str, tracker: ProgressTracker) -> list[Chunk]:
    pairs = list(itertools.product(market.TIME_FRAMES, STRATEGIES))
    return [
        Chunk(f"{run}/{number}", symbol, tuple(pairs[start : start + size]), tracker)
        for number, symbol in enumerate(symbols, 1)
        for start in range(0, len(pairs), size)
    ]


# --------------------------------------------------------------------------------------------------------- the program


@dataclass
class Outcome:
    """The results of one symbol so far."""

    waiting: int = 0  # chunks
    found: list[Backtest] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextlib.contextmanager
def total_of(run: str, many: int, tracker: ProgressTracker) -> Iterator[headway.Task | None]:
    """The total that all workers count on. Only shared memory has one; with another tracker there is none."""
    if not isinstance(tracker, SharedMemoryProgressTracker):
        yield None
        return
    board = headway.open("totals", capacity=64)
    with board, board.task(run, total=many, unit="backtest", label="backtests") as task:
        yield task


def run_all(chunks: Sequence[Chunk], workers: int, total: headway.Task | None) -> dict[str, Any]:
    """Run all chunks, end the analysis of each symbol when its last chunk is back, and return a report."""
    outcomes = {chunk.execution_id: Outcome() for chunk in chunks}
    for chunk in chunks:
        outcomes[chunk.execution_id].waiting += 1
        if outcomes[chunk.execution_id].waiting == 1:
            chunk.tracker.start_analysis(chunk.symbol, chunk.execution_id)
    broken_pools = 0
    failed = []

    def done() -> int:
        return sum(len(outcome.found) for outcome in outcomes.values())

    def count_again() -> None:
        """Correct the total: counts of chunks that did not return a result are subtracted."""
        if total is not None:
            total.update(done() - total.count)

    def on_broken(suspects: list[Chunk]) -> None:
        nonlocal broken_pools
        broken_pools += 1
        print(f"a worker died; chunks to run again, one by one: {len(suspects)}", file=sys.stderr)
        count_again()

    for chunk, future in crash_proof_pool.run(run_chunk, chunks, workers, on_broken):
        outcome = outcomes[chunk.execution_id]
        outcome.waiting -= 1
        error = future.exception()
        if error is None:
            outcome.found += future.result()
        else:
            killed = isinstance(error, BrokenProcessPool)
            outcome.errors.append("its worker was killed, twice" if killed else f"{type(error).__name__}: {error}")
            failed.append({"symbol": chunk.symbol, "pairs": chunk.pairs, "error": outcome.errors[-1]})
        if outcome.waiting == 0:
            print(f"{chunk.symbol:17} {conclude(chunk, outcome)}", file=sys.stderr)
    count_again()
    many = sum(len(chunk.pairs) for chunk in chunks)
    if total is not None and done() < many:
        total.fail(f"{many - done()} backtests were not done")
    found = [asdict(each) for outcome in outcomes.values() for each in outcome.found]
    return {
        "done": done(),
        "of": many,
        "counted": None if total is None else total.count,
        "broken_pools": broken_pools,
        "failed_chunks": failed,
        "analyses": [ended(chunk).to_dict() for chunk in {chunk.execution_id: chunk for chunk in chunks}.values()],
        "backtests": found,
    }


def conclude(chunk: Chunk, outcome: Outcome) -> str:
    """End the analysis of a symbol with its best strategy, and the leverage that its worst loss allows."""
    tracker = chunk.tracker
    if not outcome.found:
        tracker.fail_analysis(chunk.execution_id, "backtest", outcome.errors[0])
        return f"failed: {outcome.errors[0]}"
    best = max(outcome.found, key=lambda found: found.sharpe)
    held = max((found.sharpe for found in outcome.found if found.strategy == "hold"), default=0.0)
    decision = LeverageDecisionResult(
        "success",
        recommended_leverage=round(min(HIGHEST_LEVERAGE, BEARABLE_LOSS / max(best.drawdown, 0.01)), 2),
        confidence_level=round(sum(found.profit > 0 for found in outcome.found) / len(outcome.found), 3),
        risk_reward_ratio=round(best.profit / max(best.drawdown, 0.01), 2),
    )
    tracker.update_leverage_decision(chunk.execution_id, decision)
    signal = "signal_detected" if best.sharpe > held and best.profit > 0 else "no_signal"
    parameters = " ".join(map(str, best.parameters))
    message = f"best: {best.strategy} {parameters} on {best.time_frame}, {best.profit:+.1%}, Sharpe {best.sharpe:.2f}"
    if outcome.errors:
        message += f"; {len(outcome.errors)} chunks failed: {outcome.errors[0]}"
    tracker.complete_analysis(chunk.execution_id, signal, message)
    return f"{signal:16} {message}"


def ended(chunk: Chunk) -> AnalysisProgress:
    """The tracker's record of the symbol's analysis."""
    progress = chunk.tracker.get_progress(chunk.execution_id)
    assert progress is not None, "it was started here"
    return progress


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--symbols", nargs="+", metavar="SYMBOL", default=list(market.SYMBOLS), help="default: all")
    parser.add_argument("--chunk", type=int, default=10, help="backtests in a chunk (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one for each core)"
    )
    parser.add_argument("--json", action="store_true", help="print all results as JSON")
    analysis_tracker.add_arguments(parser)
    chosen = parser.parse_args(arguments)
    for name in ("chunk", "workers"):
        if getattr(chosen, name) < 1:
            parser.error(f"--{name} {getattr(chosen, name)} is not possible: give 1 or more")

    run = f"backtest-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    tracker = analysis_tracker.chosen(chosen)
    chunks = in_chunks(chosen.symbols, chosen.chunk, run, tracker)
    with total_of(run, sum(len(chunk.pairs) for chunk in chunks), tracker) as total:
        report = run_all(chunks, chosen.workers, total)
    if chosen.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{report['done']} of {report['of']} backtests, {len(report['failed_chunks'])} chunks failed")


if __name__ == "__main__":
    main()
