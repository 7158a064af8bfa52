"""What `ci/faults` runs, a row each. A command is a program of this tree, or `pytest` with arguments."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ROWS", "Row"]


@dataclass(frozen=True)
class Row:
    """One way to try to break it. `long` is what `--long` runs, None = the same; the bounds are in seconds."""

    part: str
    what: str
    quick: tuple[str, ...]
    long: tuple[str, ...] | None = None
    bound_s: float = 120.0
    long_bound_s: float = 3600.0


MODELS, KILLS, STORMS = "models", "killed at every step", "kill storms"
SANITIZERS, FUZZING, WORLD = "sanitizers", "fuzzing", "environment"
ISOLATION, SOAK, UPGRADE = "isolation", "soak", "upgrade"

CRASHES, STORM = "tests/faults/test_crashes.py", "tests/faults/test_storm.py"
QUICK_STEPS = "lock.free or slot.status or lock.stop"
WRITES = ("tests/faults/test_history_crashes.py", "tests/faults/test_recorder_crashes.py")
INTRUDER = "tests/faults/isolation.py"
SANITIZED, UPGRADES = "tests/faults/sanitized.py", "tests/integration/test_upgrade.py"
PLANTED = (
    "tests/fuzz",
    "tests/faults/test_sanitized.py",
    "tests/faults/test_isolation.py",
    "tests/faults/test_scribble.py",
    "tests/faults/test_world.py",
    "tests/faults/test_killstorm.py",
    "tests/faults/test_fullboard.py",
    "tests/faults/test_instructions.py",
)
GUIDED, SCRIBBLE = "tests/fuzz/guided.py", "tests/faults/scribble.py"
FULL_PLACES = (
    "tests/unit/engine/test_segments.py", "tests/faults/test_history_crashes.py", "tests/integration/test_recorder.py",
    "-k", "full or inodes or just_enough or read_only",
)  # fmt: skip
TROUBLES = "tests/integration/test_recorder_troubles.py"
NATIVE, ATTACH = "tests/fuzz/native.py", "tests/fuzz/attach.py"

ROWS = [
    Row(
        MODELS,
        "lock, latch, slots, counters, archive, identity, election, one recorder, and mutants, with Spin",
        ("tests/models/check.py",),
        ("tests/models/check.py", "--long"),
        1200.0,
    ),
    Row(
        MODELS,
        "the protocols without locks on a machine of weak order, and each of their orders weakened",
        ("tests/models/protocols.py",),
        ("tests/models/protocols.py", "--long"),
        300.0,
    ),
    Row(
        KILLS,
        "claim, free, evict, restart, status, result, join, leave and repair, killed at each step that they name",
        ("pytest", CRASHES, "-m", "slow", "-k", QUICK_STEPS),
        ("pytest", CRASHES, "-m", "slow"),
        300.0,
    ),
    Row(
        KILLS,
        "each native call killed at each of its instructions, and who repairs after it at each of the repair's",
        ("tests/faults/crash_instructions.py",),
        ("tests/faults/crash_instructions.py", "--long"),
    ),
    Row(
        KILLS,
        "making, joining and removing a board, and starting a recorder, killed at each system call",
        ("tests/faults/crash_segment.py",),
        ("tests/faults/crash_segment.py", "--long"),
        300.0,
    ),
    Row(
        KILLS,
        "writing snapshots and histories, and the rest of a recorder's work, killed at each system call",
        ("pytest", *WRITES, "-m", "slow", "-k", "begin or finish"),
        ("pytest", *WRITES, "-m", "slow"),
        300.0,
    ),
    Row(
        STORMS,
        "threads that take themselves for processes, killed and stalled at the steps of the native code",
        ("pytest", STORM, "-m", "not slow"),
        ("pytest", STORM),
        300.0,
    ),
    Row(
        STORMS,
        "the C code compiled for aarch64, in the same storm under qemu, which shows nothing of the order of memory",
        ("pytest", "tests/faults/test_arm.py"),
        bound_s=300.0,
    ),
    Row(
        STORMS,
        "SIGKILLs, some of them after a SIGSTOP, of pools of 8, their programs, the creators of boards, and recorders",
        ("tests/faults/killstorm.py",),
        ("tests/faults/killstorm.py", "--long"),
        bound_s=300.0,
    ),
    Row(
        STORMS,
        "claims, counts and ends on a full board, some killed, also recorders: none dropped, each in the history once",
        ("tests/faults/fullboard.py", "--seconds", "6"),
        ("tests/faults/fullboard.py", "--seconds", "150"),
        bound_s=240.0,
    ),
    Row(
        SANITIZERS,
        "the extension under ThreadSanitizer, with threads that hold no GIL on one mapping",
        (SANITIZED, "thread", "--seconds", "3"),
        (SANITIZED, "thread", "--seconds", "150"),
        300.0,
    ),
    Row(
        SANITIZERS,
        "the extension under AddressSanitizer and UndefinedBehaviorSanitizer, with the same threads",
        (SANITIZED, "address", "--seconds", "3"),
        (SANITIZED, "address", "--seconds", "150"),
        300.0,
    ),
    Row(
        SANITIZERS,
        "the unit tests of the native modules under AddressSanitizer and UndefinedBehaviorSanitizer",
        (SANITIZED, "address", "--tests", "records", "series"),
        (SANITIZED, "address", "--tests"),
        300.0,
    ),
    Row(
        UPGRADE,
        "stored segments, snapshots and histories of every version: read by rule, or refused with the remedy",
        ("pytest", UPGRADES),
    ),
    Row(
        FUZZING,
        "the native code on a segment in which anything stands, and changes between two loads (libFuzzer)",
        (NATIVE, "--seconds", "10"),
        (NATIVE, "--seconds", "300"),
    ),
    Row(
        FUZZING,
        "faults that were planted for the sanitizers, the fuzzers, the storms and the others to find",
        ("pytest", "tests/fuzz/test_native.py", "-m", "slow", "-k", "length"),
        ("pytest", *PLANTED, "-m", "slow"),
    ),
    Row(
        FUZZING,
        "every bit of a segment's header flipped, every length; words at random with a right checksum",
        (ATTACH, "--seconds", "3"),
        (ATTACH, "--seconds", "120"),
    ),
    *(
        Row(FUZZING, what, (GUIDED, name, "--seconds", "2"), (GUIDED, name, "--seconds", "120"), 200.0)
        for name, what in (
            ("snapshots", "snapshot and result files, of this version and older ones (Atheris)"),
            ("histories", "history files: their bytes, and values of their rows (Atheris)"),
            ("ids", "ids, labels, stages and names of files made of them (Atheris)"),
            ("arguments", "command lines (Atheris)"),
            ("requests", "requests to the dashboard (Atheris)"),
        )
    ),
    Row(
        FUZZING,
        "a segment scribbled over while others count, claim, copy, record and attach, under AddressSanitizer",
        (SCRIBBLE, "--seconds", "5", "--sanitized"),
        (SCRIBBLE, "--seconds", "150", "--sanitized"),
        300.0,
    ),
    Row(
        ISOLATION,
        "another user tries all that the system has on every file of a board made under umask 000",
        (INTRUDER, "reach"),
    ),
    Row(
        ISOLATION,
        "another user was there first: in the temporary directory, in /dev/shm",
        (INTRUDER, "squat"),
    ),
    Row(
        ISOLATION,
        "links, pipes, folders and foreign files in the place of every file of a board's directory",
        (INTRUDER, "links", "--most", "25"),
        (INTRUDER, "links"),
    ),
    Row(
        WORLD,
        "system calls of making, restoring, using, writing, archiving and removing: ENOSPC, EIO, EMFILE, ENOMEM, EINTR",
        ("-m", "tests.faults.failing_calls", "--stride", "31"),
        ("-m", "tests.faults.failing_calls"),
        bound_s=240.0,
    ),
    Row(WORLD, "full and read-only file systems, and a full /dev/shm, mounted", ("pytest", *FULL_PLACES)),
    Row(
        WORLD,
        "Ctrl-C at the bytecodes of blocks, loops, claims, writes, reads, opening, closing, unlinking and leaving",
        ("-m", "tests.faults.interrupts", "--stride", "151"),
        ("-m", "tests.faults.interrupts", "--stride", "3"),
        bound_s=240.0,
    ),
    Row(
        WORLD,
        "malloc, calloc and realloc fail, of Python and of the native code",
        ("-m", "tests.faults.memory", "--stride", "41"),
        ("-m", "tests.faults.memory"),
        bound_s=240.0,
    ),
    Row(
        WORLD,
        "little memory: making, attaching, restoring, copying, writing, reading, claiming under a limit (RLIMIT_AS)",
        ("-m", "tests.faults.limits", "--steps", "2"),
        ("-m", "tests.faults.limits"),
    ),
    Row(
        WORLD,
        "places: denied system calls, a read-only root, no /dev/shm, no /proc, small ones; a loop never fails there",
        ("-m", "tests.faults.places"),
        ("-m", "tests.faults.places", "--long"),
    ),
    Row(
        WORLD,
        "no descriptor left: at open, attach, in a fork, while counting, for the recorder",
        ("-m", "tests.faults.descriptors"),
    ),
    Row(WORLD, "the wall clock steps by an hour, forward and back", ("-m", "tests.faults.clocks")),
    Row(
        WORLD,
        "segments, semaphores, directories vanish; processes stop, fork raw, are zombies, get pids that others had",
        ("-m", "tests.faults.vanished"),
    ),
    Row(
        WORLD,
        "a program with busy threads forks while each lock of ours and of SQLite is held, and at any moment",
        ("-m", "tests.faults.forks", "--seconds", "5"),
        ("-m", "tests.faults.forks", "--seconds", "150"),
        bound_s=240.0,
    ),
    Row(
        WORLD,
        "rights given up, roots changed, descriptors closed, mappings handed on: who counts is alive, nobody is robbed",
        ("pytest", "tests/integration/test_inheritance.py"),
    ),
    Row(
        WORLD,
        "containers with one directory that start at once: one has a board, others are told by whom; and are killed",
        ("-m", "tests.faults.containers", "--rounds", "2"),
        ("-m", "tests.faults.containers", "--rounds", "40"),
        bound_s=300.0,
    ),
    Row(
        WORLD,
        "a recorder without locks; its directory removed, renamed, replaced; paths of any length; old rows",
        ("pytest", TROUBLES, "-m", "not slow"),
        ("pytest", TROUBLES),
        300.0,
    ),
    Row(
        WORLD,
        "signals all the time over every call, and in the recorder",
        ("-m", "tests.faults.signals", "--seconds", "6"),
        ("-m", "tests.faults.signals", "--seconds", "120"),
    ),
    Row(
        WORLD,
        "hundreds of processes begin to count on one task at once, and three are killed",
        ("-m", "tests.faults.workers_at_once", "--workers", "64"),
        ("-m", "tests.faults.workers_at_once", "--workers", "512"),
        bound_s=240.0,
    ),
    Row(
        WORLD,
        "many boards, tasks, workers and threads",
        ("-m", "tests.faults.crowds"),
        ("-m", "tests.faults.crowds", "--long"),
    ),
    Row(
        SOAK,
        "churn of tasks and workers, killed and not: memory, descriptors, shared memory and disk stay flat",
        ("-m", "tests.faults.soak", "--seconds", "20"),
        ("-m", "tests.faults.soak", "--long"),
    ),
]
