"""A real Chromium, headless, and what tests ask of a page."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from tests.support.require import require

T = TypeVar("T")
LIMIT_SECONDS = 180.0  # on a busy machine the broker of tests expels a member that stalls, which then joins anew
PHONE, DESK = (360, 780), (1280, 900)


class Browser:
    """One window. Every wait is for a condition."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """Load a page anew."""
        self.driver.get(url)

    def text(self, selector: str = "body") -> str:
        """What is to be read there; nothing while the element is not there."""
        return next(iter(self.texts(selector)), "")

    def texts(self, selector: str) -> list[str]:
        """What is to be read in each of them; a page that is live may replace them while they are read."""
        while True:
            with contextlib.suppress(StaleElementReferenceException):
                return [found.text for found in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def click(self, selector: str) -> None:
        """Click what is there, once it is; a page that is live may replace it between the look and the click."""

        def clicked() -> bool:
            self.driver.find_element(By.CSS_SELECTOR, selector).click()
            return True

        self.until(clicked, selector)

    def click_while_replaced(self, selector: str, fragment: str) -> None:
        """Press a button, have the server's news of its fragment come, and let go: somebody's finger is slower."""
        button = self.driver.find_element(By.CSS_SELECTOR, selector)
        webdriver.ActionChains(self.driver).click_and_hold(button).perform()
        self.run(f"replace('{fragment}', document.getElementById('{fragment}').innerHTML)")
        webdriver.ActionChains(self.driver).release().perform()

    def agree(self) -> None:
        """Say yes to the question that the page asks, once it does."""
        self.until(lambda: self.driver.switch_to.alert, "a question").accept()

    def type(self, selector: str, text: str) -> None:
        """Type into a field."""
        field = self.driver.find_element(By.CSS_SELECTOR, selector)
        field.clear()
        field.send_keys(text)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, wherever the focus is."""
        webdriver.ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def run(self, script: str) -> object:
        """What a script in the page returns."""
        return self.driver.execute_script(script)

    def shows(self, text: str, selector: str = "body") -> None:
        """Wait until a text is to be read."""
        self.until(lambda: text in self.text(selector), f"{text!r} in {selector}")

    def until(self, condition: Callable[[], T], what: str) -> T:
        """Wait until a condition holds; a fragment that is replaced while it is read is read again."""
        until = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                if found := condition():
                    return found
            except WebDriverException:
                if time.monotonic() > until:
                    raise
            assert time.monotonic() < until, f"waited for {what}; the page reads: {self.text()[:2_000]}"
            time.sleep(0.05)

    def size(self, width: int, height: int) -> None:
        """Be a window, or below 500 pixels a phone, of this size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def complaints(self) -> list[str]:
        """What the console of the browser says: errors of scripts, what the content policy refused."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A window of its own: no cookies, light."""
    found = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    require(
        all(found) and importlib.util.find_spec("selenium"),
        "Chromium and its driver (Debian: apt install chromium chromium-driver), to look at the console",
    )
    options = webdriver.ChromeOptions()
    options.binary_location = str(found[0])
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(found[1])))
    try:
        window = Browser(driver)
        window.size(*DESK)
        yield window
    finally:
        driver.quit()
