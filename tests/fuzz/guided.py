"""Fuzzes what is written in Python, guided by coverage (Atheris): see targets.py.

    guided.py TARGET [--seconds S] [--seed N] [--alone] [--mistake] [--keep FOLDER]

Inputs to begin with stand in corpus/TARGET. --alone: without Atheris and without guidance; --mistake plants a fault,
which has to be found; --keep: add what led somewhere new to a folder.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INPUT_BYTES = 2048
HANGS_S = 30
NAMES = ("snapshots", "histories", "ids", "arguments", "requests")


def corpus(target: str) -> Path:
    """Where its first inputs are."""
    return HERE / "corpus" / target


# ------------------------------------------------------------------------------------------------------------- mistakes


def _no_names_of_members() -> None:
    from headway.files import members

    members.version_of = lambda meta: meta["version"]  # older files have none


def _failures_of_sqlite_are_its_own() -> None:
    import contextlib

    from headway.files import database

    untyped: Any = contextlib.nullcontext
    database.typed = untyped


def _ids_are_cut() -> None:
    from headway.engine.board import Board

    real: Any = Board.task
    Board.task = lambda board, id, **more: real(board, id[:20], **more)  # type: ignore[method-assign]


def _errors_are_not_told() -> None:
    from headway import errors

    class Another(Exception):
        pass

    errors.UnknownBoard = Another  # type: ignore[misc,assignment]


def _a_number_is_believed() -> None:
    from headway.dashboard import app

    def number_of(request: Any, name: str, default: float, most: float) -> float:
        return min(float(request.query_params.get(name, default)), most)

    module: Any = app
    module.number_of = number_of


MISTAKES: dict[str, Callable[[], None]] = {
    "snapshots": _no_names_of_members,
    "histories": _failures_of_sqlite_are_its_own,
    "ids": _ids_are_cut,
    "arguments": _errors_are_not_told,
    "requests": _a_number_is_believed,
}


# ------------------------------------------------------------------------------------------------------------ the child


def mutated(chance: random.Random, sample: bytes) -> bytes:
    """An input that is not far from a sample, or far from all."""
    data = bytearray(sample if chance.random() < 0.9 else chance.randbytes(chance.randrange(64)))
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(data) + 1)
        how = chance.randrange(4)
        if how == 0:
            data[at : at + 1] = chance.randbytes(1)
        elif how == 1:
            data[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif how == 2:
            del data[at : at + chance.randrange(1, 9)]
        else:
            data[at:at] = chance.choice((b"\n", b"\0", b"\xff" * 4, b"9" * 20, b"%2e%2e/", b"..", "é…".encode()))
    return bytes(data[:INPUT_BYTES])


def alone(target: Callable[[bytes], None], name: str, seconds: float, seed: int) -> int:
    """Every stored input, then mutations of them. Returns how many; an exception tells its input."""
    samples = [path.read_bytes() for path in sorted(corpus(name).glob("*"))]
    chance, until, tried = random.Random(seed), time.monotonic() + seconds, 0
    for tried, data in enumerate(_inputs(chance, samples), 1):
        try:
            target(data)
        except BaseException:
            print(f"guided: it was found by this input: {data.hex()}", file=sys.stderr)
            raise
        if tried >= len(samples) and time.monotonic() >= until:
            break
    return tried


def _inputs(chance: random.Random, samples: list[bytes]) -> Any:
    yield from samples
    while True:
        yield mutated(chance, chance.choice(samples) if samples else b"")


def child(given: argparse.Namespace) -> None:
    """Fuzz in this process; libFuzzer ends it."""
    atheris = None if given.alone else importlib.import_module("atheris")
    if atheris is not None:
        with atheris.instrument_imports(include=["headway"], enable_loader_override=False):
            from tests.fuzz import targets
    else:
        from tests.fuzz import targets
    if given.mistake:
        MISTAKES[given.target]()
    with tempfile.TemporaryDirectory() as name, targets.prepared(given.target, Path(name)) as target:
        if atheris is None:
            print(alone(target, given.target, given.seconds, given.seed))
            return
        options = [f"-seed={given.seed}", f"-max_total_time={max(1, round(given.seconds))}", f"-max_len={INPUT_BYTES}"]
        options += [f"-timeout={HANGS_S}", "-print_final_stats=1", "-rss_limit_mb=4096", *given.folders]
        atheris.Setup([sys.argv[0], *options], target)
        atheris.Fuzz()


# ----------------------------------------------------------------------------------------------------------- the parent


def run(target: str, seconds: float, seed: int, *, alone: bool = False, mistake: bool = False, keep: Path | None = None) -> tuple[int, int, str]:  # fmt: skip # noqa: E501
    """(inputs tried, exit code, what it said)."""
    with tempfile.TemporaryDirectory(prefix="headway-fuzz-") as name:
        folder, found = Path(name), Path(name, "found")
        found.mkdir()
        folders = [str(found), str(corpus(target))]
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.guided",
            target,
            "--child",
            "--seed",
            str(seed),
            "--seconds",
            str(seconds),
        ]
        command += ["--alone"] if alone else []
        command += ["--mistake"] if mistake else []
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": name}
        done = subprocess.run(
            [*command, "--folders", *folders],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + 240,
            check=False,
        )
        said = done.stderr + done.stdout
        counted = re.search(r"number_of_executed_units: (\d+)", said) or re.search(
            r"^(\d+)$", done.stdout, re.MULTILINE
        )
        _tidy_up(folder)
        for crash in folder.glob("crash-*"):
            said += f"\nguided: it was found by this input: {crash.read_bytes().hex()}"
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            for path in found.iterdir():
                (keep / path.name).write_bytes(path.read_bytes())
    return int(counted[1]) if counted else 0, done.returncode, said


def _tidy_up(folder: Path) -> None:
    """libFuzzer ends the process where it stands: its boards are removed for it."""
    for reference in folder.rglob("segment"):
        if reference.is_file():
            for path in Path("/dev/shm").glob(f"*headway-{os.geteuid()}-*-{reference.read_text().strip()}"):
                path.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 30))
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--mistake", action="store_true")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folders", nargs="*", default=[], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given)
        return 0
    tried, code, said = run(
        given.target, given.seconds, given.seed, alone=given.alone, mistake=given.mistake, keep=given.keep
    )
    if code or not tried:
        print(said[-6000:], file=sys.stderr)
        print(
            f"guided: repeat with: guided.py {given.target} --seed {given.seed} --seconds {given.seconds:g}",
            file=sys.stderr,
        )
    note = f"{len(list(corpus(given.target).glob('*')))} inputs to begin with"
    failed = int(code != 0 or not tried)
    print(json.dumps({"tried": tried, "of": "inputs", "failed": failed, "note": note}))
    return failed


if __name__ == "__main__":
    sys.exit(main())
