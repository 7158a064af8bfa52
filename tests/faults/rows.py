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
LOCK_AND_SLOT = "kill_at_any_step or stopped_holder"
QUICK_STEPS = "lock.free or slot.status or lock.stop"
INTRUDER = "tests/faults/isolation.py"
SANITIZED, UPGRADES = "tests/faults/sanitized.py", "tests/integration/test_upgrade.py"
PLANTED = (
    "tests/fuzz",
    "tests/faults/test_sanitized.py",
    "tests/faults/test_isolation.py",
    "tests/faults/test_scribble.py",
)
GUIDED, SCRIBBLE = "tests/fuzz/guided.py", "tests/faults/scribble.py"
NATIVE, ATTACH = "tests/fuzz/native.py", "tests/fuzz/attach.py"

ROWS = [
    Row(
        MODELS,
        "lock, latch, slots and election, and mutants of them, with Spin",
        ("tests/models/check.py",),
        bound_s=600.0,
    ),
    Row(
        KILLS,
        "claim, free, evict, restart, status, result, join, leave and repair, killed at each step that they name",
        ("pytest", CRASHES, "-m", "slow", "-k", QUICK_STEPS),
        ("pytest", CRASHES, "-m", "slow", "-k", LOCK_AND_SLOT),
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
        STORMS,
        "threads that take themselves for processes, killed and stalled at the steps of the native code",
        ("pytest", STORM, "-m", "not slow"),
        ("pytest", STORM),
        300.0,
    ),
    Row(
        STORMS,
        "SIGKILLs, some of them after a SIGSTOP, of pools of 8, their programs, the creators of boards, and recorders",
        ("tests/faults/killstorm.py",),
        ("tests/faults/killstorm.py", "--long"),
        bound_s=300.0,
    ),
    Row(
        SANITIZERS,
        "the extension under ThreadSanitizer, with threads that hold no GIL on one mapping",
        (SANITIZED, "thread", "--seconds", "5"),
        (SANITIZED, "thread", "--seconds", "300"),
        300.0,
    ),
    Row(
        SANITIZERS,
        "the extension under AddressSanitizer and UndefinedBehaviorSanitizer, with the same threads",
        (SANITIZED, "address", "--seconds", "5"),
        (SANITIZED, "address", "--seconds", "300"),
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
        (NATIVE, "--seconds", "600"),
    ),
    Row(
        FUZZING,
        "faults that were planted for the sanitizers, the fuzzers and the intruder to find",
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
        Row(FUZZING, what, (GUIDED, name, "--seconds", "2"), (GUIDED, name, "--seconds", "600"), 200.0)
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
        (SCRIBBLE, "--seconds", "300", "--sanitized"),
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
        (INTRUDER, "links", "--most", "40"),
        (INTRUDER, "links"),
    ),
]
