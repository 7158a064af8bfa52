"""The dashboard: boards in a browser, from their snapshot files alone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from headway import errors

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from starlette.types import ASGIApp

__all__ = ["create_app", "extra"]


def create_app(
    directory: str | os.PathLike[str] | None = None,
    *,
    token: str | None,
    hosts: Iterable[str] = (),
    max_listeners: int = 200,
    analysis: str | os.PathLike[str] | None = None,
) -> ASGIApp:
    """The dashboard as an ASGI application, to serve or to mount: `app.mount("/progress", create_app(token=None))`.

    directory: contains the boards' directories, default: those of this user; token: at least 16 characters, which every
    request for data has to show; None: whoever can send a request sees all boards, so the application around it has to
    ask who that is; hosts: names of this server besides localhost, this machine's name and IP addresses ("*": any);
    max_listeners: streams of events at a time; analysis: the folder of a FileBasedProgressTracker, or its base_dir,
    whose analyses are included. Raises MissingExtra, ValueError for a token that is too short.
    """
    with extra():
        from headway.dashboard import app
    return app.create_app(directory, token=token, hosts=hosts, max_listeners=max_listeners, analysis=analysis)


@contextlib.contextmanager
def extra() -> Iterator[None]:
    """Turns an import that fails, because a package is not installed, into MissingExtra."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").startswith("headway"):
            raise
        raise errors.MissingExtra(
            f"the dashboard needs the package {error.name}: install it with pip install 'headway[dashboard]'"
        ) from error
