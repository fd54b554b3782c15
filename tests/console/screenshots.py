"""The pictures of the console, taken of a running demo: `python -m tests.console.screenshots [FOLDER]`.

Without a folder they go to docs/screenshots. The whole service runs as in `spendstream demo`: fifteen minutes of
history, live usage, one key in a loop. Its alert is opened in Chromium once it has gone on for a while, with a remedy
that waits for a click.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path

import typer
from rich.console import Console

from streams import logs
from streams.demo.run import Demo
from streams.settings import Settings
from tests.support.browser import DESK, PHONE, Browser, browser
from tests.support.outside import Outside, outside

FOLDER = Path(__file__).parents[2] / "docs/screenshots"
LIVE_SECONDS = 600.0  # stopped before that
PATIENCE_SECONDS = 400.0  # until its alert has come, on a busy machine too
LONG_ENOUGH_SECONDS = 60.0  # for the incident to be seen in the charts
MOST_PIXELS = {DESK: 1_200, PHONE: 900}  # of a picture's height: what a page of a phone shows first is enough
KEY = "key-1001"  # the one that goes into a loop
IS_WHOLE = """
return document.getElementById("fresh").dataset.state === "live" && !document.querySelector(".skeleton")
  && ![...document.querySelectorAll("#live-by td")].some((cell) => cell.textContent.trim() === "\N{EN DASH}")
"""
"""The page is live, and of what it shows no usual level is still being read."""
POLICY = {"name": "block-looping-keys", "action": "litellm_block_key", "target": "{principal}", "mode": "approve"}


def settings_with_a_remedy(world: Outside) -> Settings:
    """The demo's, with a gateway that can block the key."""
    os.environ["LITELLM_ADMIN_TOKEN"] = world.token
    world.keys[KEY] = {"blocked": False, "max_budget": None, "spend": 1.0}
    return Settings.model_validate(
        {"remedies": {"policies": [POLICY], "litellm": {"url": world.url, "token_env": "LITELLM_ADMIN_TOKEN"}}}
    )


class Photographer:
    """Takes the pictures, page by page, of a console at `url`."""

    def __init__(self, window: Browser, url: str, folder: Path) -> None:
        self._window = window
        self._url = url
        self._folder = folder

    def incident(self) -> str:
        """The path of the incident's page, once its alert has come."""
        window = self._window
        window.open(f"{self._url}/alerts")
        find = f"return [...document.querySelectorAll('main a')].find((a) => a.innerText.includes('{KEY}'))?.pathname"
        until = time.monotonic() + PATIENCE_SECONDS
        while not (path := window.run(find)):
            if time.monotonic() > until:
                raise TimeoutError(f"no alert names {KEY}; the page reads: {window.text()}")
            time.sleep(1.0)
        return str(path)

    def take(self, incident: str) -> None:
        """All pictures: the pages light, dark and on a phone; the list of alerts, of which there is one, once."""
        pages = {"live": "/", "inbox": "/alerts", "alert": incident}
        for look, size in (("light", DESK), ("dark", DESK), ("phone", PHONE)):
            features = [{"name": "prefers-color-scheme", "value": "dark" if look == "dark" else "light"}]
            self._window.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            if look != "light":
                pages.pop("inbox", None)
            for page, path in pages.items():
                self._shoot(path, self._folder / f"console-{page}-{look}.png", size)

    def _shoot(self, path: str, file: Path, size: tuple[int, int]) -> None:
        window = self._window
        window.size(*size)
        window.open(self._url + path)
        window.until(lambda: window.run(IS_WHOLE), "the page")
        end = int(str(window.run("return Math.ceil(document.querySelector('main').getBoundingClientRect().bottom)")))
        window.size(size[0], min(end, MOST_PIXELS[size]))
        window.driver.save_screenshot(str(file))


async def run(folder: Path) -> None:
    with outside() as world, browser() as window, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        demo = Demo(settings_with_a_remedy(world), Path(place), LIVE_SECONDS, 1, Console(file=StringIO()))
        running = asyncio.create_task(demo.run())
        while not demo.url and not running.done():  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0.1)
        if not running.done():
            photographer = Photographer(window, demo.url, folder)
            try:
                incident = await asyncio.to_thread(photographer.incident)
                await asyncio.sleep(LONG_ENOUGH_SECONDS)
                await asyncio.to_thread(photographer.take, incident)
            finally:
                demo.stop()
        outcome = await running
    typer.echo(
        f"alert delivered {outcome.alerted_after} s after the incident began; faults: {outcome.faults or 'none'}"
    )


if __name__ == "__main__":
    logs.configure("ERROR")
    asyncio.run(run(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
