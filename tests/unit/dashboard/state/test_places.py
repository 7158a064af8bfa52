"""Where the boards are, and a signature that changes with their snapshots."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from headway.dashboard.state.places import Places

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two boards, and what is none."""
    for name, file in (
        ("one", "snapshot.npz"),
        ("two", "snapshot.prev.npz"),
        ("empty", "notes"),
        ("bad name", "snapshot.npz"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    (tmp_path / "file").touch()
    return tmp_path


def test_directories_with_a_legal_name_and_a_snapshot_are_boards(root: Path) -> None:
    found = Places(root).scan()
    assert {name: one.directory for name, one in found.items()} == {"one": root / "one", "two": root / "two"}
    assert {one.recorder for one in found.values()} == {"unknown"}


def test_only_some_can_be_asked_for(root: Path) -> None:
    assert list(Places(root).scan({"one", "missing", "../one"})) == ["one"]


def test_without_a_directory_there_are_no_boards(tmp_path: Path) -> None:
    assert Places(tmp_path / "missing").scan() == {}


def test_another_snapshot_has_another_signature(root: Path) -> None:
    before = Places(root).scan()["one"].signature
    assert Places(root).scan()["one"].signature == before
    (root / "new").touch()
    os.rename(root / "new", root / "one" / "snapshot.npz")
    assert Places(root).scan()["one"].signature != before


def test_a_snapshot_reads_in_another_way_when_its_recorder_has_been_gone_for_long(root: Path) -> None:
    (root / "one" / "recorder.lock").touch()
    fresh = Places(root).scan()["one"]
    assert fresh.recorder == "gone"
    assert fresh.recorder_seen > 0
    hour_ago = time.time() - 3600
    os.utime(root / "one" / "snapshot.npz", (hour_ago, hour_ago))
    old = Places(root).scan()["one"]
    assert (fresh.signature[-1], old.signature[-1]) == (False, True)
