"""The C code on another architecture: compiled for aarch64, and run on a processor that qemu emulates.

It shows that the code is right there in all but the order of memory: layout, words, shifts and signs, system calls,
atomics as the compiler makes them. It shows nothing of the order: qemu translates to instructions of this machine,
which keeps more of it than ARM does. What a weak order does is tried in tests/models/protocols.py.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.test_storm import KILLS, PACKAGE, SMALL, How, build

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
COUNTING = """
#include <stdio.h>
#include "headway.h"

static int none(int clock, struct timespec *now) {
    return clock_gettime(clock, now);
}

static void untimed(const hw_task *task, int64_t n, uint64_t now_ns) {
    (void)n;
    task->stripe->beat_ns = now_ns;
}

int main(void) {
    static const hw_calls calls = {untimed, NULL, NULL};
    static hw_stripe stripe;
    static uint64_t identity = 3;
    hw_task task = {&stripe, &identity, 3, hw_tag(0x1ffff), none, &calls, 0};
    char text[16], from[16] __attribute__((aligned(8))) = "seven b";
    hw_batch batch = {&task, 0, 4};
    stripe.count = task.tag << HW_TAG_SHIFT;
    for (int i = 0; i < 10; i++) hw_batch_add(&batch, 1);
    hw_flush(&batch);
    hw_add(&task, -15);
    hw_load_text(text, from, sizeof text);
    printf("%lld", (long long)hw_count_of(stripe.count));
    printf(" %d", hw_add(&task, HW_COUNT_LIMIT - 1));
    printf(" %d", hw_add(&task, HW_COUNT_LIMIT - 1));
    stripe.count += (uint64_t)1 << HW_TAG_SHIFT;
    printf(" %d %s\\n", hw_add(&task, 1), text);
    return 0;
}
"""

pytestmark = pytest.mark.skipif(
    shutil.which(COMPILER) is None or shutil.which(EMULATOR) is None, reason="no compiler or emulator: run ci/tools"
)


def emulated(binary: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [EMULATOR, str(binary), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.parametrize("optimise", ["-O0", "-O3"])
def test_the_public_header_counts(optimise: str, tmp_path: Path) -> None:
    source, binary = tmp_path / "counting.c", tmp_path / "counting"
    source.write_text(COUNTING)
    command = [COMPILER, "-std=gnu11", *WARNINGS, optimise, "-static", f"-I{PACKAGE / 'include'}", str(source)]
    subprocess.run([*command, "-o", str(binary)], check=True, timeout=500)
    done = emulated(binary)
    assert (done.stdout, done.returncode) == ("-5 0 2 1 seven b\n", 0), done.stderr


def test_the_native_headers_compile_without_a_warning(tmp_path: Path) -> None:
    source = tmp_path / "all.c"
    names = sorted(header.name for header in (PACKAGE / "native").glob("*.h"))
    source.write_text("#define _GNU_SOURCE\n" + "".join(f'#include "{name}"\n' for name in names) + "int more;\n")
    paths = [f"-I{PACKAGE / folder}" for folder in ("include", "native")]
    command = [COMPILER, "-std=gnu11", *WARNINGS, "-Wno-unused-function", "-O2", "-c", *paths, str(source)]
    subprocess.run([*command, "-o", str(tmp_path / "all.o")], check=True, timeout=500)


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("storm"), flags=("-O2", "-static"), compiler=COMPILER)


@pytest.mark.parametrize("how", [KILLS, SMALL], ids=["kills", "a small board"])
def test_no_promise_is_broken_in_a_storm_of_kills(storm: Path, how: How) -> None:
    """Slots, latches, locks, counters and the history, as in test_storm.py."""
    tried: dict[str, int] = {}
    for seconds in ("2", "10", "30"):
        done = emulated(storm, seconds, "4", *map(str, how))
        assert done.returncode == 0, done.stdout + done.stderr
        tried = json.loads(done.stdout)
        if all(tried[what] > 0 for what in ("kills", "claims", "writes", "copies", "archives")):
            return
    raise AssertionError(f"not enough came to pass: {tried}")
