"""A process killed or stopped at each step that it does under the structural lock.

    python crash_lock.py SCENARIO BOARD          with PYTHONPATH leading to a build with HOOKS=1, and to this tree

See test_crashes.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from headway.engine.board import Board
from headway.tasks.states import STATES
from tests.faults.look import BOUND_S, Tried, every_slot_is_there, goes_on, look, refused, run, whole_or_absent
from tests.faults.steps import fresh, killed_at, last_of_each, resumed, stopped_at, trace

UNDER_LOCK = {"owner", "stripe zeroed", "word", "filled", "hashed", "published", "free", "freed", "frees", "unlock"}


def claiming(board: Board, id: str) -> Callable[[], object]:
    return lambda: board.task(id, total=7, unit="bar", label="Victim")


def claim_new(board: Board) -> Tried:
    """Kill the claim of a new id. Of the words of its records each eighth is enough: claim_again does all."""
    steps = trace(claiming(board, "victim"))
    fresh(lambda: whole_or_absent(board, "victim"))
    chosen = [number for number, name in enumerate(steps, 1) if name != "word" or number % 8 == 0]
    for number in chosen:
        victim = f"victim-{number}"
        assert killed_at(number, claiming(board, victim))
        fresh(lambda: goes_on(board))
        fresh(partial(whole_or_absent, board, victim))
    fresh(lambda: every_slot_is_there(board))
    return len(chosen), steps


def claim_again(board: Board) -> Tried:
    """Kill the claim of an id that has ended: the old task is freed after the new one is published."""
    again = claiming(board, "victim")
    fresh(lambda: whole_or_absent(board, "victim"))
    steps = trace(again)
    kills = 0
    fresh(lambda: whole_or_absent(board, "victim"))
    while killed_at(kills + 1, again):
        kills += 1
        fresh(lambda: goes_on(board))
        fresh(lambda: whole_or_absent(board, "victim"))
    assert kills >= len(steps) - 1, (kills, steps)
    fresh(lambda: every_slot_is_there(board))
    return kills, steps


def restart(board: Board) -> Tried:
    """Kill who starts a task over that somebody alive carries: it is never missing, and never there twice."""
    board._restart("victim", "Old")
    steps = trace(lambda: board._restart("victim", "New"))
    kills = 0
    seen = set()
    while True:
        owner = board._restart("victim", "Old")
        assert owner._enter("running")
        if not killed_at(kills + 1, lambda: board._restart("victim", "New")):
            break
        kills += 1
        fresh(lambda: goes_on(board))
        fresh(lambda: look(board))
        view = look(board)["victim"]
        assert view.label in ("Old", "New"), view
        assert view.stage == ("running" if view.label == "Old" else ""), view
        seen.add(view.label)
    assert seen == {"Old", "New"}
    assert kills >= len(steps) - 1, (kills, steps)
    board.attach("victim").succeed()
    time.sleep(0.11)  # slots that were freed rest
    fresh(lambda: every_slot_is_there(board))
    return kills, steps


def free(board: Board) -> Tried:
    """Kill who takes a task off the board: it is there, or it is not."""

    def take_off() -> None:
        place = board._segment.find("victim")
        assert place is not None
        assert board._segment.free(*place, time.monotonic_ns() + 10**9)

    board._restart("victim", "Old")
    steps = trace(take_off)
    kills = 0
    seen = set()
    while True:
        board._restart("victim", "Old")
        if not killed_at(kills + 1, take_off):
            break
        kills += 1
        fresh(lambda: goes_on(board))
        fresh(lambda: look(board))
        seen.add(board.get("victim") is None)
    assert seen == {False, True}
    time.sleep(0.11)  # slots that were freed rest
    fresh(lambda: every_slot_is_there(board))
    return kills, steps


def gone(board: Board) -> Tried:
    """Kill who takes a task off the board, then who takes off another one: each is counted once, as what it was."""

    def take_off(id: str) -> None:
        place = board._segment.find(id)
        if place is not None:
            assert board._segment.free(*place, time.monotonic_ns() + 10**9)

    def begin() -> None:
        board.task("ended").succeed()
        board.task("other").fail("odd")

    fresh(begin)
    steps = trace(lambda: take_off("ended"))
    fresh(lambda: take_off("other"))
    kills = 0
    for first in last_of_each(steps, {"gone before", "gone note", "gone", "frees", "freed"}).values():
        second = 0
        while True:
            second += 1
            before = board._segment.gone
            fresh(begin)
            assert killed_at(first, lambda: take_off("ended"))
            killed = killed_at(second, lambda: take_off("other"))
            for id in ("other", "ended"):
                fresh(partial(take_off, id))
            now = tuple(board._segment.gone)
            more = {STATES[i]: n - was for i, (n, was) in enumerate(zip(now, before, strict=True)) if n != was}
            assert more == {"success": 1, "failed": 1}, (steps[first - 1], second, more)
            kills += 1 + killed
            if not killed:
                break
    return kills, steps


def fill(board: Board) -> None:
    for _ in range(board._segment.capacity - len(look(board))):
        board.task(f"filler-{time.monotonic_ns()}").succeed()


def evict(board: Board) -> Tried:
    """A board full of ended tasks makes room, and is killed at each step of that."""
    fresh(lambda: fill(board))
    steps = trace(lambda: board.task("one more"))
    steps = steps[: steps.index("unlocked") + 1]  # what follows is a claim
    for step in range(1, len(steps) + 1):
        fresh(lambda: fill(board))
        assert killed_at(step, partial(board.task, f"one more {step}"))
        began = time.monotonic()
        fresh(lambda: board.task("after").succeed())
        took = time.monotonic() - began
        assert took < BOUND_S + 1, f"making room took {took:.3f} s"  # 0.1 s of it the slot rests
        fresh(lambda: look(board))
    time.sleep(0.11)  # slots that were freed rest
    fresh(lambda: every_slot_is_there(board))
    return len(steps), steps


def repair(board: Board) -> Tried:
    """Kill the holder at each kind of step, then whoever comes after it at each step of the repair."""
    again = claiming(board, "victim")
    fresh(lambda: whole_or_absent(board, "victim"))
    steps: list[str] = []
    kills = 0
    for number in last_of_each(trace(again), UNDER_LOCK).values():
        assert killed_at(number, again)
        steps = trace(lambda: board.task("second"))
        fresh(lambda: whole_or_absent(board, "victim"))
        assert steps.count("repair") == board._segment.capacity
        repairs = [step for step, name in enumerate(steps, 1) if name in ("token", "owner", "repair")]
        for step in [*repairs, repairs[-1] + 1]:
            assert killed_at(number, again)
            assert killed_at(step, lambda: board.task("second"))
            kills += 1
            fresh(lambda: goes_on(board))
            fresh(lambda: whole_or_absent(board, "victim"))
    fresh(lambda: every_slot_is_there(board))
    return kills, steps


def stop(board: Board) -> Tried:
    """A holder that is only stopped keeps the lock, and is named."""
    again = claiming(board, "victim")
    fresh(lambda: whole_or_absent(board, "victim"))
    stops = last_of_each(trace(again), UNDER_LOCK - {"owner"})  # there its pid does not stand in the segment yet
    for name, number in stops.items():
        fresh(lambda: whole_or_absent(board, "victim"))
        pid = stopped_at(number, again)
        fresh(partial(waits, board, pid, name))
        resumed(pid)
        fresh(lambda: goes_on(board))
    fresh(lambda: whole_or_absent(board, "victim"))
    fresh(lambda: every_slot_is_there(board))
    return len(stops), list(stops)


def waits(board: Board, pid: int, where: str) -> None:
    """The lock is held by a process that lives: who wants it is told so, who only reads is not stopped."""
    look(board)
    repairs = board._segment.repairs
    refused(lambda: board.task("second"), pid, where)
    assert board._segment.repairs == repairs


if __name__ == "__main__":
    run(
        {
            "claim_new": (claim_new, 256),  # every kill may leave a task behind
            "claim_again": (claim_again, 24),
            "restart": (restart, 24),
            "free": (free, 24),
            "gone": (gone, 12),
            "evict": (evict, 8),
            "repair": (repair, 8),
            "stop": (stop, 16),
        }
    )
