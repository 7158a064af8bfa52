"""Numbers, times and counts as people read them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headway.views.numbers import Counts, TimeLeft
from headway.views.words import (
    counted,
    duration,
    measured,
    number,
    percent,
    plural,
    rate,
    size,
    state,
    tally,
    time_left,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (1234567, "1,234,567"), (9_999_999, "9,999,999"), (12_340_000, "12.3M"), (10**15, "1.00P")],
)
def test_numbers_are_read_at_a_glance(value: int, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (-0.0, "0.0 s"),
        (-5.0, "0.0 s"),
        (3.21, "3.2 s"),
        (9.96, "10 s"),
        (59.6, "1:00"),
        (754, "12:34"),
        (3723, "1:02:03"),
        (190_800, "2 d 5 h"),
        (364 * 86_400, "364 d"),
        (405 * 86_400, "1 y 40 d"),
        (999 * 365 * 86_400, "999 y 0 d"),
        (4e10, "–"),
        (float("inf"), "–"),
    ],
)
def test_durations_are_read_at_a_glance(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0/s"),
        (95.21, "95.2/s"),
        (1234.0, "1.23k/s"),
        (999.6, "1.00k/s"),
        (0.1, "6/min"),
        (0.001, "3.60/h"),
        (1e-6, "0.086/d"),
        (1e12, "1.00T/s"),
    ],
)
def test_slow_rates_are_told_by_the_minute_hour_or_day(value: float, shown: str) -> None:
    assert rate(value) == shown


def test_counts_carry_their_unit() -> None:
    assert counted(2100, 5000, "bar") == "2,100/5,000 bar"
    assert counted(7, None) == "7"
    assert counted(35, 10, "bar") == "35 bar", "the total was wrong"
    assert counted(3, 0) == "3"
    assert (plural(1, "worker"), plural(2, "worker")) == ("1 worker", "2 workers")


def test_counts_are_told_by_urgency_and_a_stalled_task_once() -> None:
    counts = Counts(success=300, running=25, stalled=3, lost=1, pending=1)
    assert list(tally(counts).values()) == ["25 running (3 stalled)", "1 lost", "1 pending", "300 succeeded"]
    assert tally(Counts()) == {}


def test_a_time_left_says_what_is_not_in_it() -> None:
    assert time_left(TimeLeft(108.0, False, 0)) == "1:48"
    assert time_left(TimeLeft(108.0, True, 1)) == "≥ 1:48, 1 stalled not counted"
    assert time_left(TimeLeft(108.0, True, 0), at_least=">=") == ">= 1:48"
    assert time_left(TimeLeft(None, True, 1)) == ""


@pytest.mark.parametrize(
    ("count", "total", "unit", "shown"),
    [
        (0, 5_000_000, "B", "0 B/5.00 MB"),
        (2_100, None, "B", "2.10 kB"),
        (999_600, 10**12, "B", "1.00 MB/1.00 TB"),
        (1_023, 1_048_576, "iB", "1.00 KiB/1.00 MiB"),
        (5 << 30, 1 << 50, "iB", "5.00 GiB/1.00 PiB"),
    ],
)
def test_bytes_are_told_in_units_of_bytes(count: int, total: int | None, unit: str, shown: str) -> None:
    assert counted(count, total, unit) == shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1.2345e6, "B", "1.23 MB/s"),
        (1 << 20, "iB", "1.00 MiB/s"),
        (0.5, "B", "30 B/min"),
        (1e-5, "B", "0.86 B/d"),
        (5.0, "it", "5/s"),
    ],
)
def test_rates_of_bytes_have_units_of_bytes(value: float, unit: str, shown: str) -> None:
    assert rate(value, unit) == shown


TIMES_S = st.floats(allow_nan=True, allow_infinity=True)
COUNTS = st.integers(-(2**47), 2**63 - 1)
UNITS = st.sampled_from(["", "it", "B", "iB"])
ODD = re.compile(r"nan|inf|[0-9]e[+-]?[0-9]|--", re.IGNORECASE)


@given(TIMES_S, st.booleans())
def test_a_duration_is_never_negative_never_a_power_of_ten_and_short_whatever_the_clock_does(
    seconds: float, whole: bool
) -> None:
    shown = duration(seconds, whole=whole)
    assert not ODD.search(shown)
    assert not shown.startswith("-")
    assert len(shown) <= 11
    assert shown == "–" or any(char.isdigit() for char in shown)


@given(st.floats(1e-6, 1e12) | st.sampled_from([0.0, 1e-9, 1e-300, 1e300, math.inf, math.nan]), UNITS)
def test_a_rate_from_a_millionth_to_a_million_million_a_second_is_a_short_number(value: float, unit: str) -> None:
    shown = rate(value, unit)
    assert not ODD.search(shown)
    assert len(shown) <= 13
    if math.isfinite(value) and 1e-6 <= value <= 1e12:
        assert re.fullmatch(r"[0-9.]+ ?([kKMGTPE]?i?B?)/(s|min|h|d)", shown)
        assert shown[0] != "0" or float(re.match(r"[0-9.]+", shown)[0]) > 0, "what moves is not at rest"  # type: ignore[index]


@given(COUNTS, st.none() | st.integers(0, 2**63 - 1), UNITS)
def test_a_count_has_its_total_only_where_that_holds_and_a_bounded_width(
    count: int, total: int | None, unit: str
) -> None:
    shown = counted(count, total, unit)
    assert not ODD.search(shown)
    assert len(shown) <= 25
    assert ("/" in shown) == (total is not None and total > 0 and count <= total)


@given(st.floats(0, 1))
@example(0.995)
@example(0.999999)
@example(0.004)
def test_a_percentage_is_100_only_of_all_and_0_only_of_nothing(fraction: float) -> None:
    shown = percent(fraction)
    assert len(shown) <= 4
    assert (shown == "100%") == (fraction * 100 >= 100)
    assert (shown == "0%") == (fraction == 0)


@given(st.integers(0, 2**63 - 1))
def test_a_size_is_short(count: int) -> None:
    assert re.fullmatch(r"[0-9.]{1,4} ([KMGTPE]i)?B", size(count))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (2.499999999999947e-06, "0.0000025"),
        (1e-5, "0.00001"),
        (1.5e-7, "1.5e-7"),
        (0.934123456, "0.93412"),
        (-3.0, "-3"),
        (124812.0, "124,812"),
        (123456789.0, "1.2346e8"),
        (0.5, "0.5"),
        (math.nan, "nan"),  # a program's own number: that a loss is none is what people look for
    ],
)
def test_a_measured_value_has_five_digits_and_no_more(value: float | None, shown: str) -> None:
    assert measured(value) == shown


@given(st.floats(-1e307, 1e307))
def test_a_measured_value_is_right_to_five_digits_and_short(value: float) -> None:
    shown = measured(value)
    assert len(shown) <= 13
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=1e-4)


def test_people_read_that_a_task_succeeded_and_a_file_may_have_states_of_its_own() -> None:
    assert [state(one) for one in ("success", "failed", "lost", "odd")] == ["succeeded", "failed", "lost", "odd"]
    assert state("running", stalled=True) == "stalled"
