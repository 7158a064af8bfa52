"""Every bar of tqdm as a task on a board: `install()` for all bars of the process, or this module's `tqdm` for some.

    from headway.integrations.tqdm import tqdm      # in place of: from tqdm import tqdm

    headway.integrations.tqdm.install()             # or once, for all tqdm bars, also those of libraries

The bars look and behave as before. Each is a task besides: its description is the label, numbers of its postfix are
metrics, the rest is the message; a bar in the loop or in the `with` block of another one is a part of that one.
Where no board is possible, one warning says so, and the bars go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway import errors

try:
    from tqdm import auto

    from headway.integrations.tqdm_place import add_own, install, uninstall
except ImportError as error:
    raise errors.MissingExtra(
        f"mirroring the bars of tqdm needs the package {error.name}: install it with pip install 'headway[tqdm]'"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["install", "process_map", "thread_map", "tqdm", "tqdm_notebook", "trange", "uninstall"]

tqdm_notebook: Any  # made when it is asked for

# ------------------------------------------------------------------------------------------------ in place of imports


class tqdm(auto.tqdm):  # noqa: N801 - the name of what it stands for
    __doc__ = auto.tqdm.__doc__


add_own(tqdm)


def trange(*args: Any, **kwargs: Any) -> Any:
    """A bar over range(*args)."""
    return tqdm(range(*args), **kwargs)


def process_map(function: Any, *iterables: Iterable[Any], **kwargs: Any) -> list[Any]:
    """As tqdm.contrib.concurrent.process_map."""
    from tqdm.contrib import concurrent

    found: list[Any] = concurrent.process_map(function, *iterables, **{"tqdm_class": tqdm, **kwargs})
    return found


def thread_map(function: Any, *iterables: Iterable[Any], **kwargs: Any) -> list[Any]:
    """As tqdm.contrib.concurrent.thread_map."""
    from tqdm.contrib import concurrent

    found: list[Any] = concurrent.thread_map(function, *iterables, **{"tqdm_class": tqdm, **kwargs})
    return found


def __getattr__(name: str) -> Any:
    """`tqdm_notebook` is made when it is asked for: tqdm imports IPython for it."""
    if name != "tqdm_notebook":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tqdm import notebook

    kind = type(name, (notebook.tqdm,), {"__module__": __name__, "__doc__": notebook.tqdm.__doc__})
    add_own(kind)
    globals()[name] = kind
    return kind
