"""Pages for people: complete without a foreign server, and without a token."""

import re
from html.parser import HTMLParser

import pytest

from tests.worlds.api import make_world
from topics.asyncapi import asyncapi_document

PAGES = ["/", "/docs", "/docs/events"]


class Links(HTMLParser):
    """Every address that a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if name in ("href", "src") and value is not None]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_no_token_and_no_foreign_server(path: str) -> None:
    """Every address on it is served by this process."""
    world = await make_world()
    async with world.client() as client:
        page = await client.get(path)
        links = Links()
        links.feed(page.text)
        served = {address: (await client.get(address)).status_code for address in links.addresses}

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert all(address.startswith("/") for address in served)
    assert {address for address, status in served.items() if status not in (200, 401)} == set()
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert re.search("<script(?! src=)", page.text) is None


async def test_the_page_of_events_shows_every_topic_and_message() -> None:
    """It is made from the AsyncAPI document, so that the two cannot differ."""
    world = await make_world()
    document = asyncapi_document()
    async with world.client() as client:
        text = (await client.get("/docs/events")).text

    assert {channel["address"] for channel in document["channels"].values()} <= set(
        re.findall(r"Topic <code>([^<]+)</code>", text)
    )
    for message in document["components"]["messages"].values():
        assert message["title"] in text
    assert "Undefined" not in text
