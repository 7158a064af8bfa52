"""A process killed at every instruction of each native call, and whoever repairs after it at every one of the repair.

    python crash_instructions.py [--long] [--seed N] [WORD...]         with PYTHONPATH leading to this tree

WORD: only calls whose name contains it. How it is done, and why a look at each state is a kill at each instruction, is
told in instructions.py. Each state is looked at by a fresh process, which then has to be able to do everything, soon.
What a call did is to be seen not at all in the first states and wholly in all others: there is one instruction at which
it happens. See test_instructions.py.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from headway.engine.board import Board, open_board
from headway.views.task_view import ShareView
from tests.blocks import BLOCK_STRIPES, lend_all, lent_to
from tests.faults.children import fresh, told
from tests.faults.instructions import Shared, Walk, killed_at, masked, volatile, walk
from tests.faults.look import STEADY, goes_on, look
from tests.faults.tally import report

CAPACITY, ROWS, STRIPES = 8, 4, 8
KEPT_BLOCKS = 4  # HW_KEPT_BLOCKS
MANY = 1_000_000
DURATIONS_OFFSET, DURATIONS_BYTES = 4736, 256  # of hw_durations in a slot
RESTS_S = 0.11  # a slot that was freed rests a little less


@dataclass(frozen=True)
class Call:
    """A native call, and what is to be seen of it.

    before: done once, by this process; prepare: done by the one that is killed, returns the call; shows: whether it is
    to be seen that the call was done, asked by a fresh process, which also checks what has to hold; None if a call
    shows in nothing. then: what the one does that comes after a dead one, and is killed, too. room: whether the board
    has slots for more tasks.
    """

    before: Callable[[Board], object]
    prepare: Callable[[Board], Callable[[], object]]
    shows: Callable[[Board], bool | None]
    then: Callable[[Board], Callable[[], object]] | None = None
    room: bool = True


# ------------------------------------------------------------------------------------------------------------- counting


def victim(board: Board) -> None:
    board.task("victim", total=9)


def counted(board: Board, least: int) -> bool:
    """Whether one more was counted than so many. A process that comes now counts on."""
    view = look(board)["victim"]
    assert view.count - least in range(3), view  # two of them may have come to it
    known = [share.count for share in (*view.workers, *view.workers_lost)]
    assert sum(share or 0 for share in known) <= view.count, view
    task = board.attach("victim")
    task.update()
    assert task.count == view.count + 1
    return view.count > least


def counting(board: Board) -> Callable[[], object]:
    task = board.attach("victim")
    task.update()
    return task.update


def joining(board: Board) -> Callable[[], object]:
    return board.attach("victim").update


def filled(board: Board) -> None:
    """Every row, and every stripe of the slot, is that of a dead process."""
    victim(board)
    for _ in range(STRIPES):
        fresh(lambda: board.attach("victim").update())


def crowded(board: Board) -> None:
    """The same, and there is no block to be had."""
    filled(board)
    lend_all(board._segment, board.attach("steady"))


def mourned(board: Board) -> None:
    """Every counter is that of a dead process: as many as a task has before the dead have to give theirs up."""
    victim(board)
    for _ in range(STRIPES + KEPT_BLOCKS * BLOCK_STRIPES):
        fresh(lambda: board.attach("victim").update())


def inherited(board: Board) -> bool:
    """As joined: by the counter of a dead one, who is told of all the same."""
    view = look(board)["victim"]
    shares = [share.count for share in (*view.workers, *view.workers_lost)]
    assert sum(share or 0 for share in shares) == view.count, shares  # unknown is who died before it counted
    assert (shares.count(1) >= STRIPES + KEPT_BLOCKS * BLOCK_STRIPES, view.lost_left_out) == (True, 0), shares
    shows = joined(STRIPES + KEPT_BLOCKS * BLOCK_STRIPES, board)
    assert len(lent_to(board._segment, board.attach("victim"))) == KEPT_BLOCKS
    assert board._segment.shared_counters == 0
    return shows


def short(board: Board) -> None:
    """The same, and the only block that can be had is that of a task that has ended."""
    filled(board)
    old = board.task("old")
    for n in range(STRIPES + 2):
        fresh(partial(board.attach("old").update, n + 1))
    old.succeed()
    lend_all(board._segment, board.attach("steady"))
    time.sleep(RESTS_S)


def joined_with_what_was_another_ones(board: Board) -> bool:
    """As joined, and the task that gave its block up has its count, in the one form or in the other."""
    old = look(board)["old"]
    assert (old.count, old.state) == (sum(range(1, STRIPES + 3)), "success"), old
    shares = [share.count or 0 for share in (*old.workers, *old.workers_lost)]
    assert sum(shares) in (old.count, sum(range(1, STRIPES + 1))), shares
    shows = joined(STRIPES, board)
    assert board.attach("old").count == old.count
    assert board._segment.shared_counters == 0
    return shows


def with_blocks(board: Board) -> None:
    """A task that has ended, and has a block."""
    ended_before(board)
    for _ in range(STRIPES):  # and the owner
        fresh(lambda: board.attach("victim").update(0))


def joined(least: int, board: Board) -> bool:
    """As counted, and a newcomer is listed, once, with its share."""
    shows = counted(board, least)
    view = board.get("victim")
    assert view is not None
    mine = [share.count for share in view.workers if share.pid == os.getpid()]
    assert mine == [1], view.workers
    listed = [worker.pid for worker in board.snapshot().workers if worker.alive]
    assert listed.count(os.getpid()) == 1, listed
    return shows


def named(board: Board) -> None:
    """A task of which this process's worker had an item of many words in hand, and was killed."""
    victim(board)
    fresh(lambda: board.attach("victim").item("old " * 10).__enter__())


