"""The one call that most people want: a function over items, in processes or threads, with its progress.

prices = headway.process_map(load, symbols)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, overload

from headway import errors
from headway.bars.track import ShownLoop, loop_for
from headway.pools.mapping import Mapping, OnError, Wishes
from headway.pools.threads import Here
from headway.pools.work import Job
from headway.system import support, workers
from headway.tasks import checks
from headway.tasks.counting import check_iterable, function_name, length_of, total_kept
from headway.tasks.ending import ending

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    from headway.engine.board import Board
    from headway.pools.crew import Crew

__all__ = ["process_map", "thread_map"]

R = TypeVar("R")
Make = Callable[[int, Job], "Crew"]

ID = "map"  # of what has no name


@overload
def process_map(
    fn: Callable[..., R],
    *iterables: Iterable[Any],
    max_workers: int | None = None,
    chunksize: int | None = None,
    label: str | None = None,
    total: int | None = None,
    unit: str = "it",
    on_error: Literal["raise", "finish", "skip"] = "raise",
    retries: int = 0,
    ordered: bool = True,
    lazy: Literal[False] = False,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    mp_context: BaseContext | str | None = None,
    disable: bool = False,
    board: str | Board | None = None,
) -> list[R]: ...
@overload
def process_map(
    fn: Callable[..., R],
    *iterables: Iterable[Any],
    max_workers: int | None = None,
    chunksize: int | None = None,
    label: str | None = None,
    total: int | None = None,
    unit: str = "it",
    on_error: Literal["raise", "finish", "skip"] = "raise",
    retries: int = 0,
    ordered: bool = True,
    lazy: Literal[True],
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    mp_context: BaseContext | str | None = None,
    disable: bool = False,
    board: str | Board | None = None,
) -> Iterator[R]: ...
@overload
def process_map(
    fn: Callable[..., R],
    *iterables: Iterable[Any],
    max_workers: int | None = None,
    chunksize: int | None = None,
    label: str | None = None,
    total: int | None = None,
    unit: str = "it",
    on_error: Literal["return"],
    retries: int = 0,
    ordered: bool = True,
    lazy: Literal[False] = False,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    mp_context: BaseContext | str | None = None,
    disable: bool = False,
    board: str | Board | None = None,
) -> list[R | BaseException]: ...
@overload
def process_map(
    fn: Callable[..., R],
    *iterables: Iterable[Any],
    max_workers: int | None = None,
    chunksize: int | None = None,
    label: str | None = None,
    total: int | None = None,
    unit: str = "it",
    on_error: Literal["return"],
    retries: int = 0,
    ordered: bool = True,
    lazy: Literal[True],
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    mp_context: BaseContext | str | None = None,
    disable: bool = False,
    board: str | Board | None = None,
) -> Iterator[R | BaseException]: ...
def process_map(
    fn: Callable[..., Any],
    *iterables: Iterable[Any],
    max_workers: int | None = None,
    chunksize: int | None = None,
    label: str | None = None,
    total: int | None = None,
    unit: str = "it",
    on_error: OnError = "raise",
    retries: int = 0,
    ordered: bool = True,
    lazy: bool = False,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    mp_context: BaseContext | str | None = None,
    disable: bool = False,
    board: str | Board | None = None,
) -> Any:
    """Call fn for each item in worker processes, and show how far it is: `list(map(fn, *iterables))`, on all cores.

    max_workers: default: the cores that this process may use; 0: no workers, in this process, for a debugger.
    chunksize: items that go to a worker at a time; default: as many as take a twentieth of a second. label, total,
    unit, disable, board: as of headway.track; the label's default is the function's name. Each item counts once, when
    it is done. Loops that the function tracks are shown below.

    on_error: what becomes of an item that raises, or that its worker died of. "raise": it ends the map, is raised at
    once, and no further item begins; "finish": the others are done first, then an ExceptionGroup has all failures, or
    the first 1000; "skip": its result is left out; "return": the exception is its result. A note of the exception names
    the item. Of a worker that died it is headway.errors.WorkerDied, with `item` and `exitcode`; other items are not
    affected. retries: how often an item is tried again of which a worker died.

    ordered: results in the order of the items, else as they come. lazy: return an iterator, which begins when the first
    result is asked for, works while it is asked, and takes items a bounded number ahead: for iterables without an end.
    initializer(*initargs): called in each worker first. mp_context: of multiprocessing, or the name of a start method.

    Where an interruption, Ctrl-C say, ends the map, its workers are ended, and a note says how far it was. Raises
    TypeError, ValueError, what fn and initializer raise, headway.errors.WorkerDied, OSError if no process starts.
    """

    def make(size: int, job: Job) -> Crew:
        from headway.pools.processes import Processes
        from headway.pools.worker import Begin

        return Processes(size, context, Begin(job, initializer, initargs))

    context = _context(mp_context)
    if max_workers != 0 and _is_daemonic():
        errors.tell("a daemonic process may have no processes of its own: headway.process_map does the items in it")
        max_workers = 0
    wishes = _wishes(on_error, retries, ordered, chunksize, lazy)
    return _mapped(
        fn, iterables, max_workers, label, total, unit, wishes, (initializer, initargs), disable, board, make
    )


@overload
def thread_map(
    fn: Callable[..., R],
    *iterables: Iterable[Any],
    max_workers: int | None = None,
    chunksize: int | None = None,
    label: str | None = None,
    total: int | None = None,
    unit: str = "it",
    on_error: Literal["raise", "finish", "skip"] = "raise",
    ordered: bool = True,
    lazy: Literal[False] = False,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    disable: bool = False,
    board: str | Board | None = None,
) -> list[R]: ...
@overload
def thread_map(
    fn: Callable[..., R],
    *iterables: Iterable[Any],
    max_workers: int | None = None,
    chunksize: int | None = None,
    label: str | None = None,
    total: int | None = None,
    unit: str = "it",
    on_error: Literal["raise", "finish", "skip"] = "raise",
    ordered: bool = True,
    lazy: Literal[True],
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    disable: bool = False,
    board: str | Board | None = None,
) -> Iterator[R]: ...
@overload
def thread_map(
    fn: Callable[..., R],
    *iterables: Iterable[Any],
    max_workers: int | None = None,
    chunksize: int | None = None,
    label: str | None = None,
    total: int | None = None,
    unit: str = "it",
    on_error: Literal["return"],
    ordered: bool = True,
    lazy: Literal[False] = False,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    disable: bool = False,
    board: str | Board | None = None,
) -> list[R | BaseException]: ...
@overload
def thread_map(
    fn: Callable[..., R],
    *iterables: Iterable[Any],
    max_workers: int | None = None,
    chunksize: int | None = None,
    label: str | None = None,
    total: int | None = None,
    unit: str = "it",
    on_error: Literal["return"],
    ordered: bool = True,
    lazy: Literal[True],
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    disable: bool = False,
    board: str | Board | None = None,
) -> Iterator[R | BaseException]: ...
def thread_map(
    fn: Callable[..., Any],
    *iterables: Iterable[Any],
    max_workers: int | None = None,
    chunksize: int | None = None,
    label: str | None = None,
    total: int | None = None,
    unit: str = "it",
    on_error: OnError = "raise",
    ordered: bool = True,
    lazy: bool = False,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    disable: bool = False,
    board: str | Board | None = None,
) -> Any:
    """Call fn for each item in threads, and show how far it is. As headway.process_map, for work that waits.

    max_workers: default: four more than the cores, 32 at most. initializer: called in each thread first. Threads cannot
    be ended: after a failure and Ctrl-C they go on with the item that they have in hand.
    """

    def make(size: int, job: Job) -> Crew:
        from headway.pools.threads import Threads

        return Threads(size, job, initializer, initargs)

    if max_workers is None:
        max_workers = min(32, _cores() + 4)
    wishes = _wishes(on_error, 0, ordered, chunksize, lazy)
    return _mapped(
        fn, iterables, max_workers, label, total, unit, wishes, (initializer, initargs), disable, board, make
    )


# ------------------------------------------------------------------------------------------------------ what they share


def _mapped(
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    max_workers: int | None,
    label: str | None,
    total: int | None,
    unit: str,
    wishes: Wishes,
    initializer: tuple[Callable[..., object] | None, tuple[Any, ...]],
    disable: bool,
    board: str | Board | None,
    make: Make,
) -> Any:
    if not callable(fn):
        raise TypeError(f"fn is called for each item, and {fn!r:.60} cannot be called")
    if not iterables:
        raise TypeError("there is nothing to go through: give one iterable for each argument of fn")
    for iterable in iterables:
        check_iterable(iterable)
    size = _cores() if max_workers is None else _whole(max_workers, "max_workers", 0)
    label = _label_of(fn) if label is None else checks.check_text(label, "label")
    checks.check_text(unit, "unit")
    lengths = [length for iterable in iterables if (length := length_of(iterable)) is not None]
    total = checks.check_total(total_kept(min(lengths, default=None) if total is None else total))
    starred = len(iterables) > 1
    items = zip(*iterables, strict=False) if starred else iter(iterables[0])

    def batches() -> Iterator[list[Any]]:
        loop = None if disable or support.disabled() else _begun(label, total, unit, board)
        mapping = None
        try:
            task: Any = None if loop is None or loop.address() is None else loop.task
            job = Job(fn, starred, task)
            mapping = Mapping(make(size, job) if size else Here(job, *initializer), items, wishes, loop, total)
            yield from mapping.batches()
        except BaseException as error:
            if mapping is not None and not isinstance(error, GeneratorExit):
                error.add_note(f"headway: {label} was at {mapping.far}")
            if loop is not None:
                loop.end(error)
            raise
        if loop is not None:
            loop.end(None)

    def one_by_one() -> Iterator[Any]:
        for batch in batches():
            yield from batch

    if wishes.lazy:
        return one_by_one()
    found: list[Any] = []
    for batch in batches():
        found += batch
    return found


def _begun(label: str, total: int | None, unit: str, board: str | Board | None) -> ShownLoop:
    """The loop that shows a map, running."""
    loop, _ = loop_for(ID, label, unit, board)
    loop.with_parts = True
    try:
        with contextlib.suppress(errors.HeadwayError, OSError):
            loop.task.total = total
        loop.begin(label)
    except BaseException as error:
        loop.finish(*ending(error))
        raise
    return loop


def _wishes(on_error: OnError, retries: int, ordered: bool, chunksize: int | None, lazy: bool) -> Wishes:
    if on_error not in get_args(OnError):
        raise ValueError(f"on_error {on_error!r:.60} is none of {', '.join(map(repr, get_args(OnError)))}")
    chunksize = None if chunksize is None else _whole(chunksize, "chunksize", 1)
    return Wishes(on_error, _whole(retries, "retries", 0), ordered, chunksize, lazy)


def _whole(value: Any, what: str, least: int) -> int:
    number = checks.whole(value, what, f"give {least} or more")
    if number < least:
        raise ValueError(f"{what} {number} is too small: give {least} or more")
    return number


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _label_of(function: Callable[..., Any]) -> str:
    name = function_name(function)
    return ID if name == "<lambda>" else name


def _is_daemonic() -> bool:
    """Is this a worker that may have no processes of its own, as those of multiprocessing.Pool?"""
    library = workers.library()
    return library is not None and library.current_process().daemon is True


def _context(context: BaseContext | str | None) -> Any:
    if context is not None and not isinstance(context, str):
        return context
    import multiprocessing

    return multiprocessing.get_context(context)
