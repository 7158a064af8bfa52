"""The lock-free protocols of a board, as threads for the machine of weak.py. Each function names the C that it follows.

Run by ci/models. Each protocol has to be sound as it is, and each of its acquires, releases and fences, weakened alone,
has to be found, or `needless` says why it is not. `--long` adds forms with more threads and rounds, which have to be
sound, too. Names as arguments: only these protocols.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from tests.models.weak import ACQUIRE, BOTH, FULL, PLAIN, RELEASE, Cpu, Protocol, Thread, relaxations, wrong_end

ABSENT = "absent"

# Why an order is not missed where it is weakened alone. All the same it stays: nearly all words are loaded with acquire
# and stored with release, which costs nothing on x86-64, and is a rule that holds when the code around it changes.
FOLLOWED = "a release after it orders it, too"
LAST = "nothing that matters is read after it"
LATER = "read later, it only sees more of the new task"


def elsewhere(protocol: str) -> str:
    return f"it does not matter here: {protocol} needs it"


# --- find, beside a restart of the same id: slot i is free (its text is of an earlier task), slot j holds the task


def restart(cpu: Cpu) -> None:
    """claim.h: hw_fill of slot i, then hw_free_locked of slot j."""
    cpu.store("id i", "new", name="fill: words")
    cpu.store("hash i", 1, name="fill: hash")
    cpu.store("generation i", 3, name="fill: generation")
    cpu.store("frees", 1, name="free: frees")
    cpu.store("generation j", 2, name="free: generation")
    cpu.store("hash j", 0, name="free: hash")


def holds(cpu: Cpu, slot: str) -> str:
    """find.h: hw_holds. What it finds in a live slot, or "" for none."""
    seen = cpu.load(f"generation {slot}", ACQUIRE, name=f"holds {slot}: generation")
    if not seen & 1:
        return ""
    text = cpu.load(f"id {slot}", ACQUIRE, name=f"holds {slot}: words")
    again = cpu.load(f"generation {slot}", ACQUIRE, name=f"holds {slot}: generation again")
    return str(text) if again == seen else ""


def find(cpu: Cpu) -> str:
    """find.h: hw_find, one round."""
    frees = cpu.load("frees", ACQUIRE, name="find: frees")
    found = ""
    if cpu.load("hash i", ACQUIRE, name="find: hash i"):
        found = holds(cpu, "i")
    if cpu.load("hash j", ACQUIRE, name="find: hash j"):
        found = found or holds(cpu, "j")
    if found:
        return found
    return ABSENT if cpu.load("frees", ACQUIRE, name="find: frees again") == frees else "again"


RESTARTED = {"frees": 0, "hash i": 0, "hash j": 1, "generation i": 2, "generation j": 1, "id i": "other", "id j": "old"}

FIND = Protocol(
    "find",
    "hw_find and hw_holds beside hw_fill and hw_free_locked",
    RESTARTED,
    (restart, find),
    lambda _, found: found in (ABSENT, "other"),
    {
        "fill: words:relaxed": FOLLOWED,
        "fill: hash:relaxed": FOLLOWED,
        "fill: generation:relaxed": elsewhere("place"),
        "find: hash i:relaxed": LATER,
        "holds i: generation:relaxed": elsewhere("refill"),
        "holds i: words:relaxed": elsewhere("refill"),
        "holds i: generation again:relaxed": LATER,
        "holds j: words:relaxed": elsewhere("refill"),
        "find: frees again:relaxed": LAST,
    },
)


def copy(cpu: Cpu) -> str:
    """copy.h: one pass of hw_copy_board, with hw_try_task for each slot. "again": it makes another pass."""
    frees = cpu.load("frees", ACQUIRE, name="copy: frees")
    found = []
    for slot in "ij":
        if not cpu.load(f"hash {slot}", ACQUIRE, name=f"copy: hash {slot}"):
            continue
        generation = cpu.load(f"generation {slot}", ACQUIRE, name=f"copy {slot}: generation")
        if not generation & 1:
            continue
        text = cpu.load(f"id {slot}", ACQUIRE, name=f"copy {slot}: words")
        if cpu.load(f"generation {slot}", ACQUIRE, name=f"copy {slot}: generation again") == generation:
            found.append(text)
    if "other" in found:
        return "other"
    if cpu.load("frees", ACQUIRE, name="copy: frees again") != frees:
        return "again"
    return "found" if found else ABSENT


COPY = Protocol(
    "copy",
    "hw_copy_board and hw_try_task beside hw_fill and hw_free_locked",
    RESTARTED,
    (restart, copy),
    lambda _, found: found in (ABSENT, "other"),
    {
        "fill: words:relaxed": FOLLOWED,
        "fill: hash:relaxed": FOLLOWED,
        "fill: generation:relaxed": elsewhere("place"),
        "copy: hash i:relaxed": LATER,
        "copy i: generation:relaxed": elsewhere("refill"),
        "copy i: words:relaxed": elsewhere("refill"),
        "copy i: generation again:relaxed": LATER,
        "copy j: words:relaxed": elsewhere("refill"),
        "copy: frees again:relaxed": LAST,
    },
)

# --- a handle or a copy that comes by the place, not by the hash


def fill(cpu: Cpu) -> None:
    """claim.h: hw_fill of a slot that held a task before."""
    cpu.store("id", "new", name="fill: words")
    cpu.store("generation", 3, name="fill: generation")


def by_place(cpu: Cpu) -> str:
    """bind.h: hw_try_bind; copy.h: hw_try_task."""
    if cpu.load("generation", ACQUIRE, name="place: generation") != 3:
        return "gone"
    return str(cpu.load("id", ACQUIRE, name="place: words"))


PLACE = Protocol(
    "place",
    "hw_fill beside hw_bind, hw_try_task and hw_holds",
    {"generation": 2, "id": "old"},
    (fill, by_place),
    lambda _, found: found == "old",
    {"fill: words:relaxed": FOLLOWED, "place: words:relaxed": LAST},
)


def refill(cpu: Cpu) -> None:
    """slots.h: hw_free_locked; after its rest claim.h: hw_fill of that slot."""
    cpu.store("generation", 2, name="free: generation")
    cpu.store("id", "new", name="fill: words")
    cpu.store("generation", 3, name="fill: generation")


def holds_whole(cpu: Cpu) -> tuple[int, str]:
    """find.h: hw_holds; copy.h: hw_try_task."""
    seen = cpu.load("generation", ACQUIRE, name="holds: generation")
    text = cpu.load("id", ACQUIRE, name="holds: words")
    if not seen & 1 or cpu.load("generation", ACQUIRE, name="holds: generation again") != seen:
        return 0, ""
    return seen, text


REFILL = Protocol(
    "refill",
    "hw_free_locked and hw_fill of one slot beside hw_holds and hw_try_task",
    {"generation": 1, "id": "old"},
    (refill, holds_whole),
    lambda _, seen: seen in ((1, "new"), (3, "old")),
    {"free: generation:relaxed": FOLLOWED, "holds: generation again:relaxed": elsewhere("find")},
)

# --- the latch


def write_twice(cpu: Cpu) -> None:
    """headway.h: hw_latch_flip and hw_store_words, as hw_write and hw_write_result call them; two transitions."""
    for n in (1, 2):
        for which in (0, 1):
            cpu.store("seq", 2 * n - 1 + which, name=f"write {n}: flip to {which}")
            for word in "ab":
                cpu.store(f"{word}{which}", n, name=f"write {n}: word {word}{which}")


def read_latch(cpu: Cpu) -> str:
    """headway.h: hw_latch_begin, hw_load_words, hw_latch_whole."""
    seen = cpu.load("seq", ACQUIRE, name="begin")
    words = [cpu.load(f"{word}{seen & 1}", ACQUIRE, name=f"word {word}") for word in "ab"]
    if cpu.load("seq", ACQUIRE, name="whole") != seen:
        return "again"
    return "mixed" if words[0] != words[1] else "whole"


LATCH = Protocol(
    "latch",
    "hw_latch_begin, hw_latch_whole, hw_latch_flip, hw_load_words, hw_store_words",
    {"seq": 0, "a0": 0, "b0": 0, "a1": 0, "b1": 0},
    (write_twice, read_latch),
    lambda _, seen: seen == "mixed",
    {"write 1: flip to 0:relaxed": FOLLOWED, "whole:relaxed": LAST},
)

# --- a finished task shows all its counts


def count_and_finish(cpu: Cpu) -> None:
    """headway.h: hw_count; then status.h: hw_write through the latch."""
    cpu.change("count", lambda _: 1, PLAIN)
    cpu.store("seq", 1, name="flip to 1")
    cpu.store("state 0", "success", name="word 0")
    cpu.store("seq", 2, name="flip to 0")
    cpu.store("state 1", "success", name="word 1")


def status_then_count(cpu: Cpu) -> tuple[str, int]:
    """copy.h: hw_copy_status; shares.h: hw_copy_stripe."""
    seen = cpu.load("seq", ACQUIRE, name="begin")
    state = cpu.load(f"state {seen & 1}", ACQUIRE, name="word")
    if cpu.load("seq", ACQUIRE, name="whole") != seen:
        return "again", 0
    return state, cpu.load("count", ACQUIRE, name="count")


FINISHED = Protocol(
    "finished",
    "hw_count and hw_write beside hw_copy_status and hw_copy_stripe",
    {"count": 0, "seq": 0, "state 0": "running", "state 1": "running"},
    (count_and_finish, status_then_count),
    lambda _, seen: seen == ("success", 0),
    {
        "flip to 1:relaxed": FOLLOWED,
        "flip to 0:relaxed": elsewhere("latch"),
        "word 1:relaxed": elsewhere("latch"),
        "begin:relaxed": elsewhere("latch"),
        "whole:relaxed": elsewhere("latch"),
        "count:relaxed": LAST,
    },
)

# --- the counters of a task are closed


def share_and_count(cpu: Cpu) -> bool:
    """bind.h: hw_use_stripe and hw_try_bind, without the lock; headway.h: hw_count. Was it counted?"""
    cpu.change("used", lambda _: 1, BOTH, name="use: bit")
    cpu.fence(RELEASE, name="bind: fence")
    tag, _ = cpu.change("count", lambda word: (7, 1) if word[0] == 7 else word, PLAIN)
    return bool(tag == 7)


def seal(cpu: Cpu) -> int:
    """stripes.h: hw_seal, and the sum by hw_total_count."""
    cpu.change("count", lambda word: (8, word[1]), ACQUIRE, name="seal: tag")
    if not cpu.load("used", ACQUIRE, name="sum: used"):
        return 0
    return int(cpu.load("count", ACQUIRE, name="sum: count")[1])


SEALED = Protocol(
    "sealed",
    "hw_use_stripe, hw_bind and hw_count beside hw_seal and hw_total_count",
    {"used": 0, "count": (7, 0)},
    (share_and_count, seal),
    lambda counted, last: last != counted,
    {
        "use: bit:acquire": "the fence after it orders it",
        "use: bit:release": "the fence after it orders it",
        "sum: used:relaxed": LAST,
        "sum: count:relaxed": LAST,
    },
)

# --- the item in hand: one writer, which goes from a text to a number and to another text


def take_up(cpu: Cpu) -> None:
    """items.h: hw_put_at_beat, then hw_put_words. The name of a text is its hash; here that is not looked at."""
    cpu.store("name", "number", name="number")
    cpu.store("name", "none", name="text: none")
    cpu.store("since", "b", name="text: since")
    cpu.store("word", "b", name="text: word")
    cpu.store("name", "b", name="text: name")


def load_item(cpu: Cpu) -> tuple[str, str, str]:
    """items.h: hw_load_item, one try."""
    name = str(cpu.load("name", ACQUIRE, name="item: name"))
    since = str(cpu.load("since", ACQUIRE, name="item: since"))
    word = str(cpu.load("word", ACQUIRE, name="item: word"))
    if cpu.load("name", ACQUIRE, name="item: name again") != name or name in ("none", "number"):
        return "", "", ""
    return name, since, word


ITEM = Protocol(
    "item",
    "hw_put_at_beat, hw_put_words and hw_drop_item beside hw_load_item",
    {"name": "a", "since": "a", "word": "a"},
    (take_up, load_item),
    lambda _, seen: len(set(seen)) > 1,
    {
        "number:relaxed": FOLLOWED,
        "text: none:relaxed": FOLLOWED,
        "item: name again:relaxed": LAST,
    },
)


def count_and_take_up(cpu: Cpu) -> None:
    """durations.h: hw_tick; then items.h: hw_put_at_beat."""
    cpu.store("beat", 2, PLAIN)
    cpu.store("name", 2, name="item")


def taken_up_when(cpu: Cpu) -> tuple[int, int]:
    """shares.h: hw_copy_stripe: the beat once more, after the name of an item that was taken up at it."""
    cpu.load("beat", ACQUIRE, name="copy: beat")
    name = int(cpu.load("name", ACQUIRE, name="copy: name"))
    return name, int(cpu.load("beat", ACQUIRE, name="copy: beat again"))


TAKEN_UP = Protocol(
    "taken up",
    "hw_tick and hw_put_at_beat beside hw_copy_stripe and hw_load_item",
    {"beat": 1, "name": 1},
    (count_and_take_up, taken_up_when),
    lambda _, seen: seen[1] < seen[0],
    {"copy: beat:relaxed": "the beat that counts is loaded after the name", "copy: beat again:relaxed": LAST},
)


def take_over(cpu: Cpu) -> None:
    """bind.h: hw_take_stripe of a dead worker's stripe; then items.h: hw_put_at_beat of its new worker."""
    cpu.store("item", "none", name="take: item")
    cpu.store("worker", 2, name="take: worker")
    cpu.store("item", 2, name="item")


