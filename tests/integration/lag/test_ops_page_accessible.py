"""The pages below /ops in a browser: axe finds nothing that WCAG forbids, in any colours and width."""

from functools import partial
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page

from streams.jobs.records import StoredRecord
from tests.scenes.browser import chromium, executable
from tests.scenes.serving import Served, served
from tests.scenes.trouble import NOW_MS, overview

pytestmark = pytest.mark.skipif(executable() is None, reason="there is no Chromium on PATH")

PARTITION = "/ops/groups/check/likes/1"
PHONE = 390
Colours = Literal["dark", "light"]


async def opened(browser: Browser, address: str, colours: Colours, width: int) -> Page:
    page = await browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=colours, reduced_motion="reduce"
    )
    await page.goto(address)
    return page


async def violations(page: Page) -> list[tuple[str, Any]]:
    """What axe finds: the rule, and the elements."""
    found = await Axe().run(page)
    return [
        (violation["id"], [node["html"] for node in violation["nodes"]])
        for violation in found.response["violations"]
    ]


def note(said: list[str], message: ConsoleMessage) -> None:
    said.append(message.text)


def put_record(api: Served) -> None:
    record = StoredRecord(
        offset=8_980, timestamp_ms=NOW_MS, key=b"77", value=b"{}", headers=[("ce_id", b"e1")]
    )
    api.world.records.logs["likes", 1] = [record]


async def test_every_page_is_accessible_in_dark_light_and_on_a_phone() -> None:
    """And no page is wider than the screen, nor writes an error to the console."""
    async with served(await overview()) as api, chromium() as browser:
        put_record(api)
        others = ("/ops/dead-letters", "/ops/groups/check/likes", PARTITION, "/ops/runbooks/README")
        views: list[tuple[str, Colours, int]] = [
            ("/ops", "dark", 1_440),
            ("/ops", "light", 1_440),
            ("/ops", "light", PHONE),
            *((path, "dark", PHONE) for path in others),
        ]
        for path, colours, width in views:
            said: list[str] = []
            page = await opened(browser, "about:blank", colours, width)
            page.on("console", partial(note, said))
            await page.goto(f"{api.address}{path}")

            assert (path, colours, width, []) == (path, colours, width, await violations(page))
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert (path, width, []) == (path, max(width, wide), said)
            await page.close()


async def test_the_keyboard_reaches_filter_and_panels_and_live_changes_leave_the_focus() -> None:
    """A link has the focus while its panel is replaced; nothing is loaded again."""
    said = await overview()
    async with served(said, ops_stream_interval_ms=50) as api, chromium() as browser:
        page = await opened(browser, f"{api.address}/ops", "dark", 1_440)
        await page.get_by_role("status").get_by_text("Live").wait_for()
        await page.evaluate("window.loadedOnce = true")
        await page.keyboard.press("j")
        assert await page.evaluate("window.scrollY") > 0
        await page.keyboard.press("/")
        assert "filter" == await page.evaluate("document.activeElement.name")

        link = page.locator("#verdicts a", has_text="check likes")
        await link.focus()
        [likes] = [topic for topic in said["lag"]["groups"][0]["topics"] if topic["topic"] == "likes"]
        likes["reason"] = "partition 1: the sentence has changed"
        api.show(said)
        api.world.clock.ms += 2_000
        await page.get_by_text("the sentence has changed").wait_for()

        assert "check likes" == await page.evaluate("document.activeElement.textContent")
        assert await page.evaluate("window.loadedOnce")
        await page.context.set_offline(True)
        api.world.ops.streams.close()
        await page.get_by_role("status").get_by_text("Not live").wait_for()
