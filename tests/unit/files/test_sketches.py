"""Many runs of a history at once: their numbers, and whole only what does not pass by these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from headway.files import history, past_task, query, sketches
from headway.files.query import Query
from tests.unit.conftest import NOW
from tests.unit.files.test_query import fill

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headway.files.past_task import PastTask


def test_runs_that_pass_are_not_read_whole_and_each_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    everything = history.read(tmp_path)
    monkeypatch.setattr(sketches, "SKETCHES", 10)
    monkeypatch.setattr(query, "PAGE", 3)
    decoded: list[int] = []
    decode = past_task.decode

    def counting(row: Sequence[Any]) -> PastTask:
        decoded.append(1)
        return decode(row)

    monkeypatch.setattr(query, "decode", counting)
    asked: list[sketches.Sketch] = []

    def passes(runs: Sequence[tuple[Any, ...]]) -> list[bool]:
        found = [sketches.Sketch._make(run) for run in runs]
        asked.extend(found)
        return [run.state != "lost" for run in found]

    found = list(sketches.picked(tmp_path, Query(since=NOW + 1), passes))
    fitting = [task for task in everything if (task.ended or 0) >= NOW + 1]
    assert found == [task for task in fitting if task.state == "lost"]
    assert len(decoded) == len(found)
    told = [(run.serial, run.state, run.started, run.ended, run.workers_lost) for run in asked]
    assert [one[:4] for one in told] == [(task.serial, task.state, task.started, task.ended) for task in fitting]
    assert all((one[4] == "[]") == (not task.workers_lost) for one, task in zip(told, fitting, strict=True))
    assert list(sketches.picked(tmp_path, Query(), none_passes)) == everything


def none_passes(runs: Sequence[tuple[Any, ...]]) -> list[bool]:
    return [False] * len(runs)


@pytest.mark.parametrize("at_once", [7, 1000])
def test_many_runs_are_picked_as_they_stand_in_the_file(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    few = list(sketches.picked(tmp_path, Query(since=NOW + 1), none_passes))
    monkeypatch.setattr(sketches, "MANY", 1)
    monkeypatch.setattr(sketches, "SKETCHES", at_once)
    monkeypatch.setattr(query, "_fetched", None)  # that is by the index on the times
    many = list(sketches.picked(tmp_path, Query(since=NOW + 1), none_passes))
    assert len(many) == len(few) > 7
    assert {(task.serial, task.started) for task in many} == {(task.serial, task.started) for task in few}


def test_the_scale_of_runs_is_their_span_and_the_shortest_of_the_longest_that_went_well(tmp_path: Path) -> None:
    fill(tmp_path)
    asked = Query(since=NOW + 1)
    runs = [task for task in history.read(tmp_path) if (task.ended or 0) >= NOW + 1]
    took = sorted(
        ((task.elapsed, task.started) for task in runs if task.state in ("success", "cancelled")), reverse=True
    )
    ends = [task.ended or 0.0 for task in runs]
    assert len(took) > 2
    for most in (1, 2, len(took)):
        seconds, longest = sketches.scale(tmp_path, asked, most)
        assert seconds == max(ends) - min(ends)
        assert longest == pytest.approx(took[most - 1])
    assert sketches.scale(tmp_path, asked, len(took) + 1).longest is None
    assert sketches.scale(tmp_path / "none", asked, 1) == (0.0, None)


def test_a_run_that_is_deleted_before_it_is_read_whole_is_left_out(tmp_path: Path) -> None:
    fill(tmp_path)

    def passes(runs: Sequence[tuple[Any, ...]]) -> list[bool]:
        with history.Writer(tmp_path) as writer:
            writer.prune(keep_rows=5)
        return none_passes(runs)

    assert len(list(sketches.picked(tmp_path, Query(), passes))) == 5
