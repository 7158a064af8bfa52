"""What the processes of a board do, and how many they are: one rule for all views (derive.ts has it, too)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from headway.views.chosen import workers_alive

if TYPE_CHECKING:
    from headway.views.board_view import BoardView, WorkerView

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
    def of(cls, view: BoardView) -> Workers:
        """Count those of a view, without decoding the names of their tasks."""
        alive = workers_alive(view)
        if view._raw is None or view._workers is not None:
            return cls(alive, sum(kind_of(worker) == "lost" for worker in view.workers))
        from headway.native.records import RECORD_BYTES, shares_of_workers, worker_fields

        raw = view._raw
        registered = len(raw.workers) // RECORD_BYTES["workers"]
        if alive == registered:
            return cls(alive, 0)
        shares = view._decode(shares_of_workers, raw.shares, raw.tasks)
        fields = [view._decode(worker_fields, raw.workers, number) for number in range(registered)]
        dead = [one["incarnation"] for one in fields if not one["alive"]]
        return cls(alive, sum(bool(shares.get(one, (None, ()))[1]) for one in dead))
