"""Threads that take themselves for processes, killed and stalled at the steps of the native code, thousands a second.

See storm.c. It is compiled with the headers of the package; only the rest of a freed slot is cut from 100 ms to 1 ms,
so that slots change hands a hundred times as often, the grace of a shared counter from 5 s to 50 ms, and the shortest
duration that is noted from 17 ms to less than a tick of the clock. The same storm
has to find what is planted: broken variants of the headers, each of which is a mistake that somebody could make.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.faults.planted import Edit, plant

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "src" / "headway"
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
HURRY = (
    ("native/lock.h", "HW_REST_NS 100000000ull", "HW_REST_NS 1000000ull"),
    ("native/lost.h", "HW_SHARED_GRACE_NS 5000000000ull", "HW_SHARED_GRACE_NS 50000000ull"),
    ("native/pool.h", "HW_BLOCK_REST_NS 20000000ull", "HW_BLOCK_REST_NS 0ull"),
    ("native/pool.h", "HW_NO_BLOCK_NS 2000000ull", "HW_NO_BLOCK_NS 0ull"),
    ("native/bind.h", "HW_SHARING_TICKS 15u", "HW_SHARING_TICKS 0u"),
    ("native/durations.h", "HW_NAMING_NS 1000000000u", "HW_NAMING_NS 20000000u"),
    ("include/headway_layout.h", "#define HW_DURATION_SHIFT 24 ", "#define HW_DURATION_SHIFT 12 "),
)
# As if a slot had no counters, and a block two: then six workers use blocks. And the pool is so small that those of
# tasks that have ended are taken back.
CROWDED = (
    ("native/bind.h", "for (uint32_t i = 0; i < HW_STRIPES; i++) {", "for (uint32_t i = 0; i < 0; i++) {"),
    ("native/blocks.h", "(((uint64_t)1 << HW_BLOCK_STRIPES) - 1)", "(uint64_t)3"),
    ("native/board.h", "return HW_BLOCKS + capacity / 4;", "return HW_BLOCKS + 4;"),
    ("include/headway_layout.h", "#define HW_BLOCKS 34 ", "#define HW_BLOCKS 3 "),
    ("native/bind.h", "#define HW_KEPT_BLOCKS 4 ", "#define HW_KEPT_BLOCKS 2 "),
)
How = tuple[int, int, int, int]

# Kill one step in, stall one step in, slots, with a semaphore: many kills, without what makes them take turns; many
# stalls; and a board so small that it has to make room.
KILLS, STALLS, SMALL = (1000, 5000, 64, 0), (4000, 1000, 64, 1), (4000, 1000, 6, 1)


def build(folder: Path, *edits: Edit, flags: tuple[str, ...] = ("-O2",), compiler: str = COMPILER) -> Path:
    """The storm, compiled with the headers as edited."""
    headers = folder / "headers"
    for name in ("include", "native"):
        shutil.copytree(PACKAGE / name, headers / name)
    plant(headers, (*HURRY, *edits))
    binary = folder / "storm"
    command = [compiler, "-std=gnu11", "-w", *flags, "-D_GNU_SOURCE", "-DHW_HOOKS", "-pthread"]
    paths = [f"-I{headers / 'include'}", f"-I{headers / 'native'}", str(HERE / "storm.c"), "-o", str(binary)]
    subprocess.run([*command, *paths], check=True, timeout=500)
    return binary


def storm(binary: Path, seconds: float, how: How) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["setarch", "-R", binary, str(seconds), "6", *map(str, how)],  # TSan knows no randomised addresses
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1"},
    )


FLAGS = [
    pytest.param(("-O2",), id="as shipped"),
    pytest.param(("-O1", "-fsanitize=thread"), id="threads", marks=pytest.mark.slow),
    pytest.param(
        ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"), id="addresses", marks=pytest.mark.slow
    ),
]


@pytest.fixture(scope="module", params=FLAGS)
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("storm"), flags=request.param)


@pytest.fixture(scope="module", params=FLAGS)
def crowded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("crowded"), *CROWDED, flags=request.param)


HOWS = pytest.mark.parametrize("how", [KILLS, STALLS, SMALL], ids=["kills", "stalls", "a small board"])


@HOWS
def test_no_promise_is_broken_in_a_storm_of_kills(sound: Path, how: How) -> None:
    enough_happens(sound, how)


@HOWS
def test_no_promise_is_broken_where_all_counters_are_in_blocks(crowded: Path, how: How) -> None:
    enough_happens(crowded, how, links=50, taken_back=10, taken_over=10)


def enough_happens(binary: Path, how: How, **more: int) -> None:
    """Run for longer where a busy machine let too little happen."""
    tried: dict[str, int] = {}
    enough = {
        "kills": 20,
        "claims": 100,
        "archives": 50,
        "stalls": 0,
        "writes": 0,
        "copies": 0,
        "resumes": 0,
        "repairs": 0,
        "items": 100,
        "timed": 10,
        **more,
    }
    for seconds in (1.5, 5, 20):
        done = storm(binary, seconds, how)
        assert done.returncode == 0, done.stdout + done.stderr
        tried = json.loads(done.stdout)
        if all(tried[what] > times for what, times in enough.items()):
            return
    raise AssertionError(f"not enough came to pass: {tried}")


MISTAKES: dict[str, tuple[How, tuple[Edit, ...]]] = {
    "a dead holder's lock is not followed by a repair": (
        KILLS,
        (("native/lock.h", "            if (seen) hw_repair(board);\n", ""),),
    ),
    "lists that a dead holder left are not made anew": (
        KILLS,
        (
            (
                "native/lock.h",
                "    hw_make_lists(board);\n    hw_uncount_gone(board);\n",
                "    hw_uncount_gone(board);\n",
            ),
        ),
    ),
    "a slot that is freed stays in the chain of its hash": (
        STALLS,
        (("native/lists.h", "            hw_store(link, hw_peek(&board->nexts[index]));\n", ""),),
    ),
    "a living holder is robbed": (KILLS, (("native/lock.h", "hw_dead(board, seen)) &&", "now % 64 == 0) &&"),)),
    "the owner is written in two steps": (
        KILLS,
        (
            (
                "native/lock.h",
                "hw_cas(&header->lock_owner, seen, me)) {",
                "(hw_store(&header->lock_owner, me), 1)) {",
            ),
        ),
    ),
    "a dead writer's record is not mended": (KILLS, (("native/lock.h", "    if (seen) hw_mend(board, slot);\n", ""),)),
    "a record is written where it is read": (
        KILLS,
        (
            (
                "native/status.h",
                "    hw_latch_flip(&control->status_seq);\n    hw_apply(copy0",
                "    hw_apply(copy0",
            ),
            (
                "native/status.h",
                "    hw_latch_flip(&control->status_seq);\n    hw_apply(copy1",
                "    hw_apply(copy1",
            ),
        ),
    ),
    "a reader does not look whether its copy was left alone": (
        KILLS,
        (("include/headway.h", "{ return hw_load(seq) == seen; }", "{ return (void)seq, (void)seen, 1; }"),),
    ),
    "a count does not look at its tag": (
        KILLS,
        (
            (
                "include/headway.h",
                "if (HW_UNLIKELY(old >> HW_TAG_SHIFT != tag)) return HW_STALE;",
                "tag = old >> HW_TAG_SHIFT;",
            ),
        ),
    ),
    "a task is published before it is whole": (
        KILLS,
        (
            (
                "native/claim.h",
                "    hw_store(&board->header->next_serial, serial);\n",
                "    hw_store(&board->header->next_serial, serial);\n    hw_store(&control->generation, generation);\n",
            ),
        ),
    ),
    "a task that is started anew is not locked": (
        STALLS,
        (
            (
                "native/claim.h",
                "        replaced = slot;\n",
                "        hw_slot_unlock(slot);\n        replaced = slot;\n",
            ),
            ("native/claim.h", "if (replaced) hw_free_locked(board, old);", "if (replaced) hw_free(board, old);"),
            ("native/claim.h", "    if (replaced) hw_slot_unlock(replaced); /*", "    /*"),
        ),
    ),
    "a task's counters are added up before they are closed": (
        STALLS,
        (("native/slots.h", "    hw_seal(board, slot);\n    return hw_is", "    return hw_is"),),
    ),
    "a slot is freed while its counters are open": (
        SMALL,
        (
            ("native/slots.h", "    hw_seal(board, slot);\n    return hw_is", "    return hw_is"),
            ("native/slots.h", "    hw_seal(board, slot); /* invariant 5", "    /* invariant 5"),
        ),
    ),
    "counts that came after the archive are not looked for": (
        SMALL,
        (("native/slots.h", "return hw_is_archived(board, slot) ? HW_OK", "return hw_is_noted(slot) ? HW_OK"),),
    ),
    "the counters of a task that goes on stay closed": (
        SMALL,
        (
            (
                "native/status.h",
                "next.state : change->was)) hw_unseal(board, slot);",
                "next.state : change->was)) (void)0;",
            ),
        ),
    ),
    "counters of a block have the tag of the slot": (
        KILLS,
        (
            *CROWDED,
            (
                "native/pool.h",
                "uint64_t generation = (hw_peek(&block->generation) + 2) | 1,",
                "uint64_t generation = hw_peek(&control->generation),",
            ),
        ),
    ),
    "a block is lent while its task has its slot": (
        KILLS,
        (
            *CROWDED,
            (
                "native/pool.h",
                "if (*seen && hw_has_blocks(board, *seen) && !(taking && hw_take_back(board, *seen))) continue;",
                "",
            ),
        ),
    ),
    "a block that is being linked is not noted": (
        KILLS,
        (*CROWDED[:2], ("native/pool.h", "        hw_store(&control->linking, link);", "        (void)link;")),
    ),
    "a block that is linked hides the one before it": (
        KILLS,
        (
            *CROWDED,
            (
                "native/pool.h",
                "hw_store(&block->next, hw_peek(&control->stripes_used) >> HW_LINK_SHIFT);",
                "hw_store(&block->next, 0);",
            ),
        ),
    ),
    "the counters in blocks are not closed": (
        STALLS,
        (
            *CROWDED,
            (
                "native/stripes.h",
                'while ((stripe = hw_next_stripe(&it)) != NULL) {\n            HW_STEP("seal");',
                'while (it.left && (stripe = hw_next_stripe(&it)) != NULL) {\n            HW_STEP("seal");',
            ),
        ),
    ),
    "blocks are taken back of a task that is not closed": (
        STALLS,
        (*CROWDED, ("native/pool.h", "        hw_seal(board, slot);\n", "")),
    ),
    "the blocks that were taken back are not counted": (
        SMALL,
        (*CROWDED, ("native/blocks.h", "= it->folds ? (int64_t)hw_load", "= 0 ? (int64_t)hw_load")),
    ),
    "blocks are taken back, and nothing says so": (
        SMALL,
        (*CROWDED, ("native/pool.h", "| next << HW_FOLDS_SHIFT", "| (next - 1) << HW_FOLDS_SHIFT")),
    ),
    "blocks are taken back without the lock of their task": (
        STALLS,
        (*CROWDED, ("native/pool.h", "hw_slot_try(board, slot) != HW_OK) return 0;", "0) return 0;")),
    ),
    "who takes a dead worker's counter has what that one counted": (
        KILLS,
        (*CROWDED, ("native/bind.h", "(uint64_t)hw_count_of(hw_load(&stripe->count)));", "0);")),
    ),
    "who takes a dead worker's counter has what that one had in hand": (
        KILLS,
        (*CROWDED, ("native/bind.h", "    hw_store(&stripe->name, 0); /*", "    /*")),
    ),
    "the text of an item is told, whatever it says": (
        STALLS,
        (("native/items.h", "hw_item_hash(to->since, to->text) == (name & HW_VALUE_MASK)", "1"),),
    ),
    "a task has the durations of the one that had its slot before": (
        STALLS,
        (
            ("native/claim.h", "    hw_begin_durations(slot, hw_tag(generation));\n", ""),
            (
                "native/shares.h",
                "uint64_t tag = hw_tag(generation), word;",
                "uint64_t tag = hw_load(&from->items) >> HW_TAG_SHIFT, word;",
            ),
            ("native/copy.h", "timed = hw_load(&control->timed);", "timed = HW_UNTIMED - 1;"),
            (
                "native/bind.h",
                "task->durations = hw_durations_in(slot, hw_tag(generation));",
                "task->durations = hw_durations_in(slot, 0);",
            ),
        ),
    ),
    "a copy looks once at a board that moves": (KILLS, (("native/copy.h", "tries < 8", "tries < 1"),)),
    "a stage log is read to its last place": (
        STALLS,
        (("native/copy.h", "n > HW_STAGES - 1 ? n - (HW_STAGES - 1) : 0", "n > HW_STAGES ? n - HW_STAGES : 0"),),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_storm_finds(mistake: str, tmp_path: Path) -> None:
    how, edits = MISTAKES[mistake]
    binary = build(tmp_path, *edits)
    assert any(storm(binary, 5, how).returncode == 1 for _ in range(6))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sanitizer", "edit", "report"),
    [
        (
            "thread",
            (
                "include/headway.h",
                "{ __atomic_store_n((hw_word *)word, value, __ATOMIC_RELEASE); }",
                "{ *(hw_word *)word = value; }",
            ),
            "ThreadSanitizer: data race",
        ),
        (
            "address,undefined",
            ("native/copy.h", "results + hw_align(bytes, 8);", "results + bytes;"),
            "misaligned address",
        ),
    ],
)
def test_a_sanitizer_finds(sanitizer: str, edit: Edit, report: str, tmp_path: Path) -> None:
    flags = ("-O1", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all")
    done = storm(build(tmp_path, edit, flags=flags), 5, KILLS)
    assert done.returncode != 0
    assert report in done.stderr
