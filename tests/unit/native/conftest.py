"""A segment of sixteen slots, and one of two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from headway.engine import segments
from headway.native import core
from tests.unit.native.handles import Place

if TYPE_CHECKING:
    pass


@pytest.fixture
def place(board_name: str) -> Iterator[Place]:
    segment, directory, _ = segments.open_or_create(board_name, capacity=16, workers=8, result_bytes=64)
    yield segment, directory
    segments.unlink(directory, segment)
    segment.close()


@pytest.fixture
def segment(place: Place) -> core.Segment:
    return place[0]


@pytest.fixture
def small(board_name: str) -> Iterator[core.Segment]:
    """A board of two slots."""
    segment, directory, _ = segments.open_or_create(f"{board_name}-small", capacity=2, workers=1, result_bytes=0)
    yield segment
    segments.unlink(directory, segment)
    segment.close()
