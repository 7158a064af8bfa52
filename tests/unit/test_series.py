"""The series of a count: few points, evenly over all of the time, and never a wrong one."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway._series import INTERVAL_S, POINTS, Thinning

START = 1_700_000_000.0
GAPS = st.lists(st.floats(0, 5), min_size=1, max_size=400) | st.lists(st.floats(0, 1e6), min_size=1, max_size=400)


def thinned(looks: list[tuple[float, int]], most: int = POINTS) -> Thinning:
    series = Thinning(most)
    for look in looks:
        series.add(*look)
    return series


def test_of_a_short_task_every_look_is_kept() -> None:
    looks = [(START + 0.25 * number, number) for number in range(POINTS - 1)]
    assert thinned(looks).points == tuple(looks)


def test_a_series_without_a_look_is_empty() -> None:
    assert Thinning().points == ()


def test_after_a_day_of_looks_the_points_lie_evenly_over_all_of_it() -> None:
    looks = [(START + 0.25 * number, 7 * number) for number in range(24 * 3600 * 4)]
    points = thinned(looks).points
    assert POINTS / 2 <= len(points) <= POINTS
    assert (points[0], points[-1]) == (looks[0], looks[-1])
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(points[:-1])]
    assert max(gaps) - min(gaps) <= 0.25


@given(gaps=GAPS, most=st.integers(4, 80))
@settings(deadline=None)
def test_every_point_is_a_look_and_the_first_and_the_latest_are_there(gaps: list[float], most: int) -> None:
    looks, at = [], START
    for count, gap in enumerate(gaps):
        at += gap
        looks.append((at, count))
    points = thinned(looks, most).points
    assert len(points) <= most
    assert set(points) <= set(looks)
    assert list(points) == sorted(points)
    assert (points[0], points[-1]) == (looks[0], looks[-1])


@given(gaps=GAPS, most=st.integers(4, 80))
@settings(deadline=None)
def test_no_interval_that_had_a_look_is_without_a_point(gaps: list[float], most: int) -> None:
    """Of each interval the first look is the point: so nothing between two points is further than two intervals off."""
    looks, at = [], START
    for count, gap in enumerate(gaps):
        at += gap
        looks.append((at, count))
    points = thinned(looks, most).points
    span = looks[-1][0] - looks[0][0]
    interval = INTERVAL_S
    while interval * (most - 1) <= span:  # no longer than this: then fewer intervals than places have a look
        interval *= 2
    for at, _ in looks:
        before = max(point for point, _ in points if point <= at)
        assert at - before <= interval + 1e-3


def test_a_clock_that_is_set_back_does_not_turn_the_series_back() -> None:
    points = thinned([(START, 0), (START + 10, 5), (START - 3600, 6), (START + 11, 7), (START - 1, 8)]).points
    assert points == ((START, 0), (START + 10, 5), (START + 11, 7), (START + 11, 8))


@pytest.mark.parametrize(("most", "interval"), [(3, 0.1), (64, 0.0), (64, -1.0), (64, math.nan)])
def test_a_series_that_cannot_be_is_refused(most: int, interval: float) -> None:
    with pytest.raises(ValueError, match="at least 4"):
        Thinning(most, interval)
