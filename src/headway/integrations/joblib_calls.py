"""A call of joblib's Parallel as a task: its items are counted by whoever does them, when they end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from joblib import parallel as library

from headway.bars.loop import AnyBoard, AnyTask, Loop
from headway.engine.task import is_broken_pool
from headway.integrations import joblib_place as place
from headway.integrations.home import begun, give_up
from headway.pools.crew import ended_by
from headway.system import support
from headway.tasks import current as context
from headway.tasks.counting import function_name, length_of, total_kept
from headway.tasks.ending import ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Item", "call"]

ID = "parallel"  # of a call without a label that has no items
OF_JOBLIB = "joblib._parallel_backends"
TOLD = "calls of joblib are not counted to the end"


def call(original: Callable[[Any, Any], Any], parallel: Any, iterable: Any, wanted: place.Wanted) -> Any:
    """Call Parallel.__call__, and have the call be a task."""
    if isinstance(iterable, _Items) or support.disabled():  # the subclass of this package has done so
        return original(parallel, iterable)
    items = (_SizedItems if hasattr(iterable, "__len__") else _Items)(parallel, iterable, wanted)
    try:
        results = original(parallel, items)
    except BaseException as error:
        items.end(error)
        raise
    if getattr(parallel, "return_generator", False):
        given = _given(items, results)
        next(given)  # one that has not begun would not notice that it is dropped
        return given
    items.end(None)
    return results


def _given(items: _Items, results: Iterator[Any]) -> Iterator[Any]:
    """Results that are given one by one. The call ends with them."""
    try:
        yield None
        yield from results
    except BaseException as error:
        items.end(error)
        raise
    items.end(None)


# --------------------------------------------------------------------------------------------------- in the program


class _Items:
    """The items of a call, as joblib asks for them: the task begins with the first one."""

    def __init__(self, parallel: Any, source: Any, wanted: place.Wanted) -> None:
        self._parallel = parallel
        self._source = source
        self._wanted = wanted
        self._begun = False
        self._run: _Run | None = None
        self._last: Item | None = None
        self._elsewhere = False  # what is called may run where Headway is not: this process counts what has come back

    def __iter__(self) -> Iterator[Any]:
        return self._counted(iter(self._source))

    def _counted(self, source: Iterator[Any]) -> Iterator[Any]:
        number = 0
        for item in source:
            if not self._begun:
                self._begin(item)
            number += 1
            yield item if self._run is None or self._elsewhere else self._wrapped(self._run.task, item)
        self._exhausted(number)

    def _begin(self, item: Any) -> None:
        self._begun = True
        try:
            run = begun(_Run, ID, self._wanted.label or _label(item), "it", self._wanted.board)
            if run is None:
                return
            self._run = run
            run.set_total(length_of(self._source))
            backend = self._parallel._backend
            self._elsewhere = not (
                type(backend).__module__ == OF_JOBLIB or getattr(backend, "supports_sharedmem", False)
            )
            run.watch(self._parallel, backend, counts=self._elsewhere)
        except Exception as error:
            give_up(error, TOLD)

    def _wrapped(self, task: AnyTask, item: Any) -> Any:
        try:
            function, arguments, keywords = item
            last = self._last
            if last is None or last.function is not function:  # one for all: a batch of items pickles it once
                last = self._last = Item(function, task, function_name(function))
            return last, arguments, keywords
        except Exception:  # joblib has something to say about it
            return item

    def _exhausted(self, number: int) -> None:
        """All items are known: so many."""
        if not self._begun:
            self._begin(None)
        try:
            if self._run is not None:
                self._run.set_total(number)
        except Exception as error:
            give_up(error, TOLD)

    def end(self, error: BaseException | None) -> None:
        """The call has ended."""
        if self._run is not None:
            try:
                self._run.end(error)
            except Exception as problem:
                give_up(problem, TOLD)


class _SizedItems(_Items):
    def __len__(self) -> int:
        return len(self._source)


def _label(item: Any) -> str | None:
    """What the call is called where nobody says so: like the function of its first item."""
    return function_name(item[0]) if isinstance(item, tuple) and item else None


class _Run(Loop):
    """A call of Parallel that runs."""

    def __init__(self, home: AnyBoard, task: AnyTask, parts: dict[str | None, Loop] | None = None) -> None:
        super().__init__(home, task, parts)
        self._total: int | None = None
        self._who = ""  # died
        self._hooked: list[tuple[Any, str]] = []  # objects of joblib, with the method that is ours

    def set_total(self, total: int | None) -> None:
        """Say how many items there are; None: nobody knows yet."""
        self._total = total_kept(total)
        self.task._set(total=self._total)

    def watch(self, parallel: Any, backend: Any, *, counts: bool) -> None:
        """Learn of workers that die, before joblib kills the others. counts: and count what has come back."""
        if counts:
            self._hook(parallel, "print_progress", self._counting(parallel))
        if isinstance(backend, library.LokyBackend):
            self._hook(backend, "retrieve_result_callback", self._retrieving(backend))

    def _hook(self, owner: Any, name: str, method: Callable[..., Any]) -> None:
        setattr(owner, name, method)
        self._hooked.append((owner, name))

    def _counting(self, parallel: Any) -> Callable[[], Any]:
        tell = parallel.print_progress

        def print_progress() -> Any:
            self._count_to(parallel)
            return tell()

        return print_progress

    def _count_to(self, parallel: Any) -> None:
        """Count what has come back. joblib calls it under its lock."""
        try:
            self.task.update(max(parallel.n_completed_tasks - self.task.count, 0))
        except Exception as error:
            give_up(error, TOLD)

    def _retrieving(self, backend: Any) -> Callable[[Any], Any]:
        retrieve = backend.retrieve_result_callback

        def retrieve_result_callback(out: Any) -> Any:
            try:
                return retrieve(out)
            except Exception as error:
                if is_broken_pool(error) and not self._who:
                    self._note(error, getattr(getattr(backend, "_workers", None), "_processes", {}))  # of loky
                raise

        return retrieve_result_callback

    def _note(self, error: BaseException, processes: Any) -> None:
        """Note who died, and of what. processes: those of the pool, by pid."""
        try:
            note = getattr(self.task, "_note_who_died", None)
            if note is not None:
                note(error)
            codes = {pid: process.exitcode for pid, process in list(processes.items())}
            died = [share for share in self.task.view().workers_lost if codes.get(share.pid) is not None]
            self._who = ", ".join(
                f"pid {share.pid} {ended_by(codes[share.pid])}" + (f" with {share.item} in hand" if share.item else "")
                for share in died
            )
        except Exception as problem:
            give_up(problem, TOLD)

    def end(self, error: BaseException | None) -> None:
        if self.ended or self._pid != os.getpid():
            return
        if isinstance(error, GeneratorExit):
            if self._total is None or self.task.count < self._total:
                super().end(error)
            else:
                self.finish("success", None)  # all is done, though nobody took all results
            return
        state, text = ending(error)
        if error is not None and self._who:
            text = f"{type(error).__name__}: {self._who}"
        self.finish(state, text)

    def has_finished(self) -> None:
        for owner, name in self._hooked:
            vars(owner).pop(name, None)
        self._hooked.clear()


# ------------------------------------------------------------------------------------- wherever the items are done


class Item:
    """A function of a call. It counts one on the task when it returns, and is what is in hand meanwhile."""

    __slots__ = ("_name", "_task", "function")

    def __init__(self, function: Callable[..., Any], task: Any, name: str) -> None:
        self.function = function
        self._task = task
        self._name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.function, self._task, self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        task = self._task
        token, nested = context.put(task), place.want(place.NESTED)
        try:
            block: Any = task._called(self._name, (*args, *kwargs.values()) if kwargs else args)
            try:
                block.__enter__()
            except Exception as error:  # the board is closed, say
                give_up(error, TOLD)
                block = None
            try:
                found = self.function(*args, **kwargs)
            except BaseException as error:
                _leave(block, error)
                raise
            _leave(block, None)
            return found
        finally:
            place.want_no_more(nested)
            context.take_back(token)


def _leave(block: Any, error: BaseException | None) -> None:
    """The call has ended: without an error it counts."""
    try:
        if block is not None:
            block.__exit__(None if error is None else type(error), error, None)
    except Exception as problem:
        give_up(problem, TOLD)


def _unpickled(function: Callable[..., Any], task: Any, name: str) -> Item:
    try:
        place.patch(call)  # so that calls inside of this one are parts of it
    except Exception as error:
        give_up(error, TOLD)
    return Item(function, task, name)
