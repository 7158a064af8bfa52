"""The tracker that programs used before, written anew with its faults: what the others are compared with.

It reads, changes and writes a file without a lock around the three. All writers of an execution share one temporary
file, and lock that, which no reader opens. The id goes into the path as it is. Every update writes all of it and forces
it to the disk. A file that cannot be read is as good as none.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from headway.analysis import AnalysisProgress

__all__ = ["OldFileTracker"]


class OldFileTracker:
    """The calls of a tracker, as they were."""

    def __init__(self, base_dir: str | os.PathLike[str]) -> None:
        self._folder = Path(base_dir, "analysis_progress")
        self._folder.mkdir(parents=True, exist_ok=True)

    def _path(self, execution_id: str) -> Path:
        return self._folder / f"progress_{execution_id}.json"

    def _write(self, record: AnalysisProgress) -> None:
        path = self._path(record.execution_id)
        temporary = path.with_suffix(".tmp")
        with temporary.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            json.dump(record.to_dict(), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)

    def get_progress(self, execution_id: str) -> AnalysisProgress | None:
        try:
            return AnalysisProgress.from_dict(json.loads(self._path(execution_id).read_text()))
        except (OSError, ValueError):
            return None

    def start_analysis(self, symbol: str, execution_id: str) -> AnalysisProgress:
        record = AnalysisProgress(symbol, execution_id, datetime.now())  # noqa: DTZ005 - local time, as the tracker that is measured wrote it
        self._write(record)
        return record

    def _change(self, execution_id: str, change: Callable[[AnalysisProgress], object]) -> bool:
        record = self.get_progress(execution_id)
        if record is None:
            return False
        change(record)
        self._write(record)
        return True

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
        ids = [path.stem.removeprefix("progress_") for path in self._folder.glob("progress_*.json")]
        return [record for id in ids if (record := self.get_progress(id)) is not None]

    def get_all_recent(self, hours: float = 1) -> list[AnalysisProgress]:
        since = time.time() - hours * 3600
        recent = [record for record in self._all() if record.start_time.timestamp() >= since]
        return sorted(recent, key=lambda record: record.start_time, reverse=True)

    def get_active_executions(self) -> list[str]:
        return [record.execution_id for record in self._all() if record.overall_status == "running"]

    def cleanup_old(self, hours: float = 24) -> int:
        since = time.time() - hours * 3600
        old = [path for path in self._folder.glob("progress_*.json") if path.stat().st_mtime < since]
        for path in old:
            path.unlink()
        return len(old)
