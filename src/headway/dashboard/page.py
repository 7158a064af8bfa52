"""The files of the page, as Vite built them: looked up in a table made at the start, never on the disk by a path from a
request."""

from __future__ import annotations

import gzip
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["FOLDER", "Page"]

FOLDER = Path(__file__).with_name("static")
INDEX = "index.html"
_FOR_EVER = "public, max-age=31536000, immutable"  # its name has a hash of its content
_GZIP_LEAST_BYTES = 1024
_MISSING = """\
Headway's page is not built. Everything else works: /api/boards, /api/events, /metrics, /openapi.json.

To build the page, install Node.js 20.19 or newer. Then, in the source tree of Headway:

    pip install '.[dashboard]'    where Headway is installed
    ci/web                        where it runs from the tree

Then start the server again.
"""


@dataclass(frozen=True)
class _File:
    content: bytes
    packed: bytes | None
    media_type: str
    lasting: bool


class Page:
    """All files below a folder, by their path in it."""

    def __init__(self) -> None:
        folder = FOLDER
        self._files = {
            str(path.relative_to(folder)): _read(path, "assets" in path.relative_to(folder).parts[:-1])
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }

    def has(self, path: str) -> bool:
        """Is it the page itself, "", or one of its files?"""
        return path == "" or path in self._files

    def answer(self, path: str, request: Request) -> Response | None:
        """The file of this path, "" for the page itself; None if there is no such file."""
        file = self._files.get(path or INDEX)
        if file is None:
            return PlainTextResponse(_MISSING) if not path else None
        headers = {"Cache-Control": _FOR_EVER if file.lasting else "no-cache", "Vary": "Accept-Encoding"}
        if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(file.packed, headers=headers, media_type=file.media_type)
        return Response(file.content, headers=headers, media_type=file.media_type)


def _read(path: Path, lasting: bool) -> _File:
    content = path.read_bytes()
    packed = gzip.compress(content, mtime=0) if len(content) >= _GZIP_LEAST_BYTES else None
    if packed is not None and len(packed) > 0.9 * len(content):
        packed = None  # a picture, or a font: packed already
    return _File(content, packed, mimetypes.guess_type(path.name)[0] or "application/octet-stream", lasting)
