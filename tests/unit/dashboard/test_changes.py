"""A bell rings when a snapshot was written."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from headway.dashboard.changes import Bell

if TYPE_CHECKING:
    from pathlib import Path


def write(board: Path, name: str) -> None:
    """As snapshots are written: under another name, then renamed."""
    board.mkdir(exist_ok=True)
    (board / "new").touch()
    os.rename(board / "new", board / name)


def test_it_names_the_boards_whose_snapshots_were_written_and_no_others(tmp_path: Path) -> None:
    async def rung() -> set[str]:
        bell = Bell(lambda: [tmp_path])
        watch = asyncio.create_task(bell.run())
        found: set[str] = set()
        try:
            async with asyncio.timeout(60):
                while "one" not in found:  # the watch begins a moment later
                    write(tmp_path / "quiet", "history.sqlite3")
                    write(tmp_path / "one", "snapshot.npz")
                    found |= await bell.wait(0.1)
            assert bell.rings
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        return found

    assert asyncio.run(rung()) == {"one"}


def test_waiting_ends_without_a_ring(tmp_path: Path) -> None:
    assert asyncio.run(Bell(lambda: [tmp_path]).wait(0.01)) == set()


def test_it_cannot_be_relied_on_where_a_root_is_missing(tmp_path: Path) -> None:
    async def rings() -> bool:
        bell = Bell(lambda: [tmp_path, tmp_path / "missing"])
        bell.rings = True
        watch = asyncio.create_task(bell.run())
        await asyncio.sleep(0)  # up to its first wait
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        return bell.rings

    assert not asyncio.run(rings())
