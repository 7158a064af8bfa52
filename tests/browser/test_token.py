"""The token in a real browser: a link opens the page, nothing shows or sends it on, and who has none is asked."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import axe
from tests.browser.conftest import DESKTOP, PHONE, TOKEN
from tests.browser.on_page import line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser.conftest import Open, Server, Stage

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OTHER = "http://127.0.0.1:{port}/"


@pytest.fixture(autouse=True)
def headway_dir(shared_dir: Path) -> Path:
    """The directory of the boards of all tests here."""
    return shared_dir


def test_a_link_opens_the_page_and_leaves_no_token_in_the_address(open_page: Open, stage: Stage) -> None:
    stage.do("task('a', total=10).update()")
    watched = open_page()
    page = watched.page
    expect(page.get_by_role("link", name=stage.board)).to_be_visible()
    assert "token" not in page.evaluate("location.href")
    page.goto(f"{page.url.partition('#')[0]}#/{stage.board}")
    expect(line(page, "a").locator(".cell-count")).to_have_text("1 / 10")
    stage.do("task('a').update()")
    expect(line(page, "a").locator(".cell-count")).to_have_text("2 / 10")
    assert not [url for url in watched.requests if TOKEN in url or "token=" in url]
    assert page.context.cookies() == []
    another = page.context.new_page()  # a link that somebody sent, in another tab
    another.goto(page.url)
    expect(line(another, "a")).to_be_visible()
    assert not page.evaluate(
        "[...document.querySelectorAll('*')].some((one) => one.outerHTML.includes('correct-horse'))"
    )


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (PHONE, True)])
def test_who_has_no_token_is_asked_and_may_paste_it_or_the_link(
    open_page: Open, server: Server, stage: Stage, size: tuple[int, int], dark: bool
) -> None:
    stage.do("task('a', total=10).update()")
    watched = open_page(stage.board, root=server.url, size=size, dark=dark)
    watched.allowed = ("401",)
    page = watched.page
    field = page.get_by_role("textbox", name="Token")
    expect(field).to_be_visible()
    expect(page.get_by_role("heading")).to_have_text(["Which token?"])
    assert not axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    field.fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("does not know the token")
    assert not axe(page)
    field.fill(TOKEN if size == PHONE else server.link)
    page.get_by_role("button", name="Show the boards").click()
    expect(line(page, "a")).to_be_visible()
    page.reload()
    expect(line(page, "a")).to_be_visible()


def test_a_link_that_is_pasted_into_a_page_that_is_open_counts(open_page: Open, server: Server, stage: Stage) -> None:
    watched = open_page(root=server.url)
    watched.allowed = ("401",)
    expect(watched.page.get_by_role("textbox", name="Token")).to_be_visible()
    watched.page.goto(server.link)
    expect(watched.page.get_by_role("link", name=stage.board)).to_be_visible()
    assert "token" not in watched.page.evaluate("location.href")


def test_a_server_with_a_new_token_has_the_open_page_ask_for_it(
    open_page: Open, own_server: Server, stage: Stage
) -> None:
    watched = open_page(stage.board, root=own_server.link)
    watched.allowed = ("401", "ERR_", "net::")
    expect(watched.page.get_by_role("heading", name=stage.board)).to_be_visible()
    own_server.stop()
    own_server.token = "another-token-than-before"
    own_server.start()
    expect(watched.page.get_by_role("alert")).to_contain_text("does not know the token")
    watched.page.get_by_role("textbox", name="Token").fill(own_server.token)
    watched.page.keyboard.press("Enter")
    expect(watched.page.get_by_role("heading", name=stage.board)).to_be_visible()


@pytest.fixture
def neighbour() -> Iterator[tuple[int, list[str]]]:
    """A server of somebody else on another port of this machine, and the headers that it got."""
    got: list[str] = []

    class Listens(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            got.append(str(self.headers))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><link rel=icon href='data:,'><p>hello</p>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Listens) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield listening.server_port, got
        listening.shutdown()
        thread.join()


def test_a_server_of_another_user_on_another_port_gets_no_token(
    open_page: Open, stage: Stage, neighbour: tuple[int, list[str]]
) -> None:
    port, got = neighbour
    page = open_page().page
    expect(page.get_by_role("link", name=stage.board)).to_be_visible()
    other = page.context.new_page()
    other.goto(OTHER.format(port=port))
    assert got
    assert TOKEN not in "".join(got)
    assert "Cookie" not in "".join(got)
    assert other.evaluate("localStorage.length") == 0
    other.close()
