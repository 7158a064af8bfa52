"""What the programs of `ci/faults` have in common: how they try, how they count, and how they say what came of it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from headway import errors
from headway.upkeep import removal
from tests.faults.children import BOUND_S, fresh

__all__ = ["UNTRUE", "Tally", "nothing_left", "report", "shared_memory"]


# What no operation may say of files that are whole, whatever else fails.
UNTRUE = (errors.CorruptBoard, errors.DamagedSnapshot, errors.DamagedHistory, errors.LayoutMismatch)


def report(tried: int, of: str, failed: int, note: str = "") -> int:
    """Print what was done as campaign.py reads it: it has to be the last line. Returns the exit code."""
    print(json.dumps({"tried": tried, "of": of, "failed": failed, "note": note}))
    return 1 if failed else 0


def shared_memory(name: str) -> list[Path]:
    """What a board of this name has in /dev/shm."""
    return [path for path in Path("/dev/shm").iterdir() if f"-{name}-" in path.name]


class Tally:
    """Counts what was tried, what failed, and how often it ended in which way."""

    def __init__(self) -> None:
        self.tried = self.failed = 0
        self.ends: Counter[str] = Counter()

    def held(
        self,
        what: str,
        name: str,
        *steps: Callable[[], object],
        last: Callable[[], object] | None = None,
        bound_s: float = BOUND_S,
    ) -> bool:
        """Do each step in a process of its own, and the last one whatever came of the others.

        A failure is counted and told, and the board's memory given back.
        """
        self.tried += 1
        problems: list[BaseException] = []
        try:
            for step in steps:
                fresh(step, bound_s)
        except (AssertionError, TimeoutError) as problem:
            problems.append(problem)
        try:
            if last is not None:
                fresh(last)
        except (AssertionError, TimeoutError) as problem:
            problems.append(problem)
        for one in problems:
            print(f"{what}: {one}", file=sys.stderr)
        if problems:
            self.failed += 1
            for path in shared_memory(name):
                path.unlink(missing_ok=True)
        return not problems

    def report(self, of: str, note: str = "") -> int:
        """As the function, with how it ended behind the note."""
        ends = ", ".join(f"{number:,} {end}" for end, number in self.ends.most_common())
        return report(self.tried, of, self.failed, ": ".join(text for text in (note, ends) if text))


def nothing_left(name: str) -> None:
    """Nobody uses the board: what refers to nothing is removed at once, and then nothing may be there."""
    removal.GRACE_S = 0.0
    removal.gc([name])
    left = [path.name for path in shared_memory(name)]
    assert not left, f"left in /dev/shm: {left}"
