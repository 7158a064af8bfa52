"""Each work is done when it is due; one that takes long holds up no other; all together take so much and no more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from headway.recorder import rounds as module
from headway.recorder.rounds import Rounds, level

PATIENCE_S = 30.0


class Counted:
    """A work that is done again and again; `waits` is what it does each time."""

    def __init__(
        self, waits: Callable[[], object] = lambda: None, *, every_s: float = 0.01, times: int = 10**9
    ) -> None:
        self.done = self.beats = 0
        self.cost = 0.0
        self.share = 0.0
        self.stopped = False
        self._waits, self._every_s, self._times = waits, every_s, times

    def do(self) -> float | None:
        last = self.stopped or self.done + 1 >= self._times
        self._waits()
        self.done += 1
        return None if last else time.monotonic() + self._every_s

    def beat(self) -> None:
        self.beats += 1

    def allow(self, share: float) -> None:
        self.share = share

    def stop(self) -> None:
        self.stopped = True


def turn_until(rounds: Rounds, look: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < until
        time.sleep(min(rounds.turn(), 0.01))


def end(rounds: Rounds) -> None:
    rounds.stop()
    turn_until(rounds, lambda: not len(rounds))
    rounds.close()


def test_each_is_done_again_and_again_until_it_is_over() -> None:
    rounds = Rounds(0.02, 0.25)
    some = [Counted(times=times) for times in (1, 2, 5)]
    for one in some:
        rounds.add(one)
    turn_until(rounds, lambda: not len(rounds))
    assert [one.done for one in some] == [1, 2, 5]
    end(rounds)


def test_one_thread_does_all_of_them_while_none_takes_long() -> None:
    rounds = Rounds(0.02, 0.25)
    names: set[str] = set()
    some = [Counted(lambda: names.add(threading.current_thread().name), times=5) for _ in range(20)]
    for one in some:
        rounds.add(one)
    turn_until(rounds, lambda: not len(rounds))
    assert len(names) == 1
    end(rounds)


@pytest.mark.parametrize("hanging", [1, 5])
def test_those_that_hang_hold_up_nobody(hanging: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE_S", 0.02)
    rounds, over = Rounds(0.02, 0.25), threading.Event()
    stuck = [Counted(over.wait) for _ in range(hanging)]
    fine = [Counted() for _ in range(5)]
    for one in [*stuck, *fine]:
        rounds.add(one)
    turn_until(rounds, lambda: min(one.done for one in fine) >= 5)
    assert [one.done for one in stuck] == [0] * hanging
    over.set()
    turn_until(rounds, lambda: min(one.done for one in stuck) >= 1)
    end(rounds)


def test_one_is_done_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE_S", 0.0)
    monkeypatch.setattr(module, "GRAIN_S", 10.0)
    rounds, inside = Rounds(0.02, 0.25), [0, 0]

    def enter() -> None:
        inside[0] += 1
        inside[1] = max(inside)
        time.sleep(0.01)
        inside[0] -= 1

    one = Counted(enter, every_s=0.0)
    rounds.add(one)
    for _ in range(8):
        rounds.add(Counted(lambda: time.sleep(0.02)))
    turn_until(rounds, lambda: one.done >= 10)
    assert inside[1] == 1
    end(rounds)


def test_one_that_raises_all_the_same_is_over_and_the_rest_goes_on() -> None:
    rounds = Rounds(0.02, 0.25)

    def fail() -> None:
        raise ZeroDivisionError

    fine = Counted()
    rounds.add(Counted(fail))
    rounds.add(fine)
    turn_until(rounds, lambda: fine.done >= 3 and len(rounds) == 1)
    end(rounds)


def test_a_stop_has_each_done_once_more_also_one_that_was_not_due_for_long() -> None:
    rounds = Rounds(0.02, 0.25)
    late = Counted(every_s=10_000)
    rounds.add(late)
    turn_until(rounds, lambda: late.done == 1)
    rounds.stop()
    turn_until(rounds, lambda: not len(rounds))
    assert late.done == 2
    after = Counted()
    rounds.add(after)
    turn_until(rounds, lambda: not len(rounds))
    assert after.done == 1
    end(rounds)


def test_who_waits_shows_that_it_is_looked_after_and_who_hangs_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    rounds, over = Rounds(0.02, 0.25), threading.Event()
    stuck, quiet = Counted(over.wait), Counted(every_s=10_000)
    rounds.add(stuck)
    turn_until(rounds, lambda: bool(rounds._out))
    before = stuck.beats
    rounds.add(quiet)
    turn_until(rounds, lambda: quiet.beats >= 5)
    assert stuck.beats == before
    over.set()
    end(rounds)


def test_without_threads_the_work_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    rounds, one = Rounds(0.02, 0.25), Counted(times=3)
    rounds.add(one)
    turn_until(rounds, lambda: not len(rounds))
    assert one.done == 3


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ([], 1.0),
        ([0.5], 1.0),
        ([4.0], 1.0),
        ([0.1, 0.2], 0.9),  # what nobody else takes
        ([1.0, 1.0, 1.0, 1.0], 0.25),
        ([0.1, 5.0, 5.0], 0.45),
        ([0.01] * 10 + [7.0], 0.9),
    ],
)
def test_who_needs_less_than_an_equal_share_leaves_the_rest_to_the_others(needs: list[float], expected: float) -> None:
    found = level(needs, 1.0)
    assert found == pytest.approx(expected)
    assert sum(min(need, found) for need in needs) <= 1.0 + 1e-9


def test_all_works_together_are_allowed_what_the_rounds_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.0)
    rounds = Rounds(0.02, 0.25)
    some = [Counted(every_s=10_000) for _ in range(4)]
    for one in some:
        one.cost = 0.01
        rounds.add(one)
    turn_until(rounds, lambda: all(one.share for one in some))
    assert sum(one.share for one in some) == pytest.approx(0.02)
    end(rounds)
