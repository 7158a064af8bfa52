"""Fuzzes the native code with segments in which anything stands, guided by coverage: see segment.c.

    native.py [--seconds S] [--seed N] [--alone] [--mistake NAME] [--keep FOLDER]

libFuzzer, which comes with clang, starts from the inputs in corpus/segment; AddressSanitizer and
UndefinedBehaviorSanitizer tell what it finds. --alone: without clang and without guidance, with the compiler that built
Python; --mistake plants a fault, which has to be found; --keep: add what led somewhere new to a folder.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from tests.faults.planted import Edit, plant

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "src" / "headway"
CORPUS = HERE / "corpus" / "segment"
INPUT_BYTES = 768
HANGS_S = 20

MISTAKES: dict[str, Edit] = {
    "a length is believed": (
        "native/results.h",
        "        if (n > board->result_bytes) n = 0; /* damage, or a copy being written: then it is read again */\n",
        "",
    ),
    "a length is read twice": (
        "native/results.h",
        "        if (n > board->result_bytes) n = 0; /* damage, or a copy being written: then it is read again */\n",
        "        if (n > board->result_bytes) n = 0;\n        n = hw_load(from);\n",
    ),
    "a number of entries is believed": ("native/stripes.h", "i < n && i < HW_LOST", "i < n"),
    "a sum is believed": (
        "native/blocks.h",
        "    if (sum >= HW_FOLDED_LIMIT) sum = HW_FOLDED_LIMIT - 1;\n",
        "",
    ),
    "a state is believed": (
        "native/status.h",
        "    if (to->state >= HW_STATES) to->state = HW_FAILED; /* a damaged state reads as failed */\n",
        "",
    ),
    "a text is read past its end": ("include/headway.h", "    to[room - 1] = 0;\n", ""),
    "extents are believed where the checksum is right": (
        "native/board.h",
        "header->hashes_offset != want.hashes_offset || header->slots_offset != want.slots_offset ||",
        "header->hashes_offset != want.hashes_offset ||",
    ),
}


def build(folder: Path, edits: tuple[Edit, ...] = (), *, guided: bool) -> Path:
    """The fuzzer, compiled with the headers as edited. Raises SystemExit where there is no clang to guide it."""
    compiler = "clang" if guided else (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        raise SystemExit(f"native: no {compiler}: install it (Debian: apt-get install clang libclang-rt-14-dev)")
    headers = folder / "headers"
    for name in ("include", "native"):
        shutil.copytree(PACKAGE / name, headers / name)
    plant(headers, edits)
    sanitizers = "address,undefined"
    flags = [f"-fsanitize=fuzzer,{sanitizers}"] if guided else ["-DALONE", f"-fsanitize={sanitizers}"]
    paths = [f"-I{headers / 'include'}", f"-I{headers / 'native'}", str(HERE / "segment.c")]
    binary = folder / "segment"
    command = [compiler, "-std=gnu11", "-g", "-O1", "-w", "-pthread", "-fno-sanitize-recover=all", *flags]
    subprocess.run([*command, *paths, "-o", str(binary)], check=True, timeout=300)
    return binary


def run(binary: Path, seconds: float, seed: int, *, guided: bool, keep: Path | None = None) -> tuple[int, int, str]:
    """(inputs tried, exit code, what it said)."""
    environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}
    found = binary.parent / "found"
    if not guided:
        inputs = sorted(map(str, CORPUS.glob("*")))
        command = [str(binary), str(seconds), str(seed), *inputs]
    else:
        found.mkdir()
        options = (
            f"-seed={seed % (1 << 31) or 1}",
            f"-max_total_time={max(1, round(seconds))}",
            f"-max_len={INPUT_BYTES}",
        )
        command = [str(binary), *options, f"-timeout={HANGS_S}", "-print_final_stats=1", str(found), str(CORPUS)]
    done = subprocess.run(
        command, cwd=binary.parent, capture_output=True, text=True, errors="replace", env=environment, check=False,
        timeout=seconds + 120,
    )  # fmt: skip
    said = done.stderr + done.stdout
    counted = re.search(r"number_of_executed_units: (\d+)", said) if guided else re.match(r"(\d+)\n", done.stdout)
    if guided and keep is not None and done.returncode == 0:
        keep.mkdir(parents=True, exist_ok=True)
        merge = [str(binary), "-merge=1", f"-max_len={INPUT_BYTES}", str(keep), str(found), str(CORPUS)]
        subprocess.run(merge, cwd=binary.parent, check=True, timeout=600, capture_output=True)
    return int(counted[1]) if counted else 0, done.returncode, said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 31))
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--mistake", choices=tuple(MISTAKES))
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    guided = not given.alone
    with tempfile.TemporaryDirectory(prefix="headway-fuzz-") as name:
        edits = (MISTAKES[given.mistake],) if given.mistake else ()
        binary = build(Path(name), edits, guided=guided)
        tried, code, said = run(binary, given.seconds, given.seed, guided=guided, keep=given.keep)
        for crash in Path(name).glob("crash-*"):
            print(f"native: it was found by this input: {crash.read_bytes().hex()}", file=sys.stderr)
    if code:
        print(said[-6000:], file=sys.stderr)
        print(f"native: repeat with: native.py --seed {given.seed} --seconds {given.seconds:g}", file=sys.stderr)
    note = f"{len(list(CORPUS.glob('*')))} inputs to begin with"
    print(json.dumps({"tried": tried, "of": "segments", "failed": int(code != 0), "note": note}))
    return int(code != 0)


if __name__ == "__main__":
    sys.exit(main())
