"""Chromium, as the tests and the pictures drive it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

CANDIDATES = ("chromium-headless-shell", "chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str | None:
    """Return the path of the system's Chromium; None if there is none."""
    return next(filter(None, map(shutil.which, CANDIDATES)), None)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Yield a browser.

    Raises:
        FileNotFoundError: There is no Chromium.
    """
    path = executable()
    if path is None:
        raise FileNotFoundError(f"none of {', '.join(CANDIDATES)} is on PATH")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()
