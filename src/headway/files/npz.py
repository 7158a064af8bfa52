"""The file format of a snapshot: an uncompressed zip of .npy members, which `numpy.load` reads; NumPy is not needed.

`unpack` accepts only files that `pack` could have written: the expected members, in order, without gaps, with exactly
these headers. So no size in a file is trusted beyond the size of the file, and each byte is either compared or covered
by a checksum.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

__all__ = ["NPZ_BYTES_MAX", "first_member", "npy_header", "npy_payload", "pack", "unpack"]

Buffer: TypeAlias = bytes | bytearray | memoryview

NPZ_BYTES_MAX = 2**32 - 1  # larger files would need zip64

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION, _UNIX, _NO_DATE = 20, 3, (1 << 5) | 1  # 1 January 1980, where zip's calendar begins
_MODE = 0o100600 << 16
_NPY_HEADER_BYTES_MAX = 4096  # ours are much shorter


class _Member(NamedTuple):
    name: bytes
    size: int
    crc: int
    offset: int

    def local(self) -> bytes:
        sizes = (self.crc, self.size, self.size)
        return _LOCAL.pack(b"PK\3\4", _VERSION, 0, 0, 0, _NO_DATE, *sizes, len(self.name), 0) + self.name

    def central(self) -> bytes:
        sizes = (self.crc, self.size, self.size)
        made_by = _UNIX << 8 | _VERSION
        ends = (len(self.name), 0, 0, 0, 0, _MODE, self.offset)
        return _CENTRAL.pack(b"PK\1\2", made_by, _VERSION, 0, 0, 0, _NO_DATE, *sizes, *ends) + self.name


def pack(members: Iterable[tuple[str, Sequence[Buffer]]]) -> list[Buffer]:
    """The contents of a file with these members, in pieces. members: names, each with the pieces of its content.

    Raises ValueError for more than NPZ_BYTES_MAX.
    """
    pieces: list[Buffer] = []
    directory = b""
    offset = count = 0
    for name, content in members:
        crc = size = 0
        for piece in content:
            crc = zlib.crc32(piece, crc)
            size += len(piece)
        if offset + _LOCAL.size + len(name) + size > NPZ_BYTES_MAX:
            raise ValueError(f"{name} ends beyond {NPZ_BYTES_MAX} bytes")
        member = _Member(name.encode(), size, crc, offset)
        local = member.local()
        pieces += [local, *content]
        directory += member.central()
        offset += len(local) + size
        count += 1
    pieces.append(directory + _END.pack(b"PK\5\6", 0, 0, count, count, len(directory), offset, 0))
    return pieces


def unpack(descriptor: int, names: Sequence[str], *, wanted: Sequence[str] | None = None) -> dict[str, bytes]:
    """Read and check members of a file. names: those that it must have; wanted: those to read, default all.

    Of the others, the headers are checked, so that a file that was cut short is noticed. Raises ValueError.
    """
    encoded = [name.encode() for name in names]
    directory_bytes = sum(_CENTRAL.size + len(name) for name in encoded)
    size = os.fstat(descriptor).st_size
    begin = size - _END.size - directory_bytes
    if not 0 <= begin <= NPZ_BYTES_MAX:
        raise ValueError(f"{size} bytes are too {'few' if begin < 0 else 'many'}")
    directory = _pread(descriptor, directory_bytes + _END.size, begin)
    counts = (0, 0, len(names), len(names))
    if directory[directory_bytes:] != _END.pack(b"PK\5\6", *counts, directory_bytes, begin, 0):
        raise ValueError("its end is missing or wrong")
    found = {}
    at = offset = 0
    for name in encoded:
        crc, member_bytes = _CENTRAL.unpack_from(directory, at)[7:9]
        member = _Member(name, member_bytes, crc, offset)
        entry, local = member.central(), member.local()
        if directory[at : at + len(entry)] != entry:
            raise ValueError(f"the entry of {name.decode()} is wrong")
        at += len(entry)
        offset += len(local)
        if offset + member_bytes > begin:
            raise ValueError(f"{name.decode()} is larger than the file")
        if _pread(descriptor, len(local), offset - len(local)) != local:
            raise ValueError(f"the header of {name.decode()} is wrong")
        if wanted is None or name.decode() in wanted:
            content = _pread(descriptor, member_bytes, offset)
            if zlib.crc32(content) != crc:
                raise ValueError(f"{name.decode()} does not have the checksum that was written")
            found[name.decode()] = content
        offset += member_bytes
    if offset != begin:
        raise ValueError("there are bytes between the last member and the directory")
    return found


def first_member(descriptor: int, name: str, bytes_max: int) -> bytes | None:
    """The content of the first member if it has this name and a right checksum, else None. Reads no other member."""
    head = _read_up_to(descriptor, _LOCAL.size + len(name) + bytes_max, 0)
    if len(head) < _LOCAL.size:
        return None
    crc, size = _LOCAL.unpack_from(head)[6:8]
    local = _Member(name.encode(), size, crc, 0).local()
    content = head[len(local) : len(local) + size]
    whole = head.startswith(local) and len(content) == size and zlib.crc32(content) == crc
    return content if whole else None


def _read_up_to(descriptor: int, count: int, offset: int) -> bytes:
    pieces: list[bytes] = []
    while count > 0 and (piece := os.pread(descriptor, count, offset)):
        pieces.append(piece)
        count -= len(piece)
        offset += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _pread(descriptor: int, count: int, offset: int) -> bytes:
    content = _read_up_to(descriptor, count, offset)
    if len(content) != count:
        raise ValueError("it was cut short while it was read")
    return content


# ---------------------------------------------------------------------------------------------------------------- npy


def npy_header(description: str, count: int) -> bytes:
    """The .npy header of an array with one dimension. description: the repr of what numpy.dtype takes."""
    text = f"{{'descr': {description}, 'fortran_order': False, 'shape': ({count},), }}"
    padding = -(10 + len(text) + 1) % 64
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text) + padding + 1) + f"{text}{' ' * padding}\n".encode("latin-1")


def npy_payload(content: bytes, description: str, item_bytes: int) -> bytes | None:
    """The data of an array; None if its header is not exactly that of `npy_header`, or its length does not fit."""
    match = re.search(rb"'shape': \((\d{1,10}),\)", content[:_NPY_HEADER_BYTES_MAX])
    if match is None:
        return None
    expected = npy_header(description, int(match[1]))
    payload = content[len(expected) :]
    return payload if content.startswith(expected) and len(payload) == int(match[1]) * item_bytes else None
