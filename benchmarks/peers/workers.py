"""What is measured of a peer, in processes that its program forks: see side_by_side.py."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median
from typing import IO, TYPE_CHECKING, Any

from benchmarks.work import burn

if TYPE_CHECKING:
    from benchmarks.peers.contract import Peer

__all__ = ["WORKERS", "Hung", "Killed", "Late", "bounded", "cost", "job", "kill", "late", "watch"]

WORKERS = 2
PATIENCE_S = 15.0
BLOCK_ITEMS = 10
BLOCK_S, BLOCKS = 0.001, 25  # short, so that most of them are not interrupted on a machine that is busy
SEEN_WITHIN_S = 2.0
LATE_S = 4.0  # for all samples: with fewer of them where each takes its time
BLIND = 2  # samples that nobody saw, and none that anybody did: the others would not be seen either
SETTLED_S = 0.25
GO_ON_S = 2.0

_fork = multiprocessing.get_context("fork")


class Hung(Exception):
    """Something took longer than it may."""


@dataclass
class Late:
    """How soon updates were seen, in seconds, by whom; and how many were not."""

    by: str
    seconds: list[float]
    never: int


@dataclass
class Killed:
    """Writers that were killed while they counted: the updates that had returned, those that are gone, and how often
    nobody else could count any more."""

    kills: int
    acknowledged: int
    lost: int
    blocked: int


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise Hung in the block when the time is over; whatever waits in C without looking at signals stays there."""

    def ring(_number: int, _frame: object) -> None:
        raise Hung(f"not done after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _answer(link: Connection, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    link.send(work(*args))


def _in_workers(peer: Peer, processes: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """What work(peer, number, *args) returned in forked processes, which the program tends meanwhile."""
    links, children = [], []
    for number in range(processes):
        link, theirs = _fork.Pipe()
        child = _fork.Process(target=_answer, args=(theirs, work, (peer, number, *args)), daemon=True)
        child.start()
        theirs.close()
        links.append(link)
        children.append(child)
    until = time.monotonic() + PATIENCE_S
    try:
        while not all(link.poll() for link in links):
            peer.tend()
            if time.monotonic() > until:
                raise Hung(f"a worker was not done after {PATIENCE_S:g} s")
            links[0].poll(0.002)
        return [link.recv() for link in links]
    except EOFError:
        raise RuntimeError("a worker ended without an answer") from None
    finally:
        for child in children:
            while child.is_alive() and time.monotonic() < until:
                peer.tend()  # a queue's feeder ends when all was taken
                child.join(0.01)
            child.kill()
            child.join()


# ------------------------------------------------------------------------------------------------------------ cost


def cost(peer: Peer) -> float:
    """Seconds of one update in a worker that has nothing else to do."""
    (seconds,) = _in_workers(peer, 1, _cost)
    return float(seconds)


def _cost(peer: Peer, number: int) -> float:
    with peer.counter(number) as count:
        peer.seconds(count, 1)  # the first one may find and open something
        times, taken = 1, peer.seconds(count, 1)
        while taken < BLOCK_S / 4 and times < 1 << 24:
            times *= 2
            taken = peer.seconds(count, times)
        times = max(1, round(times * BLOCK_S / max(taken, 1e-9)))
        return median(peer.seconds(count, times) / times for _ in range(BLOCKS))


def job(peer: Peer, times: int, items: int) -> list[float]:
    """The CPU that an update an item adds to a job of so many items of work, in each of two workers: a share of it.

    Short blocks with updates and without take turns, so that both saw the same machine. What other threads of the
    worker take belongs to the updates; those that draw all the time have drawn for both.
    """
    begin = time.monotonic() + 0.05
    return [float(share) for share in _in_workers(peer, WORKERS, _job, begin, times, items)]


def _job(peer: Peer, number: int, begin: float, times: int, items: int) -> float:
    def block(count: Callable[[], object] | None) -> float:
        cpu = time.thread_time()
        for _ in range(BLOCK_ITEMS):
            burn(times)
            if count is not None:
                count()
        return time.thread_time() - cpu

    time.sleep(max(0.0, begin - time.monotonic()))
    bare = counted = 0.0
    with peer.counter(number) as count:
        block(None), block(count)  # a forked process pays for its memory when it first touches it
        others = time.process_time() - time.thread_time()
        for turn in range(items // BLOCK_ITEMS):
            if turn % 2:
                bare += block(None)
                counted += block(count)
            else:
                counted += block(count)
                bare += block(None)
        others = time.process_time() - time.thread_time() - others
    return (counted + others * (0.5 if peer.draws else 1.0)) / bare - 1


# ------------------------------------------------------------------------------------------------------------ lateness


def watch(read: Callable[[], int], before: int, tend: Callable[[], object]) -> float | None:
    """Poll until something else is read: when that was, on the monotonic clock; None if nothing came in time."""
    until = time.monotonic() + SEEN_WITHIN_S
    while time.monotonic() < until:
        if read() != before:
            return time.monotonic()
        tend()
    return None


class _Watcher:
    """A process that the program did not fork, and that polls for updates."""

    def __init__(self, peer: Peer) -> None:
        command = [sys.executable, "-m", "benchmarks.peers.program", peer.title, str(peer.place), "watch"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders: IO[str] = self._process.stdin
        self._answers: IO[str] = self._process.stdout
        self.ready = self.line() == "ready"

    def line(self) -> str:
        with bounded(PATIENCE_S):
            answer = self._answers.readline().strip()
        if not answer:
            raise RuntimeError("the process that looked died of it")
        return answer

    def look(self) -> None:
        self._orders.write("look\n")
        self._orders.flush()
        self.line()

    def dismiss(self) -> None:
        self._process.kill()
        self._process.communicate()


def _obey(link: Connection, peer: Peer) -> None:
    """A writer: for each order one update, and when it was begun."""
    count = peer.shared()
    link.send(None)
    while True:
        link.recv()
        begun = time.monotonic()
        count()
        link.send(begun)


def late(peer: Peer, samples: int) -> Late:
    """Seconds from the beginning of an update in one process until another one sees it, which polls without pause."""
    peer.show()
    peer.read()
    link, theirs = _fork.Pipe()
    writer = _fork.Process(target=_obey, args=(theirs, peer), daemon=True)
    writer.start()
    theirs.close()
    watcher = _Watcher(peer)
    found = Late("any process" if watcher.ready else peer.audience, [], 0)
    until = time.monotonic() + LATE_S
    try:
        _receive(link)
        while len(found.seconds) + found.never < samples and time.monotonic() < until:
            if found.never == BLIND and not found.seconds:
                break
            if watcher.ready:
                watcher.look()
                time.sleep(random.uniform(0.002, 0.006))
                link.send(None)
                begun = _receive(link)
                answer = watcher.line()
                seen = float(answer) if answer != "never" else None
            else:
                before = peer.read()
                time.sleep(random.uniform(0.002, 0.006))
                link.send(None)
                seen = watch(peer.read, before, peer.tend)
                begun = _receive(link)
            if seen is None:
                found.never += 1
            else:
                found.seconds.append(seen - begun)
        return found
    finally:
        watcher.dismiss()
        writer.kill()
        writer.join()


def _receive(link: Connection) -> float:
    if not link.poll(PATIENCE_S):
        raise Hung(f"an update was not done after {PATIENCE_S:g} s")
    return float(link.recv() or 0.0)


# ------------------------------------------------------------------------------------------------------------ SIGKILL


def kill(peer: Peer, kills: int) -> Killed:
    """Kill writers that count without pause, each at a random moment: what is left of their counts, and of the rest.

    Acknowledged is an update that has returned. The one in the middle of which the writer was killed may count or not.
    """
    peer.show()
    found = Killed(0, 0, 0, 0)
    for _ in range(kills):
        before = peer.read()
        acknowledged = _count_until_killed(peer)
        found.kills += 1
        found.acknowledged += acknowledged
        found.lost += max(0, acknowledged - (_settled(peer, before + acknowledged) - before))
        if not _goes_on(peer):
            found.blocked += 1
            with suppress(Exception), bounded(1.0):
                peer.close()
            peer.open()  # else nothing more could be learnt
            peer.show()
    return found


def _count_until_killed(peer: Peer) -> int:
    """How many updates had returned in a process that was killed while it counted."""
    page = mmap.mmap(-1, mmap.PAGESIZE)
    done = ctypes.c_uint64.from_buffer(page)  # written by the one that is killed, after each update
    writer = _fork.Process(target=_count_for_ever, args=(peer, done), daemon=True)
    writer.start()
    try:
        until = time.monotonic() + PATIENCE_S
        while not done.value and time.monotonic() < until and writer.is_alive():
            peer.tend()
            time.sleep(0.001)
        on = time.monotonic() + random.uniform(0.005, 0.03)
        while time.monotonic() < on:
            peer.tend()
            time.sleep(0.0005)
        if writer.pid is None or not writer.is_alive():
            raise RuntimeError("the writer ended by itself")
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        return int(done.value)
    finally:
        writer.kill()
        writer.join()


def _count_for_ever(peer: Peer, done: ctypes.c_uint64) -> None:
    count = peer.shared()
    while True:
        count()
        done.value += 1


def _settled(peer: Peer, wanted: int) -> int:
    """What is read when all has arrived, or after a while; a reader that waits for ever has read nothing."""
    count = 0
    with suppress(Hung), bounded(2 * SETTLED_S):
        until = time.monotonic() + SETTLED_S
        while (count := peer.read()) < wanted and time.monotonic() < until:
            peer.tend()
            time.sleep(0.002)
    return count


def _count_once(peer: Peer) -> None:
    peer.shared()()


def _goes_on(peer: Peer) -> bool:
    """Whether another process can still count, and what it counts is read."""
    other = _fork.Process(target=_count_once, args=(peer,), daemon=True)
    other.start()
    until = time.monotonic() + GO_ON_S
    while other.is_alive() and time.monotonic() < until:
        with suppress(Hung), bounded(GO_ON_S):
            peer.tend()
        other.join(0.005)
    went_on = not other.is_alive() and other.exitcode == 0
    other.kill()
    other.join()
    with suppress(Hung), bounded(GO_ON_S):
        peer.read()
        return went_on
    return False
