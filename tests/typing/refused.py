"""Programs that type checkers must refuse. Never run.

Each line says which error mypy and pyright have to report there: an `ignore` that is not needed is an error of its own.
"""

from __future__ import annotations

import headway


def wrong_arguments(board: headway.Board, task: headway.Task) -> None:
    headway.open(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    headway.open("nightly", 64)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    headway.open("nightly", capacity="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    headway.read(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    headway.track(5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    board.task(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    board.task("sums", total="all")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    task.update("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    task.set(message=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wrong_names(board: headway.Board, view: headway.TaskView) -> None:
    print(headway.nothing)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(headway.errors.Nothing)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(board.nothing)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    view.count = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def wrong_results(board: headway.Board) -> None:
    view: headway.TaskView = board.get("sums")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    count: str = view.count  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    board.snapshot(count)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
