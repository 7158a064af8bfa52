"""The module that programs used before, rewritten with its faults, for comparison with the trackers.

It has the names of that module, and its own data classes. It reads, changes and writes a file without holding a lock.
All writers of an execution share one temporary file, and lock that one, which no reader opens. The id is put into the
path unchecked. Every update writes the whole file and forces it to the disk. An unreadable file counts as missing. No
call raises: an error is logged, and the call returns False.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

__all__ = [
    "AnalysisProgress",
    "FileBasedProgressTracker",
    "LeverageDecisionResult",
    "MLPredictionResult",
    "MarketContextResult",
    "SupportResistanceResult",
    "file_progress_tracker",  # noqa: F822 - see __getattr__
]

LOG = logging.getLogger(__name__)


@dataclass
class SupportResistanceResult:
    status: str
    supports_count: int = 0
    resistances_count: int = 0
    supports: list[Any] = field(default_factory=list)
    resistances: list[Any] = field(default_factory=list)
    error_message: str = ""


@dataclass
class MLPredictionResult:
    status: str
    predictions_count: int = 0
    confidence: float = 0.0
    error_message: str = ""


@dataclass
class MarketContextResult:
    status: str
    trend_direction: str = ""
    market_phase: str = ""
    error_message: str = ""


@dataclass
class LeverageDecisionResult:
    status: str
    recommended_leverage: float = 0.0
    confidence_level: float = 0.0
    risk_reward_ratio: float = 0.0
    error_message: str = ""


RESULTS: dict[str, Any] = {
    "support_resistance": SupportResistanceResult,
    "ml_prediction": MLPredictionResult,
    "market_context": MarketContextResult,
    "leverage_decision": LeverageDecisionResult,
}


@dataclass
class AnalysisProgress:
    symbol: str
    execution_id: str
    start_time: datetime
    current_stage: str = "initializing"
    overall_status: str = "running"
    support_resistance: Any = field(default_factory=lambda: SupportResistanceResult("pending"))
    ml_prediction: Any = field(default_factory=lambda: MLPredictionResult("pending"))
    market_context: Any = field(default_factory=lambda: MarketContextResult("pending"))
    leverage_decision: Any = field(default_factory=lambda: LeverageDecisionResult("pending"))
    final_signal: str = "analyzing"
    failure_stage: str = ""
    final_message: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"start_time": self.start_time.isoformat()}


class FileBasedProgressTracker:
    def __init__(self, base_dir: str | os.PathLike[str] | None = None) -> None:
        self.progress_dir = Path(base_dir or tempfile.gettempdir(), "analysis_progress")
        self.progress_dir.mkdir(parents=True, exist_ok=True)
        self.cleanup_old()

    def _get_progress_file_path(self, execution_id: str) -> Path:
        return self.progress_dir / f"progress_{execution_id}.json"

    def _write(self, record: AnalysisProgress) -> bool:
        path = self._get_progress_file_path(record.execution_id)
        temporary = path.with_suffix(".tmp")
        try:
            with temporary.open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                json.dump(record.to_dict(), file, default=str)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except Exception as error:  # noqa: BLE001 - so it was
            LOG.warning("%s", error)
            return False
        return True

    def get_progress(self, execution_id: str) -> AnalysisProgress | None:
        try:
            values = json.loads(self._get_progress_file_path(execution_id).read_text())
            values["start_time"] = datetime.fromisoformat(values["start_time"])
            for name, kind in RESULTS.items():
                values[name] = kind(**values[name])
            return AnalysisProgress(**values)
        except Exception as error:  # noqa: BLE001 - so it was
            LOG.debug("%s", error)
            return None

    def start_analysis(self, symbol: str, execution_id: str) -> AnalysisProgress:
        record = AnalysisProgress(symbol, execution_id, datetime.now())  # noqa: DTZ005 - local time, as it was
        self._write(record)
        return record

    def _change(self, execution_id: str, change: Callable[[AnalysisProgress], object]) -> bool:
        record = self.get_progress(execution_id)
        if record is None:
            return False
        change(record)
        return self._write(record)

    def update_stage(self, execution_id: str, stage: str) -> bool:
        return self._change(execution_id, lambda record: setattr(record, "current_stage", stage))

    def _store(self, execution_id: str, name: str, result: Any) -> bool:
        return self._change(execution_id, lambda record: setattr(record, name, result))

    def update_support_resistance(self, execution_id: str, result: Any) -> bool:
        return self._store(execution_id, "support_resistance", result)

    def update_ml_prediction(self, execution_id: str, result: Any) -> bool:
        return self._store(execution_id, "ml_prediction", result)

    def update_market_context(self, execution_id: str, result: Any) -> bool:
        return self._store(execution_id, "market_context", result)

    def update_leverage_decision(self, execution_id: str, result: Any) -> bool:
        return self._store(execution_id, "leverage_decision", result)

    def complete_analysis(self, execution_id: str, signal: str, message: str = "") -> bool:
        ended = {"overall_status": "success", "current_stage": "completed"}
        ended |= {"final_signal": signal, "final_message": message}
        return self._change(execution_id, lambda record: vars(record).update(ended))

    def fail_analysis(self, execution_id: str, stage: str, message: str) -> bool:
        ended = {"overall_status": "failed", "failure_stage": stage}
        ended |= {"final_signal": "no_signal", "final_message": message}
        return self._change(execution_id, lambda record: vars(record).update(ended))

    def _all(self) -> list[AnalysisProgress]:
        ids = [path.stem.removeprefix("progress_") for path in self.progress_dir.glob("progress_*.json")]
        return [record for id in ids if (record := self.get_progress(id)) is not None]

    def get_all_recent(self, hours: float = 1) -> list[AnalysisProgress]:
        since = time.time() - hours * 3600
        recent = [record for record in self._all() if record.start_time.timestamp() >= since]
        return sorted(recent, key=lambda record: record.start_time, reverse=True)

    def get_active_executions(self) -> list[str]:
        return [record.execution_id for record in self._all() if record.overall_status == "running"]

    def cleanup_old(self, hours: float = 24) -> int:
        since = time.time() - hours * 3600
        old = [path for path in self.progress_dir.glob("progress_*.json") if path.stat().st_mtime < since]
        for path in old:
            path.unlink()
        return len(old)


def __getattr__(name: str) -> Any:
    """file_progress_tracker is made on first use."""
    if name != "file_progress_tracker":
        raise AttributeError(name)
    globals()[name] = FileBasedProgressTracker()
    return globals()[name]
