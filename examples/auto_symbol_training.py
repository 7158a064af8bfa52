"""Trains a model for one symbol after the other in a pool, and tells a tracker at each stage how far it is.

The stages of an analysis: data_fetch, support_resistance, ml_prediction, market_context, leverage_decision. It ends
early where the market shows no levels, and fails with its stage where one goes wrong. Follow it meanwhile:
`python examples/web_dashboard/app.py`, with the same --tracker.
"""

import argparse
import itertools
import json
import math
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import argrelextrema
from scipy.stats import linregress
from sklearn.cluster import AgglomerativeClustering
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import analysis_tracker
import crash_proof_pool
import market
from headway.analysis import AnalysisProgress, ProgressTracker
from market_results import LeverageDecisionResult, MarketContextResult, MLPredictionResult, SupportResistanceResult

HORIZON = 5  # bars that a prediction looks ahead
TURN_BARS = 5  # a price is a turn if it is the highest or lowest of so many bars to either side
TOUCHES = 3  # turns at one price that make it a level
LEARN_BARS = 100  # with fewer there is nothing to learn from and to test on
LEARN_SHARE = 0.6  # of the bars come before the first prediction
TREND_BARS = 60
RISK_A_TRADE = 0.02  # of the capital, lost when the stop is hit
YEARLY_VOLATILITY = 0.20  # of the capital, that the position may have
HIGHEST_LEVERAGE = 5.0
WORTH_IT = 1.5  # reward over risk from which a trade is a signal

FAILED = {
    "support_resistance": SupportResistanceResult,
    "ml_prediction": MLPredictionResult,
    "market_context": MarketContextResult,
    "leverage_decision": LeverageDecisionResult,
}


@dataclass(frozen=True)
class Job:
    """One analysis, and where to report it."""

    execution_id: str
    symbol: str
    time_frame: str
    tracker: ProgressTracker


@dataclass(frozen=True)
class Prediction:
    """The prediction of a model for the last bar, and its accuracy on bars that it had not seen."""

    rise: float  # probability that the close is higher after HORIZON bars
    accuracy: float
    tested: int


# --------------------------------------------------------------------------------------------------------- the stages


def levels(bars: pd.DataFrame) -> SupportResistanceResult:
    """Prices at which the market turned several times: local extrema, clustered to the width of a usual bar."""
    highs, lows = bars.high.to_numpy(), bars.low.to_numpy()
    turns = np.log(
        [
            *highs[argrelextrema(highs, np.greater, order=TURN_BARS)],
            *lows[argrelextrema(lows, np.less, order=TURN_BARS)],
        ]
    )
    found: list[dict[str, float]] = []
    usual_bar = float(np.mean(np.log(highs / lows)))
    if len(turns) >= TOUCHES:
        clustering = AgglomerativeClustering(n_clusters=None, distance_threshold=usual_bar, linkage="complete")
        clusters = clustering.fit_predict(turns.reshape(-1, 1))
        touches = np.bincount(clusters)
        for cluster in np.flatnonzero(touches >= TOUCHES):
            price = math.exp(turns[clusters == cluster].mean())
            found.append({"price": round(price, 2), "strength": round(touches[cluster] / touches.max(), 3)})
    close = bars.close.iloc[-1]
    found.sort(key=lambda level: abs(level["price"] - close))
    supports = [level for level in found if level["price"] <= close]
    resistances = [level for level in found if level["price"] > close]
    return SupportResistanceResult(
        "success", len(supports), len(resistances), supports, resistances, tolerance=round(usual_bar, 4)
    )


