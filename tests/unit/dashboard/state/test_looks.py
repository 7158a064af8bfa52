"""What is read of one board, and what is told where it cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway.dashboard.state.looks import Wish, blank, look
from headway.dashboard.state.places import Places
from headway.files import snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from headway.dashboard.state.places import Found
    from tests.unit.conftest import MakeRaw


@pytest.fixture
def found(make_raw: MakeRaw, tmp_path: Path) -> Found:
    (tmp_path / "nightly").mkdir()
    snapshot.write(make_raw(3), tmp_path / "nightly")
    return Places(tmp_path).scan()["nightly"]


def test_a_table_is_made_where_it_is_wished_for(found: Found) -> None:
    seen = look(Wish(found, None, False), 3)
    assert (seen.table, seen.problem) == (None, None)
    assert seen.summary is not None
    assert seen.summary.counts.running == 3
    seen = look(Wish(found, None, True), 3)
    assert seen.table is not None
    assert len(list(seen.table.rows())) == 3


def test_a_table_goes_on_from_the_one_before(found: Found, make_raw: MakeRaw) -> None:
    first = look(Wish(found, None, True), 1)
    assert first.table is not None
    snapshot.write(make_raw(4, sequence=2), found.directory)
    second = look(Wish(found, first.table, True), 2)
    assert second.table is not None
    assert len(list(second.table.rows())) == 4
    assert second.table.patch(2).rows == []


def test_a_note_is_taken_when_it_is_due(found: Found) -> None:
    note = look(Wish(found, None, False), 1).note
    assert note is not None
    assert look(Wish(found, None, False, note.at + 1), 1).note is None


def test_a_damaged_snapshot_is_a_problem_and_the_last_table_stays(found: Found) -> None:
    first = look(Wish(found, None, True), 1)
    (found.directory / "snapshot.npz").write_bytes(b"nonsense")
    seen = look(Wish(found, first.table, True), 2)
    assert seen.problem is not None
    assert seen.problem["code"] == "damaged-snapshot"
    assert (seen.summary, seen.table) == (None, first.table)
    assert seen.found.signature == found.signature


def test_of_an_unknown_board_only_the_name_is_told() -> None:
    told = blank("nightly")
    assert told.pop("name") == "nightly"
    assert set(told.values()) == {None}
