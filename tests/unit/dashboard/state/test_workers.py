"""The rows of workers, when each changed, and how fast each counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway.dashboard.state.workers import Workers
from headway.views.board_view import BoardView
from tests.unit.conftest import NOW, SECOND, build_raw

if TYPE_CHECKING:
    from tests.unit.conftest import Arrays

ALIVE, DEAD = 7, 8  # incarnations; only of the first the counts are known


def view(
    after_s: float = 0.0, more: int = 0, *, beat_ns: int = 0, gone: bool = False, item: str = "BTC", item_ns: int = 0
) -> BoardView:
    """Three tasks, on each of which either worker has counted so much more."""

    def edit(arrays: Arrays) -> None:
        arrays["shares"]["count"] += more
        arrays["shares"]["beat_ns"] = (NOW - 2) * SECOND + beat_ns
        arrays["shares"]["item"][::2], arrays["shares"]["item_ns"][::2] = item.encode(), (NOW - 5) * SECOND + item_ns
        if gone:
            arrays["workers"] = arrays["workers"][:1]

    raw = build_raw(3, edit=edit)
    return BoardView.from_raw(raw._replace(meta=raw.meta | {"taken_ns": int((NOW + after_s) * SECOND)}))


def test_the_rate_of_a_worker_is_what_it_counted_since() -> None:
    workers = Workers(view(), 1)
    assert workers.rows[ALIVE]["rate"] is None
    workers = workers.advanced(view(5.0, 10), 2)
    assert workers.rows[ALIVE]["rate"] == pytest.approx(3 * 10 / 5)
    assert workers.rows[DEAD]["rate"] is None


def test_a_worker_that_stops_counting_slows_down() -> None:
    workers = Workers(view(), 1).advanced(view(5.0, 10), 2)
    rates = [workers.rows[ALIVE]["rate"]]
    for number in range(1, 4):
        workers = workers.advanced(view(5.0 + 5 * number, 10), 2 + number)
        rates.append(workers.rows[ALIVE]["rate"])
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0] / 4


def test_a_snapshot_of_the_same_moment_changes_no_rate() -> None:
    workers = Workers(view(), 1).advanced(view(5.0, 10), 2)
    assert workers.advanced(view(5.0, 10), 3).since(2) == []


def test_a_beat_that_only_trembles_is_no_change() -> None:
    workers = Workers(view(), 1)
    assert workers.advanced(view(beat_ns=5_000_000), 2).since(1) == []
    assert len(workers.advanced(view(beat_ns=50_000_000), 2).since(1)) == 2


def test_a_worker_that_is_gone_is_told() -> None:
    workers = Workers(view(), 1).advanced(view(gone=True), 2)
    assert list(workers.rows) == [ALIVE]
    assert workers.gone.since(1) == [DEAD]
    assert workers.gone.since(2) == []


def test_a_row_says_what_is_in_hand_and_since_when_and_when_the_worker_stalls() -> None:
    rows = Workers(view(), 1).rows
    held = {name: rows[ALIVE][name] for name in ("item", "item_since", "item_until", "stall_after")}
    assert held == {"item": "BTC", "item_since": NOW - 5.0, "item_until": None, "stall_after": 10.0}
    assert (rows[DEAD]["item"], rows[DEAD]["item_since"]) == ("", None)


def test_another_item_is_a_change_and_a_time_that_only_trembles_is_none() -> None:
    workers = Workers(view(), 1)
    assert workers.advanced(view(item_ns=5_000_000), 2).since(1) == []
    (row,) = workers.advanced(view(item_ns=50_000_000), 2).since(1)
    assert row["item_since"] == NOW - 4.95
    (row,) = workers.advanced(view(item="ETH"), 2).since(1)
    assert row["item"] == "ETH"


def test_one_that_is_never_stalled_says_so_without_an_infinity() -> None:
    def edit(arrays: Arrays) -> None:
        arrays["tasks"]["stall_after_ns"][0] = 2**63 - 1

    assert Workers(BoardView.from_raw(build_raw(1, edit=edit)), 1).rows[ALIVE]["stall_after"] is None