def predict(bars: pd.DataFrame) -> Prediction:
    """Learn from the first bars, then walk through the rest: predict the next few, learn from them too, and go on."""
    close, move = bars.close, np.log(bars.close).diff()
    features = pd.DataFrame(
        {
            "last": move,
            "week": move.rolling(5).sum(),
            "month": move.rolling(20).sum(),
            "unrest": move.rolling(5).std() / move.rolling(20).std(),
            "range": np.log(bars.high / bars.low),
            "position": close / close.rolling(20).mean() - 1,
            "volume": bars.volume / bars.volume.rolling(20).mean(),
        }
    ).dropna()
    rose = (close.shift(-HORIZON) > close)[features.index].to_numpy()
    rows = features.to_numpy()
    known = len(rows) - HORIZON  # the outcome of the last bars lies in the future
    if known < LEARN_BARS:
        raise ValueError(f"{known} bars are too few to learn from and to test on: it takes {LEARN_BARS}")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    first = int(known * LEARN_SHARE)
    right = 0
    for now in range(first, known, HORIZON):
        model.fit(rows[: now - HORIZON], rose[: now - HORIZON])  # the outcome of later bars was not known then
        ahead = slice(now, min(now + HORIZON, known))
        right += int(np.sum(model.predict(rows[ahead]) == rose[ahead]))
    model.fit(rows[:known], rose[:known])
    rise = float(model.predict_proba(rows[-1:])[0, 1])
    return Prediction(rise, right / (known - first), known - first)


def context(bars: pd.DataFrame) -> MarketContextResult:
    """The trend of the last bars, by a line through them, and their volatility compared with all others."""
    recent = np.log(bars.close.to_numpy()[-TREND_BARS:])
    line = linregress(np.arange(len(recent)), recent)
    trend = "sideways" if line.rvalue**2 < 0.5 else "up" if line.slope > 0 else "down"
    volatility = np.log(bars.close).diff().rolling(20).std().dropna()
    rank = float((volatility < volatility.iloc[-1]).mean())
    return MarketContextResult("success", trend, "calm" if rank < 1 / 3 else "turbulent" if rank > 2 / 3 else "normal")


def decide(
    bars: pd.DataFrame, time_frame: str, found: SupportResistanceResult, prediction: Prediction
) -> LeverageDecisionResult:
    """The leverage that keeps within every limit of risk, for a trade from the last close to the next level.

    Where there is no level on one side, the usual move over the horizon stands for it; no stop is nearer than that.
    """
    close = float(bars.close.iloc[-1])
    volatility = float(np.log(bars.close).diff().std())  # a bar
    usual = close * volatility * math.sqrt(HORIZON)
    down = close - found.supports[0]["price"] if found.supports else usual
    up = found.resistances[0]["price"] - close if found.resistances else usual
    reward, risk = (up, down) if prediction.rise >= 0.5 else (down, up)
    risk = max(risk, usual)
    _, bars_a_year = market.TIME_FRAMES[time_frame]
    leverage = min(
        HIGHEST_LEVERAGE, RISK_A_TRADE / (risk / close), YEARLY_VOLATILITY / (volatility * math.sqrt(bars_a_year))
    )
    confidence = max(prediction.rise, 1 - prediction.rise)
    return LeverageDecisionResult("success", round(leverage, 2), round(confidence, 3), round(reward / risk, 2))


# ------------------------------------------------------------------------------------------------------- one analysis


def train(job: Job) -> AnalysisProgress:
    """Run all stages for one symbol, in a worker. Any error is reported to the tracker, with its stage."""
    tracker, execution_id = job.tracker, job.execution_id
    tracker.start_analysis(name_of(job), execution_id)
    stage = ""

    def enter(name: str) -> None:
        nonlocal stage
        stage = name
        tracker.update_stage(execution_id, name)

    def fail(error: BaseException) -> None:
        text = f"{type(error).__name__}: {error}"
        if stage in FAILED:
            getattr(tracker, f"update_{stage}")(execution_id, FAILED[stage](status="failed", error_message=text))
        tracker.fail_analysis(execution_id, stage, text)

    try:
        enter("data_fetch")
        bars = market.bars(job.symbol, job.time_frame)

        enter("support_resistance")
        found = levels(bars)
        tracker.update_support_resistance(execution_id, found)
        if not found.supports and not found.resistances:
            tracker.complete_analysis(execution_id, "no_signal", f"no price turned the market {TOUCHES} times")
            return ended(job)

        enter("ml_prediction")
        prediction = predict(bars)
        accuracy = round(prediction.accuracy, 3)
        result = MLPredictionResult("success", prediction.tested, accuracy, rise=round(prediction.rise, 3))
        tracker.update_ml_prediction(execution_id, result)

        enter("market_context")
        tracker.update_market_context(execution_id, context(bars))

        enter("leverage_decision")
        decision = decide(bars, job.time_frame, found, prediction)
        tracker.update_leverage_decision(execution_id, decision)
        worth_it = decision.risk_reward_ratio >= WORTH_IT and prediction.accuracy > 0.5
        side = "long" if prediction.rise >= 0.5 else "short"
        tracker.complete_analysis(
            execution_id,
            "signal_detected" if worth_it else "no_signal",
            f"{side} at {bars.close.iloc[-1]:.2f}, reward over risk {decision.risk_reward_ratio}",
        )
    except (LookupError, ValueError) as error:  # of the data
        fail(error)
    except BaseException as error:  # of the program
        fail(error)
        raise
    return ended(job)


