"""The states of a task have names in tasks/states.py, and numbers in the native code: they are held equal here."""

from __future__ import annotations

import re

import pytest

from headway.native import core, records
from headway.tasks import states
from tests.rooms import PACKAGE
from tests.unit.native.handles import claim, tasks_of

LAYOUT = PACKAGE / "include" / "headway_layout.h"


def numbers() -> dict[str, int]:
    body = re.search(r"enum hw_state \{(.*?)\};", LAYOUT.read_text(), re.DOTALL)
    assert body is not None
    return {name.lower(): int(number) for name, number in re.findall(r"HW_(\w+?)(?:_STATE)? = (\d+)", body[1])}


def test_the_native_names_are_those_of_the_states() -> None:
    assert records.STATES == states.STATES


def test_a_states_number_is_its_place_among_the_names() -> None:
    found = numbers()
    assert found.pop("states") == len(states.STATES)
    assert tuple(sorted(found, key=found.__getitem__)) == states.STATES


def test_the_native_sources_spell_the_names_once() -> None:
    """In records.pyx: a second list would be a second home. Prose may name states, but not all of them in quotes."""
    sources = [path for path in sorted(PACKAGE.glob("native/*")) if path.suffix in (".pyx", ".pxi")]
    where = [path.name for path in sources if all(f'"{state}"' in path.read_text() for state in states.STATES)]
    assert where == ["records.pyx"]


@pytest.mark.parametrize("state", states.STATES[1:])
def test_a_state_that_is_written_stands_on_the_board_by_its_number(state: str, segment: core.Segment) -> None:
    task = claim(segment)
    task._transition(state, states.OPEN_STATES)
    assert tasks_of(segment)["a"]["written"] == numbers()[state]


def test_a_state_that_there_is_not_is_refused(segment: core.Segment) -> None:
    task = claim(segment)
    for state, allowed in (("done", ("pending",)), ("failed", ("done",))):
        with pytest.raises(ValueError, match=r"state 'done' is unknown: choose one of pending, running, success, "):
            task._transition(state, allowed)
    assert task.state == "pending"