def taking(board: Board) -> Callable[[], object]:
    """From one text to another one, of other words."""
    task = board.attach("victim")
    task.item("old " * 10).__enter__()
    return task.item("new " * 10).__enter__


def taken_up(board: Board) -> None:
    """A whole item, or none. What the next one takes up is seen."""
    items = {share.item for share in (*shares_of_victim(board), *shares_of_victim(board, lost=True))}
    assert items <= {"", "old " * 10, "new " * 10, "2", "3"}, items
    with board.attach("victim").item("next"):
        mine = [share.item for share in shares_of_victim(board) if share.pid == os.getpid()]
        assert mine == ["next"], mine


def looping(board: Board) -> Callable[[], object]:
    """It counts item 2, and takes up item 3."""
    loop = board.attach("victim").track(range(100))
    for _ in range(3):
        next(loop)
    time.sleep(0.045)  # so that it is timed in any case, stepped through or not
    return partial(next, loop)


def looped(board: Board) -> bool:
    taken_up(board)
    return counted(board, 3)  # with that of taken_up


def shares_of_victim(board: Board, *, lost: bool = False) -> tuple[ShareView, ...]:
    view = board.get("victim")
    assert view is not None
    return view.workers_lost if lost else view.workers


def present(board: Board) -> Callable[[], object]:
    return partial(board._segment.register, False)


def leaving(board: Board) -> Callable[[], object]:
    board.attach("victim").update()
    return board._segment.leave


def nothing_shows(board: Board) -> None:
    look(board)


# ------------------------------------------------------------------------------------------------------ status, result


def said(board: Board, letter: str, id: str = "victim") -> None:
    """A transition that changes all that a task shows."""
    board.attach(id).set(
        stage=letter, message=letter * 100, total=ord(letter), metrics={"m": ord(letter), letter * 20: 1}
    )


def wordy(board: Board) -> None:
    victim(board)
    for letter in "BCDA":  # each has its metrics from here on
        said(board, letter)


def saying(letter: str, board: Board) -> Callable[[], object]:
    task = board.attach("victim")
    board._segment.register()
    return partial(task._set, letter, letter * 100, ord(letter), {"m": ord(letter), letter * 20: 1})


def says(board: Board) -> bool:
    """Which transition a reader sees, who must not see a mixture. Then the next ones are written, and seen."""
    letter = what_it_says(board)
    assert letter in "ABC", letter
    for other in "DA":  # by the one copy of the record, and by the other
        said(board, other)
        assert what_it_says(board) == other
    return letter != "A"


def what_it_says(board: Board) -> str:
    view = look(board)["victim"]
    letter = view.stage
    assert (view.message, view.total) == (letter * 100, ord(letter)), view
    assert view.metrics.items() >= {letter * 20: 1.0, "m": float(ord(letter))}.items(), view.metrics
    assert view.stages[-1].name == letter, view.stages
    assert (view.state, view.error) == ("running", ""), view
    task = board.attach("victim")
    assert (task.stage, task.message, task.total, task.metrics) == (letter, view.message, view.total, view.metrics)
    return letter


