"""The methods of tqdm's bars, with a mirror behind them. They work on any version's class, and import nothing of it."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from headway.integrations.home import give_up
from headway.integrations.mirror import Mirror, mirror

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["detach", "hooks"]

HOOKED = (
    "__init__", "__iter__", "update", "refresh", "set_postfix", "reset", "__enter__", "__exit__", "close", "__del__"
)  # fmt: skip
ID = "tqdm"
# Where the arguments stand in tqdm(...) that are needed although a bar which draws nothing does not keep them.
DESC, DISABLE, UNIT, POSTFIX = 1, 10, 11, 18


def hooks(of: Callable[[str], Any]) -> dict[str, Any]:
    """Methods that mirror a bar and call those of tqdm. of(name): a method of tqdm."""
    create, iterate, count, draw, measure = map(of, ("__init__", "__iter__", "update", "refresh", "set_postfix"))
    begin_anew, enter, leave, end, drop = map(of, ("reset", "__enter__", "__exit__", "close", "__del__"))

    class Hooks:
        _headway: Mirror | None
        _headway_add: Callable[[Any], object] | None

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            create(self, *args, **kwargs)
            if self._headway is None:
                _begin(self, args, kwargs)

        def __iter__(self) -> Iterator[Any]:
            if self._headway is not None:
                _hand_over(self, self._headway)
            found: Iterator[Any] = iterate(self)
            return found

        def update(self, n: Any = 1) -> Any:
            add = self._headway_add  # None for what is not mirrored, and while a tracker counts: one look, as it is hot
            if add is not None:
                try:
                    add(n)
                except Exception as error:
                    _add_else(self, n, error)
            return count(self, n)

        def refresh(self, *args: Any, **kwargs: Any) -> Any:
            if self._headway is not None:
                _show(self, self._headway)
            return draw(self, *args, **kwargs)

        def set_postfix(self, ordered_dict: Any = None, refresh: Any = True, **kwargs: Any) -> Any:
            answer = measure(self, ordered_dict, False, **kwargs)
            if self._headway is not None:
                _measure(self, self._headway, ordered_dict, kwargs)
            if refresh:
                self.refresh()
            return answer

        def reset(self, total: Any = None) -> Any:
            answer = begin_anew(self, total)
            if self._headway is not None:
                _show(self, self._headway, anew=True)
            return answer

        def __enter__(self) -> Any:
            if self._headway is not None:
                self._headway.make_current()
            return enter(self)

        def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
            if self._headway is not None:
                self._headway.left_by = error
            return leave(self, kind, error, trace)

        def close(self) -> Any:
            found = self._headway
            if found is None:
                return end(self)
            _show(self, found)
            try:
                return end(self)
            finally:
                _end(self, found)

        def __del__(self) -> None:
            found = self._headway
            if found is not None:
                found.dropped = True
            drop(self)
            if found is not None:
                _end(self, found)  # classes that draw elsewhere have a close() of their own

    return {name: functools.update_wrapper(vars(Hooks)[name], of(name)) for name in HOOKED}


class _HandOver:
    """Stands for the iterable of a bar until its loop begins, which goes through a native tracker then.

    So tqdm's own loop counts, at no cost of a generator; and the bar has its iterable again before the first item.
    """

    __slots__ = ("_bar", "_mirror", "_source")

    def __init__(self, bar: Any, found: Mirror) -> None:
        self._bar = weakref.ref(bar)
        self._mirror = found
        self._source = bar.iterable

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def __iter__(self) -> Iterator[Any]:
        bar, found, source = self._bar(), self._mirror, self._source
        if bar is None:
            return iter(source)
        if bar.iterable is self:
            bar.iterable = source
        if bar._headway is not found or found.iterates:
            return iter(source)
        return _tracker(bar, found, source)


class _SizedHandOver(_HandOver):
    __slots__ = ()

    def __len__(self) -> int:
        return len(self._source)


def _hand_over(bar: Any, found: Mirror) -> None:
    if not (found.iterates or isinstance(bar.iterable, _HandOver)):
        bar.iterable = (_SizedHandOver if hasattr(bar.iterable, "__len__") else _HandOver)(bar, found)


def _tracker(bar: Any, found: Mirror, source: Any) -> Iterator[Any]:
    from headway.native import core

    def over(error: BaseException | None) -> None:
        if bar._headway is found:
            _show(bar, found)
            detach(bar)
            found.end(error)

    task: Any = found.task
    tracker = core.Tracker(task, source, over)  # what is no iterable is refused with Python's own words
    found.iterates = True
    bar._headway_add = None
    found.make_current()
    return tracker


def _begin(bar: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    def asked(place: int, name: str, default: Any) -> Any:
        return args[place] if len(args) > place else kwargs.get(name, default)

    if bar.disable and asked(DISABLE, "disable", False) is not None:
        return  # None: where there is no terminal it draws nothing, but counts
    try:
        label = _text(asked(DESC, "desc", "")) or None
        unit = _text(asked(UNIT, "unit", "it")) or "it"
        if unit == "B" and getattr(bar, "unit_divisor", 1000) == 1024:
            unit = "iB"
        found = mirror(ID, label, unit)
        if found is None:
            return
        found.bar = weakref.ref(bar)
        bar._headway = found
        bar._headway_add = found.task.update
        if bar.n:
            found.add(bar.n)
        postfix = asked(POSTFIX, "postfix", None)
        _measure(bar, found, None, postfix if isinstance(postfix, dict) else {})
    except Exception as error:
        _give_up(bar, error)


def _show(bar: Any, found: Mirror, *, anew: bool = False) -> None:
    """Write what the bar shows, and count what was assigned."""
    try:
        if anew and not found.iterates:
            found.start_anew()
        if not (bar.disable or found.iterates):
            found.count_to(bar.n)
        found.show(bar.total, _text(getattr(bar, "desc", "")), getattr(bar, "postfix", None))
    except Exception as error:
        _give_up(bar, error)


def _measure(bar: Any, found: Mirror, pairs: Any, values: dict[str, Any]) -> None:
    """Write the numbers of a postfix as metrics, and all else that the bar shows."""
    try:
        found.measure({**dict(pairs or ()), **values}, getattr(bar, "postfix", None))
    except Exception as error:
        _give_up(bar, error)
    else:
        _show(bar, found)


def _add_else(bar: Any, n: Any, error: Exception) -> None:
    """Count what is no whole number, from here on with its fraction."""
    found = bar._headway
    if found is None or not isinstance(error, TypeError):
        _give_up(bar, error)
        return
    bar._headway_add = found.add
    found.add(n)


def _end(bar: Any, found: Mirror) -> None:
    detach(bar)
    try:
        if not found.ended:
            found.close(bar.total)
    except Exception as error:
        _give_up(bar, error)


def detach(bar: Any) -> None:
    """Have a bar be one of tqdm alone."""
    bar._headway = bar._headway_add = None


def _give_up(bar: Any, error: Exception) -> None:
    detach(bar)
    give_up(error, "bars are not mirrored to the end")


def _text(text: Any) -> str:
    return str(text or "").strip().removesuffix(":").rstrip()
