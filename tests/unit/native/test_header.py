"""headway.h and what is derived from it: it compiles where it is promised to, and everybody sees the same layout."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from headway.native import records

if TYPE_CHECKING:
    from tests.conftest import RunPython

PACKAGE = Path(__file__).resolve().parents[3] / "src" / "headway"
INCLUDE = PACKAGE / "include"
PUBLIC = INCLUDE / "headway.h"
LAYOUT = INCLUDE / "headway_layout.h"
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
C = (sysconfig.get_config_var("CC") or "cc").split()[0]
CXX = (sysconfig.get_config_var("CXX") or "c++").split()[0]
LINE = 128

USER = """
#include "headway.h"
#include <string.h>

int use(hw_task *task, hw_status *status, uint64_t *seq) {
    uint64_t seen = hw_latch_begin(seq);
    hw_status copy;
    hw_load_words(&copy, status, sizeof copy);
    hw_load_text(copy.message, status->message, sizeof copy.message);
    if (hw_latch_whole(seq, seen)) hw_latch_mend(seq, status, status + 1, sizeof copy);
    hw_batch batch = {task, 0, 10};
    if (hw_batch_add(&batch, 1) != HW_OK || hw_flush(&batch) != HW_OK) return 1;
    return hw_add(task, 1) + hw_add_at(task, -1, hw_clock_ns(CLOCK_MONOTONIC)) + hw_cas(seq, seen, seen);
}
"""


def compiled(compiler: str, folder: Path, source: str, *flags: str, suffix: str = "c") -> Path:
    path, binary = folder / f"source.{suffix}", folder / "binary"
    path.write_text(source)
    command = [compiler, *flags, f"-I{INCLUDE}", f"-I{PACKAGE / 'native'}", str(path), "-o", str(binary)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return binary


# --- compiles


@pytest.mark.parametrize("optimise", ["-O0", "-O3"])
@pytest.mark.parametrize(
    ("compiler", "standard"), [(C, "c11"), (C, "c17"), (C, "gnu11"), (CXX, "c++17"), (CXX, "c++20")]
)
def test_the_header_compiles_without_a_warning(compiler: str, standard: str, optimise: str, tmp_path: Path) -> None:
    compiled(
        compiler,
        tmp_path,
        USER,
        f"-std={standard}",
        *WARNINGS,
        optimise,
        "-c",
        suffix="cpp" if compiler == CXX else "c",
    )


@pytest.mark.parametrize("hooks", [(), ("-DHW_HOOKS",)], ids=["as shipped", "with hooks"])
def test_the_native_headers_compile_without_a_warning(hooks: tuple[str, ...], tmp_path: Path) -> None:
    for header in sorted((PACKAGE / "native").glob("*.h")):
        source = f'#include "{header.name}"\nint more;\n'  # each by itself: it brings all that it needs
        compiled(C, tmp_path, source, "-std=gnu11", *WARNINGS, "-Wno-unused-function", *hooks, "-c")


def test_another_platform_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "user.c"
    path.write_text(USER)
    command = [C, "-U__linux__", "-std=c11", f"-I{INCLUDE}", "-fsyntax-only", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "a board lives in the shared memory of 64-bit Linux" in done.stderr


def test_a_field_out_of_its_place_does_not_compile(tmp_path: Path) -> None:
    """The asserts on the layout do fail."""
    path = tmp_path / "user.c"
    path.write_text('#include "broken.h"\n')
    text = LAYOUT.read_text()
    for old, new in (
        ("    uint64_t lock_owner; /*", "    uint64_t before;\n    uint64_t lock_owner; /*"),
        ("    uint64_t worker;  /*", "    uint64_t extra;\n    uint64_t worker;  /*"),
        ("#define HW_MESSAGE_BYTES 192", "#define HW_MESSAGE_BYTES 200"),
        ("#define HW_STAGES 16", "#define HW_STAGES 17"),
        ("#define HW_LOST 8", "#define HW_LOST 9"),
        ("#define HW_BLOCK_STRIPES 15", "#define HW_BLOCK_STRIPES 14"),
    ):
        assert text.count(old) == 1, old
        (tmp_path / "broken.h").write_text(text.replace(old, new))
        command = [C, "-std=c11", "-fsyntax-only", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "static assertion failed" in done.stderr, old


# --- the layout

STRUCTS = ("header", "row", "control", "stripe", "block", "identity", "status", "stage", "lost", "task")
RECORDS = {"tasks": "task", "stages": "stage", "shares": "share", "workers": "worker", "index": "result"}
Layout = dict[str, dict[str, tuple[int, int]]]


def fields(text: str, struct: str) -> list[str]:
    """The names of the fields of a struct, as they are written down."""
    body = re.search(
        rf"typedef struct {struct} \{{(.*?)\}} {struct};", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL), re.DOTALL
    )
    assert body is not None, struct
    return [re.sub(r"\[.*", "", line.split()[-1]).lstrip("*") for line in body[1].split(";") if line.strip()]


def layout_of(header: str, structs: dict[str, list[str]], folder: Path) -> Layout:
    """(offset, size) of each field, as the C compiler has them; of the struct itself under ""."""
    lines = []
    for struct, names in structs.items():
        lines.append(f'printf("{struct} . 0 %zu\\n", sizeof({struct}));')
        for name in names:
            field = f"(({struct} *)0)->{name}"
            lines.append(f'printf("{struct} {name} %zu %zu\\n", offsetof({struct}, {name}), sizeof({field}));')
    source = f'#include <stdio.h>\n#include "{header}"\nint main(void) {{ {" ".join(lines)} return 0; }}\n'
    binary = compiled(C, folder, source, "-std=c11")
    said = subprocess.run([binary], capture_output=True, text=True, check=True, timeout=30).stdout
    found: Layout = {struct: {} for struct in structs}
    for struct, name, offset, size in (line.split() for line in said.splitlines()):
        found[struct]["" if name == "." else name] = (int(offset), int(size))
    return found


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    text = LAYOUT.read_text() + PUBLIC.read_text()
    structs = {f"hw_{name}": fields(text, f"hw_{name}") for name in STRUCTS}
    return layout_of("headway.h", structs, tmp_path_factory.mktemp("layout"))


@pytest.mark.parametrize("struct", [f"hw_{name}" for name in STRUCTS])
def test_fields_stand_one_after_the_other_without_hidden_gaps(struct: str, layout: Layout) -> None:
    end = 0
    for name, (offset, size) in layout[struct].items():
        if name:
            assert offset == end, f"there is a gap before {name}"
            end = offset + size
    assert end == layout[struct][""][1]


@pytest.mark.parametrize(
    "struct", ["hw_header", "hw_row", "hw_control", "hw_stripe", "hw_block", "hw_identity", "hw_status", "hw_stage"]
)
def test_words_are_aligned_so_that_no_store_tears(struct: str, layout: Layout) -> None:
    assert layout[struct][""][1] % 8 == 0
    for name, (offset, size) in layout[struct].items():
        assert offset % min(size, 8) == 0 or size % 8 == 0, name
        assert size != 8 or offset % 8 == 0, name


# Who writes which words of the header after it was published.
WRITERS = {
    "lock": ["lock_owner", "lock_pid"],
    "whoever arrives": ["next_incarnation", "stall_after_ns"],
    "the recorder, and who starts it": [
        "recorder",
        "recorder_wanted",
        "recorder_beat_ns",
        "recorder_deadline_ns",
        "recorder_pid",
        "recorder_errors",
        "recorder_errno",
        "recorder_told",
        "sequence",
    ],
    "whoever unlinks": ["retired"],
    "who finds no free counter, or looks for a block of them": ["shared_counters", "block_hint", "no_block_ns"],
    "the lock's holder": [
        *(
            "next_serial",
            "frees",
            "dropped",
            "evict_hint",
            "free_ends",
            "free_count",
            "fresh",
            "repairs",
            "gone",
            "gone_note",
            "gone_before",
        ),
    ],
}


def test_words_of_different_writers_share_no_line(layout: Layout) -> None:
    header = layout["hw_header"]
    lines: dict[int, set[str]] = {}
    written = set()
    for writer, names in WRITERS.items():
        for name in names:
            written.add(name)
            lines.setdefault(header[name][0] // LINE, set()).add(writer)
    for name, (offset, size) in header.items():
        if name and not name.startswith("pad") and name not in written:
            for line in range(offset // LINE, (offset + size - 1) // LINE + 1):
                lines.setdefault(line, set()).add("nobody")
    assert all(len(writers) == 1 for writers in lines.values()), lines


def test_every_counter_row_and_slot_begins_on_a_line_of_its_own(layout: Layout) -> None:
    defined = dict(re.findall(r"#define (HW_\w+_OFFSET) (\d+)", LAYOUT.read_text()))
    for name in ("hw_row", "hw_stripe", "hw_control"):
        assert layout[name][""][1] == LINE
    for name in ("HW_STRIPES_OFFSET", "HW_IDENTITY_OFFSET", "HW_STATUS_OFFSET", "HW_STAGES_OFFSET", "HW_LOST_OFFSET"):
        assert int(defined[name]) % LINE == 0, name
    assert int(defined["HW_RESULT_OFFSET"]) % LINE == 0


def test_the_identity_that_each_add_reads_shares_no_line_with_a_count_that_moves() -> None:
    text = (PACKAGE / "native" / "board.h").read_text()
    places = {name: int(at) * 8 // LINE for name, at in re.findall(r"HW_PAGE_(\w+) = (\d+)", text)}
    assert places == {"ME": 0, "FD": 0, "PID": 0, "INSIDE": 1}


# --- others' declarations


@pytest.mark.parametrize(
    ("pxd", "headers"),
    [
        ("native/headers.pxd", ("copy.h", "standing.h", "restore.h", "start.h", "attach.h", "process.h")),
        ("native/records.pxd", ("record.h",)),
        ("__init__.pxd", ("headway.h",)),
    ],
)
def test_what_cython_declares_is_what_the_header_has(pxd: str, headers: tuple[str, ...], tmp_path: Path) -> None:
    """Each declared field has the declared type; functions and constants are there."""
    text = (PACKAGE / pxd).read_text().partition("cdef extern from * nogil:")[0]
    checks = []
    types = {"char", "double", "int", "size_t", "bint", "uint8_t", "uint32_t", "int64_t", "uint64_t"}
    for struct, body in re.findall(r"ctypedef struct (\w+):\n((?:        .+\n|\n)+)", text):
        for line in body.splitlines():
            match = re.match(r"\s+(const )?(\w+) (\**)(\w+)((?:\[\d+\])*)$", line)
            if match is None:
                assert line.strip() in ("", "pass"), line
                continue
            const, kind, stars, name, arrays = match.groups()
            kind = "int" if kind == "bint" else kind
            assert kind in types or kind.startswith("hw_"), line
            declaration = f"{const or ''}{kind} {stars}x{arrays}"
            checks.append(
                f"{{ {declaration}; _Static_assert(__builtin_types_compatible_p(__typeof__(x), "
                f'__typeof__((({struct} *)0)->{name})), "{struct}.{name}"); }}'
            )
    functions = re.findall(r"^    (?:const )?\w+ \**(hw_\w+)\(", text, re.MULTILINE)
    names = re.findall(r"^        (HW_\w+|CLOCK_\w+)", text, re.MULTILINE)
    checks += [f"(void)&{name};" for name in functions]
    checks += [f"(void)({name});" for name in names]
    assert len(names) > 4
    includes = "".join(f'#include "{header}"\n' for header in headers)
    source = f"#define _GNU_SOURCE\n{includes}void check(void);\nvoid check(void) {{ {' '.join(checks)} }}\n"
    compiled(C, tmp_path, source, "-std=gnu11", "-Wno-unused", "-c")


def test_numpy_sees_the_records_as_the_header_has_them(tmp_path: Path) -> None:
    text = (PACKAGE / "native" / "record.h").read_text()
    structs = {f"hw_{name}_record": fields(text, f"hw_{name}_record") for name in RECORDS.values()}
    found = layout_of("record.h", structs, tmp_path)
    for array, name in RECORDS.items():
        dtype = np.dtype(records.DTYPES[array])
        struct = found[f"hw_{name}_record"]
        assert dtype.itemsize == struct[""][1] == records.RECORD_BYTES[array]
        assert dtype.fields is not None
        seen = {field: (entry[1], entry[0].itemsize) for field, entry in dtype.fields.items()}
        assert seen == {field: place for field, place in struct.items() if field}


# --- a user's Cython module

CYTHON = """
# cython: language_level=3
from libc.stdint cimport int64_t
from headway cimport HW_OK, HW_OVERFLOW, HW_STALE, HW_UNBOUND, hw_add, hw_task, native_task

