"""Worker processes of a map, as the program sees them.

Each worker has two pipes of its own. So nothing is shared that a worker which dies could leave locked or half written,
the others go on, and it is known for certain which items it had. There is no thread: all happens while a map waits.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import selectors
import signal
import sys
import time
import weakref
from collections.abc import Callable, Iterator, MutableSequence
from multiprocessing.reduction import ForkingPickler
from typing import Any

from headway import errors
from headway.pools import pipes
from headway.pools.crew import Answered, Died, Event, Refused, Returned, ended_by
from headway.pools.work import COUNTED, IN_HAND, STOP, WORDS, Chunk, Part
from headway.pools.worker import Begin, Failed, Sent, Unread, main, words_of

__all__ = ["Processes"]

TERMINATED_S = 3.0  # how long a worker may take to leave when it was told to by SIGTERM
KILLED_S = 5.0  # and to be gone after SIGKILL
SILENT_S = 1.0  # how long one may go on that has closed its pipes
LOOK_S = 0.5
STILLBORN_MOST = 10
LONGEST = 4096
_JOURNAL = "headway-journal"

_workers: weakref.WeakSet[_Worker] = weakref.WeakSet()  # of this process; in a forked child, at first, its parent's


class Processes:
    """Worker processes. They start when there is something to do for them, and others take the place of dead ones.

    size: how many at most; context: of multiprocessing, or of a library made from it. `wait` raises what the
    initializer raised, and headway.errors.WorkerDied for a worker that dies before it takes up anything.
    """

    def __init__(self, size: int, context: Any, begin: Begin) -> None:
        self.size = size
        self._context = context
        self._begin = begin
        self._all: list[_Worker] = []
        self._events: list[Event] = []
        self._stillborn = -1  # workers in a row that have died before they began; -1: none has begun yet
        self._look_again = 0.0
        self._selector = selectors.PollSelector()
        self.longest = LONGEST if _has_journals() else 1

    def has_room(self) -> bool:
        return len(self._all) < self.size or any(worker.chunk is None for worker in self._all)

    def give(self, chunk: Chunk) -> None:
        """As Crew.give. Raises what starting a process raises, unless there are others."""
        try:
            message = ForkingPickler.dumps(chunk)
        except Exception as error:
            self._events.append(Refused(chunk, error))
            return
        worker = next((worker for worker in self._all if worker.chunk is None), None)
        if worker is None:
            try:
                worker = self._start()
            except OSError:  # no more processes, or no memory
                if not self._all:
                    raise
                self.size = len(self._all)
                self._events.append(Returned(chunk))
                return
        worker.chunk, worker.done = chunk, 0
        self._write(worker, message)

    def _start(self) -> _Worker:
        # Under forkserver, its server would hand down to all others that SIGINT is blocked.
        with contextlib.nullcontext() if self._context.get_start_method() == "forkserver" else _uninterrupted():
            worker = _Worker(self._context, self._begin)
            self._all.append(worker)
        self._selector.register(worker.answers, selectors.EVENT_READ, worker)
        self._selector.register(worker.process.sentinel, selectors.EVENT_READ, worker)
        return worker

    def _write(self, worker: _Worker, message: bytes | memoryview | None = None) -> None:
        """Write a message, or what is left of one."""
        try:
            written = worker.outbox.flush() if message is None else worker.outbox.put(message)
        except OSError:  # it is gone, which is noticed where its answers are read
            written = True
        if written == worker.writing:
            worker.writing = not written
            if written:
                self._selector.unregister(worker.requests)
            else:
                self._selector.register(worker.requests, selectors.EVENT_WRITE, worker)

    def wait(self, timeout_s: float) -> list[Event]:
        ready = self._selector.select(0.0 if self._events else timeout_s)
        gone: set[_Worker] = set()
        for key, mask in ready:
            worker: _Worker = key.data
            if mask & selectors.EVENT_WRITE:
                self._write(worker)
            elif key.fileobj is not worker.answers or not self._receive(worker):
                gone.add(worker)
        if (now := time.monotonic()) >= self._look_again:
            # A process that a dead worker has left behind may hold its pipes open, and what tells of its end.
            self._look_again = now + LOOK_S
            gone.update(worker for worker in self._all if worker.has_ended())
        for worker in gone:
            self._bury(worker)
        events, self._events = self._events, []
        return events

    def _receive(self, worker: _Worker) -> bool:
        """Read the answers of a worker. Returns False if there will be no more."""
        goes_on = worker.inbox.receive()
        for message in worker.inbox.messages():
            self._take(worker, message)
        return goes_on

    def _take(self, worker: _Worker, message: bytes) -> None:
        found = pickle.loads(message)
        if isinstance(found, Failed):
            raise found.error
        if not worker.ready:
            worker.ready, self._stillborn = True, 0
        chunk = worker.chunk
        if chunk is None:
            return
        if isinstance(found, Unread):
            worker.chunk = None
            self._events.append(Refused(chunk, found.error))
        elif isinstance(found, Sent):
            worker.received += found.counted
            worker.done += found.done
            here = Chunk(chunk.first, chunk.items[: found.done])
            rest = Chunk(chunk.first + found.done, chunk.items[found.done :])
            worker.chunk = None if found.last else rest
            try:
                results, failures = pickle.loads(found.results)
            except Exception as error:
                self._events.append(Refused(here, error, found.counted, found.last))
            else:
                part = Part(results, failures, found.counted, found.seconds, found.last)
                self._events.append(Answered(here, part))

    def _bury(self, worker: _Worker) -> None:
        """A worker has ended, or has closed its pipes: nobody hears of it any more. Something may still be in them."""
        process = worker.process
        if not _have_ended([worker], SILENT_S):
            process.kill()
            _have_ended([worker], KILLED_S)
        self._receive(worker)
        self._drop(worker)
        pid, exitcode, chunk = process.pid, process.exitcode, worker.chunk
        # Without a journal a chunk is one item, which was in hand.
        in_hand = worker.words[IN_HAND] - 1 - worker.done if worker.is_recorded else 0
        counted = worker.words[COUNTED] - worker.received if worker.is_recorded else 0
        worker.close()
        if worker.ready:
            if chunk is not None:
                self._events.append(Died(pid, exitcode, chunk, in_hand, counted))
            return
        self._stillborn += self._stillborn >= 0
        if not 0 < self._stillborn <= STILLBORN_MOST:  # none has ever begun, or many in a row have not
            raise errors.WorkerDied(
                f"a worker (pid {pid}) {ended_by(exitcode)} before it took up an item: a program whose workers are not "
                f"forked is imported by them, and has to start its work below if __name__ == '__main__'",
                exitcode=exitcode,
            )
        if chunk is not None:
            self._events.append(Returned(chunk))

    def _drop(self, worker: _Worker) -> None:
        self._all.remove(worker)
        self._selector.unregister(worker.answers)
        self._selector.unregister(worker.process.sentinel)
        if worker.writing:
            self._selector.unregister(worker.requests)

    def end(self, patience_s: float) -> None:
        """As Crew.end. Interrupted, it ends them by SIGKILL."""
        workers, self._all = self._all, []
        self._selector.close()
        try:
            for worker in workers:
                worker.words[STOP] = 1
                worker.close_pipes()
            _have_ended(workers, patience_s)
            for worker in workers:
                worker.process.terminate()
            _have_ended(workers, TERMINATED_S)
        finally:
            for worker in workers:
                worker.process.kill()
            _have_ended(workers, KILLED_S)
            for worker in workers:
                worker.close()


def _have_ended(workers: list[_Worker], timeout_s: float) -> bool:
    """Wait for these workers to end. False if not in time.

    Not by Process.join: that waits without end for one that has closed all its descriptors and goes on.
    """
    deadline, pause_s = time.monotonic() + timeout_s, 0.001
    while not all(worker.has_ended() for worker in workers):
        if (left_s := deadline - time.monotonic()) <= 0:
            return False
        time.sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, 0.02)
    return True


class _Worker:
    """A worker process. Raises what starting one raises."""

    def __init__(self, context: Any, begin: Begin) -> None:
        self.chunk: Chunk | None = None
        """What it has to do, without what it has answered."""
        self.done = 0
        """How many items of this chunk it has answered."""
        self.received = 0
        """How many items it has counted of which the results have come."""
        self.ready = False
        self.writing = False
        """Whether a part of a message to it is left."""
        requests, self.requests = context.Pipe(duplex=False)
        self.answers, answers = context.Pipe(duplex=False)
        self.words, journal = _journal(type(requests))
        self.is_recorded = journal is not None
        self.outbox = pipes.Outbox(self.requests.fileno())
        self.inbox = pipes.Inbox(self.answers.fileno())
        self.process = context.Process(target=main, args=(requests, answers, journal, begin))
        # Not one that is ended at exit by itself: those may have no workers of their own.
        self.process.daemon = False
        _workers.add(self)
        try:
            self.process.start()
        except BaseException:
            self.close()
            raise
        finally:
            for theirs in (requests, answers, journal):
                if theirs is not None:
                    theirs.close()
        # Before the program waits for its children as it exits: a map that is not gone through to its end keeps none.
        util = sys.modules[f"{type(self.process).__module__.partition('.')[0]}.util"]
        self._leave = util.Finalize(self, _Worker._close, args=(self.requests, self.answers), exitpriority=0)

    def has_ended(self) -> bool:
        """Is the process gone?"""
        if self.process.exitcode is not None:
            return True
        try:
            os.kill(self.process.pid, 0)
        except ProcessLookupError:  # the program ignores SIGCHLD: nobody knows its exit code
            return True
        return False

    def close_pipes(self) -> None:
        """Tell it that there is nothing more to do."""
        _Worker._close(self.requests, self.answers)

    @staticmethod
    def _close(*pipes: Any) -> None:
        for pipe in pipes:
            with contextlib.suppress(OSError):
                pipe.close()

    def close(self) -> None:
        """Let go of everything. It has ended."""
        _workers.discard(self)
        self.close_pipes()
        self.words = [0] * WORDS  # which lets go of the memory
        if self.process.exitcode is not None:
            self.process.close()


def _has_journals() -> bool:
    try:
        os.close(os.memfd_create(_JOURNAL))
    except OSError:  # a sandbox may forbid it
        return False
    return True


def _journal(kind: Callable[[int], Any]) -> tuple[MutableSequence[int], Any]:
    """Memory in which a worker notes what it has in hand, and what carries it there; None where there can be none.

    kind: carries a descriptor to processes of this library. The memory is no file, and takes no room in /dev/shm.
    """
    try:
        carried = kind(os.memfd_create(_JOURNAL))
    except OSError:
        return [0] * WORDS, None
    try:
        os.ftruncate(carried.fileno(), mmap.PAGESIZE)
        words = words_of(carried.fileno())
        words[STOP] = 0  # has a page made for it, here and not in the worker
    except BaseException:
        carried.close()
        raise
    return words, carried


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits: here until the new process is known, there until it leaves it to the program."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forget() -> None:
    """In a forked child: the ends of the pipes are its parent's, whose workers would else not notice its end."""
    for worker in _workers:
        worker.close_pipes()
    _workers.clear()


os.register_at_fork(after_in_child=_forget)
