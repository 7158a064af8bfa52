"""Measures several implementations against each other, in turns.

On a shared machine, measurements a second apart cannot be compared: the clock speed, the load and the caches have
changed. So all sides of a contest run once in each round, directly one after another, in rotating order. The figures of
the same round are compared, and the median over the rounds is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Benchmark", "Contest", "Side", "turns"]


class Benchmark(Protocol):
    """The part of pytest-benchmark's fixture that is used here."""

    extra_info: dict[str, Any]

    def pedantic(
        self, target: Callable[[], object], *, setup: Callable[[], None], rounds: int, warmup_rounds: int
    ) -> object: ...


@dataclass(frozen=True)
class Side:
    """Something to measure: `run` does the operation so many times. `timed`: run() returns seconds instead."""

    run: Callable[[], object]
    operations: int = 1
    timed: bool = False

    def seconds(self) -> float:
        """The seconds of one operation, measured now."""
        begin = time.perf_counter()
        returned = self.run()
        taken = float(returned) if self.timed and isinstance(returned, float) else time.perf_counter() - begin
        return taken / self.operations


class Contest:
    """Measures one side as pytest-benchmark's own, and others beside it in the same rounds."""

    def __init__(self, benchmark: Benchmark, share_of_rounds: float) -> None:
        self._benchmark = benchmark
        self._share = share_of_rounds

    def __call__(
        self,
        ours: Side,
        beside: Mapping[str, Side] | None = None,
        *,
        rounds: int = 40,
        setup: Callable[[], object] | None = None,
    ) -> None:
        """Measure. setup: called before each run of ours, and not measured.

        The figures, in seconds an operation and one for each round, go into extra_info of the benchmark.
        """
        sides = dict(beside or {})
        names = list(sides)
        rounds = max(5, round(rounds * self._share))
        figures: dict[str, list[float]] = {name: [] for name in ("", *names)}
        turn = 0

        def before() -> None:
            """Run the other sides once. The first round is a warm-up, and is discarded."""
            nonlocal turn
            for place in range(len(names)):
                name = names[(place + turn) % len(names)]
                figures[name].append(sides[name].seconds())
            turn += 1
            if setup is not None:
                setup()

        def our_turn() -> None:
            figures[""].append(ours.seconds())

        self._benchmark.pedantic(our_turn, setup=before, rounds=rounds, warmup_rounds=1)
        measured = {name: one[1:] for name, one in figures.items()}
        if any(len(one) != rounds for one in measured.values()):
            raise RuntimeError(
                f"{rounds} rounds were asked for, and {[len(one) for one in measured.values()]} were run"
            )
        self._benchmark.extra_info["ours"] = measured.pop("")
        self._benchmark.extra_info["beside"] = measured


def turns(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Every name once in each round, in rotating order."""
    for turn in range(rounds):
        for place in range(len(names)):
            yield names[(place + turn) % len(names)]