def count(capsule, int64_t times):
    cdef hw_task *task = native_task(capsule)
    cdef int64_t i
    cdef int answer = HW_OK
    with nogil:
        for i in range(times):
            answer |= hw_add(task, 1)
    return answer

def answers():
    return HW_OK, HW_STALE, HW_OVERFLOW, HW_UNBOUND
"""
SETUP = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup
extension = Extension("user", ["user.pyx"], include_dirs=[sys.argv.pop()], extra_compile_args=["-Werror", "-O1"])
setup(name="user", ext_modules=cythonize([extension], quiet=True), script_args=["-q", "build_ext", "--inplace"])
"""
USE = """
import json, sys, threading
sys.path.insert(0, {folder!r})
import user
from headway.engine.board import open_board
board = open_board({name!r}, capacity=2)
try:
    task = board.task("a")
    capsule = task.native().capsule
    threads = [threading.Thread(target=user.count, args=(capsule, 100_000)) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    refused = []
    for wrong in (None, 5, __import__("datetime").datetime_CAPI):
        try: user.count(wrong, 1)
        except ValueError as error: refused.append(str(error))
    print(json.dumps([task.count, user.answers(), len(refused)]))
finally:
    board.remove(files=True)
"""


@pytest.mark.slow
def test_a_users_cython_module_counts_without_the_gil(tmp_path: Path, run_python: RunPython, board_name: str) -> None:
    (tmp_path / "user.pyx").write_text(CYTHON)
    (tmp_path / "setup.py").write_text(SETUP)
    built = subprocess.run(
        [sys.executable, "-W", "ignore", "setup.py", str(INCLUDE)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    said = json.loads(run_python(USE.format(folder=str(tmp_path), name=board_name)).stdout)
    assert said == [300_000, [0, 1, 2, 3], 3]
