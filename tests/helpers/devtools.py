# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A browser that stays: Chromium, told by its protocol for developers over a pair of pipes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import subprocess
import time
import typing as t
from pathlib import Path

from .browser import axe

_OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    *("--disable-dev-shm-usage", "--remote-debugging-pipe", "--ignore-certificate-errors"),
    *("--force-color-profile=srgb", "--font-render-hinting=none"),
)
_PROBE = """
axe.run(document, {resultTypes: ['violations']}).then(found => ({
  violations: found.violations.map(rule => [rule.id, rule.nodes.map(node => node.html)]),
  passes: found.passes.map(rule => rule.id),
  wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  back: getComputedStyle(document.body).backgroundColor,
}))
"""


class PageError(AssertionError):
    """A script in the page came to no end."""


class Browser:
    """A page in a browser, for the length of a with statement.

    ``trouble`` is what the browser has complained of, such as what a policy has kept it from.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rest = b""
        self._number = 0
        self._session = ""
        self._events: list[dict[str, t.Any]] = []
        self.trouble: list[str] = []

    def __enter__(self) -> Browser:
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()

        def place() -> None:
            os.dup2(to_browser, 1003)
            os.dup2(from_browser, 1004)
            os.dup2(1003, 3)
            os.dup2(1004, 4)
            os.close(1003)
            os.close(1004)

        with (self._folder / "browser.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["chromium", *_OPTIONS, f"--user-data-dir={self._folder / 'profile'}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=place,
                pass_fds=(3, 4),
                start_new_session=True,
            )
        os.close(to_browser)
        os.close(from_browser)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def call(self, method: str, **values: t.Any) -> t.Any:
        """Have the browser do something; its answer."""
        self._number += 1
        number = self._number
        message: dict[str, t.Any] = {"id": number, "method": method, "params": values}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 60
        while True:
            found = self._read(until)
            if found.get("id") == number:
                if "error" in found:
                    raise PageError(f"{method}: {found['error']}")
                return found["result"]
            self._note(found)

    def _read(self, until: float) -> dict[str, t.Any]:
        while b"\0" not in self._rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._from], [], [], left)[0]:
                raise AssertionError("the browser does not answer")
            data = os.read(self._from, 1 << 20)
            if not data:
                raise AssertionError((self._folder / "browser.log").read_text()[-2000:])
            self._rest += data
        text, _end, self._rest = self._rest.partition(b"\0")
        found: dict[str, t.Any] = json.loads(text)
        return found

    def _note(self, found: dict[str, t.Any]) -> None:
        self._events.append(found)
        values = found.get("params", {})
        if found.get("method") == "Log.entryAdded":
            self.trouble.append(f"{values['entry']['text']} {values['entry'].get('url', '')}")
        elif found.get("method") == "Runtime.exceptionThrown":
            self.trouble.append(str(values["exceptionDetails"]))

    def window(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Be so large, and by day or by night."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def go(self, url: str) -> None:
        """Show a page; returns when it is there."""
        self._events.clear()
        said = self.call("Page.navigate", url=url)
        assert not said.get("errorText"), said
        until = time.monotonic() + 30
        while not any(each.get("method") == "Page.loadEventFired" for each in self._events):
            self._note(self._read(until))

    def ask(self, script: str) -> t.Any:
        """What a script in the page says."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise PageError(f"{script}: {found}")
        return found["result"].get("value")

    def wait(self, script: str, timeout: float = 20) -> None:
        """Wait until a script in the page says true.

        One that goes or comes has no body, or is gone before it has answered: an error is no
        answer.
        """
        until = time.monotonic() + timeout
        while True:
            said: t.Any
            try:
                said = self.ask(script)
            except PageError as error:
                said = error
            if said is True:
                return
            assert time.monotonic() < until, f"it never was so: {script}, but {said}"
            time.sleep(0.1)

    def key(self, name: str) -> None:
        """Press a key."""
        codes = {"Tab": 9, "Enter": 13}
        for kind in ("rawKeyDown", "char", "keyUp") if name == "Enter" else ("keyDown", "keyUp"):
            text = {"text": "\r"} if kind == "char" else {}
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=name,
                code=name,
                windowsVirtualKeyCode=codes[name],
                **text,
            )

    def probe(self) -> dict[str, t.Any]:
        """What the page is like, and what axe-core finds wrong with it."""
        self.ask(f"{axe()}; true")
        found: dict[str, t.Any] = self.ask(_PROBE)
        return found

    def picture(self, path: Path) -> None:
        """Leave a picture of the window."""
        found = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(found["data"]))

    def without_script(self) -> None:
        """Run no scripts of pages from now on."""
        self.call("Emulation.setScriptExecutionDisabled", value=True)

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.close(self._to)
        os.close(self._from)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
