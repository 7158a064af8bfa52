"""A record that was read and will not change, of which a tracker returns copies."""

from __future__ import annotations

from typing import Any

from headway.analysis.model import (
    RESULTS,
    AnalysisProgress,
    LeverageDecisionResult,
    MarketContextResult,
    MLPredictionResult,
    SupportResistanceResult,
)

__all__ = ["Frozen"]

_SIMPLE_TYPES = frozenset((str, int, float, bool, type(None)))
_LEVELS = ("supports", "resistances")


def _are_plain(levels: list[Any]) -> bool:
    """Is every level a dict of values that cannot be changed?"""
    return all(type(level) is dict and _SIMPLE_TYPES.issuperset(map(type, level.values())) for level in levels)


class Frozen:
    """A record that was read and will not change: it makes quick copies to return again and again."""

    __slots__ = ("_plain", "_record", "start_time")

    def __init__(self, record: AnalysisProgress, before: Frozen | None = None) -> None:
        """before: the record that was read before; lists that it has, too, need not be looked through again."""
        own = record.__dict__
        self._record = record
        self.start_time = record.start_time
        self._plain = "_more" not in own
        for name in RESULTS:
            if "_more" in own[name].__dict__:
                self._plain = False
        if self._plain:
            known = before._record.support_resistance.__dict__ if before is not None and before._plain else {}
            found = record.support_resistance.__dict__
            self._plain = all(found[name] is known.get(name) or _are_plain(found[name]) for name in _LEVELS)

    def copy(self) -> AnalysisProgress:
        """A copy of a record that shares nothing with any other."""
        own = self._record
        if not self._plain:
            return own.copy()
        found, prediction = own.support_resistance, own.ml_prediction
        context, decision = own.market_context, own.leverage_decision
        return AnalysisProgress(
            own.symbol,
            own.execution_id,
            own.start_time,
            own.current_stage,
            own.overall_status,
            SupportResistanceResult(
                found.status,
                found.supports_count,
                found.resistances_count,
                [level.copy() for level in found.supports],
                [level.copy() for level in found.resistances],
                found.error_message,
            ),
            MLPredictionResult(
                prediction.status, prediction.predictions_count, prediction.confidence, prediction.error_message
            ),
            MarketContextResult(context.status, context.trend_direction, context.market_phase, context.error_message),
            LeverageDecisionResult(
                decision.status,
                decision.recommended_leverage,
                decision.confidence_level,
                decision.risk_reward_ratio,
                decision.error_message,
            ),
            own.final_signal,
            own.failure_stage,
            own.final_message,
        )