def whose_item(cpu: Cpu) -> tuple[int, object]:
    """shares.h: hw_copy_stripe, one try."""
    worker = int(cpu.load("worker", ACQUIRE, name="copy: worker"))
    item = cpu.load("item", ACQUIRE, name="copy: item")
    if cpu.load("worker", ACQUIRE, name="copy: worker again") != worker:
        return 0, "none"
    return worker, item


ITEMS = Protocol(
    "item's",
    "hw_take_stripe and hw_put_at_beat beside hw_copy_stripe and hw_load_item",
    {"worker": 1, "item": 1},
    (take_over, whose_item),
    lambda _, seen: seen[1] not in ("none", seen[0]),
    {
        "take: item:relaxed": FOLLOWED,
        "copy: worker again:relaxed": LAST,
    },
)


def note_duration(cpu: Cpu) -> None:
    """durations.h: hw_note_duration: the word of its kind, then the bit by which readers find it."""
    cpu.change("many", lambda _: 1, PLAIN)
    cpu.change("timed", lambda _: 1, RELEASE, name="timed: bit")


def copy_durations(cpu: Cpu) -> tuple[int, int]:
    """copy.h: hw_try_task; shares.h: hw_copy_durations."""
    if not cpu.load("timed", ACQUIRE, name="copy: bits"):
        return 0, 0
    return 1, int(cpu.load("many", ACQUIRE, name="copy: many"))


