"""The plots of a report."""

from __future__ import annotations

import pytest

from headway.exporters._plots import Lane, spread


def test_bars_that_overlap_stand_below_each_other_and_others_do_not() -> None:
    lane = Lane()
    for begin, end in ((0, 10), (1, 4), (4, 6), (11, 12)):
        lane.add(begin, end, (), "success", "", "")
    assert [bar.row for bar in lane.bars] == [0, 1, 1, 0]
    assert lane.rows == 2


@pytest.mark.parametrize(
    "lines",
    [
        [[(0.0, 0.0), (10.0, 100.0)]],
        [[(0.0, 0.0), (3.0, 5.0), (3.0, 9.0), (10.0, 60.0)], [(9.99, 0.0), (10.0, 40.0)]],
        [[(0.0, 0.0), (0.001, 99.0), (10.0, 100.0)]],
    ],
)
def test_throughput_adds_up_to_what_was_counted(lines: list[list[tuple[float, float]]]) -> None:
    begin, end, rates = spread(lines)
    assert (begin, end) == (0.0, 10.0)
    assert sum(rates) * 10 / len(rates) == pytest.approx(100)
