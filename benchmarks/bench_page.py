"""The delay of an update to the browser, and the cost of the page: python benchmarks/bench_page.py [--help]

A worker counts on some of the tasks of a board, its recorder writes snapshots, `headway serve` serves them, and a
headless Chromium shows the board. Needs the extras `dashboard` and `browser`, the built page (ci/web) and Chromium.

- *update to pixel*: from `task.update()` in this process to the frame of the page in which the count stands. On
  average half of it and more is the wait for the next snapshot. A headless browser has no screen to wait for.
- *kill to pixel*: from the SIGKILL of a worker to the frame whose title shows that its task is lost.
- *page CPU*: of the thread that scripts, lays out and styles, as Chromium accounts for it; others paint.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import headway
from headway.recorder.recorder import INTERVAL_S
from headway.upkeep import removal

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
BOARD = "bench-page"
ROUND_S = 0.05
LIMIT_S = INTERVAL_S + 0.1

# Notes at each frame which count stands in the line of the probe, and when it changed.
WATCH = """() => {
    window.seen = {};
    const look = () => {
        const cell = document.querySelector(".list-body .cell-count span");
        if (cell && !(cell.textContent in seen)) {
            seen[cell.textContent] = (performance.timeOrigin + performance.now()) / 1000;
        }
        requestAnimationFrame(look);
    };
    look();
}"""


def work(moving: int) -> None:
    """Count on so many tasks all the time."""
    board = headway.open(BOARD)
    tasks = [board.attach(f"part-{number}") for number in range(moving)]
    while True:
        for task in tasks:
            task.update()
        time.sleep(ROUND_S)


def hold(id: str) -> None:
    """Own a task until this process is killed."""
    with headway.open(BOARD).task(id) as task:
        task.update()
        print("holding", flush=True)
        signal.pause()


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


def latencies(page: Page, probe: headway.Task, samples: int) -> list[float]:
    """Seconds from an update to the frame that shows it."""
    page.evaluate(WATCH)
    found = []
    for _ in range(samples):
        time.sleep(random.uniform(0.3, 0.8))  # at any moment between two snapshots
        text = str(probe.count + 1)
        at = time.time()
        probe.update()
        page.wait_for_function("(text) => text in seen", arg=text, timeout=60_000)
        found.append(page.evaluate("(text) => seen[text]", text) - at)
    return found


def deaths(page: Page, kills: int) -> list[float]:
    """Seconds from the death of a worker to the frame that shows it."""
    found = []
    for number in range(1, kills + 1):
        with child(str(Path(__file__).resolve()), "hold", f"doomed-{number}") as worker:
            assert worker.stdout is not None
            worker.stdout.readline()
            time.sleep(random.uniform(0.3, 0.8))
            at = time.time()
            worker.kill()
            title = f"({number} lost)"
            page.wait_for_function("(title) => document.title.startsWith(title)", arg=title, timeout=60_000)
            found.append(page.evaluate("(performance.timeOrigin + performance.now()) / 1000") - at)
    return found


def page_load(page: Page, seconds: float) -> dict[str, float]:
    """Shares of a core that the page's main thread takes."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def metrics() -> dict[str, Any]:
        return {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}

    before, began = metrics(), time.monotonic()
    page.wait_for_timeout(1000 * seconds)
    after, spent = metrics(), time.monotonic() - began
    shares = {
        name: 100 * (after[key] - before[key]) / spent
        for name, key in (("script", "ScriptDuration"), ("layout", "LayoutDuration"), ("style", "RecalcStyleDuration"))
    }
    return {**shares, "all": 100 * (after["TaskDuration"] - before["TaskDuration"]) / spent}


def p99(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]


def percentiles(values: list[float]) -> str:
    middle, high, most = (1000 * value for value in (statistics.median(values), p99(values), max(values)))
    return f"p50 {middle:.0f} ms, p99 {high:.0f} ms, most {most:.0f} ms"


def measure(options: argparse.Namespace, url: str, probe: headway.Task) -> bool:
    """Measure, and print the figures. Returns whether the budget is kept."""
    from playwright.sync_api import sync_playwright  # not needed by ci/bench

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        began = time.monotonic()
        page.goto(f"{url}#/{BOARD}?sort=created")
        rows = options.tasks + 2  # the probe, and the head of the list
        page.wait_for_function("(rows) => document.querySelector('.list')?.ariaRowCount == rows", arg=rows)
        print(f"open to all tasks    {1000 * (time.monotonic() - began):.0f} ms")
        page.wait_for_timeout(3000)
        shares = page_load(page, options.seconds)
        print(f"page CPU, % of a core  {', '.join(f'{name} {share:.1f}' for name, share in shares.items())}")
        updates = latencies(page, probe, options.samples)
        print(f"update to pixel      {percentiles(updates)}")
        print(f"kill to pixel        {percentiles(deaths(page, options.kills))}")
        browser.close()
    kept = p99(updates) <= LIMIT_S
    print(f"the budget of {1000 * LIMIT_S:.0f} ms for the p99 of an update is {'kept' if kept else 'NOT kept'}")
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=1000, metavar="N", help="default: 1000")
    parser.add_argument("--moving", type=int, default=100, metavar="N", help="tasks that are counted on; default: 100")
    parser.add_argument("--samples", type=int, default=100, metavar="N", help="updates; default: 100")
    parser.add_argument("--kills", type=int, default=10, metavar="N", help="workers that are killed; default: 10")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of the load; default: 10")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        os.environ["HEADWAY_DIR"] = folder
        board = headway.open(BOARD, capacity=options.tasks + 16)
        try:
            probe = board.task("probe")
            for number in range(options.tasks):
                board.task(f"part-{number}", total=10**9).update()
            here = str(Path(__file__).resolve())
            with (
                child(here, "work", str(options.moving)),
                child("-m", "headway", "serve", "--no-token", "--json", "--port", "0") as one,
            ):
                assert one.stdout is not None
                url = json.loads(one.stdout.readline())["url"]
                cores = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
                print(f"{options.tasks} tasks, {options.moving} counting, snapshots of the recorder; {cores}")
                return 0 if measure(options, url, probe) else 1
        finally:
            board.close()
            removal.remove(BOARD, force=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(int(sys.argv[2]))
    elif sys.argv[1:2] == ["hold"]:
        hold(sys.argv[2])
    else:
        sys.exit(main())
