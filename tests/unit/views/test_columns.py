"""The rules over arrays give what the rules over one task give."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from headway.views import columns
from headway.views.board_view import BoardView
from headway.views.chosen import numbered
from headway.views.numbers import time_left, urgency
from tests.unit.conftest import NOW, SECOND, build_raw

if TYPE_CHECKING:
    from tests.unit.conftest import Arrays

TIMES = st.sampled_from([0, NOW - 60, NOW - 10, NOW - 2, NOW + 30])
TASKS = st.fixed_dictionaries(
    {
        "state": st.integers(0, 5),
        "count": st.sampled_from([0, 1, 10, 11, 2**40]),
        "total": st.sampled_from([-1, 0, 10, 2**50]),
        "rate": st.sampled_from([math.nan, math.inf, 0.0, 1e-12, 1e-9, 0.5, 1e9]),
        "beat_ns": TIMES,
        "started_ns": TIMES,
        "created_ns": TIMES,
        "stall_after_ns": st.sampled_from([-1, 0, 1, 5, 45, (2**63 - 1) / SECOND]),
    }
)


@given(tasks=st.lists(TASKS, max_size=12))
@settings(deadline=None)
def test_stalled_urgency_and_time_left_are_those_of_the_tasks(tasks: list[dict[str, float]]) -> None:
    def edit(arrays: Arrays) -> None:
        for record, values in zip(arrays["tasks"], tasks, strict=True):
            for name, value in values.items():
                record[name] = min(value * SECOND, 2**63 - 1) if name.endswith("_ns") else value

    view = BoardView.from_raw(build_raw(len(tasks), edit=edit))
    views = [numbered(view, number) for number in range(len(tasks))]
    given_to = (view.array, view.taken_at)
    assert columns.stalled(*given_to).tolist() == [task.stalled for task in views]
    ranks = columns.ranks(*given_to).tolist()
    places = [urgency(task.state, task.stalled) for task in views]
    for one in range(len(tasks)):
        for other in range(len(tasks)):
            assert (ranks[one] < ranks[other]) == (places[one] < places[other])
    expected = time_left([task.eta for task in views if task.state == "running"], view.counts)
    assert columns.time_left(*given_to, view.counts) == expected


def test_a_board_of_many_running_tasks_takes_its_time_left_from_arrays() -> None:
    view = BoardView.from_raw(build_raw(600))
    left = view.time_left
    assert view._paces is None
    assert left == time_left((pace.left for pace in view.paces), view.counts)
    assert view.time_left == left
