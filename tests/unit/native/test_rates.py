"""Rates: honest from the first moment, quick to follow, and of this run only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.native import records as native_records
from headway.native.rates import Rates

if TYPE_CHECKING:
    from tests.unit.conftest import MakeRaw

SECOND = 1_000_000_000
BEGIN = 1_700_000_000 * SECOND


class Watched:
    """One running task that is looked at now and then."""

    def __init__(self, make_raw: MakeRaw, rates: Rates | None = None) -> None:
        self.bytes = bytearray(make_raw(1).tasks)
        self.record = np.frombuffer(self.bytes, np.dtype(native_records.DTYPES["tasks"]))[0:1]
        self.record["started_ns"], self.record["base"], self.record["count"] = BEGIN, 0, 0
        self.rates = rates or Rates()

    def look(self, seconds: float, count: int | None = None) -> float:
        if count is not None:
            self.record["count"] = count
        self.rates.update(self.bytes, BEGIN + round(seconds * SECOND))
        return float(self.record["rate"][0])


@pytest.fixture
def watched(make_raw: MakeRaw) -> Watched:
    return Watched(make_raw)


@pytest.mark.parametrize("interval", [0.05, 0.25, 1.0, 30.0])
def test_a_steady_pace_is_told_exactly_from_the_first_look_on(watched: Watched, interval: float) -> None:
    for look in range(1, 100):
        assert watched.look(look * interval, look * 10) == pytest.approx(10 / interval)


def test_a_task_seen_late_brings_the_mean_of_its_run(watched: Watched) -> None:
    assert watched.look(100.0, 500) == pytest.approx(5.0)


def test_a_change_of_pace_is_followed_within_two_time_constants(watched: Watched) -> None:
    for look in range(1, 400):
        watched.look(look / 4, look * 10)
    count, rate = 3990, 0.0
    for look in range(400, 440):  # ten seconds at a tenth of the pace
        count += 1
        rate = watched.look(look / 4, count)
    assert 4 < rate < 4 + 36 * math.exp(-2) + 0.5


def test_the_rate_of_a_stopped_task_fades(watched: Watched) -> None:
    watched.look(10, 1000)
    assert watched.look(40) < 1


@pytest.mark.parametrize("gap", [20, 60])
def test_a_task_that_counts_once_a_minute_has_a_steady_rate(watched: Watched, gap: int) -> None:
    seen = []
    for quarter in range(1, 4 * gap * 30):
        rate = watched.look(quarter / 4, quarter // (4 * gap))
        if quarter > 4 * gap * 8:
            seen.append(rate * gap)
    assert 0.6 < min(seen) < max(seen) < 1.6


def test_another_task_in_the_slot_begins_anew(watched: Watched) -> None:
    for look in range(1, 100):
        watched.look(look, look * 1000)
    watched.record["generation"], watched.record["started_ns"] = 3, BEGIN + 100 * SECOND
    assert watched.look(102, 4) == pytest.approx(2.0)


def test_a_count_that_went_back_begins_anew(watched: Watched) -> None:
    watched.look(10, 1000)
    assert watched.look(20, 100) == pytest.approx(5.0)


def test_a_resumed_run_counts_its_own_items_only(watched: Watched) -> None:
    watched.look(10, 1_000_000)
    watched.record["base"], watched.record["started_ns"] = 1_000_000, BEGIN + 20 * SECOND
    assert watched.look(30, 1_000_050) == pytest.approx(5.0)


def test_the_rate_of_an_ended_run_is_its_mean(watched: Watched) -> None:
    watched.look(9, 900)
    watched.record["state"], watched.record["ended_ns"] = 2, BEGIN + 10 * SECOND
    assert watched.look(500, 1000) == pytest.approx(100.0)


def test_nothing_is_known_of_a_task_that_has_not_begun(watched: Watched) -> None:
    watched.record["state"] = 0
    assert math.isnan(watched.look(5, 0))
    watched.record["state"], watched.record["started_ns"] = 1, BEGIN + 5 * SECOND
    assert math.isnan(watched.look(5, 0))  # no time has passed yet
    assert watched.look(6, 3) == pytest.approx(3.0)


def test_a_clock_set_back_does_no_harm(watched: Watched) -> None:
    for look in range(1, 40):
        watched.look(look, look * 10)
    assert watched.look(1, 400) == pytest.approx(10, rel=0.2)
    rate = 0.0
    for look in range(2, 60):
        rate = watched.look(look, 390 + look * 10)
    assert rate == pytest.approx(10)


@pytest.mark.parametrize("step", [3600, -3600])
def test_a_step_of_the_wall_clock_is_none_of_the_pace(watched: Watched, step: int) -> None:
    for look in range(1, 200):
        watched.record["count"] = look
        wall = BEGIN + (look * SECOND // 4) + (step * SECOND if look > 100 else 0)
        watched.rates.update(watched.bytes, wall, look * SECOND // 4)
        assert float(watched.record["rate"][0]) == pytest.approx(4.0), look


def test_two_looks_at_one_moment_agree(watched: Watched) -> None:
    assert watched.look(10, 50) == watched.look(10, 50)
    assert watched.look(10, 60) == pytest.approx(5.0)  # what was counted at no time weighs nothing yet


def test_every_task_has_a_rate_of_its_own(make_raw: MakeRaw) -> None:
    data = bytearray(make_raw(1000).tasks)
    records = np.frombuffer(data, np.dtype(native_records.DTYPES["tasks"]))
    rates = Rates()
    records["started_ns"] = BEGIN
    for look in range(1, 20):
        records["count"] = np.arange(1000) * look
        rates.update(data, BEGIN + look * SECOND)
    assert np.allclose(records["rate"], np.arange(1000))


def test_a_slot_that_no_board_has_is_a_value_error(watched: Watched) -> None:
    watched.record["slot"] = 2**20
    with pytest.raises(ValueError, match="slot"):
        watched.look(1)
    watched.record["slot"] = 2**20 - 1
    watched.look(1, 10)
    assert watched.look(2, 20) == pytest.approx(10)


def test_what_is_no_array_of_tasks_is_refused() -> None:
    with pytest.raises(ValueError, match="not a whole number of records"):
        Rates().update(bytearray(5), 1)
    with pytest.raises(BufferError):
        Rates().update(bytes(1016), 1)  # type: ignore[arg-type]
    for tau in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="tau"):
            Rates(tau)


LIMIT = 2**63 - 1


@given(
    st.lists(
        st.tuples(
            st.integers(-LIMIT - 1, LIMIT),  # count
            st.integers(-LIMIT - 1, LIMIT),  # base
            st.integers(-LIMIT - 1, LIMIT),  # started
            st.integers(-LIMIT - 1, LIMIT),  # now
            st.integers(0, 2),  # generation
            st.integers(0, 255),  # state
        ),
        max_size=8,
    )
)
@settings(max_examples=200, deadline=None)
def test_impossible_numbers_give_a_rate_or_none(
    make_raw: MakeRaw, looks: list[tuple[int, int, int, int, int, int]]
) -> None:
    watched = Watched(make_raw)
    for count, base, started, now, generation, state in looks:
        for name, value in zip(
            ("count", "base", "started_ns", "generation", "state"),
            (count, base, started, generation, state),
            strict=True,
        ):
            watched.record[name] = value
        watched.rates.update(watched.bytes, now)
        rate = float(watched.record["rate"][0])
        assert math.isnan(rate) or 0 <= rate < math.inf