def ending(board: Board) -> Callable[[], object]:
    task = board.attach("victim")
    board._segment.register()
    return partial(task._transition, "failed", ("pending", "running", "lost"), "because " * 5)


def ended(board: Board) -> bool:
    view = look(board)["victim"]
    over = view.state == "failed"
    shown = (view.error, view.ended is None)
    assert shown == (("because " * 5, False) if over else ("", True)), view
    assert over or view.state in ("pending", "running"), view
    assert board.attach("victim").succeed() is not over  # the first end counts
    return over


def with_result(board: Board) -> None:
    victim(board)
    board.attach("victim").result = {"A": "A" * 40}


def giving(letter: str, board: Board) -> Callable[[], object]:
    task = board.attach("victim")
    board._segment.register()
    return partial(task._write_result, json.dumps({letter: letter * 40}).encode())


def given(board: Board) -> bool:
    view = look(board)["victim"]
    found = view.result
    assert found in [{letter: letter * 40} for letter in "AB"], found
    task = board.attach("victim")
    assert task.result == found
    task.merge_result({"C": 1})
    assert task.result == found | {"C": 1}
    return "B" in found


# --------------------------------------------------------------------------------------------------------------- claims


def used(board: Board) -> None:
    """Every free slot has held a task, so that a claim overwrites each of its words."""
    for number in range(CAPACITY - 1):  # and the steady one
        task = board.task(f"{number}", label="x" * 90, unit="y" * 15)
        said(board, "E", f"{number}")
        task.update(5)
        task.result = {"z": "z" * 40}
        found = board._segment.find(f"{number}")
        assert found is not None
        assert board._segment.free(*found, time.clock_gettime_ns(time.CLOCK_MONOTONIC))
    time.sleep(RESTS_S)


def claiming(id: str, board: Board, anew: bool = False) -> Callable[[], object]:
    board._segment.register()
    return partial(board._segment.claim, id, "New", "bar", 0, 7, anew=anew)


def claimed(board: Board) -> bool:
    """What a claim that was killed has left: nothing, or all of it. The dead owner keeps nobody from the id."""
    view = look(board).get("victim")
    if view is not None:
        assert (view.state, view.label, view.unit, view.total, view.count) == ("lost", "New", "bar", 7, 0), view
    done_by_another(board)
    return view is not None


def done_by_another(board: Board) -> None:
    task = board.task("victim", total=3)
    task.update(3)
    assert (task.count, task.total, task.state) == (3, 3, "running")
    task.succeed()


def ended_before(board: Board) -> None:
    used(board)
    task = board.task("victim", total=3, label="Old")
    task.update(3)
    task.succeed()


def claimed_again(board: Board) -> bool:
    """The old task or the new one: never none, never half of one, never both."""
    view = look(board)["victim"]
    new = view.label == "New"
    shown = (view.state, view.unit, view.total, view.count)
    assert shown == (("lost", "bar", 7, 0) if new else ("success", "it", 3, 3)), view
    done_by_another(board)
    return new


def carried(board: Board) -> None:
    used(board)
    board.task("victim", total=3, label="Old").update(3)


def started_over(board: Board) -> bool:
    view = look(board)["victim"]
    new = view.label == "New"
    shown = (view.state, view.unit, view.total, view.count)
    assert shown == (("lost", "bar", 7, 0) if new else ("running", "it", 3, 3)), view
    if new:
        done_by_another(board)
    else:
        board.attach("victim").succeed()
    return new


def full(board: Board) -> None:
    """Every slot holds a task: half of them have ended."""
    for number in range(CAPACITY - 1):  # and the steady one
        task = board.task(f"old-{number}")
        if number % 2:
            task.succeed()


def made_room(board: Board) -> bool:
    """Room is made of a task that has ended; of those that run none is missing."""
    found = look(board)
    assert {f"old-{number}" for number in range(0, CAPACITY - 1, 2)} <= set(found), set(found)
    assert len(found) >= CAPACITY - 1, set(found)
    return claimed(board)


def freeing(board: Board) -> Callable[[], object]:
    found = board._segment.find("victim")
    assert found is not None
    board._segment.register()
    return partial(board._segment.free, *found, time.clock_gettime_ns(time.CLOCK_MONOTONIC))


def freed(board: Board) -> bool:
    view = look(board).get("victim")
    assert view is None or (view.label, view.count) == ("Old", 3), view
    done_by_another(board)
    return view is None


