"""Views and records have the same tasks chosen; of a large board, only the chosen ones are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.terminal.plain import lines
from headway.views import chosen
from headway.views.board_view import BoardView
from tests.unit.conftest import NOW, SECOND, build_raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.views.task_view import Raw
    from tests.unit.conftest import Arrays

TASKS = st.fixed_dictionaries(
    {
        "state": st.integers(0, 5),
        "beat_ns": st.sampled_from([0, NOW - 60, NOW - 2]),
        "ended_ns": st.sampled_from([0, NOW - 5, NOW - 4]),
        "parent_bytes": st.sampled_from([0, 4]),
    }
)


def raw_of(tasks: list[dict[str, int]]) -> Raw:
    def edit(arrays: Arrays) -> None:
        for record, values in zip(arrays["tasks"], tasks, strict=True):
            for name, value in values.items():
                record[name] = value * SECOND if name.endswith("_ns") else value

    return build_raw(len(tasks), edit=edit)


def ways(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> Iterator[BoardView]:
    for small in (10**9, 0):
        monkeypatch.setattr(chosen, "SMALL", small)
        yield BoardView.from_raw(raw)


@given(tasks=st.lists(TASKS, max_size=30), most=st.integers(0, 31))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_views_and_records_choose_the_same_tasks(
    monkeypatch: pytest.MonkeyPatch, tasks: list[dict[str, int]], most: int
) -> None:
    found = []
    for view in ways(raw_of(tasks), monkeypatch):
        urgent = [task.serial for task in chosen.most_urgent(view, most)]
        running = [task.serial for task in chosen.first_running(view, most)]
        ends = {
            key: (state, chosen.numbered(view, number).serial) for key, (state, number) in chosen.ends(view).items()
        }
        found.append((urgent, running, ends))
    assert found[0] == found[1]
    assert len(found[0][0]) == min(most, len(tasks))


def test_a_frame_of_many_tasks_makes_views_of_those_that_it_shows(views_made: list[int]) -> None:
    states = [{"state": 2 if number % 3 else 1} for number in range(3000)]
    view = BoardView.from_raw(raw_of(states))
    frame = lines(view, 100, 40)
    assert "and 2,981 more (981 running, 2,000 succeeded)" in frame[-1]  # each has a second line: a worker died
    assert len(views_made) < 40


def test_a_board_of_many_tasks_shows_itself_in_a_notebook_with_few_views(views_made: list[int]) -> None:
    view = BoardView.from_raw(raw_of([{"state": 2}] * 3000))
    assert "and 2,940 more" in view._repr_html_()
    assert len(view) == 3000
    assert len(views_made) == 60


def test_how_many_workers_are_alive_is_told_without_the_names_of_their_tasks() -> None:
    view = BoardView.from_raw(build_raw(3))
    assert chosen.workers_alive(view) == sum(worker.alive for worker in view.workers) == 1
    assert chosen.workers_alive(BoardView.of("b", (), taken_at=float(NOW))) == 0
