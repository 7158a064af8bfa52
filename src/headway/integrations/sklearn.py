"""The progress of estimators of scikit-learn, as tasks on a board: by the callbacks that scikit-learn has since 1.9.

    from headway.integrations.sklearn import HeadwayCallback

    search = GridSearchCV(pipeline, grid, n_jobs=2).set_callbacks(HeadwayCallback())
    search.fit(X, y)

A search counts its candidates, in whatever process; a pipeline its steps, a regression its iterations. Estimators
without `set_callbacks`, and forests, are counted by the calls of joblib that they make: `headway.integrations.joblib`.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.integrations.home import give_up
from headway.integrations.sklearn_fits import TOLD, Fits
from headway.system import paths

try:
    import sklearn
except ImportError as error:
    raise errors.MissingExtra(
        f"following scikit-learn needs the package {error.name}: install it with pip install 'headway[sklearn]'"
    ) from error
try:
    import sklearn.callback
except ImportError as error:
    raise errors.MissingExtra(
        f"scikit-learn {sklearn.__version__} has no callbacks: install 1.9 or newer with pip install"
        " 'headway[sklearn]', or call headway.integrations.joblib.install(), which counts what it does in parallel"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.engine.board import Board

__all__ = ["HeadwayCallback"]


class HeadwayCallback:
    """A callback for `estimator.set_callbacks(...)`. One may serve several estimators, clones and processes.

    label: of the task of a fit, also its id; default: the name of the estimator. board: a board, or its name, for fits
    that are in no task's block and in no loop; default: what `headway.track` would take. max_propagation_depth: for so
    many levels of estimators inside of the estimator tasks are made, None: for all. Raises ValueError, TypeError.
    """

    def __init__(
        self,
        *,
        label: str | None = None,
        board: str | Board | None = None,
        max_propagation_depth: int | None = 1,
    ) -> None:
        depth: object = max_propagation_depth
        if depth is not None and (not isinstance(depth, int) or depth < 0):
            raise ValueError(
                f"max_propagation_depth is a number of levels from 0 on, or None for all, not {depth!r:.60}"
            )
        self.max_propagation_depth = max_propagation_depth
        self._fits = Fits(secrets.token_hex(4), label, board)

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: handles of the tasks that go on, and nothing that is open here."""
        fits = self._fits
        board: Any = fits.board
        if board is None:
            board = paths.default_name(strict=False)
        return {
            "max_propagation_depth": self.max_propagation_depth,
            "fits": (fits.id, fits.label, board if isinstance(board, str) else board.name),
            "tasks": fits.handed_down(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.max_propagation_depth = state["max_propagation_depth"]
        self._fits = Fits(*state["fits"])
        self._fits.receive(state["tasks"])

    # ------------------------------------------------------------------------------- what scikit-learn calls

    def setup(self, estimator: Any, context: Any) -> None:
        """A fit begins."""
        _safely(self._fits.open, context)

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """A part of it begins, in whatever process."""
        _safely(self._fits.begin, context)

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """A part of it has ended."""
        _safely(self._fits.end, context)

    def teardown(self, estimator: Any, context: Any) -> None:
        """The fit has ended, in whatever way."""
        _safely(self._fits.close, context)


def _safely(step: Callable[[Any], object], context: Any) -> None:
    """Progress never stops a fit."""
    try:
        step(context)
    except Exception as error:
        give_up(error, TOLD)