def freed_with_blocks(board: Board) -> bool:
    """As freed. The block is lent again, and whoever counts in it counts from zero."""
    shows = freed(board)
    task = board.task("other")
    for n in range(1, STRIPES + 2):
        fresh(partial(board.attach("other").update, n))
    view = board.get("other")
    assert view is not None
    shares = [share.count or 0 for share in (*view.workers, *view.workers_lost)]
    assert sorted(shares) == list(range(1, STRIPES + 2)), shares
    assert view.count == sum(range(1, STRIPES + 2))
    task.succeed()
    return shows


def locking(board: Board) -> Callable[[], object]:
    """The structural lock taken, and let go: the slot that is named has no archived task. A repair, if need be."""
    board._segment.register()
    return partial(board._segment.free_archived, [(0, 0)])


CALLS = {
    "update": Call(victim, counting, lambda board: counted(board, 1)),
    "a first update: identity, row, stripe and count": Call(victim, joining, partial(joined, 0), joining),
    "a first update where dead ones have all places": Call(crowded, joining, partial(joined, STRIPES), joining),
    "a first update that links a block": Call(filled, joining, partial(joined, STRIPES), joining),
    "a first update that takes over the counter of a dead one": Call(mourned, joining, inherited, joining),
    "an item": Call(named, taking, taken_up, taking),
    "the next item of a loop": Call(named, looping, looped, taking),
    "a first update that takes back the block of another task": Call(
        short, joining, joined_with_what_was_another_ones, joining
    ),
    "an identity": Call(victim, present, nothing_shows),
    "leave": Call(victim, leaving, nothing_shows),
    "a status": Call(wordy, partial(saying, "B"), says, partial(saying, "C")),
    "an end": Call(victim, ending, ended, partial(saying, "C")),
    "a result": Call(with_result, partial(giving, "B"), given, partial(giving, "A")),
    "claim": Call(used, partial(claiming, "victim"), claimed, locking),
    "claim of an id that has ended": Call(ended_before, partial(claiming, "victim"), claimed_again, locking),
    "claim of an id that runs": Call(carried, partial(claiming, "victim", anew=True), started_over, locking),
    "claim on a full board": Call(full, partial(claiming, "victim"), made_room, room=False),
    "free": Call(ended_before, freeing, freed, locking),
    "free of a task that has blocks": Call(with_blocks, freeing, freed_with_blocks, locking),
    "lock and unlock": Call(used, locking, nothing_shows, locking),
}


# ------------------------------------------------------------------------------------------------------------ the kills


@dataclass
class Tally:
    """What was done, and what was found."""

    instructions: int = 0
    stepped: int = 0
    states: int = 0
    looked_at: int = 0
    pairs: int = 0
    pairs_looked_at: int = 0
    kills: int = 0
    failures: list[str] = field(default_factory=list)


