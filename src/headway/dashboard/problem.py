"""Errors as answers, in the format of RFC 9457."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING

from starlette.responses import Response

from headway.dashboard.encode import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Problem"]


class Problem(Exception):
    """An answer that is an error. code: for programs; detail: for people, naming the value and the remedy."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self, **more: str) -> Response:
        """The answer; more: further members of the object."""
        fields = {
            "type": "about:blank",
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **more,
        }
        return Response(encode(fields), self.status, self.headers, "application/problem+json")
