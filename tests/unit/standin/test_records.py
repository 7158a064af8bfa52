"""The records of the stand-in: views, and room for new ones."""

from __future__ import annotations

import pickle
from typing import Any

from headway.engine import board
from headway.standin import board as standin
from headway.views.board_view import TaskView


def test_a_view_of_one_has_what_a_view_of_the_other_has(board_name: str) -> None:
    found = []
    for opener in (board.open_board, standin.open_board):
        home: Any = opener(board_name, capacity=4)
        try:
            with home.task("one", total=4, unit="bar", label="One") as task:
                task.set(stage="load", message="hello", metrics={"loss": 0.5})
                task.stage = "fit"
                task.update(2)
                task.result = {"auc": 0.5}
                part = task.task("part")
                part.update()
                part.fail("why")
            view, below = home.snapshot().tasks
            assert home.get("one").count == 2
            found.append(
                [
                    {
                        **{name: getattr(one, name) for name in SEEN},
                        "stages": [stage.name for stage in one.stages],
                        "entered": [stage.entered is None for stage in one.stages],
                        "left": [stage.left is None for stage in one.stages],
                        "times": [getattr(one, name) is None for name in TIMES],
                        "metrics": dict(one.metrics),
                    }
                    for one in (view, below)
                ]
            )
            assert set(view.to_dict()) == set(TaskView(id="x").to_dict())
            assert home.snapshot().workers[0].pid == view.owner_pid
        finally:
            home.remove(files=True)
    assert found[0] == found[1]


SEEN = (
    *("id", "label", "unit", "parent", "state", "count", "total", "base", "stage", "message", "error", "result"),
    *("final", "fraction", "eta", "resumed_from", "owner_pid", "owner_alive", "stages_left_out"),
)
TIMES = ("created", "started", "ended", "stage_entered", "beat")


def test_handles_that_come_from_elsewhere_fill_no_board() -> None:
    dumped = pickle.dumps(standin.open_board("elsewhere").task("one", total=5))
    standin.open_board("elsewhere").close()
    handles = [pickle.loads(dumped) for _ in range(3000)]
    handle = handles[-1]
    handle.update()
    assert (handle.id, handle.total, handle.count) == ("one", 5, 1)
    assert not standin.open_board("elsewhere").tasks()
    standin.open_board("elsewhere").close()


def test_a_handle_is_not_taken_for_the_next_task_of_its_id() -> None:
    with standin.open_board("again") as board:
        old = board.task("one")
        dumped = pickle.dumps(old)
        old.succeed()
        new = board.task("one")
        pickle.loads(dumped).update(5)
        assert new.count == 0


def test_what_has_ended_makes_room() -> None:
    with standin.open_board("small", capacity=2) as board:
        for number in range(10):
            board.task(str(number)).succeed()
        assert [view.id for view in board.tasks()] == ["8", "9"]
