"""What mirroring costs the bars of tqdm: the same bars with and without a task behind them, in turns."""

from __future__ import annotations

import os
from itertools import repeat
from typing import TYPE_CHECKING, Any, TextIO

import pytest
from tqdm.auto import tqdm

from benchmarks.contest import Contest, Side
from headway.integrations import tqdm as ours
from headway.integrations.mirror import use_board

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.board import Board

ITEMS = 100_000  # a round takes some milliseconds: the beginning and the end of a bar are small beside it
UPDATES = 20_000


@pytest.fixture
def void(board: Board) -> Iterator[TextIO]:
    """A stream that discards everything; meanwhile bars go to the board of the benchmark."""
    use_board(board)
    with open(os.devnull, "w") as stream:
        yield stream
    use_board(None)


def bench_tqdm_loop(contest: Contest, void: TextIO) -> None:
    def loop(kind: Any) -> Side:
        def run() -> None:
            for _ in kind(range(ITEMS), file=void):
                pass

        return Side(run, ITEMS)

    contest(loop(ours.tqdm), {"tqdm alone": loop(tqdm)}, rounds=100)


def bench_tqdm_update(contest: Contest, board: Board, void: TextIO) -> None:
    with ours.tqdm(total=10**12, file=void) as mirrored, tqdm(total=10**12, file=void) as alone:

        def updates(bar: Any) -> Side:
            def run() -> None:
                for _ in repeat(None, UPDATES):
                    bar.update()

            return Side(run, UPDATES)

        contest(updates(mirrored), {"tqdm alone": updates(alone)}, rounds=100)
        view = board.get("tqdm")
        assert view is not None
        assert view.count == mirrored.n
