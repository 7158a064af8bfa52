"""What tests of the commands share: a board whose texts are odd, and the type of the fixture `call`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from headway.engine.board import Board, open_board

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from tests.conftest import Finished

    Headway: TypeAlias = Callable[..., Finished]

__all__ = ["ODD", "odd_board"]

ODD = "全部/\x1b[31mred\x07 🎉/.."


@contextlib.contextmanager
def odd_board(name: str) -> Iterator[Board]:
    """A board with a running task, whose id is ODD, and a failed one."""
    made = open_board(name, capacity=16)
    task = made.task(ODD, total=5000, unit="bar", label="All of them")
    task.set(stage="fit", message="fold 3/5", metrics={"loss": 0.5})
    task.update(2100)
    task.result = {"auc": 0.91, "note": "é\x1b"}
    made.task("broken").fail(ValueError("no such bar"))
    yield made
    with contextlib.suppress(FileNotFoundError):
        made.remove(files=True)
