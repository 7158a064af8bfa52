"""Boards as Prometheus metrics, computed when they are scraped: nothing is added to the hot path.

    from prometheus_client import REGISTRY
    from headway.exporters.prometheus import BoardCollector
    REGISTRY.register(BoardCollector())

Labels are the board, the state of a task or worker, and the unit: a board has at most 22 series. Task ids are not
labels: they come and go, and each would be a series that stays in the database for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway import errors

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector
except ImportError as error:
    raise errors.MissingExtra(
        f"metrics need the package {error.name}: install it with pip install 'headway[prometheus]'"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from headway.views.summary import Summary

__all__ = ["BoardCollector"]


class BoardCollector(Collector):
    """All boards of this user, or those that `read` returns: names with a summary, or None if it cannot be read."""

    def __init__(self, read: Callable[[], Iterable[tuple[str, Summary | None]]] | None = None) -> None:
        self._read = read or _all_boards

    def describe(self) -> Iterator[Metric]:
        """The metric families, without reading any board."""
        return iter(_families().values())

    def collect(self) -> Iterator[Metric]:
        """The metric families with their present values."""
        families = _families()
        for name, summary in self._read():
            families["up"].add_metric([name], summary is not None)
            if summary is not None:
                _add(families, name, summary)
        return iter(families.values())


def _families() -> dict[str, GaugeMetricFamily | CounterMetricFamily]:
    def gauge(name: str, told: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"headway_{name}", told, labels=["board", *labels])

    return {
        "up": gauge("board_up", "Whether the board can be read."),
        "taken": gauge("board_snapshot_timestamp_seconds", "When these values were taken, in seconds since 1970."),
        "capacity": gauge("board_capacity_tasks", "Places for tasks."),
        "dropped": CounterMetricFamily(
            "headway_board_dropped_tasks", "Ended tasks that gave up their place unarchived.", labels=["board"]
        ),
        "tasks": gauge("tasks", "Tasks of this run by state.", "state"),
        "stalled": gauge("tasks_stalled", "Running tasks without a sign of life for a while; also counted as running."),
        "workers": gauge("workers", "Processes in the table of the board.", "state"),
        "lost": gauge("workers_lost", "Dead processes that counted on tasks that go on."),
        "rate": gauge("items_per_second", "What running tasks count, parents left out.", "unit"),
    }


def _add(families: dict[str, GaugeMetricFamily | CounterMetricFamily], name: str, summary: Summary) -> None:
    families["taken"].add_metric([name], summary.taken_at)
    families["capacity"].add_metric([name], summary.capacity)
    families["dropped"].add_metric([name], summary.dropped)
    for state, count in summary.counts.items():
        families["tasks"].add_metric([name, state], count)
    families["stalled"].add_metric([name], summary.counts.stalled)
    families["workers"].add_metric([name, "alive"], summary.workers_alive)
    families["workers"].add_metric([name, "gone"], summary.workers_gone)
    families["lost"].add_metric([name], summary.workers_lost)
    for unit, rate in summary.rates.items():
        families["rate"].add_metric([name, unit], rate)


def _all_boards() -> Iterator[tuple[str, Summary | None]]:
    from headway.upkeep import listing
    from headway.views.summary import Summary

    for info in listing.boards():
        yield info.name, None if info.view is None else Summary.of(info.view)
