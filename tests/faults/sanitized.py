"""The extension itself under a sanitizer: threads that hold no GIL, at once, on one mapping.

    sanitized.py address|thread [--seconds S] [--seed N] [--mistake NAME]
    sanitized.py address --tests [core ...]

Builds the package with SANITIZE into a folder apart, and runs this file again with that package and the sanitizer's
library. Threads count through hw_add in C; claim, end and free tasks; write statuses and results; copy the board and
single tasks; look tasks up: all that the .pyx does without the GIL is at work at the same time as all that it does with
it. Whatever a sanitizer reports ends the process with an error, and so does a count that is not right in the end.
--mistake plants a fault in a copy of the sources, which has to be found; --tests runs the native unit tests so.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.planted import Edit, plant

ROOT = Path(__file__).resolve().parents[2]
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
LIBRARIES = {"address": "libasan.so", "thread": "libtsan.so"}
FLAGS = {
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
    "thread": ["-fsanitize=thread"],
}
OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "halt_on_error=1 exitcode=66"}

# (sanitizer, what somebody could have written, what the report says)
MISTAKES: dict[str, tuple[str, Edit, str]] = {
    "words are stored as plain ones": (
        "thread",
        (
            "include/headway.h",
            "{ __atomic_store_n((hw_word *)word, value, __ATOMIC_RELEASE); }",
            "{ *(hw_word *)word = value; }",
        ),
        "data race",
    ),
    "a beat is stored as a plain word": (
        "thread",
        (
            "native/durations.h",
            "    __atomic_store_n(&stripe->beat_ns, now_ns, __ATOMIC_RELAXED);",
            "    stripe->beat_ns = now_ns;",
        ),
        "data race",
    ),
    "a result is copied one word too far": (
        "address",
        (
            "native/results.h",
            "        hw_load_words(json, from + 8, hw_align(n, 8));\n        if (hw_latch_whole(word, seen)) {",
            "        hw_load_words(json, from + 8, hw_align(n, 8) + 64);\n        if (hw_latch_whole(word, seen)) {",
        ),
        "heap-buffer-overflow",
    ),
    "records are not aligned": (
        "address",
        (
            "native/copy.h",
            "copy->results.bytes = results + hw_align(bytes, 8);",
            "copy->results.bytes = results + bytes;",
        ),
        "misaligned address",
    ),
}

TESTS = (  # of the native modules
    "core_model", "counter", "lost", "native_task", "place", "presence", "rates", "records", "segment", "series",
    "slot", "status", "task_table", "tracker",
)  # fmt: skip

KERNEL = """
#include "headway.h"
int add(hw_task *task, int64_t n, int64_t times) {
    int answer = HW_OK;
    while (times-- > 0) answer |= hw_add(task, n);
    return answer;
}
"""


# ----------------------------------------------------------------------------------------------------------- building


def build(sanitizer: str, folder: Path | None = None, mistake: str | None = None) -> Path:
    """A folder for PYTHONPATH with the package built so. Without a folder it stays, and only changes are built anew."""
    folder = folder or ROOT / "build" / "sanitized" / f"{sanitizer}-{sys.implementation.cache_tag}"
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / file, folder)
    unwanted = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "static")
    shutil.copytree(ROOT / "src", folder / "src", dirs_exist_ok=True, ignore=unwanted)
    if mistake is not None:
        plant(folder / "src" / "headway", [MISTAKES[mistake][1]])
    command = [sys.executable, "setup.py", "--quiet", "build", "--build-lib", "library"]
    environment = {**os.environ, "SANITIZE": sanitizer, "PYTHONWARNINGS": "ignore"}
    environment.pop("LD_PRELOAD", None)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    if done.returncode:
        raise SystemExit(f"sanitized: the build failed:\n{done.stdout}{done.stderr}")
    source, binary = folder / "kernel.c", folder / "kernel.so"
    source.write_text(KERNEL)
    paths = [f"-I{folder / 'src' / 'headway' / 'include'}", "-o", str(binary), str(source)]
    subprocess.run([COMPILER, "-g", "-O1", "-shared", "-fPIC", *FLAGS[sanitizer], *paths], check=True, timeout=500)
    return folder


def environment_of(sanitizer: str, folder: Path) -> dict[str, str]:
    """What a process needs that loads the package of this folder."""
    asked = [COMPILER, f"-print-file-name={LIBRARIES[sanitizer]}"]
    library = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=500).stdout.strip()
    return {
        **os.environ,
        **OPTIONS,
        "LD_PRELOAD": library,
        "PYTHONPATH": os.pathsep.join((str(folder / "library"), str(ROOT))),
        "PYTHONMALLOC": "malloc",
    }


# ------------------------------------------------------------------------------------------------------------ at work


def work(folder: Path, seconds: float, seed: int) -> Counter[str]:
    """What the threads did; AssertionError where what they counted is not there."""
    from headway import errors
    from headway.engine.board import open_board
    from headway.native import core

    if not str(core.__file__).startswith(str(folder)):
        raise SystemExit(f"sanitized: {core.__file__} is not the package that was built")
    kernel = ctypes.CDLL(str(folder / "kernel.so"))
    kernel.add.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    board = open_board(f"sanitized-{os.getpid()}", capacity=24, workers=8, result_bytes=256)
    segment, until = board._segment, time.monotonic() + seconds
    shared = [board.task(f"shared-{number}", total=10**12) for number in range(3)]
    natives = [task.native() for task in shared]
    did: Counter[str] = Counter()
    added, failed, guard = Counter[int](), list[BaseException](), threading.Lock()

    def go(function: Any, number: int) -> None:
        chance, count = random.Random(seed * 100 + number), 0
        try:
            while time.monotonic() < until and not failed:
                function(chance, number)
                count += 1
        except BaseException as error:  # noqa: BLE001 - the main thread tells
            failed.append(error)
        with guard:
            did[function.__name__] += count

    def counts(chance: random.Random, _: int) -> None:
        which, times = chance.randrange(3), chance.randrange(1, 3000)
        assert kernel.add(natives[which].address, 2, times) == 0
        with guard:
            added[which] += 2 * times

    def writes(chance: random.Random, number: int) -> None:
        task = shared[chance.randrange(3)]
        task.set(
            stage=f"stage {chance.randrange(40)}", message="m" * chance.randrange(150), metrics={"a": chance.random()}
        )
        task._write_result(b'{"said": "%s"}' % (b"x" * chance.randrange(200)))
        assert task.stage.startswith("stage")
        assert task._read_result()[0].startswith(b'{"said"')

    def claims(chance: random.Random, number: int) -> None:
        task = board.task(f"of-{number}-{chance.randrange(4)}", total=5)
        task.update(3)
        task.set(stage="begun")
        task.succeed()
        if chance.random() < 0.3:
            segment.free(*task._where, 2**63)

    def copies(chance: random.Random, _: int) -> None:
        view = board.snapshot() if chance.random() < 0.5 else None
        for task in view.tasks if view is not None else board.tasks():
            assert task.id.startswith(("shared", "of"))
            assert not task.id.startswith("shared") or task.count % 2 == 0
        segment.copy(results=False)

    def looks(chance: random.Random, _: int) -> None:
        found = board.get(f"shared-{chance.randrange(3)}")
        assert found is not None
        assert found.count % 2 == 0
        segment.finished(8)
        segment.abandoned()

    def merges(chance: random.Random, number: int) -> None:
        try:
            task = board.attach(f"of-{chance.choice(claimers)}-{chance.randrange(4)}")
            task.update(0)
            for slot, generation, number in segment.owed([task._where]):
                segment.begin_archive(slot, generation, number)
                segment.mark_archived(slot, generation, number, 4, task.count)
        except errors.UnknownTask:
            return  # not there just now
        with guard:
            did["joins"] += 1

    crew: tuple[Any, ...] = (counts, counts, writes, writes, claims, claims, copies, looks, merges)
    claimers = [number for number, one in enumerate(crew) if one is claims]
    threads = [threading.Thread(target=go, args=(one, number)) for number, one in enumerate(crew)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        if failed:
            raise failed[0]
        for which, task in enumerate(shared):
            assert task.count == added[which], f"{task.count} are there of {added[which]}"
    finally:
        board.remove(files=True)
    assert all(did[what] for what in ("joins", *(one.__name__ for one in crew))), f"not everything was done: {did}"
    return did


# --------------------------------------------------------------------------------------------------------- the program


def run(sanitizer: str, folder: Path, seconds: float, seed: int) -> subprocess.CompletedProcess[str]:
    """Run this file again, sanitized. ThreadSanitizer knows no randomised addresses: setarch -R."""
    command = ["setarch", "-R", sys.executable, str(Path(__file__).resolve()), sanitizer, "--work", str(folder)]
    with tempfile.TemporaryDirectory() as state:
        environment = environment_of(sanitizer, folder) | {"HEADWAY_DIR": state, "HEADWAY_RECORD": "0"}
        return subprocess.run(
            [*command, "--seconds", str(seconds), "--seed", str(seed)],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds * 20 + 120,
            check=False,
        )


def run_tests(sanitizer: str, folder: Path, names: Sequence[str]) -> tuple[int, int, str]:
    """The native unit tests on the package of this folder: how many passed, the exit code, what was said."""
    environment = environment_of(sanitizer, folder)
    where = [sys.executable, "-c", "from headway.native import core; print(core.__file__)"]
    found = subprocess.run(where, env=environment, capture_output=True, text=True, timeout=500, check=True).stdout
    if not found.startswith(str(folder)):
        raise SystemExit(f"sanitized: {found.strip()} is not the package that was built")
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "timeout=600",
        *(f"tests/unit/native/test_{name}.py" for name in names),
    ]
    command = ["setarch", "-R", sys.executable, "-m", "pytest", *options]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace", timeout=1800, check=False
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    return int(passed[1]) if passed else 0, done.returncode, done.stdout + done.stderr


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sanitizer", choices=tuple(LIBRARIES))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--mistake", choices=tuple(MISTAKES))
    parser.add_argument("--tests", nargs="*", choices=TESTS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        print(json.dumps(work(given.work, given.seconds, given.seed)))
        return 0
    if given.tests is not None:
        passed, code, said = run_tests(given.sanitizer, build(given.sanitizer), given.tests or TESTS)
        if code:
            print(said[-8000:], file=sys.stderr)
        print(json.dumps({"tried": passed, "of": "tests", "failed": int(code != 0), "note": ""}))
        return int(code != 0)
    with tempfile.TemporaryDirectory(prefix="headway-sanitized-") as name:
        folder = build(given.sanitizer, Path(name) if given.mistake else None, given.mistake)
        done = run(given.sanitizer, folder, given.seconds, given.seed)
    if done.returncode:
        print(f"{done.stderr[:8000]}\n{done.stdout[-1000:]}", file=sys.stderr)
        print(f"sanitized: repeat with: sanitized.py {given.sanitizer} --seed {given.seed}", file=sys.stderr)
        did = Counter({"runs": 1})
    else:
        did = Counter(json.loads(done.stdout.splitlines()[-1]))
    note = ", ".join(f"{number:,} {what}" for what, number in did.items())
    report = {"tried": did.total(), "of": "calls", "failed": int(done.returncode != 0), "note": note}
    print(json.dumps(report))
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
