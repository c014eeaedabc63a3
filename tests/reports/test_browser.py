"""The report in a real browser: no error on the console, no request to the network."""

import json
import os
import re
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OWN_ERRANDS = re.compile(r"https?://([a-z0-9-]+\.)*(google|googleapis|gstatic|gvt1)\.com[/:]")
WATCH = ("--enable-logging=stderr", "--log-level=0", "--v=0")


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (Debian package chromium)")
def test_chromium_finds_no_error_and_asks_nobody(place, tmp_path):
    place.ok("report", "--run", "first", "--out", "page.html")
    page = place.folder / "page.html"
    net_log = tmp_path / "net.json"
    result = open_in_chromium(page, tmp_path, f"--log-net-log={net_log}", "--dump-dom")
    assert "Which face is the odd one?" in result.stdout
    assert result.stdout.count("<svg") >= 5
    assert console_lines(result.stderr) == []
    assert page_requests(net_log) == []


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (Debian package chromium)")
def test_the_watch_sees_errors_and_requests(tmp_path):
    """Otherwise the test above would pass blindfold."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<script>console.error('broken')</script><img src='http://127.0.0.1:9/picture.png'>"
    )
    net_log = tmp_path / "net.json"
    result = open_in_chromium(page, tmp_path, f"--log-net-log={net_log}", "--dump-dom")
    assert any("broken" in line for line in console_lines(result.stderr))
    assert any("127.0.0.1:9" in url for url in page_requests(net_log))


def open_in_chromium(page, folder, *words):
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *WATCH]
    # What the browser asks of its makers is not the page's doing.
    command += ["--disable-features=NetworkTimeServiceQuerying,OptimizationHints", "--disable-sync"]
    command += ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    command += [f"--user-data-dir={folder / 'profile'}", *words, page.as_uri()]
    environment = {**os.environ, "HOME": str(folder)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=90, check=True, env=environment
    )


def console_lines(log):
    return [line for line in log.splitlines() if re.search(r"CONSOLE[:(]", line)]


def page_requests(net_log):
    """Addresses on the network that were asked for, but for the browser's own errands."""
    text = net_log.read_text(encoding="utf-8").rstrip().rstrip(",")
    try:
        events = json.loads(text)["events"]
    except ValueError:
        events = json.loads(text + "]}")["events"]
    urls = {event.get("params", {}).get("url", "") for event in events}
    asked = (url for url in urls if url.startswith(("http://", "https://", "ws")))
    return sorted(url for url in asked if not OWN_ERRANDS.match(url))
