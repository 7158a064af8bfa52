"""What cannot be answered, as RFC 9457 has it."""

from __future__ import annotations

import json

from headway.dashboard.problem import Problem


def test_a_problem_tells_its_status_code_and_detail() -> None:
    response = Problem(404, "unknown-board", "there is no board 'x'", {"X-Extra": "1"}).response(error="more")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-extra"] == "1"
    assert json.loads(bytes(response.body)) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no board 'x'",
        "code": "unknown-board",
        "error": "more",
    }
