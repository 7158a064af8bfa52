"""How long items took, as read from a histogram."""

from __future__ import annotations

import pytest

from headway.views.durations import KINDS, QUICK_S, Durations


def of(**many: int) -> Durations:
    """counts by kind, k0=3: three of the first; the slowest ends the last of them."""
    counts = [0] * KINDS
    for kind, count in many.items():
        counts[int(kind[1:])] = count
    last = max((n for n, count in enumerate(counts) if count), default=0)
    return Durations(tuple(counts), slowest=QUICK_S * 2.0 ** (last + 1) * 0.99)


def test_without_any_nothing_is_known() -> None:
    nothing = Durations()
    assert (nothing.p50, nothing.p90, nothing.p99, nothing.max, nothing.timed) == (None, None, None, None, 0)


def test_if_all_were_quick_they_took_no_longer_than_is_told_apart() -> None:
    quick = Durations((0,) * KINDS, quick=1000)
    assert (quick.p50, quick.p99, quick.max) == (QUICK_S, QUICK_S, QUICK_S)


def test_quick_items_count_in_every_share() -> None:
    few = Durations((*(0,) * 6, 5, *(0,) * 15), quick=95, slowest=1.5, item="BTC")
    assert few.p50 == few.p90 == QUICK_S
    assert few.p99 is not None
    assert QUICK_S * 64 <= few.p99 <= 1.5 == few.max


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.9, 0.99, 1.0])
def test_a_share_lies_in_the_power_of_two_that_has_it(share: float) -> None:
    found = of(k0=50, k3=40, k9=10).quantile(share)
    assert found is not None
    kind = 0 if share <= 0.5 else 3 if share <= 0.9 else 9
    assert QUICK_S * 2**kind <= found <= QUICK_S * 2 ** (kind + 1)


def test_shares_never_fall_and_end_at_the_slowest() -> None:
    durations = of(k1=3, k2=7, k8=2, k21=1)
    found = [durations.quantile(n / 100) or 0.0 for n in range(101)]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(durations.slowest)


def test_one_item_that_took_long_is_all_shares() -> None:
    one = Durations((*(0,) * 21, 1), slowest=1_000_000.0)
    assert one.p50 is not None
    assert one.p50 <= 1_000_000.0 == one.max


def test_for_other_programs_the_histogram_ends_with_its_last_number() -> None:
    told = of(k0=1, k4=2).to_dict()
    assert told["counts"] == [1, 0, 0, 0, 2]
    assert (told["timed"], told["quick"], told["item"]) == (3, 0, "")
    assert set(told) == {"timed", "quick", "p50", "p90", "p99", "max", "item", "counts"}
