"""The cost of the dashboard, and the delay of an update to a page: python benchmarks/bench_dashboard.py [--help]

It starts three processes: `headway serve`, a worker that counts on every task and writes a snapshot four times a
second, as a recorder would, and one that has all listeners and discards what they receive.

- *update to event*: from `task.update()` in this process to the server-sent event that shows it, read off a socket.
  More than half of it is the wait for the next snapshot.
- *snapshot to event*: from the moment at which the copy was taken to the event.
- CPU and memory are the server's own, from /proc, without and with listeners; the rate is the worker's.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
BOARD = f"bench-{os.getpid()}"
WORKER_ROUND_S = 0.05


# ------------------------------------------------------------------------------------------------------- the processes


def work(tasks: int, hz: float) -> None:
    """Count on all tasks all the time, write a snapshot now and then, and print the rate of both each second."""
    from headway.engine.board import open_board

    with open_board(BOARD, capacity=tasks + 16, record=False) as board:
        mine = [board.task(f"group-{number % 20}/task-{number}", total=10**9) for number in range(tasks)]
        board.task("probe").update()
        due = told = time.monotonic()
        updates = snapshots = 0
        while True:
            for task in mine:
                task.update()
            updates += tasks
            now = time.monotonic()
            if now >= due:
                board.write_snapshot()
                snapshots += 1
                due = max(due + 1 / hz, now)
            if now - told >= 1:
                print(updates / (now - told), snapshots / (now - told), flush=True)
                updates, snapshots, told = 0, 0, now
            time.sleep(max(0.0, min(WORKER_ROUND_S, due - now)))


def listen(port: int, listeners: int) -> None:
    """Hold listeners, and read what they get."""
    selector = selectors.DefaultSelector()
    request = f"GET /api/events?board={BOARD} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    for _ in range(listeners):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(request)
        selector.register(client, selectors.EVENT_READ, client)
    print("listening", flush=True)
    received, told = 0, time.monotonic()
    while True:
        for key, _ in selector.select(0.5):
            received += len(key.data.recv(1 << 18))
        if time.monotonic() - told >= 1:
            print(received / (time.monotonic() - told), flush=True)
            received, told = 0, time.monotonic()


@contextlib.contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """This script, or headway, as a process of its own, until the end of the block."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    """The next line of its output."""
    assert process.stdout is not None
    text = process.stdout.readline()
    if not text:
        sys.exit(f"{process.args!r} has ended")
    return text


def newest(process: subprocess.Popen[str], seconds: float) -> list[list[float]]:
    """The numbers that it prints in so many seconds."""
    until = time.monotonic() + seconds
    rows = []
    while time.monotonic() < until:
        rows.append([float(word) for word in line(process).split()])
    return rows


# --------------------------------------------------------------------------------------------------------- measurements


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def resident_mib(pid: int) -> float:
    """The memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


def load(server: int, worker: subprocess.Popen[str], seconds: float) -> dict[str, float]:
    """CPU and memory of the server, and the rates of the worker, over some seconds."""
    newest(worker, 0.1)
    began, before = time.monotonic(), cpu_s(server)
    rates = newest(worker, seconds)
    spent = (cpu_s(server) - before) / (time.monotonic() - began)
    return {
        "server CPU %": 100 * spent,
        "server MiB": resident_mib(server),
        "updates a second": statistics.median(rate for rate, _ in rates),
        "snapshots a second": statistics.mean(hz for _, hz in rates),
    }


