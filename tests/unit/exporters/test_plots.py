"""The plots of a report."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from headway.exporters._plots import Lane, area, colour_class

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_bars_that_overlap_stand_below_each_other_and_others_do_not() -> None:
    lane = Lane()
    for begin, end in ((0, 10), (1, 4), (4, 6), (11, 12)):
        lane.add(begin, end, (), "success", "", "")
    assert [bar.row for bar in lane.bars] == [0, 1, 1, 0]
    assert lane.rows == 2


def labels(begin: float, end: float) -> list[tuple[float, str, str]]:
    """The labels of an axis: place, anchor, text."""
    found = re.findall(
        r'<text x="([0-9.]+)" y="135" text-anchor="(\w+)">([^<]*)</text>', area(begin, end, [1.0], "1/s")
    )
    return [(float(place), anchor, text) for place, anchor, text in found]


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


EVENING = 1_767_213_000.0  # 31 December 2025, 21:30 in Berlin
HALVES = ("01:00", "01:30", "02:00", "02:30")
SPRING = ("2 Mar", "8 Mar", "14 Mar", "20 Mar", "26 Mar")  # over the day on which clocks go forward


@pytest.mark.parametrize(
    ("begin", "span", "shown"),
    [
        (EVENING, 1.0, ["21:30:00", "+1.00 s"]),
        (EVENING, 40, [f"21:30:{second:02}" for second in range(5, 41, 5)]),
        (EVENING, 3600, ["21:40", "21:50", "22:00", "22:10", "22:20", "22:30"]),
        (EVENING, 5 * 3600, ["31 Dec 22:00", "22:30", "23:00", "23:30", "1 Jan 00:00", "00:30", *HALVES]),
        (EVENING, 3 * 86_400, [f"{day} Jan 00:00,08:00,16:00" for day in (1, 2, 3)]),
        (EVENING, 20 * 86_400, [f"{day} Jan 2026" for day in range(2, 21, 2)]),
        (EVENING + 86_400, 20 * 86_400, [f"{day} Jan" for day in range(3, 22, 2)]),
        (EVENING + 49 * 86_400, 60 * 86_400, ["24 Feb", *SPRING, "1 Apr", "7 Apr", "13 Apr", "19 Apr"]),
    ],
)
def test_a_time_axis_has_dates_where_it_goes_over_more_than_a_day(
    in_berlin: None, begin: float, span: float, shown: list[str]
) -> None:
    assert [text for _, _, text in labels(begin, begin + span)] == ",".join(shown).split(",")


@pytest.mark.parametrize("span", [3.0, 59.0, 4000.0, 90_000.0, 2e6, 3e7, 4e9])
def test_labels_of_a_time_axis_are_few_and_stay_inside_the_picture(span: float) -> None:
    found = labels(EVENING, EVENING + span)
    assert 1 <= len(found) <= 11
    for place, anchor, _ in found:
        assert place + (40 if anchor == "middle" else 0) <= 1080


def test_a_stalled_bar_has_a_colour_of_its_own_and_an_unknown_state_none() -> None:
    assert [colour_class(state) for state in ("running", "stalled", "odd")] == ["running", "stalled", "pending"]
