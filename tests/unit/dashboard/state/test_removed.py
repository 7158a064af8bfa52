"""The removed keys of a board, as many as are kept."""

from __future__ import annotations

import pytest

from headway.dashboard.state import removed
from headway.dashboard.state.removed import Removed


def test_removed_keys_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removed, "REMOVED_MAX", 3)
    known = Removed(1).with_removed([10], 2).with_removed([20, 21], 3)
    assert (known.complete_since, known.since(1), known.since(2), known.since(3)) == (
        1,
        [21, 20, 10],
        [21, 20],
        [],
    )
    known = known.with_removed([30], 4)
    assert (known.complete_since, known.since(2)) == (2, [30, 21, 20])
