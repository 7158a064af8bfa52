"""Progress bars. Each worker has a bar of its own, as their documentation shows; all draw on a terminal.

What of such a bar another process could see is what the program's own one shows, made before the workers were forked.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.peers.contract import Cannot, Count, Peer
from benchmarks.peers.workers import WORKERS
from benchmarks.work import burn

__all__ = ["SCREEN", "AliveProgress", "Barflow", "MpireBar", "NumbaProgress", "RichProgress", "Tqdm", "TqdmWithLock"]

SCREEN = "screen"  # the file, beside the peer's own, that holds what was drawn on the terminal


class Tqdm(Peer):
    title = "tqdm"
    packages = ("tqdm",)
    how = "bar.update()"

    def open(self) -> None:
        self._bar: Any = None

    def show(self) -> None:
        self._bar = self._new(0)

    def _new(self, number: int) -> Any:
        from tqdm import tqdm

        return tqdm(total=10**9, position=number, desc=f"w{os.getpid()}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def shared(self) -> Count:
        update: Count = self._bar.update
        return update

    @contextmanager
    def counter(self, number: int) -> Iterator[Count]:
        with self._new(number) as bar:
            yield bar.update

    def read(self) -> int:
        return int(self._bar.n)


class TqdmWithLock(Tqdm):
    """The pattern of tqdm's documentation for pools: a lock that all share, so that their bars do not mix."""

    title = "tqdm, shared lock"
    how = "bar.update(), a bar a worker, one lock for all"
    audience = "the screen"

    def open(self) -> None:
        from tqdm import tqdm

        tqdm.set_lock(multiprocessing.RLock())
        self._bar = None
        self._drawn: dict[str, int] = {}
        self._place = 0
        self._rest = b""

    def show(self) -> None:
        """The program has no bar of its own."""

    def shared(self) -> Count:
        update: Count = self._new(0).update
        return update

    def read(self) -> int:
        with (self.place / SCREEN).open("rb") as screen:
            screen.seek(self._place)
            drawn = screen.read()
        self._place += len(drawn)
        text = self._rest + drawn
        for found in re.finditer(rb"w(\d+):[^\r\n]*?(\d+)/1000000000", text):
            self._drawn[found[1].decode()] = int(found[2])
        self._rest = text[-200:] if len(text) > 200 else text
        return sum(self._drawn.values())


class RichProgress(Peer):
    title = "rich.progress"
    packages = ("rich",)
    draws = True
    how = "progress.update(id, advance=1)"

    def open(self) -> None:
        self._progress: Any = None

    def show(self) -> None:
        self._progress, self._id = self._new()
        self._progress.start()

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _new(self) -> tuple[Any, Any]:
        from rich.progress import Progress

        progress = Progress()
        return progress, progress.add_task("work", total=10**9)

    def shared(self) -> Count:
        return lambda: self._progress.update(self._id, advance=1)

    @contextmanager
    def counter(self, number: int) -> Iterator[Count]:
        progress, id = self._new()
        with progress:
            yield lambda: progress.update(id, advance=1)

    def read(self) -> int:
        return int(self._progress.tasks[self._id].completed)


class AliveProgress(Peer):
    title = "alive-progress"
    packages = ("alive-progress",)
    draws = True
    how = "bar()"

    def open(self) -> None:
        self._context: Any = None

    def show(self) -> None:
        from alive_progress import alive_bar

        self._context = alive_bar(10**9, force_tty=True)
        self._bar = self._context.__enter__()

    def close(self) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)

    def shared(self) -> Count:
        count: Count = self._bar
        return count

    @contextmanager
    def counter(self, number: int) -> Iterator[Count]:
        from alive_progress import alive_bar

        with alive_bar(10**9, force_tty=True) as bar:
            yield bar

    def read(self) -> int:
        return int(self._bar.current)


class Barflow(Peer):
    title = "barflow"
    packages = ("barflow",)
    draws = True
    how = "progress.tick()"

    def open(self) -> None:
        self._bar: Any = None

    def show(self) -> None:
        self._bar = self._new()

    def _new(self) -> Any:
        import barflow

        return barflow.Progress(total=10**9)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def shared(self) -> Count:
        tick: Count = self._bar.tick
        return tick

    @contextmanager
    def counter(self, number: int) -> Iterator[Count]:
        with self._new() as bar:
            yield bar.tick

    def read(self) -> int:
        completed = self._bar.completed
        return int(completed() if callable(completed) else completed)


