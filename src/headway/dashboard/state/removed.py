"""The keys that were removed from a board, and at which revision."""

from __future__ import annotations

__all__ = ["Removed"]

REMOVED_MAX = 20_000


class Removed:
    """Removed keys by revision. The oldest are forgotten: no key that was removed after `complete_since` is missing."""

    def __init__(self, complete_since: int, removed: tuple[tuple[int, int], ...] = ()) -> None:
        self._removed = removed
        self.complete_since = complete_since

    def with_removed(self, keys: list[int], revision: int) -> Removed:
        """These keys, and more that were removed at this revision."""
        if not keys:
            return self
        removed = self._removed + tuple((revision, key) for key in keys)
        forgotten, kept = removed[:-REMOVED_MAX], removed[-REMOVED_MAX:]
        return Removed(forgotten[-1][0] if forgotten else self.complete_since, kept)

    def since(self, revision: int) -> list[int]:
        """The keys that were removed after this revision."""
        found = []
        for at, key in reversed(self._removed):
            if at <= revision:
                break
            found.append(key)
        return found
