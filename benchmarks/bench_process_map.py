"""`headway.process_map` beside other maps with a bar: what they cost, and what becomes of them in trouble.

    .venv/bin/python -m benchmarks.bench_process_map [--large]

Each situation runs in a program of its own, with two workers, which is killed with all that it started when it is not
done in time. What is not installed (extra `peers`) is left out. Costs are CPU time of the program and of its workers,
which hardly depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["main"]

PATIENCE_S = 60.0
HANGS_S = 20.0
ROUNDS = 5
CHUNK = 1000

# A peer: `mapped` returns the results of all items, `lazily` an iterator over them.
PEERS = {
    "headway": """
import headway
def mapped(fn, items, chunk):
    return headway.process_map(fn, items, max_workers=2)
def lazily(fn, items):
    return headway.process_map(fn, items, max_workers=2, lazy=True)
""",
    "executor": """
from concurrent.futures import ProcessPoolExecutor
def mapped(fn, items, chunk):
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(fn, items, chunksize=chunk))
def lazily(fn, items):
    return ProcessPoolExecutor(2).map(fn, items)
""",
    "tqdm": """
from tqdm.contrib.concurrent import process_map
def mapped(fn, items, chunk):
    return process_map(fn, items, max_workers=2, chunksize=chunk)
lazily = None
""",
    "mpire": """
from mpire import WorkerPool
def mapped(fn, items, chunk):
    with WorkerPool(2) as pool:
        return pool.map(fn, items, progress_bar=True, chunk_size=chunk)
def lazily(fn, items):
    return WorkerPool(2).imap(fn, items, progress_bar=True)
""",
    "mqdm": """
import mqdm
def mapped(fn, items, chunk):
    return list(mqdm.pool(fn, items, n_workers=2, ordered_=True))
def lazily(fn, items):
    return mqdm.ipool(fn, items, n_workers=2, ordered_=True)
""",
}
PROGRAM = """
import itertools, json, os, resource, signal, sys, time

def nothing(number):
    return number

def fails(number):
    if number == 137:
        raise ValueError("a failure")
    return number

def dies(number):
    if number == 137:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return number

def sleeps(number):
    time.sleep(0 if number < 4 else 600)

if __name__ == "__main__":
    situation, count = sys.argv[1], int(sys.argv[2])
    began = time.monotonic()
    def say(**found):
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        cpu = sum(one.ru_utime + one.ru_stime for one in used)
        print(json.dumps({"seconds": time.monotonic() - began, "cpu": cpu, **found}), flush=True)
    try:
        if situation == "small":
            found = mapped(nothing, range(count), CHUNK)
            say(right=found == list(range(count)))
        elif situation == "default":
            found = mapped(nothing, range(count), 1)
            say(right=found == list(range(count)))
        elif situation == "fails":
            mapped(fails, range(200), 1)
        elif situation == "dies":
            mapped(dies, range(200), 1)
        elif situation == "ctrl-c":
            mapped(sleeps, range(40), 1)
        elif lazily is not None:
            results = lazily(nothing, itertools.count())
            found = [next(results) for _ in range(1000)]
            say(right=found == list(range(1000)))
            results.close()
        else:
            say(error="no such call")
    except BaseException as error:
        say(error=type(error).__name__)
        raise
"""


class Outcome(NamedTuple):
    """What became of a program. seconds: until it said what it found; None if it was killed before."""

    seconds: float | None
    cpu: float
    said: dict[str, object]
    text: str
    ended_after_s: float | None


def run(peer: str, situation: str, count: int = 0, patience_s: float = PATIENCE_S) -> Outcome:
    """Run one situation, and kill whatever is left of it."""
    with tempfile.TemporaryDirectory(prefix="headway-bench-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, "program.py")
        path.write_text(PEERS[peer] + PROGRAM.replace("CHUNK", str(CHUNK)))
        environment = {**os.environ, "HEADWAY_DIR": folder, "HEADWAY_BOARD": f"bench-{secrets.token_hex(4)}"}
        environment["HEADWAY_RECORD"] = "0"
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, str(path), situation, str(count)],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        if situation == "ctrl-c":
            time.sleep(3)
            began = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)
        try:
            out, err = process.communicate(timeout=patience_s)
            ended_after_s: float | None = time.monotonic() - began
        except subprocess.TimeoutExpired:
            ended_after_s = None
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    lines = [line for line in out.splitlines() if line.startswith("{")]
    said = json.loads(lines[-1]) if lines else {}
    return Outcome(said.get("seconds"), said.get("cpu", 0.0), said, err, ended_after_s)


def cost(situation: str, title: str, counts: dict[str, int], rounds: int) -> None:
    """CPU time of an item, in turns, less that of a map of ten items."""
    print(f"\n{title}: CPU microseconds an item, median of {rounds} rounds; over a bare executor")
    figures: dict[str, list[float]] = {peer: [] for peer in counts}
    for _ in range(rounds):
        for peer, count in counts.items():
            base, whole = run(peer, situation, 10), run(peer, situation, count)
            if whole.said.get("right"):
                figures[peer].append((whole.cpu - base.cpu) / count * 1e6)
    bare = statistics.median(figures["executor"])
    for peer, found in figures.items():
        if found:
            middle = statistics.median(found)
            print(f"  {peer:9} {middle:9.2f}   {middle / bare:6.2f} ×   of {counts[peer]:,} items")
        else:
            print(f"  {peer:9} not done")


def trouble(peers: list[str]) -> None:
    """What becomes of each map when something goes wrong."""
    for situation, title in (
        ("fails", "item 137 of 200 raises"),
        ("dies", "item 137 of 200 kills its worker"),
        ("ctrl-c", "Ctrl-C, workers in items of ten minutes"),
        ("endless", "the first 1000 results of items without an end"),
    ):
        print(f"\n{title}")
        for peer in peers:
            found = run(peer, situation, patience_s=HANGS_S)
            ended = f"after {found.ended_after_s:.1f} s" if found.ended_after_s is not None else "hangs: killed"
            what = str(found.said.get("error") or ("right" if found.said.get("right") else "nothing"))
            named = "names the item" if "137" in found.text else ""
            traces = f"{found.text.count('Traceback (most recent')} tracebacks" if situation == "ctrl-c" else named
            print(f"  {peer:9} {ended:15} {what:20} {traces}")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--large", action="store_true", help="a million small items")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    peers = [peer for peer in PEERS if peer in ("headway", "executor") or importlib.util.find_spec(peer)]
    small = 1_000_000 if arguments.large else 200_000
    # mqdm gives a worker one item at a time: fewer of them are enough.
    cost(
        "small",
        "small items, a thousand at a time where that can be said",
        {peer: 4_000 if peer == "mqdm" else small for peer in peers},
        arguments.rounds,
    )
    cost("default", "small items, by default", dict.fromkeys(peers, 4_000), arguments.rounds)
    trouble(peers)


if __name__ == "__main__":
    main()
