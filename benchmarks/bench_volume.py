"""What a recorder writes of a board that is in use: bytes a look, and gibibytes a day.

    python benchmarks/bench_volume.py            a board of the default size, full of tasks that have ended, and 4 count
    python benchmarks/bench_volume.py --large    100 000 that have ended, too: 856 MiB of /dev/shm

The recorder is run within this process, look by look, each after the four have counted; what it gives to `write` is
read from /proc/self/io, so neither the machine nor the disk has a say. The whole snapshot, which is written now and
then, is added by how often it is due. The limit stands in budgets.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import budgets, pages
from benchmarks.bench_night import home

BOARD = "bench-volume"
DEFAULT, LARGE = 1_024, 100_000
COUNTING = 4
LOOKS = 40
SETTLED_LOOKS = 3
DAY_S = 86_400.0
COMMAND = "benchmarks/bench_volume.py --large --record"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


@dataclass(frozen=True)
class Volume:
    """What was written. settling: until the history had all that ended; a look: with what has changed alone."""

    ended: int
    settling_bytes_a_task: float
    bytes_a_look: float
    looks_a_second: float
    whole_bytes: int
    whole_every_s: float

    @property
    def a_day(self) -> float:
        """Bytes."""
        return DAY_S * (self.bytes_a_look * self.looks_a_second + self.whole_bytes / self.whole_every_s)

    @property
    def met(self) -> bool:
        """Is the limit kept?"""
        return self.a_day <= budgets.VOLUME_BYTES_A_DAY


def written() -> int:
    """How many bytes this process has given to `write` so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar:"))


def volume(capacity: int) -> Volume:
    """Of a board of this size: all but a few of its tasks have ended."""
    from headway.engine.board import open_board
    from headway.recorder.recorder import DUTY, INTERVAL_MOST_S, INTERVAL_S, Recorder

    ended = capacity - 2 * COUNTING
    with open_board(BOARD, capacity=capacity, record=False) as board:
        board._segment.want_recorder()  # so that it has a history
        recorder = Recorder.elected(board)
        counting = [board.task(f"counts {number}", total=10**9) for number in range(COUNTING)]
        for number in range(ended):
            with board.task(f"job {number}", total=10, label=f"job {number}") as task:
                task.update(10)
        try:
            before = written()
            looks = 0
            while looks < SETTLED_LOOKS:
                for task in counting:
                    task.update()
                recorder._cycle()
                looks = 0 if recorder.is_behind else looks + 1
            settling = written() - before
            looks, bytes_of_looks, spent, standing = 0, 0, 0.0, None
            while looks < LOOKS:
                for task in counting:
                    task.update()
                standing, began, before = recorder._files._standing, time.thread_time(), written()
                recorder._cycle()
                if recorder._files._standing is standing:  # else the whole was due, which is reckoned by its age
                    looks, spent = looks + 1, spent + time.thread_time() - began
                    bytes_of_looks += written() - before
            assert standing is not None, "the board is so small that it is written whole"
        finally:
            recorder.resign()
            board.remove(files=True)
    every_s = standing.old_at - standing.made_at
    looks_a_second = 1 / max(INTERVAL_S, min(spent / LOOKS / DUTY, INTERVAL_MOST_S))  # as a recorder stretches it
    return Volume(ended, settling / ended, bytes_of_looks / LOOKS, looks_a_second, standing.bytes, every_s)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help=f"a board of {LARGE:,} tasks, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--record", action="store_true", help="write what was found into docs/performance.md")
    options = parser.parse_args()
    with home():
        found = [volume(capacity) for capacity in (DEFAULT, *((LARGE,) if options.large else ()))]
    table = [("ended tasks beside 4 that count", "a look", "looks a second", "the whole", "every", "a day", "budget")]
    table += [
        (
            f"{one.ended:,}",
            f"{one.bytes_a_look / 1024:.1f} KiB",
            f"{one.looks_a_second:.1f}",
            f"{one.whole_bytes / (1 << 20):,.1f} MiB",
            f"{one.whole_every_s / 60:,.0f} min",
            f"{one.a_day / (1 << 30):.1f} GiB",
            f"{budgets.VOLUME_BYTES_A_DAY >> 30} GiB",
        )
        for one in found
    ]
    if options.record:
        ends = "; ".join(f"{one.settling_bytes_a_task / 1024:.1f} KiB with {one.ended:,}" for one in found)
        told = f"A task that ends is written into snapshot and history: {ends}. {time.strftime('%Y-%m-%d')}."
        pages.write(PAGE, COMMAND, ["", *pages.markdown(table), "", told, ""])
    if options.json:
        print(json.dumps([{**asdict(one), "a_day": one.a_day, "met": one.met} for one in found], indent=2))
    else:
        print("\n".join(pages.markdown(table)))


if __name__ == "__main__":
    main()
