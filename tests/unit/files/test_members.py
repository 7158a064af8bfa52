"""Members of a board's files: metadata and records are believed only if they are what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from headway import errors
from headway.files import members, npz

if TYPE_CHECKING:
    from tests.unit.conftest import MakeRaw


@pytest.mark.parametrize(
    ("name", "value"),
    [("name", "a/b"), ("uuid", "1234"), ("host", 7), ("capacity", "many"), ("taken_ns", -1), ("sequence", 1 << 63)],
)
def test_metadata_that_no_view_can_use_are_refused(name: str, value: Any, make_raw: MakeRaw) -> None:
    meta = make_raw(1).meta
    members.check_meta(dict(meta))
    with pytest.raises(ValueError, match="name" if name == "name" else f"as {name}"):
        members.check_meta({**meta, name: value})
    with pytest.raises(ValueError, match="is not an object"):
        members.check_meta([meta])


def test_what_is_packed_is_unpacked_and_a_record_too_few_is_not(make_raw: MakeRaw, tmp_path: Path) -> None:
    raw, path = make_raw(2), tmp_path / "file"
    meta = {**raw.meta, "version": members.VERSION}
    path.write_bytes(b"".join(members.packed(meta, [("tasks", raw.tasks)])))
    descriptor = members.open_file(path)
    with open(descriptor, "rb") as file:
        content = npz.unpack(file.fileno(), ("meta.json", "tasks.npy"))
    assert json.loads(content["meta.json"]) == meta
    cut = {"tasks.npy": content["tasks.npy"][:-1]}
    assert members.payload(content, "tasks", meta) == raw.tasks
    with pytest.raises(ValueError, match="its tasks do not have the layout of its version"):
        members.payload(cut, "tasks", meta)


@pytest.mark.parametrize(
    ("head", "version"),
    [
        (b'{"version": 99}', 99),
        (b'{"version": 2}', 2),
        (b"{}", 1),
        (b"[]", members.VERSION),
        (b"{", members.VERSION),
        (b"[" * 99_999, members.VERSION),
        (None, members.VERSION),
    ],
    ids=lambda one: repr(one)[:20],
)
def test_only_a_version_that_is_newer_is_refused(head: bytes | None, version: int) -> None:
    assert members.version_in(head) == version
    if version == 99:
        with pytest.raises(errors.LayoutMismatch, match="its format is 99"):
            members.refuse_newer(Path("x"), version)
    else:
        members.refuse_newer(Path("x"), version)
