"""How long the items of a task took: a histogram of powers of two, and what is read from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["KINDS", "QUICK_S", "Durations"]

KINDS = 22  # of durations: one for each power of two (native/durations.h)
QUICK_S = 2**24 / 1e9  # what took no longer is not timed


@dataclass(frozen=True, slots=True)
class Durations:
    """How long the items of a task took, in seconds: the time between two counts of one worker.

    If the item was taken up later than the last count, since then. An update counts as one, whatever its n.
    counts: how many took 2**24 * 2**i nanoseconds and less than twice as long, the last: or longer; quick: items that
    took less than the first of them, 17 ms; max: the slowest, about to the tick of the coarse clock, 1 to 10 ms; item:
    its name, "" if it is unknown. All of it is of all workers and all runs of the task on this board.
    """

    counts: tuple[int, ...] = ()
    quick: int = 0
    slowest: float = 0.0
    item: str = ""

    @property
    def timed(self) -> int:
        """How many are in `counts`."""
        return sum(self.counts)

    @property
    def max(self) -> float | None:
        """The longest; None if nothing was counted. If all were quick: the time that they took at most."""
        if self.timed:
            return self.slowest
        return QUICK_S if self.quick else None

    @property
    def p50(self) -> float | None:
        """Half of the items took no longer; about, as within a power of two all are taken to be equally frequent."""
        return self.quantile(0.5)

    @property
    def p90(self) -> float | None:
        """Nine of ten items took no longer."""
        return self.quantile(0.9)

    @property
    def p99(self) -> float | None:
        """99 of 100 items took no longer."""
        return self.quantile(0.99)

    def quantile(self, share: float) -> float | None:
        """The time that this share of the items did not exceed; None if nothing was counted."""
        wanted = share * (self.quick + self.timed) - self.quick
        if wanted <= 0:
            return QUICK_S if self.quick else None
        for kind, count in enumerate(self.counts):
            if count and wanted <= count:
                least = QUICK_S * 2.0**kind
                most = max(least, min(2 * least if kind < KINDS - 1 else self.slowest, self.slowest))
                return least + (most - least) * wanted / count
            wanted -= count
        return self.max

    def to_dict(self) -> dict[str, Any]:
        """The numbers above, `counts` without the zeros at its end."""
        counts = list(self.counts)
        while counts and not counts[-1]:
            counts.pop()
        values = {name: getattr(self, name) for name in ("p50", "p90", "p99", "max")}
        return {"timed": self.timed, "quick": self.quick, **values, "item": self.item, "counts": counts}