TIMED = Protocol(
    "timed",
    "hw_note_duration beside hw_try_task and hw_copy_durations",
    {"timed": 0, "many": 0},
    (note_duration, copy_durations),
    lambda _, seen: seen == (1, 0),
    {"copy: many:relaxed": LAST},
)

# --- a block of counters is linked, and lent to another task


def link(cpu: Cpu) -> None:
    """pool.h: hw_fill_block and hw_link, of a block that was another task's; closed words have the next tag."""
    cpu.store("count", (8, 0), name="link: count")
    cpu.change("head", lambda _: 1, BOTH, name="link: head")


def sum_of_linked(cpu: Cpu) -> tuple[int, int]:
    """stripes.h: hw_total_count; shares.h: hw_copy_linked."""
    if not cpu.load("head", ACQUIRE, name="sum: head"):
        return 0, 0
    word: tuple[int, int] = cpu.load("count", ACQUIRE, name="sum: count")
    return word


LINK = Protocol(
    "link",
    "hw_fill_block and hw_link beside hw_counters_of, hw_next_block and hw_total_count",
    {"head": 0, "count": (8, 5)},
    (link, sum_of_linked),
    lambda _, seen: seen == (8, 5),
    {
        "link: count:relaxed": FOLLOWED,
        "link: head:release": "what a linker reads after it, its slot lock orders",
        "sum: count:relaxed": LAST,
    },
)