def events(port: int) -> Iterator[tuple[float, dict[str, Any]]]:
    """The events of the board, each with the time at which it was received."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", f"/api/events?board={BOARD}")
    response = connection.getresponse()
    kind = b""
    while text := response.readline():
        if text.startswith(b"event: "):
            kind = text[7:].strip()
        elif text.startswith(b"data: ") and kind == b"board":
            yield time.time(), json.loads(text[6:])


def latencies(port: int, samples: int) -> tuple[list[float], list[float]]:
    """Seconds from an update to its event, and from a copy to its event."""
    from headway.upkeep import listing

    board = listing.attach(BOARD)
    if board is None:
        sys.exit("the board is gone")
    probe = board.attach("probe")
    serial = wanted = 0
    began = 0.0
    update_to_event, snapshot_to_event = [], []
    for came, data in events(port):
        for row in data["tasks"]:
            if row["id"] == "probe":
                serial = row["serial"]
        counts = dict(zip(data["moved"]["serial"], data["moved"]["count"], strict=True))
        counts |= {row["serial"]: row["count"] for row in data["tasks"]}
        if not data["whole"] and data["from"] != data["rev"]:
            snapshot_to_event.append(came - data["summary"]["taken_at"])
        if wanted and counts.get(serial, 0) >= wanted:
            update_to_event.append(came - began)
            wanted = 0
        if len(update_to_event) >= samples:
            break
        if not wanted and serial:
            time.sleep(random.uniform(0, 0.3))  # at any moment between two snapshots
            began, wanted = time.time(), probe.count + 1
            probe.update()
    board.close()
    return update_to_event, snapshot_to_event[-samples:]


def percentiles(seconds: list[float]) -> str:
    """p50, p99 and the largest."""
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {1e3 * cuts[49]:6.1f} ms   p99 {1e3 * cuts[98]:6.1f} ms   max {1e3 * max(seconds):6.1f} ms"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--listeners", type=int, default=100)
    parser.add_argument("--hz", type=float, default=4.0, help="snapshots a second")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement of load")
    parser.add_argument("--samples", type=int, default=100, help="of latency")
    options = parser.parse_args()
    here = str(Path(__file__).resolve())
    with (
        tempfile.TemporaryDirectory(prefix="headway-bench-") as folder,
    ):
        os.environ |= {"HEADWAY_DIR": folder, "HEADWAY_RECORD": "0", "HEADWAY_BENCH_BOARD": BOARD}
        with (
            child(here, "work", str(options.tasks), str(options.hz)) as worker,
            child("-m", "headway", "serve", "--no-token", "--port", "0", "--json") as served,
        ):
            server = json.loads(line(served))
            port = int(server["url"].rstrip("/").rpartition(":")[2])
            newest(worker, 3)
            alone = load(server["pid"], worker, options.seconds)
            quiet = latencies(port, options.samples)
            with child(here, "listen", str(port), str(options.listeners)) as listeners:
                line(listeners)
                newest(listeners, 3)
                busy = load(server["pid"], worker, options.seconds)
                received = statistics.median(one for (one,) in newest(listeners, 3))
                crowded = latencies(port, options.samples)
            _report(options, alone, busy, quiet, crowded, received)
        _remove()


def _report(
    options: argparse.Namespace,
    alone: dict[str, float],
    busy: dict[str, float],
    quiet: tuple[list[float], list[float]],
    crowded: tuple[list[float], list[float]],
    received: float,
) -> None:
    print(f"{options.tasks} tasks, all counting, {options.hz:g} snapshots a second; {os.cpu_count()} cores")
    print(f"\n{'':22}{'no listener':>14}{f'{options.listeners} listeners':>18}")
    for name, value in alone.items():
        print(f"{name:22}{value:14,.1f}{busy[name]:18,.1f}")
    print(f"{'sent, MB a second':22}{0:14.1f}{received / 1e6:18,.1f}")
    for title, (updates, snapshots) in (("one listener", quiet), (f"{options.listeners} and one more", crowded)):
        print(f"\n{title}:")
        print(f"  update to event    {percentiles(updates)}")
        print(f"  snapshot to event  {percentiles(snapshots)}")


def _remove() -> None:
    """Remove the board of the killed worker from shared memory."""
    from headway.upkeep import removal

    with contextlib.suppress(OSError):
        removal.remove(BOARD, force=True)


if __name__ == "__main__":
    BOARD = os.environ.get("HEADWAY_BENCH_BOARD", BOARD)
    if sys.argv[1:2] == ["work"]:
        work(int(sys.argv[2]), float(sys.argv[3]))
    elif sys.argv[1:2] == ["listen"]:
        listen(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
