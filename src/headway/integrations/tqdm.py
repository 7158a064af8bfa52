"""Every bar of tqdm as a task on a board: `install()` for all bars of the process, or this module's `tqdm` for some.

    from headway.integrations.tqdm import tqdm      # in place of: from tqdm import tqdm

    headway.integrations.tqdm.install()             # or once, for all tqdm bars, also those of libraries

The bars look and behave as before. Each is a task besides: its description is the label, numbers of its postfix are
metrics, the rest is the message; a bar in the loop or in the `with` block of another one is a part of that one.
Where no board is possible, one warning says so, and the bars go on.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.bars.loop import running
from headway.integrations.mirror import Mirror, use_board
from headway.integrations.tqdm_hooks import detach, hooks

try:
    from tqdm import auto, std
except ImportError as error:
    raise errors.MissingExtra(
        f"mirroring the bars of tqdm needs the package {error.name}: install it with pip install 'headway[tqdm]'"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headway.engine.board import Board

__all__ = ["install", "process_map", "thread_map", "tqdm", "tqdm_notebook", "trange", "uninstall"]

tqdm_notebook: Any  # made when it is asked for

# ------------------------------------------------------------------------------------------------- where they are put

_originals: dict[Any, dict[str, Any]] = {}  # by class: what was in the place of each hook; None: it was inherited
_own: list[Any] = []  # the classes of this module


def _hook(kind: Any) -> None:
    found = hooks(functools.partial(getattr, kind))
    _originals[kind] = {name: vars(kind).get(name) for name in found}
    kind._headway = kind._headway_add = None
    for name, hook in found.items():
        setattr(kind, name, hook)


def _unhook(kind: Any) -> None:
    for name, original in _originals.pop(kind, {}).items():
        if original is None:
            delattr(kind, name)
        else:
            setattr(kind, name, original)


def install(board: str | Board | None = None) -> None:
    """Mirror every bar of tqdm that this process makes from now on, whoever imported it. Again: changes the board.

    board: a board, or its name, for bars that are in no task's block and in no other bar; default: what
    `headway.track` would take. Children of multiprocessing use the same one. Raises nothing: where no board can be had,
    the first bar warns.
    """
    use_board(board)
    if std.tqdm not in _originals:
        for kind in _own:
            _unhook(kind)  # they inherit the hooks
        _hook(std.tqdm)


def uninstall() -> None:
    """Mirror no more bars of tqdm; tasks of those that are open are cancelled. The classes of this module go on."""
    if std.tqdm not in _originals:
        return
    use_board(None)
    for loop in running():
        bar = loop.bar() if isinstance(loop, Mirror) and loop.bar is not None else None
        if bar is not None and isinstance(loop, Mirror) and not isinstance(bar, tuple(_own)):
            detach(bar)
            loop.finish("cancelled", "no longer mirrored")
    _unhook(std.tqdm)
    for kind in _own:
        _hook(kind)


def _add_own(kind: Any) -> None:
    _own.append(kind)
    if std.tqdm not in _originals:
        _hook(kind)


# ------------------------------------------------------------------------------------------------ in place of imports


class tqdm(auto.tqdm):  # noqa: N801 - the name of what it stands for
    __doc__ = auto.tqdm.__doc__


_add_own(tqdm)


def trange(*args: Any, **kwargs: Any) -> Any:
    """A bar over range(*args)."""
    return tqdm(range(*args), **kwargs)


def process_map(function: Any, *iterables: Iterable[Any], **kwargs: Any) -> list[Any]:
    """As tqdm.contrib.concurrent.process_map."""
    from tqdm.contrib import concurrent

    found: list[Any] = concurrent.process_map(function, *iterables, **{"tqdm_class": tqdm, **kwargs})
    return found


def thread_map(function: Any, *iterables: Iterable[Any], **kwargs: Any) -> list[Any]:
    """As tqdm.contrib.concurrent.thread_map."""
    from tqdm.contrib import concurrent

    found: list[Any] = concurrent.thread_map(function, *iterables, **{"tqdm_class": tqdm, **kwargs})
    return found


def __getattr__(name: str) -> Any:
    """`tqdm_notebook` is made when it is asked for: tqdm imports IPython for it."""
    if name != "tqdm_notebook":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tqdm import notebook

    kind = type(name, (notebook.tqdm,), {"__module__": __name__, "__doc__": notebook.tqdm.__doc__})
    _add_own(kind)
    globals()[name] = kind
    return kind
