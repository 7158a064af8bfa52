from typing import Final, TypeAlias

_Buffer: TypeAlias = bytes | bytearray | memoryview

POINTS: Final[int]

class Series:
    def look(self, tasks: _Buffer, at: float) -> None: ...
    def points(self, slot: int, generation: int) -> list[tuple[float, int]]: ...