def free_owner(cpu: Cpu) -> None:
    """slots.h: hw_free_locked."""
    cpu.store("generation", 2, name="free: generation")


def lend(cpu: Cpu) -> str:
    """pool.h: hw_free_block with hw_has_blocks, hw_claim_block and hw_fill_block, for another task."""
    if cpu.load("generation", ACQUIRE, name="lend: generation") == 1:
        return "in use"
    cpu.change("owner", lambda _: "other", BOTH, name="lend: owner")
    cpu.store("count", "other's", name="lend: count")
    return "lent"


def sum_of_lent(cpu: Cpu) -> str:
    """stripes.h: hw_total_count without a lock, and the look at the generation after it."""
    if cpu.load("generation", ACQUIRE, name="sum: generation") != 1:
        return "gone"
    is_mine = cpu.load("owner", ACQUIRE, name="sum: owner") == "mine"
    count = str(cpu.load("count", ACQUIRE, name="sum: count")) if is_mine else "nothing"
    return count if cpu.load("generation", ACQUIRE, name="sum: generation again") == 1 else "gone"


LEND = Protocol(
    "lend",
    "hw_free_locked and hw_has_blocks, hw_claim_block, hw_fill_block beside hw_linked and hw_total_count",
    {"generation": 1, "owner": "mine", "count": "mine"},
    (free_owner, lend, sum_of_lent),
    lambda _free, _lent, seen: seen in ("other's", "nothing"),
    {
        "free: generation:relaxed": elsewhere("find"),
        "lend: generation:relaxed": "the compare and swap after it is a release",
        "lend: owner:acquire": "the look at the generation before it is an acquire",
        "lend: owner:release": "the look at the generation before it is an acquire",
        "lend: count:relaxed": "the look at the generation before it is an acquire",
        "sum: generation:relaxed": "read later, it says that the task is gone",
        "sum: generation again:relaxed": LAST,
    },
)

