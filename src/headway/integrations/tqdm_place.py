"""Where the hooks are put: into the class of all bars of tqdm, or into subclasses of it. Imports no more of tqdm."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tqdm import std

from headway.bars.loop import running
from headway.integrations.mirror import Mirror, use_board
from headway.integrations.tqdm_hooks import detach, hooks

if TYPE_CHECKING:
    from headway.engine.board import Board

__all__ = ["add_own", "install", "uninstall"]

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


def add_own(kind: Any) -> None:
    """Mirror the bars of this subclass, in whatever order it is made and `install` is called."""
    _own.append(kind)
    if std.tqdm not in _originals:
        _hook(kind)
