"""The contract of the trackers: the calls that every one of them answers, and how an analysis may change."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeAlias

from headway.analysis.model import (
    RESULTS,
    AnalysisProgress,
    LeverageDecisionResult,
    MarketContextResult,
    MLPredictionResult,
    Result,
    SupportResistanceResult,
    check_id,
    check_text,
)

__all__ = ["Change", "ProgressTracker", "RecordTracker", "age_limit", "checked_result"]

Change: TypeAlias = Callable[[AnalysisProgress], None]

SECONDS_PER_HOUR = 3600.0


class ProgressTracker(ABC):
    """Follows analyses by their execution ids. A call that changes one returns True, and False if the id is unknown.

    Execution ids are 1 to 95 bytes of UTF-8 without NUL; every call raises ValueError for anything else, and TypeError
    for a text or a result of another type, before it changes anything. The first end of an analysis counts: later calls
    leave status, stage, signal and message as they are, results alone are still stored; start_analysis begins anew.
    """

    __slots__ = ()

    @abstractmethod
    def start_analysis(self, symbol: str, execution_id: str) -> AnalysisProgress:
        """Begin an analysis; one of the same id starts over. Returns what it looks like now."""

    @abstractmethod
    def get_progress(self, execution_id: str) -> AnalysisProgress | None:
        """Return what an analysis looks like now, as a copy; None if it is unknown or cannot be read."""

    @abstractmethod
    def update_stage(self, execution_id: str, stage: str) -> bool:
        """Enter the next stage: any text."""

    def update_support_resistance(self, execution_id: str, result: SupportResistanceResult) -> bool:
        """Store the price levels that were found; the other results stay."""
        return self._store(execution_id, "support_resistance", result)

    def update_ml_prediction(self, execution_id: str, result: MLPredictionResult) -> bool:
        """Store what the model predicted; the other results stay."""
        return self._store(execution_id, "ml_prediction", result)

    def update_market_context(self, execution_id: str, result: MarketContextResult) -> bool:
        """Store trend and phase of the market; the other results stay."""
        return self._store(execution_id, "market_context", result)

    def update_leverage_decision(self, execution_id: str, result: LeverageDecisionResult) -> bool:
        """Store the leverage that is advised; the other results stay."""
        return self._store(execution_id, "leverage_decision", result)

    @abstractmethod
    def _store(self, execution_id: str, name: str, result: Result) -> bool: ...

    @abstractmethod
    def complete_analysis(self, execution_id: str, signal: str, message: str = "") -> bool:
        """End it well: status success, stage completed, with the signal and the message."""

    @abstractmethod
    def fail_analysis(self, execution_id: str, stage: str, message: str) -> bool:
        """End it as failed in that stage: signal no_signal, with the message."""

    @abstractmethod
    def get_all_recent(self, hours: float = 1) -> list[AnalysisProgress]:
        """Return the analyses that were started within the last `hours`, the newest first."""

    @abstractmethod
    def get_active_executions(self) -> list[str]:
        """Return the ids of the analyses whose status is running."""

    @abstractmethod
    def cleanup_old(self, hours: float = 24) -> int:
        """Remove the analyses that nothing touched for `hours`. Returns how many."""


class RecordTracker(ProgressTracker):
    """A tracker that keeps whole records, and changes one while nobody else can."""

    __slots__ = ()

    @abstractmethod
    def _change(self, execution_id: str, change: Change) -> bool:
        """Change a record, alone. False if there is none."""

    def update_stage(self, execution_id: str, stage: str) -> bool:
        """Enter the next stage: any text."""
        text = check_text(stage, "stage")

        def change(record: AnalysisProgress) -> None:
            if record.overall_status == "running":
                record.current_stage = text

        return self._change(check_id(execution_id), change)

    def _store(self, execution_id: str, name: str, result: Result) -> bool:
        stored = checked_result(name, result)
        return self._change(check_id(execution_id), lambda record: setattr(record, name, stored))

    def complete_analysis(self, execution_id: str, signal: str, message: str = "") -> bool:
        """End it well: status success, stage completed, with the signal and the message."""
        ended = {
            "overall_status": "success",
            "current_stage": "completed",
            "final_signal": check_text(signal, "signal"),
            "final_message": check_text(message, "message"),
        }
        return self._end(execution_id, ended)

    def fail_analysis(self, execution_id: str, stage: str, message: str) -> bool:
        """End it as failed in that stage: signal no_signal, with the message."""
        ended = {
            "overall_status": "failed",
            "failure_stage": check_text(stage, "stage"),
            "final_signal": "no_signal",
            "final_message": check_text(message, "message"),
        }
        return self._end(execution_id, ended)

    def _end(self, execution_id: str, ended: dict[str, Any]) -> bool:
        def change(record: AnalysisProgress) -> None:
            if record.overall_status == "running":
                vars(record).update(ended)

        return self._change(check_id(execution_id), change)


def checked_result(name: str, result: Result) -> Result:
    """A copy of a result as it is stored: in plain types. Raises TypeError for one of another class, InvalidRecord."""
    kind = RESULTS[name]
    if not isinstance(result, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, not {type(result).__name__}: {result!r:.60}")
    return kind.from_dict(result.to_dict())


def age_limit(hours: float) -> float:
    """The moment so many hours ago, in seconds since 1970. Raises ValueError for what is no number of hours."""
    if not hours >= 0:
        raise ValueError(f"hours {hours!r} is no number of hours: give 0 or more")
    return time.time() - hours * SECONDS_PER_HOUR
