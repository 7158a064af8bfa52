"""From the JSON of pytest-benchmark to the rows of the report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any, assert_never

from benchmarks.budgets import BUDGETS, Budget, Kind, titles

__all__ = ["Figures", "Row", "Verdict", "load", "rows_of"]


@dataclass(frozen=True)
class Figures:
    """Seconds an operation, one figure for each round: ours, and of the sides beside it in the same rounds."""

    ours: Sequence[float]
    beside: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Verdict:
    """A budget, what was measured for it, and whether it is kept."""

    budget: Budget
    measured: float
    met: bool


@dataclass(frozen=True)
class Row:
    """One line: a thing, alone or beside one other. `ratio`: ours over the other, round by round: its quartiles."""

    bench: str
    title: str
    seconds: float
    beside: str | None = None
    beside_seconds: float | None = None
    ratio: tuple[float, float, float] | None = None
    verdicts: tuple[Verdict, ...] = ()


def load(path: Path) -> dict[str, Figures]:
    """The figures of each benchmark, by its name. Raises ValueError for what is no result of these benchmarks."""
    try:
        benchmarks = json.loads(path.read_text())["benchmarks"]
        return {one["name"]: _figures(one["name"], one["extra_info"]) for one in benchmarks}
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} holds no results of these benchmarks ({error!r}): run ci/bench anew") from None


def _figures(name: str, info: Mapping[str, Any]) -> Figures:
    figures = Figures(info["ours"], info["beside"])
    for side, values in (("ours", figures.ours), *figures.beside.items()):
        if len(values) < 2 or len(values) != len(figures.ours):
            raise ValueError(f"{name} has {len(values)} figures of {side!r}, and {len(figures.ours)} of its own")
        if not all(math.isfinite(value) and value > 0 for value in values):
            raise ValueError(f"{name} has a figure of {side!r} that is no time")
    return figures


def rows_of(
    found: Mapping[str, Figures], *, large: bool = False, only: Sequence[str] = ()
) -> tuple[list[Row], list[str]]:
    """The rows of the report, and what there is no measurement of.

    only: the benchmarks that were asked for; default: all, those of boards of 100 000 tasks with `large`.
    """
    rows, missing = [], []
    for name, title in titles(large).items():
        if only and name not in only:
            continue
        budgets = [budget for budget in BUDGETS if budget.bench == name]
        figures = found.get(name)
        if figures is None:
            missing.append(name)
            continue
        for lacking in {side for one in budgets for side in (one.beside, one.floor) if side} - set(figures.beside):
            missing.append(f"{name} beside {lacking}")
            budgets = [one for one in budgets if lacking not in (one.beside, one.floor)]
        sides: list[str | None] = [*figures.beside]
        sides = sides or [None]
        for side in sides:
            # A budget of the figure alone stands in the first line.
            mine = [one for one in budgets if one.beside == side or (one.beside is None and side == sides[0])]
            rows.append(_row(name, title, figures, side, tuple(_verdict(one, figures) for one in mine)))
    return rows, missing


def _row(bench: str, title: str, figures: Figures, side: str | None, verdicts: tuple[Verdict, ...]) -> Row:
    if side is None:
        return Row(bench, title, median(figures.ours), verdicts=verdicts)
    ratios = [ours / other for ours, other in zip(figures.ours, figures.beside[side], strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    return Row(bench, title, median(figures.ours), side, median(figures.beside[side]), (low, middle, high), verdicts)


def _verdict(budget: Budget, figures: Figures) -> Verdict:
    ours = figures.ours
    other = figures.beside[budget.beside] if budget.beside is not None else ours
    pairs = list(zip(ours, other, strict=True))
    match budget.kind:
        case Kind.SECONDS:
            measured = median(ours)
        case Kind.RATIO:
            measured = median(mine / theirs for mine, theirs in pairs)
        case Kind.RATE:
            measured = median(theirs / mine for mine, theirs in pairs)
        case Kind.DIFFERENCE:
            measured = median(mine - theirs for mine, theirs in pairs)
        case Kind.OVERHEAD:
            floor = figures.beside[str(budget.floor)]
            mine = median(a - b for a, b in zip(ours, floor, strict=True))
            theirs = median(a - b for a, b in zip(other, floor, strict=True))
            measured = theirs / mine if mine > 0 else math.inf
        case _:
            assert_never(budget.kind)
    at_least = budget.kind in (Kind.RATE, Kind.OVERHEAD)
    return Verdict(budget, measured, measured >= budget.limit if at_least else measured <= budget.limit)