# --- the blocks of a task that has ended are taken back


def take_back(cpu: Cpu) -> None:
    """pool.h: hw_fold, under the slot lock: the sum, and then that it counts instead of the blocks."""
    cpu.store("folded", "mine", name="fold: sum")
    cpu.change("used", lambda _: "none", BOTH, name="fold: used")


def lend_folded(cpu: Cpu) -> str:
    """pool.h: hw_free_block with hw_has_blocks, hw_claim_block and hw_fill_block, for another task."""
    if cpu.load("used", ACQUIRE, name="lend: used") == "linked":
        return "in use"
    cpu.change("owner", lambda _: "other", BOTH, name="lend: owner")
    cpu.store("count", "other's", name="lend: count")
    return "lent"


def sum_of_folded(cpu: Cpu) -> str:
    """stripes.h: hw_count_with_blocks; copy.h: hw_try_task."""
    if cpu.load("used", ACQUIRE, name="sum: used") == "none":
        return str(cpu.load("folded", ACQUIRE, name="sum: folded"))
    is_mine = cpu.load("owner", ACQUIRE, name="sum: owner") == "mine"
    count = str(cpu.load("count", ACQUIRE, name="sum: count")) if is_mine else "nothing"
    return count if cpu.load("used", ACQUIRE, name="sum: used again") == "linked" else "again"


FOLD = Protocol(
    "fold",
    "hw_fold beside hw_has_blocks, hw_claim_block, hw_fill_block and hw_count_with_blocks, hw_kept_blocks, hw_folded",
    {"used": "linked", "folded": "nothing", "owner": "mine", "count": "mine"},
    (take_back, lend_folded, sum_of_folded),
    lambda _fold, _lent, seen: seen in ("other's", "nothing"),
    {
        "fold: sum:relaxed": FOLLOWED,
        "fold: used:release": "what is read after it, the slot lock orders",
        "lend: used:relaxed": "the compare and swap after it is a release",
        "lend: owner:acquire": "the look at the number of times before it is an acquire",
        "lend: owner:release": "the look at the number of times before it is an acquire",
        "lend: count:relaxed": "the look at the number of times before it is an acquire",
        "sum: folded:relaxed": LAST,
        "sum: used again:relaxed": LAST,
    },
)


def find_mine(cpu: Cpu) -> str:
    """bind.h: hw_find_mine without a lock. The tag of the handle."""
    if cpu.load("generation", ACQUIRE, name="find: generation") != 1:
        return "gone"
    if cpu.load("owner", ACQUIRE, name="find: owner") != "mine":
        return "none"
    tag = str(cpu.load("tag", ACQUIRE, name="find: tag"))
    if cpu.load("worker", ACQUIRE, name="find: worker") != "me":
        return "none"
    return tag if cpu.load("generation", ACQUIRE, name="find: generation again") == 1 else "gone"


def lend_to_me(cpu: Cpu) -> None:
    """pool.h: hw_free_block, hw_claim_block and hw_fill_block; bind.h: hw_take_stripe, on that task."""
    if cpu.load("generation", ACQUIRE, name="lend: generation") == 1:
        return
    cpu.change("owner", lambda _: "other", BOTH, name="lend: owner")
    cpu.store("tag", "other's", name="lend: tag")
    cpu.store("worker", "me", name="lend: worker")


REBIND = Protocol(
    "rebind",
    "hw_find_mine beside hw_free_locked, hw_has_blocks, hw_fill_block and hw_take_stripe",
    {"generation": 1, "owner": "mine", "tag": "mine", "worker": "me"},
    (free_owner, lend_to_me, find_mine),
    lambda _free, _lent, tag: tag == "other's",
    {
        "free: generation:relaxed": elsewhere("find"),
        "lend: generation:relaxed": "the compare and swap after it is a release",
        "lend: owner:acquire": "the look at the generation before it is an acquire",
        "lend: owner:release": "the look at the generation before it is an acquire",
        "lend: tag:relaxed": "the look at the generation before it is an acquire",
        "lend: worker:relaxed": "the look at the generation before it is an acquire",
        "find: generation:relaxed": "read later, it says that the task is gone",
        "find: owner:relaxed": "the tag decides",
        "find: worker:relaxed": LAST,
        "find: generation again:relaxed": LAST,
    },
)

