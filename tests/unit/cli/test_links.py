"""The links that `headway serve` prints: the address as others reach it, and the token where no server sees it."""

from __future__ import annotations

import re
import socket
from urllib.parse import unquote, urlsplit

import pytest

from headway.cli._links import Links, outside_of

TOKEN = "a token/with?parts#of=addresses&more%"


def links(host: str, family: socket.AddressFamily = socket.AF_INET, token: str | None = None) -> Links:
    with socket.socket(family) as listening:
        listening.bind((host, 0))
        return Links.of(host, listening, token)


def test_the_token_stands_in_the_fragment_and_nowhere_else() -> None:
    found = links("127.0.0.1", token=TOKEN)
    parts = urlsplit(found.local)
    assert unquote(parts.fragment) == f"token={TOKEN}"
    assert parts._replace(fragment="").geturl() == found.at_home == found.urls[0]
    assert found.without_token().links == list(found.urls)


def test_an_address_of_its_own_is_the_one_that_was_asked_for() -> None:
    assert [urlsplit(url).hostname for url in links("127.0.0.1").urls] == ["127.0.0.1"]


def test_all_addresses_are_told_by_the_name_of_this_machine() -> None:
    found = links("0.0.0.0")
    assert urlsplit(found.urls[0]).hostname == socket.gethostname().lower()
    assert urlsplit(found.at_home).hostname == "localhost"
    assert not [url for url in found.urls if "127.0.0.1" in url or "0.0.0.0" in url]


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
def test_addresses_with_colons_are_put_in_brackets() -> None:
    assert links("::1", socket.AF_INET6).urls[0].startswith("http://[::1]:")
    assert urlsplit(links("::", socket.AF_INET6).urls[0]).hostname == socket.gethostname().lower()


@pytest.mark.parametrize(
    ("host", "only_here"), [("localhost", True), ("127.0.0.2", True), ("::1", True), ("box", False)]
)
def test_what_only_this_machine_reaches_is_known(host: str, only_here: bool) -> None:
    assert Links.is_loopback(host) is only_here


def test_where_a_proxy_has_the_page_is_the_first_link() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Links.of("127.0.0.1", listening, TOKEN, "https://box:8443/headway/")
    assert found.links[0].startswith("https://box:8443/headway/#token=")
    assert found.local.startswith("http://127.0.0.1:")
    assert found.local == found.links[1]


@pytest.mark.parametrize(
    ("text", "address", "host"),
    [
        ("https://box", "https://box/", "box"),
        ("http://Box.example:81/a/b", "http://Box.example:81/a/b/", "box.example"),
        ("https://[::1]:8443/a/", "https://[::1]:8443/a/", "::1"),
    ],
)
def test_the_address_of_a_proxy_ends_with_a_slash(text: str, address: str, host: str) -> None:
    assert outside_of(text) == (address, host)


@pytest.mark.parametrize(
    "text",
    ["box", "ftp://box/", "https:///a", "https://user@box/", "https://box/?a", "https://box/#a", "https://box:x/"],
)
def test_what_is_no_address_of_a_page_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        outside_of(text)
