"""The metrics of a task as they are handed out: a dict that says how to change them."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["Metrics"]


class Metrics(dict[str, float]):
    """Floats by name, read only: a change of them would not reach the task. A plain dict is a copy: dict(metrics)."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("these metrics are a copy, and read only: change the task's with task.set(metrics={...})")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse

    def __reduce__(self) -> tuple[type[Metrics], tuple[dict[str, float]]]:
        return Metrics, (dict(self),)
