"""The tracker within one process: a dictionary under a lock. Other processes see nothing of it."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import Any

from headway.analysis.contract import SECONDS_PER_HOUR, Change, RecordTracker, moment_of, now
from headway.analysis.model import AnalysisProgress

__all__ = ["AnalysisProgressTracker", "entries_of", "progress_tracker"]


@dataclass
class _Entry:
    record: AnalysisProgress
    touched: float  # seconds since 1970


class AnalysisProgressTracker(RecordTracker):
    """Follows the analyses of this process, from all its threads. There is one instance in each process.

    strict: raise what goes wrong; this applies to the one instance, from then on.
    """

    _entries: dict[str, _Entry]
    _instance: AnalysisProgressTracker | None = None

    def __new__(cls, *_: Any, **__: Any) -> AnalysisProgressTracker:
        with _making:
            if AnalysisProgressTracker._instance is None:
                one = object.__new__(cls)
                one._entries = entries_of("")
                AnalysisProgressTracker._instance = one
            return AnalysisProgressTracker._instance

    def __init__(self, *, strict: bool | None = None) -> None:
        if strict is not None:
            self.strict = strict

    def __reduce__(self) -> tuple[Any, ...]:
        return AnalysisProgressTracker, ()  # another process gets its own instance

    def _start(self, symbol: str, id: str) -> AnalysisProgress:
        record = AnalysisProgress(symbol, id, now())
        with _lock:
            self._entries.pop(id, None)  # to keep the order of the starts
            self._entries[id] = _Entry(record, time.time())
        return record.copy()

    def _get(self, id: str) -> AnalysisProgress | None:
        with _lock:
            entry = self._entries.get(id)
            return None if entry is None else entry.record.copy()

    def _change(self, id: str, change: Change) -> bool:
        with _lock:
            entry = self._entries.get(id)
            if entry is None:
                return False
            change(entry.record)
            entry.touched = time.time()
            return True

    def _recent(self, limit: float) -> list[AnalysisProgress]:
        moment = moment_of(limit)
        with _lock:
            recent = [one.record.copy() for one in list(self._entries.values()) if one.record.start_time >= moment]
        return sorted(recent, key=lambda record: record.start_time, reverse=True)

    def _active(self) -> list[str]:
        with _lock:
            return [id for id, one in list(self._entries.items()) if one.record.overall_status == "running"]

    def _clean_up(self, hours: float) -> int:
        limit = time.time() - hours * SECONDS_PER_HOUR
        with _lock:
            old = [id for id, one in list(self._entries.items()) if one.touched < limit]
            for id in old:
                self._entries.pop(id, None)
        return len(old)


# Reentrant: a signal handler may call a tracker within a call of the same thread. So no code iterates over the
# dictionary itself, which the handler may change.
_making = threading.RLock()
_lock = threading.RLock()
_all_entries: dict[str, dict[str, _Entry]] = {}


def entries_of(place: str) -> dict[str, _Entry]:
    """The analyses that belong to a place: "" for those of progress_tracker, else a folder."""
    return _all_entries.setdefault(place, {})


progress_tracker = AnalysisProgressTracker()


def _after_fork_in_child() -> None:
    """In a forked child: another thread of the parent may have held a lock."""
    global _making, _lock
    _making = threading.RLock()
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork_in_child)
