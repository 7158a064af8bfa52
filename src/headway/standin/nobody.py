"""The null task: what `headway.current()` gives outside of every block."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, SupportsIndex

from headway.tasks.counting import Sized, check_iterable, is_async, length_of
from headway.tasks.metrics import Metrics

if TYPE_CHECKING:
    from types import EllipsisType, TracebackType

__all__ = ["NOBODY", "Nobody", "StandinNative"]


_CAPSULE = b"headway.hw_task"  # a capsule keeps a pointer to its name
HW_UNBOUND = 3  # of headway.h


@functools.cache
def _nowhere() -> Any:
    """A hw_task without a stripe, and the word that it takes for this process's identity: hw_add answers HW_UNBOUND."""
    import ctypes

    words = (ctypes.c_uint64 * 8)()
    words[:] = [0, ctypes.addressof(words) + 7 * ctypes.sizeof(ctypes.c_uint64), 1, 0, 0, 0, 0, 0]
    return words


@functools.cache
def _refusal() -> Any:
    """Replaces hw_add where there is no native code: returns HW_UNBOUND."""
    import ctypes

    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)(lambda _task, _n: HW_UNBOUND)


class StandinNative:
    """What `Task.native` returns on a stand-in: a handle for hw_add() of headway.h that counts nothing."""

    __slots__ = ()

    @property
    def address(self) -> int:
        """Address of the hw_task, as an int."""
        import ctypes

        return ctypes.addressof(_nowhere())

    @property
    def generation(self) -> int:
        """0: there is no slot."""
        return 0

    @property
    def function(self) -> int:
        """Address of a C function with the signature of hw_add, as an int."""
        import ctypes

        return ctypes.cast(_refusal(), ctypes.c_void_p).value or 0

    @property
    def item_function(self) -> int:
        """The same in place of hw_item."""
        return self.function

    @property
    def number_function(self) -> int:
        """The same in place of hw_item_number."""
        return self.function

    @property
    def capsule(self) -> Any:
        """A PyCapsule named "headway.hw_task"."""
        import ctypes

        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        return new(self.address, _CAPSULE, None)


class _Ignored:
    """An attribute that may be assigned, and keeps its value."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __get__(self, task: object, kind: type) -> Any:
        return self._value

    def __set__(self, task: object, value: object) -> None:
        return


class _Nothing:
    """A block that does nothing."""

    __slots__ = ("counts",)

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class Nobody:
    """A task whose methods do nothing. It is always running, so that no program stops its work because of it."""

    __slots__ = ()

    id = ""
    state = "running"
    count = 0
    parent = resumed_from = None
    stage = message = _Ignored("")
    total = result = _Ignored(None)

    def __reduce__(self) -> str:
        return "NOBODY"

    def __repr__(self) -> str:
        return "<headway: no task is the current one>"

    def __enter__(self) -> Nobody:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    @property
    def metrics(self) -> Metrics:
        """None are kept."""
        return Metrics()

    def view(self) -> Any:
        """The view of a task that has not begun to count."""
        from headway.views.task_view import TaskView

        return TaskView(id="", state="running")

    def update(self, n: SupportsIndex = 1) -> None:
        """Count nothing."""

    def set(
        self,
        *,
        stage: str | None = None,
        message: str | None = None,
        total: int | EllipsisType | None = ...,
        metrics: Mapping[str, float] | None = None,
        count: int | None = None,
    ) -> bool:
        """Change nothing."""
        return True

    def track(self, iterable: Any, *, total: int | None = None, label: Callable[[Any], object] | None = None) -> Any:
        """Return an iterator over the iterable that counts nothing."""
        if is_async(iterable):
            return aiter(iterable)
        check_iterable(iterable)
        iterator = iter(iterable)
        return iterator if length_of(iterable) is None else Sized(iterator, iterable)

    def item(self, item: object) -> _Nothing:
        """A block that does nothing."""
        return _Nothing()

    def counts(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself."""
        return function

    def task(
        self,
        name: str,
        *,
        total: int | None = None,
        unit: str = "it",
        label: str | None = None,
        stall_after: float | None = None,
        resume: bool = False,
        join: bool = False,
    ) -> Nobody:
        """Itself."""
        return self

    def merge_result(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Keep nothing. Returns the values."""
        return dict(values)

    def adopt(self) -> Nobody:
        """Itself."""
        return self

    def succeed(self, message: str | None = None) -> bool:
        """Change nothing."""
        return True

    def fail(self, error: BaseException | str) -> bool:
        """Change nothing."""
        return True

    def cancel(self, reason: str | None = None) -> bool:
        """Change nothing."""
        return True

    def native(self) -> StandinNative:
        """A handle for C, Cython and numba code that counts nothing."""
        return StandinNative()


NOBODY: Any = Nobody()  # typed as Any, as it is used as a Task