# --- what the history has


def mark(cpu: Cpu) -> None:
    """slots.h: hw_mark_archived, under the slot lock."""
    cpu.store("archived count", 5, name="mark: count")
    cpu.store("archived", 1, name="mark: archived")


def is_archived(cpu: Cpu) -> tuple[int, int]:
    """stripes.h: hw_is_archived; copy.h: hw_try_task, for the record."""
    if not cpu.load("archived", ACQUIRE, name="archived"):
        return 0, 0
    return 1, cpu.load("archived count", ACQUIRE, name="archived count")


ARCHIVED = Protocol(
    "archived",
    "hw_mark_archived beside hw_is_archived and hw_try_task",
    {"archived": 0, "archived count": 0},
    (mark, is_archived),
    lambda _, seen: seen == (1, 0),
    {"mark: count:relaxed": FOLLOWED, "archived count:relaxed": LAST},
)

# --- of two who archive a task, which has copied later


def count_meanwhile(cpu: Cpu) -> None:
    """headway.h: hw_count, of a straggler."""
    cpu.change("count", lambda _: 4, PLAIN)


def first_archiver(cpu: Cpu) -> int:
    """copy.h: hw_try_task; then slots.h: hw_begin_archive. The count of its row."""
    count = cpu.load("count", ACQUIRE, name="first: count")
    cpu.store("copies", 1, name="first: copies")
    return int(count)


def next_archiver(cpu: Cpu) -> int:
    """slots.h: hw_is_owed; then copy.h: hw_try_task. The count of its row; -1: it was overtaken, and copies again."""
    if not cpu.load("copies", ACQUIRE, name="next: copies"):
        return -1
    return int(cpu.load("count", ACQUIRE, name="next: count"))


NUMBERED = Protocol(
    "numbered",
    "hw_begin_archive beside hw_is_owed and hw_try_task",
    {"copies": 0, "count": 3},
    (count_meanwhile, first_archiver, next_archiver),
    lambda _, row, later: later != -1 and later < row,
    {
        "first: count:relaxed": FOLLOWED,
        "first: copies:relaxed": "the acquire before it orders it, too",
        "next: count:relaxed": LAST,
    },
)

# --- a row of the table of processes changes hands


def take_row(cpu: Cpu) -> None:
    """identity.h: hw_take_row, from a dead process (1) to a new one (2)."""
    cpu.change("incarnation", lambda seen: 2 if seen == 1 else seen, BOTH, name="take: incarnation")
    cpu.store("name", 2, name="take: name")
    cpu.store("ready", 2, name="take: ready")


def read_row(cpu: Cpu) -> tuple[int, int]:
    """copy.h: hw_copy_workers. The process and the name that it lists."""
    me = cpu.load("incarnation", ACQUIRE, name="row: incarnation")
    if cpu.load("ready", ACQUIRE, name="row: ready") != me:
        return 0, 0
    name = cpu.load("name", ACQUIRE, name="row: name")
    if cpu.load("incarnation", ACQUIRE, name="row: incarnation again") != me:
        return 0, 0
    return me, name


ROW = Protocol(
    "row",
    "hw_take_row beside hw_copy_workers",
    {"incarnation": 1, "ready": 1, "name": 1},
    (take_row, read_row),
    lambda _, seen: seen[0] != seen[1],
    {
        "take: incarnation:acquire": "nothing of its own is before it, and the kernel orders what the dead one wrote",
        "take: incarnation:release": FOLLOWED,
        "row: incarnation:relaxed": "`ready` decides, which has to be the same",
        "row: incarnation again:relaxed": LAST,
    },
)

# --- the locks


def first_holder(cpu: Cpu) -> None:
    """lock.h: under a lock, then hw_slot_unlock; hw_unlock does the same with a compare and swap."""
    cpu.store("word", "written", PLAIN)
    cpu.load("other", PLAIN)
    cpu.store("lock", 0, name="unlock")


def next_holder(cpu: Cpu) -> str:
    """lock.h: hw_slot_lock: a look without order, then the compare and swap that decides."""
    if cpu.load("lock", PLAIN):
        return "busy"
    if cpu.change("lock", lambda seen: 2 if seen == 0 else seen, BOTH, name="lock"):
        return "busy"
    cpu.store("other", "of the next", PLAIN)
    return str(cpu.load("word", PLAIN))


