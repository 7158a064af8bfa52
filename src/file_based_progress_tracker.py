"""The import path of programs that were written before Headway. Importing it writes nothing to any disk.

HEADWAY_ANALYSIS_TRACKER=shared, file or memory chooses what `file_progress_tracker` and `FileBasedProgressTracker` are;
see headway.analysis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway import analysis

if TYPE_CHECKING:
    from headway.analysis import (
        AnalysisProgress,
        FileBasedProgressTracker,
        LeverageDecisionResult,
        MarketContextResult,
        MLPredictionResult,
        SupportResistanceResult,
        file_progress_tracker,
    )

__all__ = [
    "AnalysisProgress",
    "FileBasedProgressTracker",
    "LeverageDecisionResult",
    "MLPredictionResult",
    "MarketContextResult",
    "SupportResistanceResult",
    "file_progress_tracker",
]


def __getattr__(name: str) -> Any:
    if name == "FileBasedProgressTracker":
        return analysis._by_old_name(name)
    try:
        return getattr(analysis, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
