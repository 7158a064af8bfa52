"""Every task of `rich.progress` as a task on a board: `headway.integrations.rich.install()`, once.

The bars look and behave as before. Where no board is possible, one warning says so, and they go on.
"""

from __future__ import annotations

from headway import errors

try:
    from headway.integrations.rich_place import install, uninstall
except ImportError as error:
    raise errors.MissingExtra(
        f"mirroring the bars of rich needs the package {error.name}: install it with pip install 'headway[rich]'"
    ) from error

__all__ = ["install", "uninstall"]
