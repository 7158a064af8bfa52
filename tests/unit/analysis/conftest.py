"""A file tracker, and an analysis in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.analysis import FileBasedProgressTracker


@pytest.fixture
def tracker(tmp_path: Path) -> FileBasedProgressTracker:
    return FileBasedProgressTracker(tmp_path)


@pytest.fixture
def one(tracker: FileBasedProgressTracker) -> Path:
    """The file of an analysis that was changed once."""
    tracker.start_analysis("BTC", "one")
    tracker.update_stage("one", "data_fetch")
    return tracker.progress_dir / "progress_one.json"
