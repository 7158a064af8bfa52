"""`headway top`: keys and pictures by Textual's pilot on real boards, and the whole command in tmux beside a pool."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual import events
from textual.containers import VerticalScroll
from textual.geometry import Size

from headway.cli.main import main
from headway.engine.board import Board, open_board
from headway.top.app import TopApp
from headway.upkeep import removal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from textual.pilot import Pilot

WAIT_S = 30.0
HERE = Path(__file__).parent


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    made = open_board(board_name, capacity=64, record=False)
    yield made
    made.close()
    with contextlib.suppress(KeyError):
        removal.remove(board_name, force=True)


def in_pilot(name: str, steps: Callable[[TopApp, Pilot[None]], Awaitable[None]]) -> None:
    async def drive() -> None:
        app = TopApp(name)
        async with app.run_test(size=(120, 30)) as pilot:
            await steps(app, pilot)

    asyncio.run(drive())


def shown(app: TopApp) -> list[str]:
    """The lines of the list of tasks."""
    tasks = app.tasks
    return [tasks.render_line(y).text.rstrip() for y in range(min(len(tasks.order.numbers), tasks.size.height))]


def head(app: TopApp) -> str:
    return str(app.query_one("#head").render())


async def until(pilot: Pilot[None], seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not seen():
        assert time.monotonic() < deadline, (head(pilot.app), shown(pilot.app))  # type: ignore[arg-type]
        await pilot.pause(0.05)


def test_a_size_that_is_told_before_all_parts_are_there_is_shared_when_they_are(board: Board) -> None:
    """As the first one may be, on a machine that is busy."""

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: board.name in head(app))
        await app.query_one("#workers").remove()
        app.on_resize(events.Resize(Size(60, 30), Size(60, 30)))
        await pilot.pause()
        await app.query_one("#below").mount(VerticalScroll(id="workers"))
        await until(pilot, lambda: not app.query_one("#workers").display)  # 60 columns have no room for it

    in_pilot(board.name, steps)


def test_counts_rise_and_parts_stand_under_their_task(board: Board) -> None:
    task = board.task("outer", total=100, label="the outer one")
    other = board.task("other")
    part = task.task("inner", total=10)
    part.update(3)

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(shown(app)) == 3)
        first, second, third = shown(app)
        assert first.startswith("▾ the outer one")
        assert second.startswith("  inner")
        assert "3/10" in second
        assert third.startswith("other")
        part.update(4)
        await until(pilot, lambda: "7/10" in shown(app)[1])
        await pilot.press("enter")
        assert [line.split("  ")[0] for line in shown(app)] == ["▸ the outer one", "other"]
        await pilot.press("enter", "down")
        assert app.tasks.chosen == "outer/inner"

    in_pilot(board.name, steps)
    other.succeed()


def test_keys_filter_sort_pause_and_quit(board: Board) -> None:
    for name, count in (("alpha", 1), ("beta", 50), ("gamma", 20)):
        board.task(name, total=100).update(count)
    board.task("done", total=1).succeed()
    counting = board.attach("alpha")

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(shown(app)) == 4)
        await pilot.press("s", "s")
        assert "sort: progress" in head(app)
        assert [line.split()[0] for line in shown(app)] == ["done", "alpha", "gamma", "beta"]
        await pilot.press("a")
        assert [line.split()[0] for line in shown(app)] == ["alpha", "gamma", "beta"]
        await pilot.press("slash", "M", "M")
        assert [line.split()[0] for line in shown(app)] == ["gamma"]
        await pilot.press("enter")
        assert "filter: MM (1)" in head(app)
        await pilot.press("escape", "p")
        assert "PAUSED" in head(app)
        counting.update(98)
        await pilot.pause(0.6)
        assert "1/100" in shown(app)[0]
        await pilot.press("p")
        await until(pilot, lambda: "99/100" in shown(app)[-1])
        await pilot.press("q")
        await pilot.pause()
        assert not app.is_running

    in_pilot(board.name, steps)


def test_the_chosen_task_stays_chosen_and_tells_its_stages(board: Board) -> None:
    board.task("first")
    task = board.task("second", total=9)
    task.set(stage="load")
    time.sleep(0.02)
    task.set(stage="fit [b]\x1b[2J", message="fold 3", metrics={"loss": 0.5})

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(shown(app)) == 2)
        await pilot.press("down", "up")  # it runs, and stands above the one that waits
        board.task("third")
        board.task("fourth")
        await pilot.press("s", "s", "s", "s")  # the newest first
        await until(pilot, lambda: len(shown(app)) == 4)
        assert app.tasks.chosen == "second"
        told = str(app.query_one("#stages").render())
        assert "load" in told
        assert "fit [b]\\x1b[2J" in told
        assert "\x1b" not in told
        assert "loss 0.5" in told

    in_pilot(board.name, steps)


def test_a_board_that_is_removed_and_started_again_is_followed(board: Board) -> None:
    board.task("before")

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(shown(app)) == 1)
        board.remove(files=True)
        await until(pilot, lambda: "ENDED: it was removed" in head(app))
        assert shown(app)[0].startswith("before")
        again = open_board(board.name, capacity=8, record=False)
        again.task("after")
        await until(pilot, lambda: shown(app)[0].startswith("after"))
        assert "ENDED" not in head(app)
        again.close()

    in_pilot(board.name, steps)


def test_a_board_that_is_not_there_yet_is_waited_for(board_name: str) -> None:
    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.pause()
        assert "there is no such board yet" in head(app)
        with open_board(board_name, capacity=8, record=False) as board:
            board.task("now")
            await until(pilot, lambda: len(shown(app)) == 1)

    try:
        in_pilot(board_name, steps)
    finally:
        removal.remove(board_name, force=True)


def test_of_ten_thousand_tasks_only_the_visible_ones_are_decoded(board_name: str) -> None:
    board = open_board(board_name, capacity=10_000, record=False, result_bytes=0)
    try:
        for number in range(10_000):
            board.task(f"task {number}", total=10).update(number % 10)

        async def steps(app: TopApp, pilot: Pilot[None]) -> None:
            await until(pilot, lambda: len(app.tasks.order.numbers) == 10_000)
            assert app.tasks.view is not None
            await pilot.press("end")
            assert app.tasks.chosen == "task 9999"
            assert shown(app)[-1].startswith("task 9999")
            assert app.tasks.view._tasks is None
            assert not app.tasks.view._views

        in_pilot(board_name, steps)
    finally:
        board.remove(files=True)


def test_without_a_terminal_it_names_the_command_that_does(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", board.name]) == 1
    assert "headway watch" in capsys.readouterr().err


def test_without_its_extra_it_names_it(board: Board, tmp_path: Path) -> None:
    (tmp_path / "textual.py").write_text("raise ModuleNotFoundError('no textual', name='textual')")
    script = (
        "import sys; from headway.cli.main import main\n"
        "sys.stdin.isatty = sys.stdout.isatty = lambda: True\n"
        "sys.exit(main(['top', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, board.name],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    assert done.returncode == 1
    assert "pip install 'headway[terminal]'" in done.stderr


class Tmux:
    """A terminal of its own, with a server of its own."""

    def __init__(self, folder: Path, *command: str) -> None:
        self._socket = folder / "tmux"
        environment = [f"{name}={os.environ[name]}" for name in ("HEADWAY_DIR",)]
        self.run(
            "-f",
            os.devnull,
            "new-session",
            "-d",
            "-x",
            "120",
            "-y",
            "32",
            "env",
            "-u",
            "COLUMNS",
            "-u",
            "LINES",
            *environment,
            *command,
        )

    def run(self, *arguments: str) -> str:
        tmux = shutil.which("tmux")
        assert tmux is not None, "this test needs tmux: apt-get install tmux"
        done = subprocess.run(
            [tmux, "-S", str(self._socket), *arguments], capture_output=True, text=True, check=False, timeout=WAIT_S
        )
        return done.stdout

    def until(self, *texts: str) -> str:
        deadline = time.monotonic() + WAIT_S
        while not all(text in (seen := self.run("capture-pane", "-p")) for text in texts):
            assert time.monotonic() < deadline, seen
            time.sleep(0.1)
        return seen


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed (Debian: apt-get install tmux)")
def test_in_a_real_terminal_a_pool_is_seen_at_work_and_killed(board_name: str, tmp_path: Path) -> None:
    pool = subprocess.Popen(
        [sys.executable, str(HERE / "board_at_work.py"), board_name, "--workers", "2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert pool.stdout is not None
    assert pool.stdin is not None
    tmux = None
    try:
        assert pool.stdout.readline() == b"working\n"
        tmux = Tmux(tmp_path, sys.executable, "-m", "headway", "top", board_name)
        tmux.until(board_name, "all <b>", "running", "Filter", "Sort", "Quit", "workers")
        first = tmux.run("capture-pane", "-p")
        deadline = time.monotonic() + WAIT_S
        while tmux.run("capture-pane", "-p") == first:
            assert time.monotonic() < deadline
        pool.stdin.write(b"kill\n")
        pool.stdin.flush()
        killed = int(pool.stdout.readline())
        tmux.until(f"{killed} lost")
        os.killpg(pool.pid, 9)
        pool.wait(WAIT_S)
        tmux.until("UNUSED: no process uses it any more")
        tmux.run("send-keys", "q")
        deadline = time.monotonic() + WAIT_S
        while "no server" not in tmux.run("list-sessions") and tmux.run("list-sessions"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pool.pid, 9)
        pool.wait(WAIT_S)
        pool.stdin.close()
        pool.stdout.close()
        if tmux is not None:
            tmux.run("kill-server")
        with contextlib.suppress(KeyError):
            removal.remove(board_name, force=True)