LOCK = Protocol(
    "lock",
    "hw_slot_lock, hw_slot_try and hw_lock beside hw_slot_unlock and hw_unlock",
    {"lock": 1, "word": "old", "other": ""},
    (first_holder, next_holder),
    lambda _, seen: seen == "old",
    {
        "lock:acquire": "what a process does before it takes a lock is not what the lock guards; hw_unlock, and"
        " others that use hw_cas, need the release"
    },
)

# --- a board is removed while a process joins it


def announce(cpu: Cpu) -> str:
    """identity.h: hw_announce, then hw_in_use, the kernel's answer."""
    cpu.store("retired", 1, RELEASE, name="announce: word")
    cpu.fence(FULL, name="announce: fence")
    return "in use" if cpu.load("its byte", PLAIN) else "unused"


def join(cpu: Cpu) -> str:
    """identity.h: hw_register takes the byte from the kernel, then hw_retiring."""
    cpu.store("its byte", 1, PLAIN)
    cpu.fence(FULL, name="join: fence")
    return "stays out" if cpu.load("retired", ACQUIRE, name="join: word") else "joined"


RETIRE = Protocol(
    "retire",
    "hw_announce and hw_in_use beside hw_register and hw_retiring",
    {"retired": 0, "its byte": 0},
    (announce, join),
    lambda announced, joined: (announced, joined) == ("unused", "joined"),
    {
        "announce: word:relaxed": "the fence after it orders it before the look",
        "join: word:relaxed": "the fence before it orders it after the byte",
    },
)

# --- a stripe changes hands


def take_stripe(cpu: Cpu) -> None:
    """bind.h: hw_take_stripe and hw_give_handle, from one that left with 3 counts; headway.h: hw_count."""
    cpu.store("worker", 2, name="take: worker")
    cpu.store("base", 3, name="take: base")
    cpu.store("base of", 2, name="take: base of")
    cpu.fence(RELEASE, name="bind: fence")
    cpu.change("count", lambda _: 4, PLAIN)


def copy_stripe(cpu: Cpu) -> tuple[int, int]:
    """shares.h: hw_copy_stripe, then what hw_copy_share makes of it. The worker that it names, and its share."""
    worker = cpu.load("worker", ACQUIRE, name="copy: worker")
    base_of = cpu.load("base of", ACQUIRE, name="copy: base of")
    base = cpu.load("base", ACQUIRE, name="copy: base")
    count = cpu.load("count", ACQUIRE, name="copy: count")
    if cpu.load("worker", ACQUIRE, name="copy: worker again") != worker or base_of != worker:
        return worker, 0  # read again, or the share is not known
    return worker, count - base


STRIPE = Protocol(
    "stripe",
    "hw_take_stripe, hw_give_handle and hw_count beside hw_copy_stripe and hw_copy_share",
    {"worker": 1, "base of": 1, "base": 0, "count": 3},
    (take_stripe, copy_stripe),
    lambda _, seen: seen[1] < 0 or (seen[0] == 2 and seen[1] > 1) or (seen[0] == 1 and seen[1] > 3),
    {
        "take: worker:relaxed": "the fence orders it before the counts, and `base of` says whose the rest is",
        "take: base:relaxed": FOLLOWED,
        "copy: worker:relaxed": "read later, it is the new one, and `base of` says whose the rest is",
        "copy: base:relaxed": "read later, it is that of the new one, of whom `base of` did not tell",
        "copy: worker again:relaxed": LAST,
    },
)

# --- who died


def remember(cpu: Cpu) -> None:
    """stripes.h: hw_remember_lost."""
    cpu.store("entry", "whole", name="lost: entry")
    cpu.store("lost count", 1, name="lost: count")


def read_lost(cpu: Cpu) -> str:
    """shares.h: hw_copy_shares; stripes.h: hw_is_remembered."""
    if not cpu.load("lost count", ACQUIRE, name="copy: lost count"):
        return "none"
    return str(cpu.load("entry", ACQUIRE, name="copy: entry"))


DEAD = Protocol(
    "lost",
    "hw_remember_lost beside hw_copy_shares and hw_is_remembered",
    {"lost count": 0, "entry": "old"},
    (remember, read_lost),
    lambda _, seen: seen == "old",
    {"lost: entry:relaxed": FOLLOWED, "copy: entry:relaxed": LAST},
)

# --- a first result


def write_result(cpu: Cpu) -> None:
    """results.h: hw_write_result."""
    cpu.store("has result", 1, name="result: has")
    cpu.store("seq", 1, name="result: flip")


