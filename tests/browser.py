"""A headless Chromium for tests, by the W3C WebDriver protocol that ChromeDriver speaks."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import skip_or_fail

START_SECONDS = 60.0
# Nothing that Chromium does of itself reaches for the network.
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,900",
)


class Browser:
    """One page of a running browser."""

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self, address: str) -> None:
        """Load a page and wait until it is there."""
        self._post("url", url=address)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a function body in the page and return its value."""
        return self._post("execute/sync", script=script, args=list(arguments))

    def wait_for(self, script: str, *arguments: Any, seconds: float = 30.0) -> Any:
        """Run a function body until its value is true, and return it."""
        end = time.monotonic() + seconds
        while not (value := self.run(script, *arguments)):
            if time.monotonic() > end:
                pytest.fail(f"the page never came to: {script}")
            time.sleep(0.1)
        return value

    def errors(self) -> list[str]:
        """What has come to the console as error since this was last asked."""
        entries = self._post("se/log", type="browser")
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def _post(self, command: str, **body: Any) -> Any:
        answer = requests.post(f"{self._url}/{command}", json=body, timeout=120)
        value = answer.json()["value"]
        assert answer.ok, value
        return value


@contextlib.contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """Run ChromeDriver with a browser whose profile lies in `folder`; both end with the block."""
    if shutil.which("chromedriver") is None:
        skip_or_fail("chromedriver is missing: apt-get install chromium chromium-driver")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        base = f"http://127.0.0.1:{port}"
        _wait_until_ready(base, driver)
        options = {
            "args": [*ARGUMENTS, f"--user-data-dir={folder / 'profile'}"],
            "binary": shutil.which("chromium"),
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = requests.post(
            f"{base}/session", json={"capabilities": {"alwaysMatch": wanted}}, timeout=120
        )
        assert answer.ok, answer.text
        session = f"{base}/session/{answer.json()['value']['sessionId']}"
        try:
            yield Browser(session)
        finally:
            requests.delete(session, timeout=60)
    finally:
        driver.terminate()
        driver.wait(20)


def _wait_until_ready(base: str, driver: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and driver.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{base}/status", timeout=5).json()["value"]["ready"]:
                return
        time.sleep(0.1)
    pytest.fail("chromedriver did not start")
