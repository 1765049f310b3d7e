# SPDX-License-Identifier: MIT
"""A served page, and Debian's Chromium to look at it. A test fails when the page does what its policy forbids."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from .bus import Bus
from .serving import Serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def serving(bus: Bus) -> Iterator[Serving]:
    made = Serving(bus).start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.fail("There is no Chromium to look at the page with: tools/bootstrap chromium installs it")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox is not for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def look(browser: Browser, serving: Serving) -> Iterator[Callable[..., Page]]:
    """``look(width=…, scheme=…)`` opens the page; at the end of the test none may have complained."""
    complaints: list[str] = []
    with contextlib.ExitStack() as opened:

        def look(
            width: int = 1280,
            scheme: Literal["light", "dark"] = "light",
            path: str = "",
            **more: Any,
        ) -> Page:
            context = browser.new_context(
                viewport={"width": width, "height": 900},
                color_scheme=scheme,
                **more,
            )
            opened.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(10_000)
            page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
            page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
            page.on("console", lambda said: _listen(said.type, said.text, complaints))
            page.add_init_script(
                "addEventListener('securitypolicyviolation', (e) =>"
                " console.error(`violates ${e.violatedDirective}: ${e.blockedURI} ${e.sample}`))"
            )
            page.goto(serving.url + path)
            return page

        yield look
    assert complaints == []


def _listen(kind: str, text: str, complaints: list[str]) -> None:
    # That the service is away, or knows nothing of a message, is what some tests are about.
    if kind in ("error", "warning") and "Failed to load resource" not in text:
        complaints.append(f"{kind}: {text}")
