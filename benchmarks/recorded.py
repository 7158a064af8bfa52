"""The recorded instruction counts, and whether those of this run are worse. The load of the machine has no effect.

The same source, compiled by the same compiler and Cython for the same Python, has the same instructions on any machine.
So counts are recorded by processor, Python, compiler and Cython, and compared only if all of these are the same. If
not, the report says so, and each path is compared with the empty method of the same run.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import pages
from benchmarks.instructions import FLOOR, Count

__all__ = ["RECORDED", "Line", "compare", "key", "load", "record", "write_page"]

RECORDED = Path(__file__).with_name("instructions.json")
PAGE = RECORDED.parent.parent / "docs" / "performance.md"
COMMAND = "ci/bench --instructions --record"
TOLERANCE = 0.02  # of the count, and at least one instruction: the calls that a path makes once a second are among it
ELSEWHERE = 1.5  # other compilers may need so much more, as a share of what the empty method needs there


@dataclass(frozen=True)
class Line:
    """One path: what it took in this run, what it may take, and how that came out."""

    name: str
    now: float
    recorded: float | None  # under this key
    limit: float
    verdict: str  # "", "slower", "faster", "new"


def key() -> str:
    """Under what the counts of this build are recorded: processor, Python, compiler, Cython."""
    from headway.native import core

    module = Path(core.__file__).read_bytes()
    compiler = re.search(rb"(GCC: \([^)]*\) [\d.]+|clang version [\d.]+)", module)
    cython = re.search(rb"_cython_(\d+_\d+)", module)
    version = ".".join(map(str, sys.version_info[:2]))
    words = [platform.machine(), f"Python {version}"]
    words.append(compiler[1].decode() if compiler else "an unknown compiler")
    words.append(f"Cython {cython[1].decode().replace('_', '.')}" if cython else "an unknown Cython")
    return ", ".join(words)


def load(path: Path = RECORDED) -> dict[str, dict[str, float]]:
    """What is recorded: instructions by path, under each key. Raises ValueError if the file is damaged."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text())
    if not all(isinstance(value, int | float) for counts in found.values() for value in counts.values()):
        raise ValueError(f"{path} holds what is no count: record it anew with 'ci/bench --instructions --record'")
    return {str(name): dict(counts) for name, counts in found.items()}


def record(counts: Mapping[str, Count], under: str, path: Path = RECORDED) -> None:
    """Keep these counts under this key; those under others stay."""
    found = load(path)
    found[under] = {name: round(one.own, 1) for name, one in counts.items()}
    path.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")


def write_page(counts: Mapping[str, Count], under: str, page: Path = PAGE) -> None:
    """Put the table of these counts into the page that explains them."""
    rows = [f"| {name} | {one.own:,.0f} | {one.all:,.0f} |" for name, one in counts.items()]
    table = ["| an operation | our modules | with CPython and the C library |", "| --- | ---: | ---: |", *rows]
    pages.write(page, COMMAND, ["", *table, "", f"({under}; the loop around each is taken off.)", ""])


def compare(counts: Mapping[str, Count], under: str, recorded: Mapping[str, Mapping[str, float]]) -> list[Line]:
    """Each path beside what is recorded under this key; without any, beside the worst ratio to the empty method."""
    lines = []
    mine = recorded.get(under)
    for name, one in counts.items():
        if mine is not None and name in mine:
            limit = max(mine[name] * (1 + TOLERANCE), mine[name] + 1)
            fast = min(mine[name] * (1 - TOLERANCE), mine[name] - 1)
            verdict = "slower" if one.own > limit else "faster" if one.own < fast else ""
            lines.append(Line(name, one.own, mine[name], limit, verdict))
            continue
        ratios = [other[name] / other[FLOOR] for other in recorded.values() if name in other and other.get(FLOOR)]
        limit = max(ratios) * counts[FLOOR].own * ELSEWHERE if ratios else float("inf")
        lines.append(Line(name, one.own, None, limit, "slower" if one.own > limit else "new"))
    return lines