class Try:
    """One native call on one board, killed everywhere."""

    def __init__(self, board: Board, shared: Shared, name: str, chance: random.Random, tally: Tally) -> None:
        self.board, self.shared, self.name, self.chance, self.tally = board, shared, name, chance, tally
        self.call = CALLS[name]
        self.call.before(board)
        self.begin = shared.image()
        self.lent = shared.lost_blocks()  # by lend_all

    def walk(self, prepare: Callable[[Board], Callable[[], object]], begin: bytes) -> Walk:
        self.shared.put(begin)
        return walk(self.shared, partial(prepare, self.board))

    def look(self, image: bytes, where: str) -> str:
        """Put a state back, and have a fresh process look at it and go on: what is to be seen, "" if it failed."""
        self.shared.put(image)

        def check() -> str:
            shows = self.call.shows(self.board)
            if self.call.room:
                goes_on(self.board)
            return {True: "done", False: "not yet", None: "nothing"}[shows]

        try:
            shows = told(check)
            if lost := self.shared.lost_slots():
                self.fail(where, f"slots {lost} are lost, though the lock was taken since")
            if lost := sorted(set(self.shared.lost_blocks()) - set(self.lent)):
                self.fail(where, f"the blocks {lost} of the pool are lost")
            return shows
        except (AssertionError, TimeoutError) as error:
            self.fail(where, str(error))
            return ""

    def fail(self, where: str, why: str) -> None:
        self.tally.failures.append(f"{self.name}, killed after {where}: {why}")
        print(self.tally.failures[-1], file=sys.stderr, flush=True)

    def once(self) -> Walk:
        """Kill the call at every instruction, by a look at each of the states that it leaves."""
        done = self.walk(self.call.prepare, self.begin)
        self.tally.stepped += done.instructions + 1  # before the first one, too
        self.tally.states += len(done.images)
        seen = []
        for number, image in enumerate(done.images):
            seen.append(self.look(image, f"{done.after[number]} of {done.instructions} instructions"))
            self.tally.instructions += done.weight(number)
            self.tally.looked_at += 1
        changes = [key for key, _ in itertools.groupby(seen)]
        if "" not in seen and changes not in (["not yet", "done"], ["nothing"]):
            self.fail("each instruction in turn", f"it shows as {', then '.join(changes)}")
        return done

    def some(self, count: int, most: int) -> list[int]:
        """The first, the last, and others by chance, so many in all."""
        if count <= most:
            return list(range(count))
        return sorted({0, count - 1, *self.chance.sample(range(1, count - 1), most - 2)})

    def twice(self, first: Walk, most: int, most_then: int) -> None:
        """Kill the call, then whoever comes after it, at every instruction until it has done what it came for."""
        if self.call.then is None:
            return
        for number in self.some(len(first.images), most):
            where = f"{first.after[number]} of {first.instructions} instructions"
            second = self.walk(self.call.then, first.images[number])
            for other in self.some(len(second.images), most_then):
                then = f"{where}, and then another one after {second.after[other]} of {second.instructions}"
                self.look(second.images[other], then)
                self.tally.pairs += first.weight(number) * second.weight(other)
                self.tally.pairs_looked_at += 1

    def in_earnest(self, first: Walk, numbers: list[int]) -> None:
        """Kill the call after so many instructions: what is left must be one of the states that were looked at."""
        time.sleep(0.02)  # longer than the coarsest of the clocks
        again = self.walk(self.call.prepare, self.begin)
        moving = volatile(first, again) | words_of_durations(first.images[0])
        known = {masked(image, moving) for image in (*first.images, *again.images)}
        for number in numbers:
            self.shared.put(self.begin)
            left = killed_at(self.shared, partial(self.call.prepare, self.board), number)
            self.tally.kills += 1
            if masked(left, moving) not in known:
                self.fail(f"{number} of {first.instructions} instructions", "it left another state than was expected")
            self.look(left, f"{number} of {first.instructions} instructions, in earnest")


def words_of_durations(image: bytes) -> set[int]:
    """How long counts took: a call that is stepped through takes longer."""
    (slot_bytes, capacity), (first,) = struct.unpack_from("<I4xI", image, 24), struct.unpack_from("<Q", image, 56)
    begins = range(first + DURATIONS_OFFSET, first + capacity * slot_bytes, slot_bytes)
    return {at // 8 for begin in begins for at in range(begin, begin + DURATIONS_BYTES, 8)}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    given = parser.parse_args()
    names = [name for name in CALLS if not given.words or any(word in name for word in given.words)]
    if not names:
        parser.error(f"no call is named so: there are {', '.join(CALLS)}")
    print(f"seed {given.seed}", file=sys.stderr)
    chance, tally = random.Random(given.seed), Tally()
    board = open_board(f"t-{os.getpid()}-instructions", capacity=CAPACITY, workers=ROWS, result_bytes=64, record=False)
    shared = Shared(board)
    try:
        board.task("steady").update(STEADY)
        pristine = shared.image()
        for name in names:
            shared.put(pristine)
            one = Try(board, shared, name, chance, tally)
            first = one.once()
            one.twice(first, *((MANY, MANY) if given.long else (2, 4)))
            places = range(first.instructions + 1)
            few = chance.sample(places, 2)
            # In the long run after each instruction that changed anything, and after one in twenty of all.
            one.in_earnest(first, sorted({*first.after, *places[given.seed % 20 :: 20]}) if given.long else few)
            print(f"{name}: {first.instructions} instructions, {len(first.images)} states", file=sys.stderr)
        shared.put(pristine)
    finally:
        shared.close()
        board.remove(files=True)
    note = (
        f"of {tally.stepped} of {len(names)} calls, by {tally.looked_at} of {tally.states} states that they leave; "
        f"the next one killed, too: {tally.pairs} pairs of instructions, by {tally.pairs_looked_at} states; "
        f"{tally.kills} kills in earnest; seed {given.seed}"
    )
    return report(tally.instructions, "instructions", len(tally.failures), note)


if __name__ == "__main__":
    sys.exit(main())
