# SPDX-License-Identifier: MIT
"""Takes the pictures in ``docs/images`` anew; they are looked at, not compared.

From the repository's root: ``.venv/bin/python -m packages.fedmsg-migration-tools.tests.web.screenshots``.
"""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image  # matplotlib brings it
from playwright.sync_api import expect, sync_playwright

from .bus import lively
from .serving import Serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).parents[4] / "docs" / "images"
COLOURS = 128  # of a picture: a third of its bytes, and no eye sees it


def main() -> None:
    """Serve a lively bus, and look at it in three ways."""
    IMAGES.mkdir(exist_ok=True)
    serving = Serving(lively()).start()
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = opened(browser, serving.url, 1200, "light")
        keep(page, "verification-light", 1200, 1080)
        page.locator("#list summary").first.click()
        expect(page.get_by_text("Looking for more")).to_have_count(0)
        keep(page, "verification-verdicts", 1200, 760, "#verdicts")
        keep(opened(browser, serving.url, 1200, "dark"), "verification-dark", 1200, 1080)
        phone = opened(browser, serving.url, 360, "light", scale=2)
        keep(phone, "verification-phone", 360, 780)
        browser.close()
    serving.close()


def opened(
    browser: Browser, url: str, width: int, scheme: Literal["light", "dark"], scale: float = 1.25
) -> Page:
    """The page, with all its figures."""
    page = browser.new_page(
        viewport={"width": width, "height": 1080},
        color_scheme=scheme,
        device_scale_factor=scale,
        reduced_motion="reduce",
    )
    page.goto(url)
    expect(page.locator("#list > li")).to_have_count(5)
    expect(page.locator("#charts canvas")).to_have_count(2)
    return page


def keep(page: Page, name: str, width: int, height: int, top: str = "body") -> None:
    """Write what is seen from an element on down."""
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate("(top) => document.querySelector(top).scrollIntoView({behavior: 'instant'})", top)
    page.wait_for_timeout(300)
    taken = Image.open(io.BytesIO(page.screenshot()))
    taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
        IMAGES / f"{name}.png", optimize=True
    )


if __name__ == "__main__":
    main()
