"""Trackers of analyses: one contract, kept in shared memory, in files, or within one process.

Programs name the tracker that they were written for: `file_progress_tracker`, or `progress_tracker`. If
HEADWAY_ANALYSIS_TRACKER (shared, file or memory) is set, these names give them that tracker instead.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.system import support

if TYPE_CHECKING:
    from headway.analysis.contract import ProgressTracker
    from headway.analysis.files import FileBasedProgressTracker
    from headway.analysis.memory import AnalysisProgressTracker
    from headway.analysis.model import (
        AnalysisProgress,
        LeverageDecisionResult,
        MarketContextResult,
        MLPredictionResult,
        SupportResistanceResult,
    )
    from headway.analysis.shared import SharedMemoryProgressTracker
    from headway.analysis.snapshots import AnalysisSnapshots

    file_progress_tracker: ProgressTracker
    progress_tracker: ProgressTracker
    shared_progress_tracker: SharedMemoryProgressTracker

__all__ = [
    "AnalysisProgress",
    "AnalysisProgressTracker",
    "AnalysisSnapshots",
    "FileBasedProgressTracker",
    "LeverageDecisionResult",
    "MLPredictionResult",
    "MarketContextResult",
    "ProgressTracker",
    "SharedMemoryProgressTracker",
    "SupportResistanceResult",
    "file_progress_tracker",
    "progress_tracker",
    "shared_progress_tracker",
    "tracker",
]

_HOMES = {
    "AnalysisProgress": "model",
    "AnalysisProgressTracker": "memory",
    "AnalysisSnapshots": "snapshots",
    "FileBasedProgressTracker": "files",
    "LeverageDecisionResult": "model",
    "MLPredictionResult": "model",
    "MarketContextResult": "model",
    "ProgressTracker": "contract",
    "SharedMemoryProgressTracker": "shared",
    "SupportResistanceResult": "model",
    "shared_progress_tracker": "shared",
}
_TRACKERS = {
    "shared": ("shared", "shared_progress_tracker"),
    "file": ("files", "file_progress_tracker"),
    "memory": ("memory", "progress_tracker"),
}


def tracker(kind: str | None = None) -> ProgressTracker:
    """Return this process's tracker of a kind: "shared", "file" or "memory".

    Default: what HEADWAY_ANALYSIS_TRACKER says, else file. It touches no disk and no shared memory before it is used.
    Raises headway.errors.UnknownTracker (a ValueError) for another kind.
    """
    chosen = kind or os.environ.get("HEADWAY_ANALYSIS_TRACKER") or "file"
    if chosen not in _TRACKERS:
        source = "tracker" if kind else "HEADWAY_ANALYSIS_TRACKER"
        raise errors.UnknownTracker(f"{source} {chosen!r} is unknown: choose one of {', '.join(_TRACKERS)}")
    if chosen == "shared" and support.disabled():
        chosen = "memory"  # HEADWAY_DISABLE: no other process sees anything then
    home, name = _TRACKERS[chosen]
    found: ProgressTracker = getattr(importlib.import_module(f"headway.analysis.{home}"), name)
    return found


def _by_old_name(name: str) -> Any:
    """The tracker under a name from before Headway. Looked up at each access: the environment may change."""
    from headway.analysis import switch

    if name == "FileBasedProgressTracker":
        return switch.CLASSES[switch.chosen("file")]
    if name == "file_progress_tracker":
        return switch.instance(switch.chosen("file"))
    return tracker(switch.chosen("memory"))


def __getattr__(name: str) -> Any:
    if name in ("file_progress_tracker", "progress_tracker"):
        return _by_old_name(name)
    if name not in _HOMES:
        raise AttributeError(f"module 'headway.analysis' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"headway.analysis.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