class NumbaProgress(Peer):
    """Made for compiled code: the cost is that of an update in a compiled loop, the job calls one for each item."""

    title = "numba-progress"
    packages = ("numba-progress",)
    draws = True
    how = "bar.update(1) in compiled code"
    _tick: ClassVar[Callable[[Any, int], None] | None] = None

    def open(self) -> None:
        import numba

        if NumbaProgress._tick is None:

            def tick(bar: Any, times: int) -> None:
                for _ in range(times):
                    bar.update(1)

            NumbaProgress._tick = staticmethod(numba.njit(nogil=True)(tick))
            with self._new() as bar:
                self._compiled(bar, 1)  # compiles it
        self._bar: Any = None

    def show(self) -> None:
        self._bar = self._new()

    def _new(self) -> Any:
        from numba_progress import ProgressBar

        return ProgressBar(total=10**9)

    def _compiled(self, bar: Any, times: int) -> None:
        assert NumbaProgress._tick is not None
        NumbaProgress._tick(bar, times)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def shared(self) -> Count:
        return lambda: self._compiled(self._bar, 1)

    @contextmanager
    def counter(self, number: int) -> Iterator[Count]:
        with self._new() as bar:
            self._counting = bar
            yield lambda: self._compiled(bar, 1)

    def seconds(self, count: Count, times: int) -> float:
        begin = time.perf_counter()
        self._compiled(self._counting, times)
        return time.perf_counter() - begin

    def read(self) -> int:
        return int(self._bar.n)


class MpireBar(Peer):
    """A pool that has a bar. Its workers count by themselves; what they take for it is the difference to no bar."""

    title = "mpire"
    packages = ("mpire",)
    how = "WorkerPool.map(..., progress_bar=True)"

    def open(self) -> None:
        from mpire.pool import WorkerPool

        self._pools = {
            number: WorkerPool(n_jobs=number, start_method="fork", keep_alive=True) for number in (1, WORKERS)
        }

    def close(self) -> None:
        for pool in self._pools.values():
            pool.terminate()

    def shared(self) -> Count:
        raise Cannot("its workers count by themselves, and its program has no count but the bar on its terminal")

    def read(self) -> int:
        raise Cannot("the bar is the pool's own")

    def _map(self, jobs: int, times: int, items: int, *, bar: bool) -> list[tuple[float, float]]:
        """The clocks after each item, of every worker's items in a row."""
        clocks: list[tuple[float, float]] = self._pools[jobs].map(
            _item, [(times,)] * (items * jobs), chunk_size=items, progress_bar=bar
        )
        return clocks

    def cost(self) -> float:
        items = 20_000
        took = []
        for bar in (True, False):
            clocks = self._map(1, 0, items, bar=bar)
            took.append((clocks[-1][0] - clocks[0][0]) / (items - 1))
        return took[0] - took[1]

    def job(self, times: int, items: int) -> list[float]:
        blocks = {bar: self._map(WORKERS, times, items, bar=bar) for bar in (False, True)}
        found = []
        for worker in range(WORKERS):
            first, last = worker * items, (worker + 1) * items - 1
            cpu = {bar: clocks[last][1] - clocks[first][1] for bar, clocks in blocks.items()}
            found.append(cpu[True] / cpu[False] - 1)
        return found


def _item(times: int) -> tuple[float, float]:
    burn(times)
    return time.perf_counter(), time.process_time()


def draw_on(terminal: int) -> None:
    """Have everything that this process and its children print go to this terminal."""
    sys.stdout.flush()
    sys.stderr.flush()
    for stream in (1, 2):
        os.dup2(terminal, stream)


def screen(place: Path) -> int:
    """A terminal on which to draw; a process of its own writes what comes there into a file."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    if os.fork() == 0:
        os.close(theirs)
        with (place / SCREEN).open("wb", buffering=0) as file:
            try:
                while drawn := os.read(ours, 1 << 16):
                    file.write(drawn)
            except OSError:  # nobody has the terminal any more
                pass
            finally:
                os._exit(0)
    os.close(ours)
    return theirs
