"""What the processes of a board do, and how many they are: one rule for all views (derive.ts has it, too)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headway.views.board_view import WorkerView

__all__ = ["KINDS", "Workers", "kind_of"]

KINDS = ("lost", "stalled", "working", "idle", "gone")  # the most urgent first


def kind_of(worker: WorkerView) -> str:
    """One of KINDS: lost died at work, gone left without any."""
    if not worker.alive:
        return "lost" if worker.tasks else "gone"
    if not worker.tasks:
        return "idle"
    return "stalled" if worker.stalled else "working"


class Workers(NamedTuple):
    """The workers of a board are its processes that are alive. Those that died at work are told apart from them."""

    alive: int
    died: int

    @classmethod
    def of(cls, workers: Iterable[WorkerView]) -> Workers:
        """Count them."""
        kinds = [kind_of(worker) for worker in workers]
        died = kinds.count("lost")
        return cls(len(kinds) - died - kinds.count("gone"), died)
