"""The page behind real proxies, as documented: HTTPS, an odd port, a path; by the link, by the token, and live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.on_page import line
from tests.integration.dashboard import Server
from tests.proxies import MISSING, NAME, Proxy, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser.conftest import Open, Stage

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(autouse=True)
def headway_dir(shared_dir: Path) -> Path:
    """The directory of the boards of all tests here."""
    return shared_dir


@pytest.fixture(params=["nginx", "caddy"])
def behind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Proxy]]:
    """A server that made up its token, and a proxy before it."""
    if reason := MISSING.get(request.param):
        pytest.skip(reason)
    port = free_port()
    server = Server("--url", f"https://{NAME}:{port}/headway")
    try:
        with Proxy(request.param, tmp_path / "proxy", port, server.port) as proxy:
            yield server, proxy
    finally:
        server.end()
    assert server.errors == ""


def test_the_printed_link_opens_the_page_and_what_happens_is_seen_at_once(
    stage: Stage, behind: tuple[Server, Proxy], open_page: Open
) -> None:
    server, proxy = behind
    stage.do("task('a/b', total=10).update()")
    assert server.token is not None
    assert server.links[0].startswith(f"{proxy.url}#token=")
    watched = open_page(root=server.links[0])
    page = watched.page
    page.get_by_role("link", name=stage.board).click()
    expect(line(page, "a/b").locator(".cell-count")).to_have_text("1 / 10")
    stage.do("task('a/b').update()")
    expect(line(page, "a/b").locator(".cell-count")).to_have_text("2 / 10")
    # By events, which the proxy passed on as they came: an answer to a question would have been asked for anew.
    streams = [url for url in watched.requests if "/api/events" in url]
    assert len(streams) == len(set(streams)), streams
    assert not [url for url in watched.requests if server.token in url]
    page.goto(f"{proxy.url}#/{stage.board}/tasks/a%2Fb")
    expect(page.get_by_role("region", name="Facts")).to_be_visible()
    page.close()


def test_who_has_no_token_is_asked_told_what_is_wrong_and_stays_in(
    stage: Stage, behind: tuple[Server, Proxy], open_page: Open
) -> None:
    server, proxy = behind
    assert server.token is not None
    stage.do("task('a', total=10).update()")
    watched = open_page(stage.board, root=proxy.url.removesuffix("/"))  # the proxy adds the slash
    watched.allowed = ("401",)
    page = watched.page
    field = page.get_by_role("textbox", name="Token")
    field.fill("another-token-than-that")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("does not know the token")
    field.fill(server.token)
    page.keyboard.press("Enter")
    expect(line(page, "a").locator(".cell-count")).to_have_text("1 / 10")
    page.reload()
    expect(line(page, "a").locator(".cell-count")).to_have_text("1 / 10")
    stage.do("task('a').update()")
    expect(line(page, "a").locator(".cell-count")).to_have_text("2 / 10")
    page.close()
