"""What one client has, and the server-sent events that bring it up to date.

A reader has no queue. It knows the revision that its client has, and is asked for the rest when the client has read
what was sent before. So a slow client gets fewer and larger patches, one that comes back with Last-Event-ID gets the
same as a slow one, and a patch is encoded once for all clients with the same revision.
"""

from __future__ import annotations

import functools
import re
import zlib
from typing import TYPE_CHECKING, Any, TypeVar

from headway.dashboard.encode import encode, event
from headway.dashboard.state.table import NOTHING_MOVED, Patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headway.dashboard.state.boards import Boards, Followed
    from headway.dashboard.state.table import Table

__all__ = ["Reader"]

ROWS_AT_ONCE = 1000
_ID = re.compile(r"([0-9a-f]{12})\.([0-9a-f]{8})\.([0-9]{1,15})\.([0-9]{1,15})\Z")

T = TypeVar("T")


class Reader:
    """The place of one client in the list of boards, and in the tasks of the board `name`; 0 = it has nothing."""

    def __init__(
        self, boards: Boards, encoded: dict[tuple[Any, ...], Any], epoch: str, name: str | None, last_id: str
    ) -> None:
        self._boards = boards
        self._encoded = encoded
        self._name = name
        self._stream = f"{epoch}.{zlib.crc32((name or '').encode()):08x}"  # an id of another stream is meaningless here
        self.list_at = self.board_at = 0
        match = _ID.match(last_id)
        if match and last_id.startswith(f"{self._stream}."):
            self.list_at, self.board_at = (min(int(text), boards.revision) for text in match.groups()[2:])

    def news(self) -> Iterator[bytes]:
        """What the client lacks, if anything. It is up to date when it has read all of it."""
        yield from self._list_news(self._boards.revision)
        if self._name is not None:
            yield from self._board_news(self._name, self._boards.followed[self._name])

    @property
    def _id(self) -> str:
        return f"{self._stream}.{self.list_at}.{self.board_at}"

    def _once(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        found: T | None = self._encoded.get(key)
        if found is None:
            found = self._encoded[key] = make()
        return found

    # ----------------------------------------------------------------------------------------------------- the list

    def _list_news(self, revision: int) -> Iterator[bytes]:
        at = self.list_at
        if body := self._once(("list", at), lambda: _list_body(self._boards, at)):
            self.list_at = revision
            yield event(b"boards", body, self._id)

    # ----------------------------------------------------------------------------------------------------- one board

    def _board_news(self, name: str, followed: Followed) -> Iterator[bytes]:
        at, table, known = self.board_at, followed.table, self._boards.known.get(name)
        changed = known is not None and known.since > at
        if at < followed.born or (changed and table is None) or (table is not None and at < table.complete_since):
            yield from self._whole(name, followed)
        elif table is not None:
            revision = self._boards.revision

            def make() -> bytes:
                patch = table.patch(at)
                return self._body(name, at, revision, patch) if patch or changed else b""

            if body := self._once(("board", name, at), make):
                self.board_at = revision
                yield event(b"board", body, self._id)

    def _whole(self, name: str, followed: Followed) -> Iterator[bytes]:
        """The whole board in parts, so that the page can draw early and a slow client needs little server memory."""
        revision, after = self._boards.revision, None
        while followed.born <= revision:  # else the board was replaced meanwhile: start over
            body, after = self._once(
                ("part", name, after, revision), functools.partial(self._part, name, followed.table, after, revision)
            )
            if after is None:
                self.board_at = revision
            yield event(b"board", body, self._id if after is None else "")
            if after is None:
                return

    def _part(self, name: str, table: Table | None, after: int | None, revision: int) -> tuple[bytes, int | None]:
        """Encoded rows, and the serial after which the next part begins."""
        begin = after is None
        rows, more = ([], False) if table is None else table.page(after, ROWS_AT_ONCE)
        workers = list(table.workers.rows.values()) if table is not None and begin else []
        body = self._body(name, None if begin else revision, revision, Patch(rows, NOTHING_MOVED, [], workers, []))
        return body, rows[-1]["serial"] if more else None

    def _body(self, name: str, at: int | None, revision: int, patch: Patch) -> bytes:
        known = self._boards.known.get(name)
        fields = {
            "board": name,
            "whole": at is None,
            "from": at,
            "rev": revision,
            "summary": None if known is None else known.summary,
            "tasks": patch.rows,
            "moved": patch.moved,
            "removed": patch.removed,
            "workers": patch.workers,
            "workers_removed": patch.workers_removed,
        }
        if at is None:
            fields["throughput"] = None if known is None else known.throughput.to_dict()
        return encode(fields)


def _list_body(boards: Boards, at: int) -> bytes:
    whole = at < max(1, boards.gone_complete_since)
    changed = [boards.known[name].summary for name in sorted(boards.known) if whole or boards.known[name].since > at]
    removed = [] if whole else [name for name, since in boards.gone.items() if since > at]
    if not (whole or changed or removed or boards.problem_since > at):
        return b""
    return encode({"whole": whole, "boards": changed, "removed": removed, "error": boards.problem})
