"""Every call of joblib.Parallel as a task on a board, whichever backend does its items, and in whatever process.

    from headway.integrations.joblib import Parallel, delayed   # in place of: from joblib import Parallel, delayed

    with headway.integrations.joblib.tracked(label="fits"):     # or for a block, also for calls of libraries
        GridSearchCV(...).fit(X, y)

    headway.integrations.joblib.install()                       # or once, for all calls of the process

What is called, and what comes of it, is as before. The task is called like the function; each item counts when it ends,
in the worker that did it. Where no board is possible, one warning says so, and joblib works alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway import errors

try:
    import joblib
    from joblib import delayed

    from headway.integrations.joblib_install import install, take, tracked, uninstall
    from headway.integrations.joblib_place import Wanted
except ImportError as error:
    raise errors.MissingExtra(
        f"counting the calls of joblib needs the package {error.name}: install it with pip install 'headway[joblib]'"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headway.engine.board import Board

__all__ = ["Parallel", "delayed", "install", "tracked", "uninstall"]


class Parallel(joblib.Parallel):
    __doc__ = joblib.Parallel.__doc__

    def __init__(self, *args: Any, label: str | None = None, board: str | Board | None = None, **kwargs: Any) -> None:
        """As joblib.Parallel, and how its calls are shown.

        label: for people, also the id; default: the name of the function that is called. board: as of `install`.
        """
        super().__init__(*args, **kwargs)
        self._headway = Wanted(label, board)

    def __call__(self, iterable: Iterable[Any]) -> Any:
        return take(joblib.Parallel.__call__, self, iterable, self._headway)
