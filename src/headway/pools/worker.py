"""A worker process of a map: takes chunks from a pipe, and answers by another one."""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import signal
import traceback
from collections.abc import Callable, MutableSequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from types import FrameType
from typing import Any, NamedTuple

from headway.pools import pipes
from headway.pools.work import WORDS, Job, Part, end, is_ending, perform
from headway.tasks import current
from headway.tasks.ending import failure_text

__all__ = ["Begin", "Failed", "Ready", "Sent", "Unread", "main", "words_of"]


class Begin(NamedTuple):
    """What a worker is told when it begins."""

    job: Job
    initializer: Callable[..., object] | None
    initargs: tuple[Any, ...]


class Ready(NamedTuple):
    """It has begun."""


class Failed(NamedTuple):
    """Its initializer has raised."""

    error: BaseException


class Sent(NamedTuple):
    """A part of a chunk is done. Its results are pickled apart: what they are made of may not be there elsewhere."""

    done: int
    """How many items it is of."""
    counted: int
    seconds: float
    last: bool
    results: bytes
    """Results and failures, as of Part."""


class Unread(NamedTuple):
    """A chunk could not be unpickled."""

    error: BaseException


def words_of(descriptor: int) -> MutableSequence[int]:
    """The journal of a worker, in memory that outlives it. Raises OSError, ValueError."""
    words: Any = memoryview(mmap.mmap(descriptor, mmap.PAGESIZE)).cast("Q")
    return words  # type: ignore[no-any-return] # a memoryview has no type for its format


def main(requests: Connection, answers: Connection, journal: Connection | None, begin: Begin) -> None:
    """Work until the pipe ends: the program has no more chunks, or has died."""
    signal.signal(signal.SIGINT, _leave_to_the_program)
    signal.signal(signal.SIGTERM, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    words: MutableSequence[int] = [0] * WORDS if journal is None else words_of(journal.fileno())
    with contextlib.suppress(OSError):  # of the pipes: the program is gone, or what it runs here has closed them
        _work(requests.fileno(), answers.fileno(), words, begin)


def _work(request: int, answer: int, words: MutableSequence[int], begin: Begin) -> None:
    def send(message: Any) -> None:
        pipes.write(answer, ForkingPickler.dumps(_packed(message) if isinstance(message, Part) else message))

    task = begin.job.task
    if task is not None:
        current.enter(task, task._handed_down())
    if begin.initializer is not None:
        try:
            begin.initializer(*begin.initargs)
        except BaseException as error:
            if is_ending():
                raise
            send(Failed(_portable(error)))
            return
    send(Ready())
    while (message := pipes.read(request)) is not None:
        try:
            chunk = pickle.loads(message)
        except Exception as error:
            send(Unread(_portable(error)))
            continue
        del message
        perform(begin.job, chunk, send, words)


def _leave_to_the_program(_number: int, _frame: FrameType | None) -> None:
    """Ctrl-C reaches all processes of a terminal: the program ends its workers. Subprocesses of this one see it."""


def _end(number: int, _frame: FrameType | None) -> None:
    """Told to end, the item in hand is left by an exception, so that its own workers and files are let go."""
    end()
    raise SystemExit(128 + number)


def _packed(part: Part) -> Sent:
    """A part as it is sent. A result that cannot be pickled becomes a failure."""
    failures = {place: _portable(error) for place, error in part.failures}
    results = part.results
    try:
        body = ForkingPickler.dumps((results, [*failures.items()]))
    except Exception:
        results = list(results)
        for place, result in enumerate(results):
            try:
                ForkingPickler.dumps(result)
            except Exception as error:
                results[place] = None
                failures[place] = _portable(error)
        body = ForkingPickler.dumps((results, sorted(failures.items())))
    return Sent(len(results), part.counted, part.seconds, part.last, bytes(body))


def _portable(error: BaseException) -> BaseException:
    """An exception that can be pickled, and unpickled elsewhere, with a note of where it was raised."""
    told = "".join(traceback.format_exception(error)).rstrip()
    try:
        fine = type(pickle.loads(ForkingPickler.dumps(error))) is type(error)
    except Exception:
        fine = False
    carried = error if fine else RuntimeError(failure_text(error))
    carried.add_note(f"in worker {os.getpid()}:\n{told}")
    return carried
