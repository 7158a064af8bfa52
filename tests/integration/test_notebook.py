"""Live bars in notebooks: real kernels run real cells, and what they send is looked at."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

RUN = Path(__file__).with_name("notebook.py")
BEGIN = """
import multiprocessing, os, pathlib, signal, threading, time, warnings
from concurrent.futures import ProcessPoolExecutor

import headway

warnings.simplefilter("error")
board = headway.open({board!r}, capacity=64, record=False)

def helpers():
    found = []
    for place in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_text().split("\\0")
        except OSError:
            continue
        if "headway.bars.board_process" in words and board.name in words:
            found.append(int(place.parent.name))
    return found

def wait(holds):
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)

def slow(n):
    time.sleep(0.01)
    return n
"""
END = "board.remove(files=True)"


class Ran:
    """What a notebook's kernel sent, and what was saved."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.sent: list[dict[str, Any]] = told["sent"]
        self.saved: list[list[dict[str, Any]]] = told["saved"]

    def texts(self, cell: int = 1) -> list[str]:
        """What the bars of a cell showed, one after the other, as plain text."""
        return [one["data"]["text/plain"] for one in self.sent if one["cell"] == cell and "data" in one]

    def printed(self, cell: int = 1) -> str:
        return "".join(one["text"] for one in self.saved[cell] if one["output_type"] == "stream")

    def shown(self, cell: int = 1) -> list[dict[str, str]]:
        """What is saved of the bars of a cell."""
        return [one["data"] for one in self.saved[cell] if one["output_type"] == "display_data"]


@pytest.fixture
def run(board_name: str, headway_dir: Path, tmp_path: Path) -> Callable[..., Ran]:
    def run(*cells: str, end: str = END) -> Ran:
        places = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
        done = subprocess.run(
            [sys.executable, str(RUN)],
            input=json.dumps([BEGIN.format(board=board_name), *cells, end]),
            env=os.environ | {place: str(tmp_path / place.lower()) for place in places},
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        return Ran(json.loads(done.stdout))

    return run


class Tags(HTMLParser):
    """The tags and attributes of a piece of HTML, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_bars_move_while_a_cell_is_busy_and_a_forked_pool_works(run: Callable[..., Ran]) -> None:
    ran = run("""
before = threading.active_count()
with board.live():
    with board.task("pool", total=800, label="Sums <b>&") as task:
        with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
            list(pool.map(task.counts(slow), range(800)))
    with board.task("loop", unit="turn") as task:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:  # never lets go of the GIL
            task.update()
    print(threading.active_count() - before, "threads more")
print("after", task.count)
""")
    texts = ran.texts()
    counts = [int(found[1]) for text in texts if (found := re.search(r"(\d+)/800", text))]
    assert len(set(counts)) > 3
    assert counts == sorted(counts)
    loops = {found[1] for text in texts if (found := re.search(r"loop .* ([\d,.]+M?) turn", text))}
    assert len(loops) > 3
    assert ran.printed().startswith("0 threads more\nafter ")
    (shown,) = ran.shown()  # one output, replaced
    assert "2 succeeded · " in shown["text/plain"]
    page = Tags(shown["text/html"])
    assert "Sums <b>&" in page.text
    assert "800/800" in page.text
    assert page.tags <= {"div", "span", "table", "tbody", "tr", "td", "bdi"}
    assert page.attributes <= {"style", "aria-hidden", "colspan"}
    assert ran.saved[1][0]["output_type"] == "display_data"  # above all that the cell printed


def test_an_exception_or_an_interrupt_leaves_the_last_state_and_no_helper(run: Callable[..., Ran]) -> None:
    ran = run(
        """
try:
    with board.live(), board.task("a", total=10) as task:
        task.update(3)
        raise RuntimeError("it had to be")
except RuntimeError:
    wait(lambda: not helpers())
""",
        """
try:
    with board.live(), board.task("b", total=10) as task:
        task.update(4)
        print("INTERRUPT", flush=True)
        time.sleep(30)
except KeyboardInterrupt:
    wait(lambda: not helpers())
""",
    )
    assert re.search(r"a .* 3/10 .* failed\n.*RuntimeError: it had to be", ran.shown(1)[0]["text/plain"])
    assert re.search(r"b .* 4/10 .* cancelled", ran.shown(2)[0]["text/plain"])


def test_a_killed_helper_costs_the_bars_and_nothing_else(run: Callable[..., Ran]) -> None:
    ran = run("""
with board.live(), board.task("a", total=10) as task:
    wait(helpers)
    time.sleep(4)  # the program cannot see what the cell shows
    for pid in helpers():
        os.kill(pid, signal.SIGKILL)
    wait(lambda: not helpers())
    task.update(10)
print("it goes on")
with board.live():
    pass
""")
    assert ran.printed() == "it goes on\n"
    first, second = ran.shown()
    assert "0/10" in first["text/plain"]
    assert "10/10" in second["text/plain"]


def test_a_killed_kernel_takes_the_helper_along(run: Callable[..., Ran], board_name: str, tmp_path: Path) -> None:
    note = tmp_path / "helper"
    cell = f"""
board.live().__enter__()
wait(helpers)
open({str(note)!r}, "w").write(str(helpers()[0]))
board.remove(files=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    with pytest.raises(subprocess.CalledProcessError, match="exit status"):
        run(cell)
    place = Path("/proc", note.read_text())
    until = time.monotonic() + 30
    while place.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not place.exists()


def test_tracked_loops_are_one_output_of_their_cell(run: Callable[..., Ran], board_name: str) -> None:
    ran = run(f"""
for _ in headway.track(range(8), label="outer", board={board_name!r}):
    for _ in headway.track(range(30), label="inner"):
        time.sleep(0.01)
print("after")
""")
    texts = ran.texts()
    assert len({found[1] for text in texts if (found := re.search(r"outer .* (\d+)/8", text))}) > 3
    assert any(re.search(r"\n  inner .* \d+/30", text) for text in texts)
    (shown,) = ran.shown()
    assert re.match(r"outer .*8/8.*succeeded$", shown["text/plain"])
    assert ran.printed() == "after\n"


def test_inside_live_bars_a_tracked_loop_draws_none_of_its_own(run: Callable[..., Ran], board_name: str) -> None:
    ran = run(f"""
with board.live():
    for _ in headway.track(range(40), label="once", board={board_name!r}):
        time.sleep(0.01)
""")
    (shown,) = ran.shown()
    assert shown["text/plain"].startswith(board_name)
    assert "once" in shown["text/plain"]
