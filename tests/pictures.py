"""The pictures in `docs/pictures/`: `python -m tests.pictures` takes them of a simulated system in trouble.

This is a module of the tests, because they alone may import every package. It needs Chromium, and no server.
"""

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.async_api import Browser

from tests.scenes.browser import chromium
from tests.scenes.serving import served
from tests.scenes.trouble import overview

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
# By the name of the picture: the colours, and the width and the height in pixels.
VIEWS: dict[str, tuple[Literal["dark", "light"], int, int]] = {
    "ops-dark": ("dark", 1_440, 1_700),
    "ops-light": ("light", 1_440, 1_700),
    "ops-phone": ("light", 390, 1_400),
}


async def take() -> None:
    """Write every picture."""
    PICTURES.mkdir(exist_ok=True)
    async with served(await overview()) as api, chromium() as browser:
        for name, (colours, width, height) in VIEWS.items():
            await _take(browser, f"{api.address}/ops", name, colours, width, height)


async def _take(
    browser: Browser, address: str, name: str, colours: Literal["dark", "light"], width: int, height: int
) -> None:
    page = await browser.new_page(
        viewport={"width": width, "height": height}, color_scheme=colours, reduced_motion="reduce"
    )
    await page.goto(address)
    await page.get_by_role("status").get_by_text("Live").wait_for()
    taken = await page.screenshot()
    await page.close()
    # A page has few colours; so a picture takes a third of the bytes.
    Image.open(BytesIO(taken)).convert("RGB").quantize(128).save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    asyncio.run(take())
