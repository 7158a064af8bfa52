"""The container of snapshots: NumPy reads it, and not one byte of it can be changed without being noticed."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from headway.files import npz

NAMES = ("meta.json", "numbers.npy")


def packed() -> bytes:
    numbers = np.arange(5, dtype="<u8").tobytes()
    members = [("meta.json", [b'{"a": ', b"1}"]), ("numbers.npy", [npz.npy_header("'<u8'", 5), numbers])]
    return b"".join(npz.pack(members))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.npz"
    path.write_bytes(packed())
    return path


def unpack(path: Path) -> dict[str, bytes]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return npz.unpack(descriptor, NAMES)
    finally:
        os.close(descriptor)


def test_what_is_packed_is_unpacked_and_numpy_reads_it(file: Path) -> None:
    found = unpack(file)
    assert found["meta.json"] == b'{"a": 1}'
    payload = npz.npy_payload(found["numbers.npy"], "'<u8'", 8)
    assert payload is not None
    assert np.frombuffer(payload, "<u8").tolist() == [0, 1, 2, 3, 4]
    with np.load(file, allow_pickle=False) as arrays:
        assert arrays["numbers"].tolist() == [0, 1, 2, 3, 4]


def test_every_single_byte_is_checked(file: Path) -> None:
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=r"."):
            unpack(file)


def test_every_length_but_its_own_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"."):
            unpack(file)
    file.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="end"):
        unpack(file)


def test_nothing_may_stand_between_the_members_and_the_end(file: Path) -> None:
    whole, gap = file.read_bytes(), b"between"
    (begin,) = struct.unpack_from("<I", whole, len(whole) - 6)  # where the directory is said to begin
    ends = whole[begin:-6] + struct.pack("<IH", begin + len(gap), 0)
    file.write_bytes(whole[:begin] + gap + ends)
    with pytest.raises(ValueError, match="there are bytes between the last member and the directory"):
        unpack(file)


def test_the_first_member_is_read_without_the_rest(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    descriptor = os.open(file, os.O_RDONLY)
    try:
        assert npz.first_member(descriptor, "meta.json", 1 << 16) == b'{"a": 1}'
        assert npz.first_member(descriptor, "meta.json", 3) is None, "longer than allowed"
        assert npz.first_member(descriptor, "other.json", 1 << 16) is None
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (npz.npy_header("'<u8'", 2) + bytes(16), bytes(16)),
        (npz.npy_header("'<u8'", 2) + bytes(15), None),
        (npz.npy_header("'<u4'", 2) + bytes(16), None),
        (npz.npy_header("'<u8'", 2).replace(b"(2,)", b"(3,)") + bytes(16), None),
        (b"'shape': (99999999999,)", None),
        (b"", None),
    ],
)
def test_an_array_is_taken_only_with_the_header_that_is_written_today(content: bytes, expected: bytes | None) -> None:
    assert npz.npy_payload(content, "'<u8'", 8) == expected


def test_more_than_a_plain_zip_can_hold_is_refused() -> None:
    class Large(bytes):
        def __len__(self) -> int:
            return npz.NPZ_BYTES_MAX

    with pytest.raises(ValueError, match=r"x\.npy ends beyond 4294967295 bytes"):
        npz.pack([("x.npy", [Large()])])
