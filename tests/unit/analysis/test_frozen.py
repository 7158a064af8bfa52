"""Copies of a record: equal to it, and independent, whatever it holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from headway.analysis import AnalysisProgress, SupportResistanceResult
from headway.analysis.frozen import Frozen

BEGUN = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - local time, as records have it
LEVELS: dict[str, list[Any]] = {
    "plain": [{"price": 1.0, "strength": 0.5}],
    "nested": [{"price": 1.0, "near": [2.0]}],
    "no objects": [[1.0, [2.0]], 3.0],
}


def record_with(levels: list[Any]) -> AnalysisProgress:
    record = AnalysisProgress("BTC", "one", BEGUN)
    record.support_resistance = SupportResistanceResult("ok", 1, 0, levels)
    return record


@pytest.mark.parametrize("kind", LEVELS)
def test_a_copy_is_equal_and_shares_nothing_that_can_change(kind: str) -> None:
    frozen = Frozen(record_with(LEVELS[kind]))
    first, second = frozen.copy(), frozen.copy()
    assert first == second == record_with(LEVELS[kind])
    first.support_resistance.supports[0] = "spoilt"
    second.support_resistance.supports[0][0 if kind == "no objects" else "price"] = "spoilt"
    assert frozen.copy() == record_with(LEVELS[kind])


@pytest.mark.parametrize("before", LEVELS)
@pytest.mark.parametrize("kind", LEVELS)
def test_what_was_known_of_an_earlier_record_makes_no_copy_share(before: str, kind: str) -> None:
    """A later record has the same lists as an earlier one, or others."""
    earlier = Frozen(record_with(LEVELS[before]))
    later = Frozen(record_with(LEVELS[kind]), earlier)
    copy = later.copy()
    assert copy == record_with(LEVELS[kind])
    assert copy.support_resistance.supports is not LEVELS[kind]
    assert all(
        one is not other
        for one, other in zip(copy.support_resistance.supports, LEVELS[kind], strict=True)
        if isinstance(one, dict | list)
    )


def test_fields_of_another_version_are_in_the_copies() -> None:
    record = AnalysisProgress.from_dict({**AnalysisProgress("BTC", "one", BEGUN).to_dict(), "more": [1]})
    copy = Frozen(record).copy()
    assert copy.to_dict()["more"] == [1]
    copy.more.append(2)
    assert Frozen(record).copy().to_dict()["more"] == [1]
