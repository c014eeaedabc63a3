"""A page in headless Chromium: screenshots of any length, a PDF, and elements that overflow.

Speaks the DevTools protocol over a pipe, so it needs nothing but Chromium.
"""

import base64
import itertools
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

# Elements that reach beyond the left or right edge of the page, unless a parent clips or scrolls.
_OVERFLOW = """
(() => {
  const wide = document.documentElement.clientWidth;
  const clipped = e => { for (let p = e.parentElement; p; p = p.parentElement)
    if (getComputedStyle(p).overflowX !== 'visible') return true; return false; };
  return [...document.querySelectorAll('body *')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && (box.right > wide + 1 || box.left < -1) && !clipped(e);
  }).slice(0, 10).map(e => e.tagName + '.' + e.getAttribute('class') + ': ' +
    (e.textContent || '').trim().slice(0, 60));
})()
"""


class Browser:
    """Headless Chromium, running while the `with` block runs."""

    def __init__(self, program: str | None = None) -> None:
        self._program = program or shutil.which("chromium") or shutil.which("chromium-browser")
        if self._program is None:
            raise SystemExit("Chromium is not installed. On Debian: apt-get install chromium")
        self._ids = itertools.count(1)
        self._buffer = b""

    def __enter__(self) -> "Browser":
        self._profile = tempfile.TemporaryDirectory()
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        words = [self._program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        words += [
            "--no-first-run",
            "--remote-debugging-pipe",
            f"--user-data-dir={self._profile.name}",
        ]
        line = f"exec {shlex.join(words)} 3<&{theirs_in} 4>&{theirs_out}"
        self._process = subprocess.Popen(
            ["sh", "-c", line], pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = attached["sessionId"]
        self._call("Page.enable")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()

    def open(self, page: Path, width: int, scheme: str = "light", height: int = 900) -> None:
        """Load a page at a width in CSS pixels, with the color scheme `light` or `dark`."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", {"features": features})
        self._call("Page.navigate", {"url": page.resolve().as_uri()})
        self._wait_for("Page.loadEventFired")

    def ask(self, script: str) -> Any:
        """The value of a JavaScript expression on the page."""
        words = {"expression": script, "returnByValue": True}
        return self._call("Runtime.evaluate", words)["result"].get("value")

    def overflow(self) -> list[str]:
        """Elements that overflow the page sideways: tag, class and text of the first ten."""
        return list(self.ask(_OVERFLOW))

    def picture(self, selector: str | None = None, below: int | None = None) -> bytes:
        """PNG of the whole page, of its first `below` pixels, or of one element."""
        box = {"x": 0, "y": 0, "width": self.ask("document.documentElement.clientWidth")}
        box["height"] = below or self.ask("document.documentElement.scrollHeight")
        if selector:
            rect = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
            sides = self.ask(f"(b => [b.x + scrollX, b.y + scrollY, b.width, b.height])({rect})")
            box = dict(zip(("x", "y", "width", "height"), sides, strict=True))
        words = {"format": "png", "captureBeyondViewport": True, "clip": {**box, "scale": 1}}
        return base64.b64decode(self._call("Page.captureScreenshot", words)["data"])

    def pdf(self) -> bytes:
        """The page as it is printed on A4."""
        paper = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": False}
        return base64.b64decode(self._call("Page.printToPDF", paper)["data"])

    def _call(self, method: str, words: dict[str, Any] | None = None) -> dict[str, Any]:
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": words or {}}
        if session := getattr(self, "_session", None):
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            pass
        if "error" in answer:
            raise SystemExit(f"Chromium refused {method}: {answer['error']}")
        return dict(answer["result"])

    def _wait_for(self, event: str) -> None:
        while self._next().get("method") != event:
            pass

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 20)
            if not part:
                raise SystemExit("Chromium closed its pipe.")
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\0", 1)
        return dict(json.loads(line))