def ended(job: Job) -> AnalysisProgress:
    """The tracker's record of an analysis."""
    progress = job.tracker.get_progress(job.execution_id)
    assert progress is not None, "it was started here"
    return progress


# -------------------------------------------------------------------------------------------------------- the program


def train_all(jobs: Sequence[Job], workers: int) -> dict[str, Any]:
    """Train all symbols, and return a report: how many ended how, and what is known of each."""

    broken_pools = 0

    def on_broken(suspects: list[Job]) -> None:
        nonlocal broken_pools
        broken_pools += 1
        print(f"a worker died; run again, one by one: {', '.join(map(name_of, suspects))}", file=sys.stderr)

    analyses = []
    for job, future in crash_proof_pool.run(train, jobs, workers, on_broken):
        progress = outcome(job, future)
        analyses.append(progress)
        ending = progress.final_signal if progress.overall_status == "success" else f"in {progress.failure_stage}"
        text = f"{progress.overall_status} {ending}"
        print(f"{name_of(job):21} {text:32} {progress.final_message}", file=sys.stderr)
    counts = Counter(progress.overall_status for progress in analyses)
    return {
        "success": counts["success"],
        "failed": counts["failed"],
        "broken_pools": broken_pools,
        "analyses": [progress.to_dict() for progress in analyses],
    }


def outcome(job: Job, future: Future[AnalysisProgress]) -> AnalysisProgress:
    """How an analysis ended. If its worker was killed and the tracker has not noticed, it is marked as failed here."""
    error = future.exception()
    if error is None:
        return future.result()
    killed = isinstance(error, BrokenProcessPool)
    if not killed:
        traceback.print_exception(error)
    tracker = job.tracker
    progress = tracker.get_progress(job.execution_id) or tracker.start_analysis(name_of(job), job.execution_id)
    if progress.overall_status == "running":
        text = "its worker was killed, twice" if killed else f"{type(error).__name__}: {error}"
        tracker.fail_analysis(job.execution_id, progress.current_stage, text)
    return ended(job)


def name_of(job: Job) -> str:
    return f"{job.symbol} {job.time_frame}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--symbols", nargs="+", metavar="SYMBOL", default=list(market.SYMBOLS), help="default: all")
    parser.add_argument(
        "--time-frames", nargs="+", metavar="FRAME", default=list(market.TIME_FRAMES), help="default: all"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one for each core)"
    )
    parser.add_argument("--json", action="store_true", help="print all results as JSON")
    analysis_tracker.add_arguments(parser)
    chosen = parser.parse_args(arguments)

    if chosen.workers < 1:
        parser.error(f"--workers {chosen.workers} is not possible: give 1 or more")

    run = f"train-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    tracker = analysis_tracker.chosen(chosen)
    pairs = itertools.product(chosen.symbols, chosen.time_frames)
    jobs = [Job(f"{run}/{number}", *pair, tracker) for number, pair in enumerate(pairs, 1)]
    report = train_all(jobs, chosen.workers)
    if chosen.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{len(jobs)} symbols: {report['success']} success, {report['failed']} failed")


if __name__ == "__main__":
    main()
