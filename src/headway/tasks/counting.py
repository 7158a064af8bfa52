"""Wrappers that count on a task: of functions (when they return) and of asynchronous iterators (at the next item)."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator
from types import TracebackType
from typing import Any, Protocol

from headway import errors
from headway.tasks.checks import TOTAL_MOST

__all__ = [
    "AsyncTracker",
    "Counted",
    "Sized",
    "check_iterable",
    "counting",
    "function_name",
    "is_async",
    "length_of",
    "total_kept",
]

TICK_NS = 100_000_000


class Block(Protocol):
    """A block in which a task has an item in hand, as `ItemBlock` of native/core. `counts`: does its end count one?"""

    counts: bool

    def __enter__(self) -> object: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Countable(Protocol):
    """The part of a task that is used here."""

    def update(self, n: int = 1) -> None: ...
    def item(self, item: object) -> Block: ...
    def _called(self, function: str, arguments: tuple[object, ...]) -> Block: ...


def length_of(iterable: object) -> int | None:
    """The length of an iterable; None if it has none, or has `__len__` but cannot tell."""
    if not hasattr(iterable, "__len__"):
        return None
    try:
        return len(iterable)
    except (TypeError, NotImplementedError):  # as loaders over streams do: treated as without a length
        return None
    except OverflowError:  # len() knows no number above 2**63 - 1
        return None


def check_iterable(iterable: object) -> None:
    """Raises TypeError, with the remedy, for what no loop can go through, such as the number of its items."""
    kind = type(iterable)
    if any(hasattr(kind, name) for name in ("__iter__", "__aiter__", "__getitem__")):
        return
    if isinstance(iterable, int):
        raise TypeError(f"{iterable} is not iterable: for so many steps say range({iterable})")
    raise TypeError(
        f"{kind.__name__!r} object is not iterable: give something to iterate over, and total=N if it has no length"
    )


def total_kept(total: Any) -> Any:
    """The total of a loop; None, after a warning, if it is too large to be kept: the loop has to go on."""
    too_large = False
    with contextlib.suppress(TypeError, ValueError):  # not a number: whoever keeps the total says so
        too_large = bool(total > TOTAL_MOST)
    if not too_large:
        return total
    errors.tell(f"total {total} is shown as unknown: a task keeps totals up to {TOTAL_MOST}")
    return None


def function_name(function: Any) -> str:
    """What a function is called; what it is of a partial one."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    return name if name and isinstance(name, str) else type(function).__name__


def is_async(iterable: object) -> bool:
    """Can it be iterated over only by `async for`?"""
    return isinstance(iterable, AsyncIterable) and not isinstance(iterable, Iterable)


class Counted:
    """A function whose calls count on a task when they return. Asynchronous functions count when awaited to the end."""

    def __init__(self, task: Countable, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise TypeError(f"counts() wraps a function, and {function!r:.60} cannot be called")
        functools.update_wrapper(self, function)  # before all else: it copies the attributes of a Counted function, too
        self._task = task
        self._function = function
        self._name = function_name(function)

    def __reduce__(self) -> tuple[Any, ...]:
        return Counted, (self._task, self._function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._call(args, kwargs) as block:
            found = self._function(*args, **kwargs)
            if not isinstance(found, Coroutine):
                return found
            block.counts = False
        return self._awaited(found, args, kwargs)

    async def _awaited(self, coroutine: Coroutine[Any, Any, Any], args: Any, kwargs: Any) -> Any:
        with self._call(args, kwargs):
            return await coroutine

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The block of a call, which is what is in hand: the name of the function, and the arguments that have one."""
        return self._task._called(self._name, (*args, *kwargs.values()) if kwargs else args)


def counting(
    task: Countable,
    iterator: Iterator[Any],
    on_end: Callable[[BaseException | None], object] | None = None,
    on_tick: Callable[[], object] | None = None,
    tick_ns: int = TICK_NS,
) -> Generator[Any, None, None]:
    """Iterate and count, as Tracker of native/core does.

    It yields once before the first item: a generator that has not begun would not notice that it is dropped.
    """
    due_ns = 0
    try:
        yield None
        for item in iterator:
            yield item
            task.update()
            if on_tick is not None and (now_ns := time.monotonic_ns()) >= due_ns:
                due_ns = now_ns + tick_ns
                on_tick()
    except BaseException as error:
        if on_end is not None:
            on_end(error)
        raise
    if on_end is not None:
        on_end(None)


class Sized(Iterator[Any]):
    """An iterator that has the length of what it iterates over. A `for` loop goes to the iterator itself."""

    __slots__ = ("_iterator", "_sized")

    def __init__(self, iterator: Iterator[Any], sized: Any) -> None:
        self._iterator = iterator
        self._sized = sized

    def __iter__(self) -> Iterator[Any]:
        return self._iterator

    def __next__(self) -> Any:
        return next(self._iterator)

    def __len__(self) -> int:
        return len(self._sized)


class AsyncTracker(AsyncIterator[Any]):
    """Iterate asynchronously and count: an item is counted when the next one is asked for.

    on_tick() is called about every tick_ns nanoseconds, on_end(error or None) once: at the end, at an exception of the
    iterable, or with GeneratorExit when the loop was left early. So does Tracker of native/core.
    """

    __slots__ = (
        "__weakref__", "_block", "_iterator", "_label", "_next_tick_ns", "_on_end", "_on_tick", "_pending", "_task",
        "_tick_ns",
    )  # fmt: skip

    def __init__(
        self,
        task: Countable,
        iterable: AsyncIterable[Any],
        on_end: Callable[[BaseException | None], object] | None = None,
        on_tick: Callable[[], object] | None = None,
        tick_ns: int = TICK_NS,
        label: Callable[[Any], object] | None = None,
    ) -> None:
        self._on_end: Callable[[BaseException | None], object] | None = None  # nothing has begun if aiter() fails
        self._block: Block | None = None  # of the item in hand
        self._task = task
        self._iterator: AsyncIterator[Any] | None = aiter(iterable)
        self._pending = False
        self._on_end = on_end
        self._on_tick = on_tick
        self._tick_ns = tick_ns
        self._next_tick_ns = 0
        self._label = label

    def __aiter__(self) -> AsyncTracker:
        return self

    async def __anext__(self) -> Any:
        if self._pending:
            self._pending = False
            self._let_go(counts=True)
            if self._on_tick is not None:
                now_ns = time.monotonic_ns()
                if now_ns >= self._next_tick_ns:
                    self._next_tick_ns = now_ns + self._tick_ns
                    self._on_tick()
        if self._iterator is None:
            raise StopAsyncIteration
        try:
            item = await anext(self._iterator)
        except StopAsyncIteration:
            self._end(None)
            raise
        except BaseException as error:
            if self._on_end is not None:
                self._end(error)
            raise
        block = self._task.item(item if self._label is None else str(self._label(item)))
        block.__enter__()
        self._pending, self._block = True, block
        return item

    def _let_go(self, *, counts: bool) -> None:
        """The item in hand is done, or dropped."""
        block, self._block = self._block, None
        if block is not None:
            block.counts = counts
            block.__exit__(None, None, None)
        elif counts:
            self._task.update()

    def _end(self, error: BaseException | None) -> None:
        on_end, self._on_end = self._on_end, None
        self._iterator = None
        self._let_go(counts=False)
        if on_end is not None:
            on_end(error)

    async def aclose(self) -> None:
        """End early: the item in hand is not counted."""
        iterator, self._pending = self._iterator, False
        self._end(GeneratorExit())
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()

    def __del__(self) -> None:
        if self._on_end is not None or self._block is not None:
            self._end(GeneratorExit())
