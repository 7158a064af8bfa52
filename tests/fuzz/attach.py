"""Attaches to a segment with every bit of its header flipped, and cut at every length: refused with a remedy, or sound.

    attach.py [--seconds S] [--seed N]

Then, until the time is over, to headers with words at random whose checksum is right: what is accepted is used.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import struct
import sys
import tempfile
import time
import warnings
from pathlib import Path

from headway import errors
from headway.engine import segments
from headway.engine.board import Board, open_board
from headway.native import core

HEADER_BYTES, CHECKSUM, MUTABLE, DIRECTORY = 4096, 248, 256, 1024
WORDS = (0, 1, 2, 3, 8, 127, 128, 4095, 4096, 2**16, 2**20, 2**31, 2**32 - 1, 2**32, 2**61, 2**63, 2**64 - 1)


def checksum(header: bytes | bytearray) -> int:
    """FNV-1a of what is covered, as board.h has it."""
    value = 0
    for part in (header[:CHECKSUM], header[DIRECTORY:HEADER_BYTES]):
        value ^= 0xCBF29CE484222325
        for byte in part:
            value = (value ^ byte) * 0x100000001B3 & (2**64 - 1)
    return value


class Target:
    """A segment that nobody uses, whose file is written to."""

    def __init__(self, name: str) -> None:
        self.board = open_board(name, capacity=2, workers=2, result_bytes=16)
        self.board.task("a", total=3).update(2)
        self.name = segments.object_name(name, self.board._segment.uuid)
        self.board.close()
        self.path = Path("/dev/shm", self.name[1:])
        self.sound = self.path.read_bytes()
        self.failed: list[str] = []
        self.tried = self.accepted = 0

    def attach(self, what: str, *, may: bool) -> None:
        """Attach; if that may be at all, use what was attached to."""
        self.tried += 1
        try:
            segment = segments.attach(self.name)
        except errors.HeadwayError as error:
            if not any(word in str(error) for word in ("remove it", "use")):
                self.failed.append(f"{what}: no remedy: {error}")
            return
        except BaseException as error:  # noqa: BLE001 - whatever it was is what is to be told
            self.failed.append(f"{what}: {type(error).__name__}: {error}")
            return
        self.accepted += 1
        try:
            if not may:
                self.failed.append(f"{what}: accepted")
            else:
                self.use(segment)
        except errors.HeadwayError:
            pass  # a typed error is as good
        except BaseException as error:  # noqa: BLE001 - as above
            self.failed.append(f"{what}: used: {type(error).__name__}: {error}")
        finally:
            segment.close()

    def use(self, segment: core.Segment) -> None:
        board = Board(segment, Path("/nonexistent"))
        for view in board.snapshot().tasks:
            view.to_dict()
        segment.find("a")
        segment.owned()
        segment.abandoned()
        with contextlib.suppress(OverflowError):
            board.attach("a").update()


def flips(target: Target) -> None:
    """Every bit: what the checksum covers is refused, the rest is made for being changed."""
    with open(target.path, "r+b", buffering=0) as file:
        for bit in range(8 * HEADER_BYTES):
            at = bit // 8
            covered = at < MUTABLE or at >= DIRECTORY
            changed = target.sound[at] ^ 1 << bit % 8
            os.pwrite(file.fileno(), bytes([changed]), at)
            target.attach(f"bit {bit} of the header", may=not covered)
            os.pwrite(file.fileno(), target.sound[at : at + 1] if covered else target.sound, at if covered else 0)


def cuts(target: Target) -> None:
    """Every length but its own, and longer ones."""
    size = len(target.sound)
    for length in (*range(size - 1, -1, -1), size + 1, size + 4096):
        os.truncate(target.path, length)
        target.attach(f"{length} of {size} bytes", may=False)
    os.truncate(target.path, size)
    target.path.write_bytes(target.sound)


def words(target: Target, chance: random.Random, until: float) -> None:
    """Whoever knows the checksum."""
    while time.monotonic() < until:
        image = bytearray(target.sound)
        told = []
        for _ in range(chance.choice((1, 1, 2, 5))):
            size = chance.choice((4, 8))
            at = size * chance.randrange((MUTABLE if chance.random() < 0.8 else HEADER_BYTES) // size)
            now = int.from_bytes(image[at : at + size], "little")
            word = chance.choice((chance.choice(WORDS), now + 1, now - 1, now << 1, chance.getrandbits(8 * size)))
            image[at : at + size] = (word % 2 ** (8 * size)).to_bytes(size, "little")
            told.append(f"{word:#x} at {at}")
        struct.pack_into("<Q", image, CHECKSUM, checksum(image))
        target.path.write_bytes(image)
        target.attach(f"{', '.join(told)}, with a right checksum", may=True)
    target.path.write_bytes(target.sound)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="for headers at random")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    core.LOCK_SECONDS = 0.02
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(HEADWAY_DIR=folder, HEADWAY_RECORD="0")
        target = Target(f"attach-{os.getpid()}")
        if checksum(target.sound) != struct.unpack_from("<Q", target.sound, CHECKSUM)[0]:
            raise SystemExit("attach: the checksum is another one than here: mend this program")
        try:
            flips(target)
            cuts(target)
            before = target.accepted
            words(target, random.Random(given.seed), time.monotonic() + given.seconds)
        finally:
            target.path.write_bytes(target.sound)
            target.board.remove(files=True)
    for failure in target.failed[:20]:
        print(f"attach: {failure}", file=sys.stderr)
    if target.failed:
        print(f"attach: repeat with: attach.py --seed {given.seed} --seconds {given.seconds:g}", file=sys.stderr)
    note = f"{target.accepted - before} with a right checksum were accepted, and used"
    print(json.dumps({"tried": target.tried, "of": "segments", "failed": len(target.failed), "note": note}))
    return 1 if target.failed else 0


if __name__ == "__main__":
    sys.exit(main())
