"""Boards as Prometheus metrics: which series a summary becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from headway.exporters.prometheus import BoardCollector
from headway.views.board_view import BoardView
from headway.views.summary import Summary

if TYPE_CHECKING:
    from tests.unit.conftest import MakeRaw


def test_a_summary_becomes_series_and_what_cannot_be_read_is_down(make_raw: MakeRaw) -> None:
    summary = replace(Summary.of(BoardView.from_raw(make_raw(3))), dropped=5, rates={"bar": 2.5})
    registry = CollectorRegistry()
    registry.register(BoardCollector(lambda: [("nightly", summary), ("broken", None)]))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"headway_{name}", labels)

    assert value("board_up", board="nightly") == 1
    assert value("board_up", board="broken") == 0
    assert value("tasks", board="nightly", state="running") == 3
    assert value("workers", board="nightly", state="alive") == 1
    assert value("workers", board="nightly", state="gone") == 1
    assert value("board_dropped_tasks_total", board="nightly") == 5
    assert value("items_per_second", board="nightly", unit="bar") == 2.5
    assert value("board_capacity_tasks", board="broken") is None


def test_registering_it_reads_no_board() -> None:
    def read() -> list[tuple[str, Summary | None]]:
        raise AssertionError("a board was read")

    CollectorRegistry(auto_describe=False).register(BoardCollector(read))
