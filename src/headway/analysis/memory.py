"""The tracker within one process: a dictionary under a lock. Other processes see nothing of it."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from datetime import datetime

from headway.analysis.contract import Change, RecordTracker, age_limit
from headway.analysis.model import AnalysisProgress, check_id, check_text

__all__ = ["AnalysisProgressTracker", "progress_tracker"]


@dataclass
class _Entry:
    record: AnalysisProgress
    touched: float  # seconds since 1970


class AnalysisProgressTracker(RecordTracker):
    """Follows the analyses of this process, from all its threads. There is one object of it in each process."""

    __slots__ = ("_entries", "_lock")

    _entries: dict[str, _Entry]
    _lock: threading.Lock
    _instance: AnalysisProgressTracker | None = None

    def __new__(cls) -> AnalysisProgressTracker:
        with _making:
            if AnalysisProgressTracker._instance is None:
                one = object.__new__(cls)
                one._entries = {}
                one._lock = threading.Lock()
                AnalysisProgressTracker._instance = one
            return AnalysisProgressTracker._instance

    def __reduce__(self) -> tuple[type[AnalysisProgressTracker], tuple[()]]:
        return AnalysisProgressTracker, ()  # in another process it is that process's own

    def start_analysis(self, symbol: str, execution_id: str) -> AnalysisProgress:
        """Begin an analysis; one of the same id starts over. Returns what it looks like now."""
        id = check_id(execution_id)
        now = datetime.now()  # noqa: DTZ005 - programs compare start_time with datetime.now()
        record = AnalysisProgress(check_text(symbol, "symbol"), id, now)
        with self._lock:
            self._entries.pop(id, None)  # so that the order is that of the starts
            self._entries[id] = _Entry(record, time.time())
        return record.copy()

    def get_progress(self, execution_id: str) -> AnalysisProgress | None:
        """Return what an analysis looks like now, as a copy; None if it is unknown."""
        id = check_id(execution_id)
        with self._lock:
            entry = self._entries.get(id)
            return None if entry is None else entry.record.copy()

    def _change(self, execution_id: str, change: Change) -> bool:
        with self._lock:
            entry = self._entries.get(execution_id)
            if entry is None:
                return False
            change(entry.record)
            entry.touched = time.time()
            return True

    def get_all_recent(self, hours: float = 1) -> list[AnalysisProgress]:
        """Return the analyses that were started within the last `hours`, the newest first."""
        limit = age_limit(hours)
        with self._lock:
            recent = [one.record.copy() for one in self._entries.values() if one.record.start_time.timestamp() >= limit]
        return sorted(recent, key=lambda record: record.start_time, reverse=True)

    def get_active_executions(self) -> list[str]:
        """Return the ids of the analyses whose status is running."""
        with self._lock:
            return [id for id, one in self._entries.items() if one.record.overall_status == "running"]

    def cleanup_old(self, hours: float = 24) -> int:
        """Remove the analyses that nothing touched for `hours`. Returns how many."""
        limit = age_limit(hours)
        with self._lock:
            old = [id for id, one in self._entries.items() if one.touched < limit]
            for id in old:
                del self._entries[id]
        return len(old)


_making = threading.Lock()
progress_tracker = AnalysisProgressTracker()


def _after_fork_in_child() -> None:
    """Another thread of the parent may have held a lock."""
    global _making
    _making = threading.Lock()
    progress_tracker._lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
