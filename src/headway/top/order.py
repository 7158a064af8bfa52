"""Which tasks of a board are shown, and in which order, for boards of many thousands: computed on arrays.

Only the names are text; they are decoded again when tasks appeared or disappeared, not at each look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headway.tasks.states import LIVE_STATES, STATES, URGENCY

if TYPE_CHECKING:
    from headway.views.board_view import BoardView

__all__ = ["SORTS", "Order"]

SORTS = ("tree", "state", "progress", "rate", "newest")
_LIVE = [STATES.index(state) for state in LIVE_STATES]
_RANKS = np.array([2 * URGENCY[state] for state in STATES])  # doubled: a stalled task is one less


class Order:
    """Which tasks, in which order. needle: what their id or label contains; open_only: leave out those that ended."""

    def __init__(self) -> None:
        self.needle = ""
        self.open_only = False
        self.sort = SORTS[0]
        self.collapsed: set[str] = set()
        self.numbers: np.ndarray[Any, Any] = np.zeros(0, np.int64)
        """The records to show, in order."""
        self._known: np.ndarray[Any, Any] | None = None
        self._ids: list[str] = []
        self._names: list[str] = []
        self._tree: list[tuple[int, int]] = []  # (record number, depth) in the order of the tree
        self._depths: np.ndarray[Any, Any] = np.zeros(0, np.int64)
        self._parents: list[int] = []
        self._have_parts: set[int] = set()

    def update(self, view: BoardView) -> None:
        """Compute `numbers` for a view."""
        array = view.array
        if self._known is None or not np.array_equal(self._known, array["serial"]):
            self._learn(array)
        chosen = np.ones(len(array), bool)
        if self.open_only:
            chosen &= np.isin(array["state"], _LIVE)
        if self.needle:
            needle = self.needle.casefold()
            chosen &= np.fromiter((needle in name for name in self._names), bool, len(array))
        order = self._sorted(view, array)
        if self.sort == "tree" and self.collapsed and not self.needle:
            chosen &= ~self._hidden()
        self.numbers = order[chosen[order]]

    def _learn(self, array: np.ndarray[Any, Any]) -> None:
        self._known = array["serial"].copy()
        self._ids = [bytes(text).decode("utf-8", "replace") for text in array["id"].tolist()]
        labels = array["label"].tolist()
        self._names = [
            f"{id}\0{bytes(label).decode('utf-8', 'replace')}".casefold()
            for id, label in zip(self._ids, labels, strict=True)
        ]
        at = {id: number for number, id in enumerate(self._ids)}
        children: dict[int, list[int]] = {}
        parents = [-1] * len(self._ids)
        for number in np.argsort(self._known, kind="stable").tolist():
            size = int(array["parent_bytes"][number])
            parent = at.get(self._ids[number].encode()[:size].decode("utf-8", "replace"), -1) if size else -1
            parents[number] = parent = -1 if parent == number else parent
            children.setdefault(parent, []).append(number)
        self._parents = parents
        self._have_parts = set(children)
        self._tree = []
        depths = np.zeros(len(self._ids), np.int64)
        waiting = [(number, 0) for number in reversed(children.pop(-1, []))]
        while waiting:
            number, depth = waiting.pop()
            self._tree.append((number, depth))
            depths[number] = depth
            waiting += [(part, depth + 1) for part in reversed(children.pop(number, []))]
        self._depths = depths

    def _sorted(self, view: BoardView, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        serial = array["serial"]
        if self.sort == "tree":
            return np.fromiter((number for number, _ in self._tree), np.int64, len(self._tree))
        if self.sort == "newest":
            return np.argsort(serial)[::-1]
        if self.sort == "state":
            ranks = _RANKS[np.minimum(array["state"], len(STATES) - 1)]
            ranks[[pace.number for pace in view.paces if pace.stalled]] -= 1
            return np.lexsort((serial, ranks))
        if self.sort == "rate":
            rate = np.full(len(array), -1.0)
            rate[[pace.number for pace in view.paces]] = [pace.rate or 0.0 for pace in view.paces]
            return np.lexsort((serial, -rate))
        count, total = array["count"], array["total"]
        holds = (total > 0) & (count <= total)  # as numbers.total_shown
        return np.lexsort((serial, np.where(holds, count / np.maximum(total, 1), -1.0)))

    def _hidden(self) -> np.ndarray[Any, Any]:
        hidden = np.zeros(len(self._ids), bool)
        for number, _ in self._tree:  # parents come before their parts
            parent = self._parents[number]
            hidden[number] = parent >= 0 and (hidden[parent] or self._ids[parent] in self.collapsed)
        return hidden

    def id(self, number: int) -> str:
        """The id of a record."""
        return self._ids[number]

    def depth(self, number: int) -> int:
        """The depth of a record in the tree: how many tasks contain it."""
        return int(self._depths[number]) if self.sort == "tree" else 0

    def mark(self, number: int) -> str:
        """Does it have children that are shown?"""
        if self.sort != "tree" or number not in self._have_parts:
            return ""
        return "▸ " if self._ids[number] in self.collapsed else "▾ "
