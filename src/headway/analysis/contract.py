"""The contract of the trackers: the calls that every one of them answers, how an analysis may change, and what happens
to a call that goes wrong.

Progress never stops the job. A call that cannot do its work returns False (or None, [], 0), and the reason is reported
once, through `logging` and as a warning. With strict=True it raises instead.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from headway import errors
from headway.analysis.model import AnalysisProgress, result_of
from headway.analysis.values import hours_of, id_of, text_of
from headway.tasks.ending import failure_text

__all__ = ["SECONDS_PER_HOUR", "Change", "ProgressTracker", "RecordTracker", "moment_of", "now"]

Change: TypeAlias = Callable[[AnalysisProgress], None]
T = TypeVar("T")

SECONDS_PER_HOUR = 3600.0
LOG = logging.getLogger("headway.analysis")
TOLD_MAX = 1000  # different failures that are remembered: a bound for programs that run for long


class ProgressTracker(ABC):
    """Follows analyses by their execution ids. A call that changes one returns True, and False if the id is unknown.

    Ids, texts and results may be of any type: see headway.analysis.values. The first end of an analysis counts: later
    calls leave status, stage, signal and message as they are, and only results are still stored; start_analysis starts
    it over. No call raises, unless `strict` is set: then a call that cannot do its work raises.
    """

    strict: bool = False

    # ------------------------------------------------------------------------------------------------------ changes

    def start_analysis(self, symbol: Any, execution_id: Any) -> AnalysisProgress:
        """Begin an analysis; one of the same id starts over. Returns its record, whether it could be stored or not."""
        try:
            return self._start(text_of(symbol), id_of(execution_id))
        except Exception as error:
            self._failed("start_analysis", execution_id, error)
            return AnalysisProgress(_told_as(text_of, symbol), _told_as(id_of, execution_id), now())

    def get_progress(self, execution_id: Any) -> AnalysisProgress | None:
        """Return the present record of an analysis, as a copy; None if it is unknown or cannot be read."""
        try:
            return self._get(id_of(execution_id))
        except Exception as error:
            self._failed("get_progress", execution_id, error)
            return None

    def update_stage(self, execution_id: Any, stage: Any) -> bool:
        """Enter the next stage: any text."""
        try:
            return self._enter(id_of(execution_id), text_of(stage))
        except Exception as error:
            return self._failed("update_stage", execution_id, error)

    def update_support_resistance(self, execution_id: Any, result: Any) -> bool:
        """Store the price levels that were found; the other results stay."""
        try:
            return self._store(id_of(execution_id), "support_resistance", result)
        except Exception as error:
            return self._failed("update_support_resistance", execution_id, error)

    def update_ml_prediction(self, execution_id: Any, result: Any) -> bool:
        """Store what the model predicted; the other results stay."""
        try:
            return self._store(id_of(execution_id), "ml_prediction", result)
        except Exception as error:
            return self._failed("update_ml_prediction", execution_id, error)

    def update_market_context(self, execution_id: Any, result: Any) -> bool:
        """Store trend and phase of the market; the other results stay."""
        try:
            return self._store(id_of(execution_id), "market_context", result)
        except Exception as error:
            return self._failed("update_market_context", execution_id, error)

    def update_leverage_decision(self, execution_id: Any, result: Any) -> bool:
        """Store the recommended leverage; the other results stay."""
        try:
            return self._store(id_of(execution_id), "leverage_decision", result)
        except Exception as error:
            return self._failed("update_leverage_decision", execution_id, error)

    def complete_analysis(self, execution_id: Any, signal: Any, message: Any = "") -> bool:
        """End it well: status success, stage completed, with the signal and the message."""
        try:
            ended = {
                "overall_status": "success",
                "current_stage": "completed",
                "final_signal": text_of(signal),
                "final_message": text_of(message),
            }
            return self._end(id_of(execution_id), ended)
        except Exception as error:
            return self._failed("complete_analysis", execution_id, error)

    def fail_analysis(self, execution_id: Any, stage: Any, message: Any) -> bool:
        """End it as failed in that stage: signal no_signal, with the message."""
        try:
            ended = {
                "overall_status": "failed",
                "failure_stage": text_of(stage),
                "final_signal": "no_signal",
                "final_message": text_of(message),
            }
            return self._end(id_of(execution_id), ended)
        except Exception as error:
            return self._failed("fail_analysis", execution_id, error)

    # --------------------------------------------------------------------------------------------------------- lists

    def get_all_recent(self, hours: Any = 1) -> list[AnalysisProgress]:
        """Return the analyses that were started within the last `hours`, the newest first; [] for 0 hours or less."""
        try:
            known = hours_of(hours)
            return self._recent(time.time() - known * SECONDS_PER_HOUR) if known > 0 else []
        except Exception as error:
            self._failed("get_all_recent", hours, error)
            return []

    def get_active_executions(self) -> list[str]:
        """Return the ids of the analyses whose status is running."""
        try:
            return self._active()
        except Exception as error:
            self._failed("get_active_executions", "", error)
            return []

    def cleanup_old(self, hours: Any = 24) -> int:
        """Remove the analyses that were not written for `hours`. Returns how many."""
        try:
            known = hours_of(hours)
            if known < 0:
                raise ValueError(f"hours {hours!r} is negative: give 0 or more")
            return self._clean_up(known)
        except Exception as error:
            self._failed("cleanup_old", hours, error)
            return 0

    # --------------------------------------------------------------- what each tracker does, with values it can keep

    @abstractmethod
    def _start(self, symbol: str, id: str) -> AnalysisProgress: ...
    @abstractmethod
    def _get(self, id: str) -> AnalysisProgress | None: ...
    @abstractmethod
    def _enter(self, id: str, stage: str) -> bool: ...
    @abstractmethod
    def _store(self, id: str, name: str, result: Any) -> bool:
        """Store a result as it was handed in."""

    @abstractmethod
    def _end(self, id: str, ended: dict[str, str]) -> bool: ...
    @abstractmethod
    def _recent(self, limit: float) -> list[AnalysisProgress]:
        """The analyses that began at this moment, in seconds since 1970, or later."""

    @abstractmethod
    def _active(self) -> list[str]: ...
    @abstractmethod
    def _clean_up(self, hours: float) -> int: ...

    # ------------------------------------------------------------------------------------------------------- trouble

    @classmethod
    def _called(cls) -> str:
        """The name by which programs know this class."""
        return cls.__name__

    def _failed(self, call: str, what: Any, error: Exception) -> bool:
        """Raise the error again if `strict` is set; else report it once. Returns False."""
        if self.strict:
            raise error
        with suppress(Exception):  # a failing log handler, or warnings that are errors, must not end the program either
            number = error.errno if isinstance(error, OSError) and isinstance(error.errno, int) else None
            called = self._called()
            about = (called, call, type(error).__name__, number)
            if about in _told or len(_told) >= TOLD_MAX:
                return False
            _told.add(about)
            try:
                shown = f"{what!r:.100}"
            except Exception:  # an object whose repr() raises
                shown = f"<{type(what).__name__}>"
            text = (
                f"{called}.{call}({shown}) did nothing: {failure_text(error)}. "
                f"The program goes on; this is told once. {called}(strict=True) raises instead"
            )
            errors.tell(text)
            LOG.warning("%s", text)
        return False


class RecordTracker(ProgressTracker):
    """A tracker that keeps whole records, and locks a record to change it."""

    @abstractmethod
    def _change(self, id: str, change: Change) -> bool:
        """Change a record while nobody else can. False if there is no such record."""

    def _enter(self, id: str, stage: str) -> bool:
        def change(record: AnalysisProgress) -> None:
            if record.overall_status == "running":
                record.current_stage = stage

        return self._change(id, change)

    def _store(self, id: str, name: str, result: Any) -> bool:
        stored = result_of(name, result)
        return self._change(id, lambda record: setattr(record, name, stored))

    def _end(self, id: str, ended: dict[str, str]) -> bool:
        def change(record: AnalysisProgress) -> None:
            if record.overall_status == "running":
                vars(record).update(ended)

        return self._change(id, change)


def _told_as(rule: Callable[[object], str], value: object) -> str:
    """The result of a rule for a value; "" if the rule raises."""
    try:
        return rule(value)
    except Exception:  # as in ProgressTracker
        return ""


def moment_of(limit: float) -> datetime:
    """Seconds since 1970 as the datetime of start_time; a time before 1970 gives the earliest datetime."""
    return datetime.fromtimestamp(limit) if limit > 0 else datetime.min  # noqa: DTZ006, DTZ901 - as in now()


def now() -> datetime:
    """Local time without an offset: programs compare it with datetime.now()."""
    return datetime.now()  # noqa: DTZ005 - see above


_told: set[tuple[Any, ...]] = set()