def copy_result(cpu: Cpu) -> tuple[int, int]:
    """copy.h: hw_try_task: the number first, then whether there is one."""
    return cpu.load("seq", ACQUIRE, name="copy: seq"), cpu.load("has result", ACQUIRE, name="copy: has")


RESULT = Protocol(
    "result",
    "hw_write_result beside hw_try_task",
    {"has result": 0, "seq": 0},
    (write_result, copy_result),
    lambda _, seen: seen == (1, 0),
    {"result: has:relaxed": FOLLOWED, "copy: has:relaxed": LAST},
)

PROTOCOLS = (
    FIND, COPY, PLACE, REFILL, LATCH, FINISHED, SEALED, ITEM, TAKEN_UP, ITEMS, TIMED, LINK, LEND, FOLD, REBIND,
    ARCHIVED,
    NUMBERED, ROW, LOCK, RETIRE, STRIPE, DEAD, RESULT,
)  # fmt: skip

# --- with more threads


def restart_back(cpu: Cpu) -> None:
    """Started anew twice: from slot j to slot i, and back."""
    restart(cpu)
    cpu.store("id j", "newest", name="fill: words")
    cpu.store("hash j", 1, name="fill: hash")
    cpu.store("generation j", 3, name="fill: generation")
    cpu.store("frees", 2, name="free: frees")
    cpu.store("generation i", 4, name="free: generation")
    cpu.store("hash i", 0, name="free: hash")


def twice(protocol: Protocol, *threads: Thread, wrong: Callable[..., bool]) -> Protocol:
    return Protocol(f"{protocol.name}, more", protocol.code, protocol.start, threads, wrong)


LONG = (
    twice(FIND, restart_back, find, wrong=FIND.wrong),
    twice(COPY, restart_back, copy, wrong=COPY.wrong),
    twice(FIND, restart, find, find, wrong=lambda _, *found: ABSENT in found or "other" in found),
    twice(LATCH, write_twice, read_latch, read_latch, wrong=lambda _, *seen: "mixed" in seen),
    twice(REFILL, refill, holds_whole, holds_whole, wrong=lambda _, *seen: any(REFILL.wrong(_, one) for one in seen)),
    twice(
        SEALED,
        share_and_count,
        share_and_count,
        seal,
        wrong=lambda one, other, last: last != (one or other),
    ),
)


def judged(number: int, weakened: str) -> tuple[str, str, str]:
    """How a protocol ends with one order weakened. By its number: a pool hands no functions on."""
    protocol = (*PROTOCOLS, *LONG)[number]
    wrong, reason = wrong_end(protocol, weakened), protocol.needless.get(weakened, "")
    if not weakened:
        verdict = f"WRONG: {wrong}" if wrong else "sound"
    elif wrong:
        verdict = f"WRONG: said to be needless, and found {wrong}" if reason else f"found: {wrong}"
    else:
        verdict = f"needless: {reason}" if reason else "WRONG: not found, and nothing says why it is needless"
    return protocol.name, weakened, verdict


def main() -> int:
    parser = argparse.ArgumentParser(prog="ci/models", description="Try the protocols on a weak machine.")
    parser.add_argument("protocol", nargs="*", help="names of protocols (default: all)")
    parser.add_argument("--long", action="store_true", help="also with more threads and rounds: some minutes")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="protocols at once (default: 2)")
    arguments = parser.parse_args()
    began = time.monotonic()
    asked = [(n, weak) for n, one in enumerate(PROTOCOLS) for weak in ("", *relaxations(one))]
    asked += [(len(PROTOCOLS) + n, "") for n in range(len(LONG))] if arguments.long else []
    if arguments.protocol:
        asked = [(n, weak) for n, weak in asked if (*PROTOCOLS, *LONG)[n].name in arguments.protocol]
    if not asked:
        sys.exit(f"ci/models: no such protocol: there are {', '.join(one.name for one in PROTOCOLS)}.")
    tally: Counter[str] = Counter()
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for name, weakened, verdict in pool.map(judged, *zip(*asked, strict=True)):
            tally[verdict.split(":")[0]] += 1
            print(f"{name:12} {weakened or 'as it is':36} {verdict}")
    print(f"\n{tally['WRONG']} wrong, in {time.monotonic() - began:.0f} s.")
    note = f"{tally['sound']} sound, {tally['found']} relaxations found, {tally['needless']} needless for a reason"
    print(json.dumps({"tried": sum(tally.values()), "of": "searches", "failed": tally["WRONG"], "note": note}))
    return 1 if tally["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
