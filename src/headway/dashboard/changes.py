"""Tells when a snapshot was written, as the kernel reports it through watchfiles."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING

import watchfiles

from headway.files.changes import CHANGES
from headway.files.snapshot import SNAPSHOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Bell"]

log = logging.getLogger(__name__)

STEP_MS = 10  # changes within this time are reported together
DEBOUNCE_MS = 50
AGAIN_MS = 2000  # how often to check for other roots
RETRY_S = 10.0


class Bell:
    """Rings when a snapshot below the roots was written, and notes which board it is of. `rings`: is it reliable?"""

    def __init__(self, roots: Callable[[], list[Path]]) -> None:
        self._roots = roots
        self._names: set[str] = set()
        self._rung = asyncio.Event()
        self.rings = False

    async def wait(self, timeout_s: float | None) -> set[str]:
        """Wait until it rings, or for this time. Returns the boards whose snapshots were written meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        self._rung.clear()
        names, self._names = self._names, set()
        return names

    async def run(self) -> None:
        """Watch, for ever. If that fails, `rings` is False, and it is tried again now and then."""
        while True:
            roots = [root for root in self._roots() if root.is_dir()]
            self.rings = bool(roots) and len(roots) == len(self._roots())
            try:
                if roots:
                    await self._watch(roots)
                else:
                    await asyncio.sleep(AGAIN_MS / 1000)
            except (
                OSError,
                RuntimeError,
            ) as error:  # no watches left, no such thing here, a root gone
                log.info("the kernel does not report changes (%s): looking at the files often instead", error)
                self.rings = False
                await asyncio.sleep(RETRY_S)

    async def _watch(self, roots: list[Path]) -> None:
        """Watch until the roots change."""
        async for changes in watchfiles.awatch(
            *roots,
            watch_filter=lambda _, path: path.endswith((f"{os.sep}{SNAPSHOT}", f"{os.sep}{CHANGES}")),
            step=STEP_MS,
            debounce=DEBOUNCE_MS,
            rust_timeout=AGAIN_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            if changes:
                self._names.update(os.path.basename(os.path.dirname(path)) for _, path in changes)
                self._rung.set()
            elif [root for root in self._roots() if root.is_dir()] != roots:
                return
