"""Rate, fraction, time left and counts hold whatever a program, a clock or a file does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.native.rates import Rates
from headway.tasks.states import FINAL_STATES, STATES, URGENCY
from headway.views import numbers
from headway.views.board_view import BoardView, TaskView
from headway.views.numbers import LEFT_MOST_S, TimeLeft

if TYPE_CHECKING:
    from headway.engine.board import Board

NOW = 1_700_000_000.0
RATES = st.none() | st.floats(1e-6, 1e12) | st.sampled_from([0.0, 1e-12, 1e-9, math.inf])
TOTALS = st.none() | st.integers(0, 2**63 - 1)
COUNTS = st.integers(-(2**47), 2**63 - 1)
TIMES = st.none() | st.floats(NOW - 1e6, NOW + 1e6)


@st.composite
def tasks(draw: st.DrawFn) -> TaskView:
    return TaskView(
        id=draw(st.text("abc", min_size=1, max_size=6)),
        state=draw(st.sampled_from(STATES)),
        count=draw(COUNTS),
        total=draw(TOTALS),
        rate=draw(RATES),
        beat=draw(TIMES),
        started=draw(TIMES),
        created=draw(TIMES),
        taken_at=NOW,
        serial=draw(st.integers(0, 2**63)),
    )


@given(tasks())
def test_a_stalled_task_runs_at_rate_0_and_has_no_time_left(task: TaskView) -> None:
    if task.stalled:
        assert task.state == "running"
        assert task.rate == 0.0
        assert task.eta in (None, 0.0)
        assert task.eta is None or task.count == task.total


@given(tasks())
def test_a_fraction_lies_between_0_and_1_and_is_1_only_where_all_is_counted(task: TaskView) -> None:
    if task.fraction is None:
        assert task.total is None or task.total == 0 or task.count > task.total
    else:
        assert task.total is not None
        assert 0.0 <= task.fraction <= 1.0
        assert task.count <= task.total


@given(tasks())
def test_a_time_left_is_that_of_a_task_which_moves_towards_its_total_within_a_hundred_years(task: TaskView) -> None:
    if task.eta is not None:
        assert task.state == "running"
        assert task.total is not None
        assert task.count <= task.total
        assert 0.0 <= task.eta <= LEFT_MOST_S
        if task.count < task.total:
            assert task.rate
            assert task.eta == pytest.approx((task.total - task.count) / task.rate)


@given(st.lists(tasks(), max_size=8))
def test_the_time_left_of_a_board_is_the_longest_and_says_what_is_not_in_it(found: list[TaskView]) -> None:
    view = BoardView.of("one", found, taken_at=NOW)
    left = view.time_left
    etas = [task.eta for task in found if task.eta is not None]
    assert left.seconds == max(etas, default=None)
    assert left.stalled == sum(task.stalled for task in found) == view.counts.stalled <= view.counts.running
    waiting = any(task.state == "pending" for task in found)
    assert left.at_least == (waiting or any(task.eta is None for task in found if task.state == "running"))


@given(st.lists(tasks(), max_size=8))
def test_counts_are_sums_of_the_states_and_a_stalled_task_is_counted_once(found: list[TaskView]) -> None:
    counts = BoardView.of("one", found, taken_at=NOW).counts
    assert counts.total == len(found) == sum(counts.values())
    assert counts.ended == sum(task.final for task in found)
    assert counts.total == counts.open + counts.ended
    assert list(counts) == list(STATES)
    assert counts.to_dict() == {**counts, "total": counts.total, "ended": counts.ended, "stalled": counts.stalled}
    with pytest.raises(KeyError):
        counts["done"]


@given(
    st.dictionaries(st.sampled_from([*STATES, "x"]), st.integers() | st.floats() | st.text() | st.none()) | st.text()
)
def test_what_a_file_says_of_tasks_that_are_gone_is_a_number_of_ended_tasks_or_ignored(told: Any) -> None:
    gone = numbers.gone_in({"gone": told})
    for state in STATES:
        said = told.get(state) if isinstance(told, dict) else None
        good = state in FINAL_STATES and type(said) is int and 0 <= said < 2**63
        assert gone[state] == (said if good else 0)


def test_the_most_urgent_are_the_stalled_then_the_others_that_run_then_the_lost_and_the_failed() -> None:
    ranked = sorted(
        ((state, stalled) for state in STATES for stalled in (False, True)), key=lambda one: numbers.urgency(*one)
    )
    assert ranked[::2] == [(state, True) for state in sorted(STATES, key=URGENCY.__getitem__)]
    assert ranked[:2] == [("running", True), ("running", False)]
    assert [state for state, _ in ranked[2:6]] == ["lost", "lost", "failed", "failed"]


# --- the same from records, watched over time


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example starts the task anew
@given(
    st.lists(
        st.tuples(st.sampled_from(["count", "back", "stall", "clock"]), st.floats(1e-6, 1e6), st.floats(1e-3, 30.0)),
        min_size=1,
        max_size=12,
    )
)
def test_a_watched_task_never_shows_a_time_left_that_its_rate_does_not_explain(
    board: Board, steps: list[tuple[str, float, float]]
) -> None:
    """Stalls, counts that go back, steps of the wall clock: by the records, and by what is made of them."""
    if (old := board.get("one")) is not None:
        board.attach(old.id).succeed()
    task = board.task("one", total=10**7)
    task.update()
    raw = board.snapshot().raw
    rates, at_ns, monotonic_ns = Rates(), raw.meta["taken_ns"], 10**12
    for kind, amount, seconds in steps:
        if kind in ("count", "back"):
            task.update(min(int(amount) + 1, 10**6) * (1 if kind == "count" else -1))
        monotonic_ns += int(seconds * 1e9)
        at_ns += int(seconds * 1e9) + (int(amount * 1e9) - 5 * 10**14 if kind == "clock" else 0)
        records = bytearray(board.snapshot().raw.tasks)
        rates.update(records, at_ns, monotonic_ns)
        view = BoardView.from_raw(raw._replace(tasks=records, meta={**raw.meta, "taken_ns": at_ns}))
        shown = view.get("one")
        assert shown is not None
        (pace,) = view.paces
        assert (pace.stalled, pace.rate, pace.left) == (shown.stalled, shown.rate, shown.eta)
        assert shown.rate is None or 0.0 <= shown.rate < math.inf
        assert (view.counts.running, view.counts.stalled) == (1, int(shown.stalled))
        unknown = shown.eta is None
        assert view.time_left == TimeLeft(shown.eta, unknown, int(shown.stalled))
        if shown.eta is not None and shown.count < (shown.total or 0):
            assert shown.rate
            assert not shown.stalled
