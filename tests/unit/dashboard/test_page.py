"""The files of the page: which are packed, which are kept by browsers, and which are none."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from starlette.requests import Request

from headway.dashboard import page
from headway.dashboard.page import Page

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response

SCRIPT = b"let one = 1;\n" * 1000


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<p>here</p>")
    (folder / "assets" / "page-1a2b.js").write_bytes(SCRIPT)
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    monkeypatch.setattr(page, "FOLDER", folder)
    return Page()


def answered(built: Page, path: str, encodings: str = "gzip, br") -> Response:
    headers = [(b"accept-encoding", encodings.encode())]
    response = built.answer(path, Request({"type": "http", "query_string": b"", "headers": headers}))
    assert response is not None
    return response


def test_the_page_itself_is_asked_for_anew_and_what_has_a_hash_is_kept(built: Page) -> None:
    assert answered(built, "").headers["cache-control"] == "no-cache"
    assert "immutable" in answered(built, "assets/page-1a2b.js").headers["cache-control"]


def test_who_takes_gzip_gets_it_where_it_is_shorter(built: Page) -> None:
    packed = answered(built, "assets/page-1a2b.js")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(bytes(packed.body)) == SCRIPT
    plain = answered(built, "assets/page-1a2b.js", "br")
    assert "content-encoding" not in plain.headers
    assert plain.body == SCRIPT
    assert "content-encoding" not in answered(built, "").headers  # too short


def test_nothing_is_found_but_what_was_built(built: Page) -> None:
    request = Request({"type": "http", "query_string": b"", "headers": []})
    for path in ("link", "../secret", "assets", "assets/../index.html", "/index.html"):
        assert built.answer(path, request) is None
