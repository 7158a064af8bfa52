"""Series: how a count grew, in a bounded number of points that lie evenly over all of its time."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.native import records
from headway.native.series import POINTS, Series

if TYPE_CHECKING:
    from tests.unit.conftest import MakeRaw

BEGIN = 1_700_000_000.0


class Watched:
    """One running task, and the series of its board."""

    def __init__(self, make_raw: MakeRaw) -> None:
        self.bytes = bytearray(make_raw(1).tasks)
        self.record: Any = np.frombuffer(self.bytes, np.dtype(records.DTYPES["tasks"]))[0:1]
        self.series = Series()

    def look(self, at: float, count: int) -> None:
        self.record["count"] = count
        self.series.look(self.bytes, BEGIN + at)

    @property
    def points(self) -> list[tuple[float, int]]:
        return [(at - BEGIN, count) for at, count in self.series.points(0, 1)]


@pytest.fixture
def watched(make_raw: MakeRaw) -> Watched:
    return Watched(make_raw)


def test_of_a_short_task_every_look_is_kept(watched: Watched) -> None:
    looks = [(number * 0.25, number * 3) for number in range(20)]
    for at, count in looks:
        watched.look(at, count)
    assert watched.points == looks


def test_a_long_task_is_covered_evenly_from_its_first_look_to_its_latest(watched: Watched) -> None:
    last = 24 * 3600 * 4
    for number in range(last + 1):
        watched.look(number / 4, number)
    points = watched.points
    assert POINTS // 2 <= len(points) <= POINTS
    assert [points[0], points[-1]] == [(0, 0), (last / 4, last)]
    gaps = [later[0] - sooner[0] for sooner, later in itertools.pairwise(points)]
    assert max(gaps) <= 2 * min(gaps[:-1]) + 0.25


@given(
    st.lists(st.tuples(st.floats(-10, 1e6, allow_nan=False), st.integers(-(2**47), 2**47)), min_size=1, max_size=400)
)
def test_a_series_is_bounded_ordered_and_made_of_what_was_seen(
    make_raw: MakeRaw, looks: list[tuple[float, int]]
) -> None:
    watched = Watched(make_raw)
    for at, count in looks:
        watched.look(at, count)
    points = watched.series.points(0, 1)
    assert len(points) <= POINTS
    assert [at for at, _ in points] == sorted(at for at, _ in points)
    assert points[0] == (BEGIN + looks[0][0], looks[0][1])
    assert points[-1] == (BEGIN + max(at for at, _ in looks), looks[-1][1])
    assert {count for _, count in points} <= {count for _, count in looks}


def test_a_task_that_takes_the_slot_next_begins_anew(watched: Watched) -> None:
    watched.look(0, 5)
    watched.record["generation"] = 3
    watched.look(1, 0)
    assert watched.series.points(0, 1) == []
    assert watched.series.points(0, 3) == [(BEGIN + 1, 0)]


def test_the_end_is_in_it_and_nothing_after(watched: Watched) -> None:
    watched.look(0, 1)
    watched.record["state"] = 2
    watched.look(1, 9)
    watched.look(2, 9)
    assert watched.points == [(0, 1), (1, 9)]


def test_a_task_never_seen_at_work_has_none(watched: Watched) -> None:
    watched.record["state"] = 2
    watched.look(0, 9)
    assert watched.points == []
    assert watched.series.points(10**6, 1) == []


def test_a_slot_that_no_board_has_is_refused(watched: Watched) -> None:
    watched.record["slot"] = 2**31
    with pytest.raises(ValueError, match="outside of every board"):
        watched.look(0, 1)
