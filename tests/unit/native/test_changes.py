"""A copy of a board is rebuilt from an earlier one and what has changed since."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from headway.native import changes, records
from headway.native.changes import Base

if TYPE_CHECKING:
    from headway.views.board_view import Raw
    from tests.unit.conftest import Arrays, MakeRaw

FIELDS = ("version", "count", "state", "written", "owner_alive", "owner", "lost_left_out", "generation")
RUN = np.dtype([("first", "u4"), ("tasks", "u4"), ("changed", "u4")])


def apart(earlier: Raw, later: Raw) -> tuple[int, tuple[bytes, bytes, bytes, bytes]]:
    """How many tasks of the later copy are kept; and that copy, put together again."""
    runs, count = Base(earlier.tasks, earlier.shares).runs(later.tasks, later.shares)
    runs, *kept = changes.kept(runs, *whole(later))
    tasks, stages, shares, durations = kept
    return count, changes.joined(runs, whole(earlier), (tasks, stages, shares, durations))


def whole(raw: Raw) -> tuple[bytes | bytearray, bytes, bytes, bytes]:
    return raw.tasks, raw.stages, raw.shares, raw.durations or b""


def without(raw: Raw, gone: set[int]) -> Raw:
    """The copy without these tasks."""
    arrays = {
        name: np.frombuffer(content, np.dtype(records.DTYPES[name])).copy()
        for name, content in zip(("tasks", "stages", "shares", "durations"), whole(raw), strict=True)
    }
    stays = [number for number in range(len(arrays["tasks"])) if number not in gone]
    place = {number: at for at, number in enumerate(stays)}
    arrays["tasks"] = arrays["tasks"][stays]
    for name in ("stages", "shares", "durations"):
        chosen = arrays[name][[number not in gone for number in arrays[name]["task"]]]
        chosen["task"] = [place[number] for number in chosen["task"]]
        arrays[name] = chosen
    found: dict[str, Any] = {name: array.tobytes() for name, array in arrays.items()}
    return raw._replace(**found)


def test_tasks_that_change_come_and_go_are_all_that_is_kept(make_raw: MakeRaw) -> None:
    numbers = random.Random(1)
    for _ in range(200):
        changed = {number for number in range(20) if numbers.random() < 0.2}

        def edit(arrays: Arrays, changed: set[int] = changed) -> None:
            for number in changed:
                arrays["tasks"][number][numbers.choice(FIELDS)] ^= 1

        gone = {number for number in range(20) if numbers.random() < 0.2}
        new = {number for number in range(20) if numbers.random() < 0.2}
        earlier, later = without(make_raw(20), new), without(make_raw(20, edit=edit), gone)
        count, found = apart(earlier, later)
        assert found == whole(later)
        assert count == len((changed | new) - gone)


@pytest.mark.parametrize("field", FIELDS)
def test_each_number_that_tells_a_task_from_what_it_was_has_it_kept(field: str, make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["tasks"][1][field] ^= 1

    assert apart(make_raw(3), make_raw(3, edit=edit))[0] == 1


@pytest.mark.parametrize(("before", "after", "kept"), [(0, 1, 0), (1, 1, 0), (1, 0, 1)])
def test_that_the_history_has_a_task_is_no_change_and_that_it_lacks_something_is_one(
    before: int, after: int, kept: int, make_raw: MakeRaw
) -> None:
    def marked(archived: int) -> Raw:
        return make_raw(3, edit=lambda arrays: arrays["tasks"]["archived"].__setitem__(1, archived))

    assert apart(marked(before), marked(after))[0] == kept


@pytest.mark.parametrize("field", ["count", "alive", "known", "pid", "worker", "beat_ns", "item_ns"])
def test_a_worker_that_has_changed_has_its_task_kept(field: str, make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["shares"][2][field] ^= 1

    assert apart(make_raw(3), make_raw(3, edit=edit))[0] == 1


def test_a_worker_that_took_up_another_item_has_its_task_kept(make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["shares"]["item"][2] = b"another one"

    assert apart(make_raw(3), make_raw(3, edit=edit))[0] == 1


def test_beats_that_tremble_and_rates_that_hardly_fade_are_the_same(make_raw: MakeRaw) -> None:
    def edit(by_ns: int, rate: float) -> Any:
        def tremble(arrays: Arrays) -> None:
            arrays["tasks"]["beat_ns"] += by_ns
            arrays["shares"]["beat_ns"] += by_ns  # those of one copy move together
            arrays["shares"]["item_ns"][arrays["shares"]["item_ns"] > 0] += by_ns
            arrays["tasks"]["rate"] *= rate

        return tremble

    assert apart(make_raw(3), make_raw(3, edit=edit(3000, 0.97)))[0] == 0
    assert apart(make_raw(3), make_raw(3, edit=edit(-3000, 1.03)))[0] == 0
    assert apart(make_raw(3), make_raw(3, edit=edit(50_000_000, 1.0)))[0] == 3
    assert apart(make_raw(3), make_raw(3, edit=edit(0, 0.9)))[0] == 3
    assert apart(make_raw(3), make_raw(3, edit=edit(0, np.nan)))[0] == 3


def test_runs_that_lead_elsewhere_are_refused(make_raw: MakeRaw) -> None:
    base = whole(make_raw(2))
    for first, tasks, changed in itertools.product((0, 1, 2, 3, 2**32 - 1), (0, 1, 2, 3, 2**32 - 1), (0, 1, 2)):
        run = np.array([(first, tasks, changed)], RUN).tobytes()
        fits = tasks and (changed == 1 and (first, tasks) == (0, 2))
        if fits:
            assert changes.joined(run, base, base) == base
        else:
            with pytest.raises(ValueError, match="that"):
                changes.joined(run, base, base)
    twice = np.array([(0, 1, 0), (0, 1, 0)], RUN).tobytes()
    with pytest.raises(ValueError, match="run 1 leads to tasks that are not there"):
        changes.joined(twice, base, (b"", b"", b"", b""))
    with pytest.raises(ValueError, match="whole number"):
        changes.joined(twice[1:], base, (b"", b"", b"", b""))
    with pytest.raises(ValueError, match="whole number"):
        Base(base[0][1:], base[2])
