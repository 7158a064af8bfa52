"""What scikit-learn does in a fit, as tasks on a board: counted by each process that has a part in it.

scikit-learn makes a tree of what it does: a search has candidates, a pipeline steps, a regression iterations. What has
parts is a task; what has none is one item of the task above it, and in hand while it goes on.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

from headway.bars.loop import AnyBoard, AnyTask, Loop, part_of
from headway.integrations.home import begun
from headway.tasks.ending import ending

if TYPE_CHECKING:
    from headway.engine.board import Board

__all__ = ["TOLD", "Fits"]

TOLD = "fits of scikit-learn are not counted to the end"
LEFT = "left by an exception"  # that scikit-learn has caught, or another process

Path: TypeAlias = tuple[int, ...]  # task_id of each context from the outermost one down
Key: TypeAlias = tuple[str, Any, Path]  # a callback, the tree of one fit, a place in it

_open: dict[Key, _Node] = {}  # in the order in which they began
_pid = os.getpid()


class _Fit(Loop):
    """A task of scikit-learn that has parts."""

    def __init__(self, home: AnyBoard, task: AnyTask, parts: dict[str | None, Loop] | None = None) -> None:
        super().__init__(home, task, parts)
        self.handled = sys.exception()  # when it began

    def start(self, context: Any) -> None:
        """Its task is the current one until it ends."""
        self.make_current()
        self.task._set(total=1 if context.max_subtasks == 0 else context.max_subtasks)

    def complete(self, parts: int) -> None:
        """All is done. parts: how many there were: those left by an exception have not counted, others were fewer
        than scikit-learn foresaw.
        """
        count = self.task.count
        if parts > count:
            self.task.update(parts - count)
        self.task._set(total=max(parts, count))

    def end_parts(self) -> None:
        """End what other processes have left open: they were not told of the end."""
        for view in self._home.tasks("running"):
            if view.id.startswith(f"{self.task.id}/"):
                self._home.attach(view.id).fail(LEFT)


class _Node:
    """A task of scikit-learn that has begun in this process."""

    def __init__(self, run: _Fit | None, block: Any) -> None:
        self.run = run
        self.thread = threading.get_ident()
        self._block = block  # what it is for the task above it: the item in hand

    def end(self, *, counts: bool) -> None:
        """Let go of it. counts: is it done, for the task above it?"""
        block, self._block = self._block, None
        if block is not None:
            block.counts = counts
            block.__exit__(None, None, None)


class Fits:
    """The fits that one callback sees. Copies of it in other processes see their parts of them.

    id: of the callback; tasks: those that this process got from another one.
    """

    def __init__(self, id: str, label: str | None, board: str | Board | None) -> None:
        self.id = id
        self.label = label
        self.board = board
        self._tasks: dict[tuple[Any, Path], Any] = {}

    def handed_down(self) -> dict[tuple[Any, Path], Any]:
        """The tasks below which another process may begin some: handles, while fits go on."""
        mine = {
            (tree, path): node.run.task
            for (id, tree, path), node in list(_open_here().items())
            if id == self.id and node.run is not None
        }
        return {**self._tasks, **mine}

    def receive(self, tasks: dict[tuple[Any, Path], Any]) -> None:
        """Take over what another process has handed down."""
        self._tasks = tasks

    # ------------------------------------------------------------------------------------------------------ a fit

    def open(self, context: Any) -> None:
        """The outermost fit of this callback begins, in this process."""
        label = self.label or context.estimator_name
        run = begun(_Fit, context.estimator_name, label, "it", self.board)
        if run is not None:
            _open_here()[self._key(context)] = _Node(run, None)
            run.start(context)

    def close(self, context: Any) -> None:
        """The outermost fit has ended, in whatever way."""
        id, tree, path = self._key(context)
        root = _open_here().get((id, tree, path))
        if root is None or root.run is None:
            return
        error = sys.exception()
        state, text = ending(None if error is root.run.handled else error)
        try:
            for key in reversed(list(_open_here())):
                if key[:2] == (id, tree) and key[2] != path:
                    self._drop(key, "failed" if state == "success" else state, text or LEFT, counts=False)
            root.run.end_parts()
        finally:
            self._drop((id, tree, path), state, text, counts=False)

    # ------------------------------------------------------------------------------------------------- parts of it

    def begin(self, context: Any) -> None:
        """A task of scikit-learn begins here."""
        key = self._key(context)
        _, tree, path = key
        if key in _open_here():
            return  # the outermost one
        above = self._above(tree, path)
        if above is None:
            return  # nobody could see it
        self._leave_behind(key)
        name = _name(context)
        block = above.item(name)
        node = _open_here()[key] = _Node(None, block)
        block.__enter__()
        if context.max_subtasks != 0:
            label = name if context.source_task_name is None else f"{name} ({context.estimator_name})"
            node.run = _Fit(*part_of(above, context.estimator_name, label, "it"))
            node.run.begin(label)
            node.run.start(context)

    def end(self, context: Any) -> None:
        """A task of scikit-learn has ended here, and well."""
        key = self._key(context)
        node = _open_here().get(key)
        if node is None:
            return
        if node.run is not None:
            node.run.complete(1 if context.max_subtasks == 0 else sum(one.parent is context for one in context))
        if context.parent is not None:  # the outermost one ends in close(), which is always called
            self._drop(key, "success", None, counts=True)

    def _leave_behind(self, key: Key) -> None:
        """End what this thread has left by an exception: scikit-learn does not tell. It goes on above of that."""
        id, tree, path = key
        for other, node in reversed(list(_open_here().items())):
            place = other[2]
            if other[:2] == (id, tree) and node.thread == threading.get_ident() and path[: len(place)] != place:
                self._drop(other, "failed", LEFT, counts=path[: len(place) - 1] == place[:-1])

    def _drop(self, key: Key, state: str, text: str | None, *, counts: bool) -> None:
        node = _open_here().pop(key)
        try:
            if node.run is not None:
                node.run.finish(state, text)
        finally:
            node.end(counts=counts)

    def _above(self, tree: Any, path: Path) -> Any:
        """The task that what has this path is a part of."""
        node = _open_here().get((self.id, tree, path[:-1]))
        return self._tasks.get((tree, path[:-1])) if node is None or node.run is None else node.run.task

    def _key(self, context: Any) -> Key:
        path = []
        place = context
        while place is not None:
            path.append(place.task_id)
            place = place.parent
        return self.id, context.root_uuid, tuple(reversed(path))


def _open_here() -> dict[Key, _Node]:
    """What is open in this process. A forked child has a copy of its parent's, which it ends not."""
    global _open, _pid
    if _pid != os.getpid():
        _pid = os.getpid()
        _open = {}
    return _open


def _name(context: Any) -> str:
    """What scikit-learn calls it. Those of several that go on at once, iterations and runs of one name have numbers."""
    name = context.source_task_name or context.task_name
    above = context.parent
    numbered = context.max_subtasks == 0 or not above.sequential_subtasks
    if numbered or any(one.parent is above and one.task_name == name and one is not context for one in above):
        return f"{name} {context.task_id}"
    return str(name)
