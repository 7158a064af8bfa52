"""Which tasks of a board are shown, and in which order, for boards of many thousands: computed on arrays.

Only the names are text; they are decoded again when tasks appeared or disappeared, not at each look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headway.tasks.states import LIVE_STATES, STATES
from headway.views.columns import ranks

if TYPE_CHECKING:
    from headway.views.board_view import BoardView

__all__ = ["SORTS", "Order"]

SORTS = ("tree", "state", "progress", "rate", "newest")
_LIVE = [STATES.index(state) for state in LIVE_STATES]


class Order:
    """Which tasks, in which order. needle: what their id or label contains; open_only: leave out those that ended."""

    def __init__(self, *, unicode: bool = True) -> None:
        self._marks = ("▸ ", "▾ ") if unicode else ("+ ", "- ")
        self.needle = ""
        self.open_only = False
        self.sort = SORTS[0]
        self.collapsed: set[str] = set()
        self.numbers: np.ndarray[Any, Any] = np.zeros(0, np.int64)
        """The records to show, in order."""
        self._known: np.ndarray[Any, Any] | None = None
        self._ids: list[str] = []
        self._names: list[str] = []
        self._tree: np.ndarray[Any, Any] = np.zeros(0, np.int64)  # record numbers, parents before their parts
        self._ranks: np.ndarray[Any, Any] = np.zeros(0, np.int64)  # for which the tree was ordered
        self._sizes: np.ndarray[Any, Any] = np.zeros(0, np.int64)  # of a task with all its parts
        self._levels: list[np.ndarray[Any, Any]] = []  # record numbers by depth
        self._depths: np.ndarray[Any, Any] = np.zeros(0, np.int64)
        self._parents: np.ndarray[Any, Any] = np.zeros(0, np.int64)
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
        self._parents = np.array(parents, np.int64)
        self._have_parts = set(children)
        self._levels = []
        self._depths = np.zeros(len(self._ids), np.int64)
        self._sizes = np.ones(len(self._ids), np.int64)
        level = children.pop(-1, [])
        while level:
            self._depths[level] = len(self._levels)
            self._levels.append(np.array(level, np.int64))
            level = [part for number in level for part in children.pop(number, [])]
        for numbers in reversed(self._levels[1:]):
            np.add.at(self._sizes, self._parents[numbers], self._sizes[numbers])
        self._tree = self._ranks = np.zeros(0, np.int64)  # order the tree anew

    def _order_tree(self, ranks: np.ndarray[Any, Any], serial: np.ndarray[Any, Any]) -> None:
        """The tree, tasks of one parent by urgency: as urgent as the most urgent one of their parts."""
        if np.array_equal(ranks, self._ranks):
            return
        self._ranks = ranks.copy()
        for numbers in reversed(self._levels[1:]):
            np.minimum.at(ranks, self._parents[numbers], ranks[numbers])
        at = np.zeros(len(ranks), np.int64)  # where each task's line is
        for depth, level in enumerate(self._levels):
            parents = self._parents[level]
            begun = at[parents] + 1 if depth else np.zeros(len(level), np.int64)
            order = np.lexsort((serial[level], ranks[level], begun))
            numbers, begun = level[order], begun[order]
            before = np.cumsum(self._sizes[numbers]) - self._sizes[numbers]
            first = np.searchsorted(begun, begun)  # the first part of the same parent
            at[numbers] = begun + before - before[first]
        shown = np.concatenate(self._levels) if self._levels else np.zeros(0, np.int64)
        self._tree = shown[np.argsort(at[shown])]

    def _sorted(self, view: BoardView, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        serial = array["serial"]
        if self.sort == "tree":
            self._order_tree(ranks(array, view.taken_at), serial)
            return self._tree
        if self.sort == "newest":
            return np.argsort(serial)[::-1]
        if self.sort == "state":
            return np.lexsort((serial, ranks(array, view.taken_at)))
        if self.sort == "rate":
            rate = np.full(len(array), -1.0)
            rate[[pace.number for pace in view.paces]] = [pace.rate or 0.0 for pace in view.paces]
            return np.lexsort((serial, -rate))
        count, total = array["count"], array["total"]
        holds = (total > 0) & (count <= total)  # as numbers.total_shown
        return np.lexsort((serial, np.where(holds, count / np.maximum(total, 1), -1.0)))

    def _hidden(self) -> np.ndarray[Any, Any]:
        collapsed = np.fromiter((id in self.collapsed for id in self._ids), bool, len(self._ids))
        hidden = np.zeros(len(self._ids), bool)
        for numbers in self._levels[1:]:
            parents = self._parents[numbers]
            hidden[numbers] = hidden[parents] | collapsed[parents]
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
        return self._marks[self._ids[number] not in self.collapsed]
