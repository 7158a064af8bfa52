"""What has gone from a board, and at which revision."""

from __future__ import annotations

__all__ = ["Graves"]

GRAVES_MAX = 20_000


class Graves:
    """Keys that have gone, by revision. The oldest are forgotten: `complete_since` tells since when all are there."""

    def __init__(self, complete_since: int, graves: tuple[tuple[int, int], ...] = ()) -> None:
        self._graves = graves
        self.complete_since = complete_since

    def dug(self, keys: list[int], revision: int) -> Graves:
        """With these keys, gone at this revision, too."""
        if not keys:
            return self
        graves = self._graves + tuple((revision, key) for key in keys)
        forgotten, kept = graves[:-GRAVES_MAX], graves[-GRAVES_MAX:]
        return Graves(forgotten[-1][0] if forgotten else self.complete_since, kept)

    def since(self, revision: int) -> list[int]:
        """The keys that went after this revision."""
        found = []
        for at, key in reversed(self._graves):
            if at <= revision:
                break
            found.append(key)
        return found
