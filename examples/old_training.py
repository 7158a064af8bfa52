"""A program from the time before Headway, unchanged: it knows the old tracker by its module, and has its own classes.

It analyses two symbols in a pool, one of which does not exist, and prints what a dashboard sees after each stage. With
the old module beside it, it runs on that; with Headway installed, on Headway: HEADWAY_ANALYSIS_TRACKER chooses where
progress goes.
"""

import enum
import json
import sys
import uuid
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import market
from file_based_progress_tracker import FileBasedProgressTracker, file_progress_tracker

NAMESPACE = uuid.UUID("5d5e6f63-6f6c-4d64-8b1c-0f0b5e3c7a10")


@dataclass
class SupportResistanceResult:
    """Where the market turned."""

    status: str
    supports_count: int = 0
    resistances_count: int = 0
    supports: list[dict[str, float]] = field(default_factory=list)
    resistances: list[dict[str, float]] = field(default_factory=list)
    error_message: str = ""


@dataclass
class MLPredictionResult:
    """How often yesterday's direction was today's."""

    status: str
    predictions_count: int = 0
    confidence: float = 0.0
    error_message: str = ""


@dataclass
class MarketContextResult:
    """Where the market is going."""

    status: str
    trend_direction: str = ""
    market_phase: str = ""
    error_message: str = ""


@dataclass
class LeverageDecisionResult:
    """How much to risk."""

    status: str
    recommended_leverage: float = 0.0
    confidence_level: float = 0.0
    risk_reward_ratio: float = 0.0
    error_message: str = ""


class Signal(str, enum.Enum):  # noqa: UP042 - as programs of its time have it
    """What comes of it."""

    DETECTED = "signal_detected"
    NONE = "no_signal"


def dashboard(execution_id: str) -> None:
    """What a page shows of an analysis: it makes a tracker of its own, and reads."""
    found = FileBasedProgressTracker().get_progress(execution_id)
    seen = None if found is None else found.to_dict()
    if seen is not None:
        seen["start_time"] = len(seen["start_time"])  # not the same in two runs
    print(json.dumps(seen), flush=True)


def analyse(symbol: str) -> str:
    """All stages, and after each what the dashboard sees."""
    execution_id = str(uuid.uuid5(NAMESPACE, symbol))
    tracker = file_progress_tracker
    stage = "data_fetch"

    def enter(name: str) -> None:
        nonlocal stage
        stage = name
        tracker.update_stage(execution_id, name)
        dashboard(execution_id)

    tracker.start_analysis(symbol, execution_id)
    dashboard(execution_id)
    try:
        enter("data_fetch")
        close = market.bars(symbol, "1W").close.to_numpy()
        enter("support_resistance")
        low, high, last = float(close.min()), float(close.max()), float(close[-1])
        supports, resistances = [{"price": low, "strength": 1.0}], [{"price": high, "strength": 1.0}]
        tracker.update_support_resistance(execution_id, SupportResistanceResult("success", 1, 1, supports, resistances))
        dashboard(execution_id)
        enter("ml_prediction")
        rose = close[1:] > close[:-1]
        right = float((rose[1:] == rose[:-1]).mean())
        tracker.update_ml_prediction(execution_id, MLPredictionResult("success", len(rose) - 1, right))
        dashboard(execution_id)
        enter("market_context")
        trend = "up" if last > close.mean() else "down"
        tracker.update_market_context(execution_id, MarketContextResult("success", trend, "normal"))
        dashboard(execution_id)
        enter("leverage_decision")
        reward = (high - last) / (last - low)
        tracker.update_leverage_decision(execution_id, LeverageDecisionResult("success", 1.5, right, reward))
        tracker.complete_analysis(
            execution_id, Signal.DETECTED if reward > 1 else Signal.NONE, f"{trend}, {reward:.2f}"
        )
    except LookupError as error:
        tracker.update_support_resistance(execution_id, SupportResistanceResult("failed", error_message=str(error)))
        tracker.fail_analysis(execution_id, stage, str(error))
    tracker.update_stage(execution_id, stage)  # too late: an analysis that has ended stays as it is
    return execution_id


def main() -> None:
    with ProcessPoolExecutor(1) as pool:
        ids = list(pool.map(analyse, [*sys.argv[1:], "SP500-1999-2003", "unknown"]))
    recent = file_progress_tracker.get_all_recent(1)
    print(json.dumps([record.execution_id for record in recent if record.execution_id in ids]))
    print(json.dumps(file_progress_tracker.get_active_executions()))


if __name__ == "__main__":
    main()
