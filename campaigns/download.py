"""Download from a local server that shows every behaviour of the web, and check each outcome.

    python campaigns/download.py web      # 5,000 URLs of every behaviour and the states they end in
    python campaigns/download.py kills    # the same URLs, killed ten times at random moments

Connects to loopback only.
"""

import argparse
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fec_cache.testing import download_worker
from fec_cache.testing.picture_server.behaviours import EXPECTED
from fec_cache.testing.picture_server.server import PictureServer
from fec_cache.testing.picture_server.triplets import write_csv

# URLs per behaviour at most: most of these hold a connection for seconds. The twins share one
# picture, which would count as a placeholder with a fourth URL.
SLOW = {"drip": 30, "silent": 30, "endless": 30, "twins": 3, "limited": 20, "busy": 20}


def mixed_urls(server: PictureServer, number: int) -> dict[str, str]:
    """URLs of every behaviour, half of them plain pictures, and how each must end."""
    kinds = {}
    each = number // 2 // len(EXPECTED)
    for behaviour, kind in EXPECTED.items():
        for count in range(min(each, SLOW.get(behaviour, each))):
            kinds[server.url(behaviour, count, f"{behaviour}.example")] = kind
    for count in range(each):
        kinds[server.url("ok", 200_000 + count, "six.example")] = ""
        kinds[server.url("ok", count, f"h{count}.nowhere.example")] = "dns"
    for count in range(number - len(kinds)):
        kinds[server.url("ok", 10_000 + count, f"h{count % 40}.example")] = ""
    return kinds


def states(folder: Path) -> dict[str, str]:
    """URL -> kind of failure in the ledger, an empty string for ok."""
    with sqlite3.connect(folder / "download.sqlite") as connection:
        rows = connection.execute("SELECT url, state, kind, sha256 FROM urls").fetchall()
    return {url: kind or ("" if state == "ok" else state) for url, state, kind, _ in rows}


def contents(folder: Path) -> dict[str, str]:
    """URL -> sha256 of its content, for the URLs that are ok."""
    with sqlite3.connect(folder / "download.sqlite") as connection:
        return dict(connection.execute("SELECT url, sha256 FROM urls WHERE state = 'ok'"))


def run_web(folder: Path, number: int) -> int:
    """Download once; print the outcomes; the number of wrong ones."""
    with PictureServer() as server:
        kinds = mixed_urls(server, number)
        write_csv(folder / "train.csv", kinds)
        started = time.perf_counter()
        download_worker.run(folder)
        seconds = time.perf_counter() - started
        outcomes = states(folder)
    wrong = {url: kind for url, kind in outcomes.items() if kind != kinds[url]}
    print(f"{len(outcomes)} URLs, {len(server.log)} requests, {seconds:.1f} s, {len(wrong)} wrong")
    table = Counter((behaviour_of(url), kind or "ok") for url, kind in outcomes.items())
    for (behaviour, kind), count in sorted(table.items()):
        print(f"  {behaviour:12} {kind:15} {count}")
    for url, kind in list(wrong.items())[:5]:
        print(f"WRONG {url}: {kind or 'ok'} instead of {kinds[url] or 'ok'}")
    return len(wrong)


def behaviour_of(url: str) -> str:
    """The row of the table that a URL counts in."""
    host, _, path = url.partition("://")[2].partition("/")
    if host.startswith("six."):
        return "IPv6"
    return "no such host" if ".nowhere." in host else path.partition("/")[0]


def run_kills(folder: Path, number: int, num_kills: int) -> int:
    """Kill a download again and again, then finish it; the number of broken promises."""
    rng = random.Random(int(time.time()))
    with PictureServer() as server:
        kinds = mixed_urls(server, number)
        whole, broken = folder / "whole", folder / "broken"
        for data_dir in (whole, broken):
            write_csv(data_dir / "train.csv", kinds)
        started = time.perf_counter()
        worker(whole).wait()
        seconds = time.perf_counter() - started
        server.log.clear()
        served: list[tuple[int, set[str]]] = []
        for count in range(num_kills):
            process = worker(broken)
            time.sleep(rng.uniform(1.0, 1.5 + seconds / 6))
            process.send_signal(signal.SIGKILL)
            process.wait()
            ok = {url for url, kind in states(broken).items() if kind == ""}
            time.sleep(0.3)  # the server logs requests that were in flight when the kill came
            served.append((len(server.log), {path_of(url) for url in ok}))
            print(f"  kill {count + 1}: {len(ok)} ok so far, {len(server.log)} requests")
        worker(broken).wait()
        repeated = sum(
            target in paths for mark, paths in served for target in set(server.log[mark:])
        )
        has_same_states = states(whole) == states(broken)
        has_same_contents = contents(whole) == contents(broken)
    print(
        f"{num_kills} kills, uninterrupted run {seconds:.1f} s; states equal: {has_same_states}, "
        f"contents equal: {has_same_contents}; requests for a URL that was already ok: {repeated}"
    )
    return repeated + (not has_same_states) + (not has_same_contents)


def path_of(url: str) -> str:
    """The part of a URL after its host."""
    return "/" + url.partition("://")[2].partition("/")[2]


def worker(folder: Path) -> subprocess.Popen[bytes]:
    """A download into a folder, in another process."""
    return subprocess.Popen(
        [sys.executable, "-m", "fec_cache.testing.download_worker", str(folder)]
    )


def main() -> None:
    """Run one mode; exit with 1 if an outcome is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mode", choices=("web", "kills"))
    parser.add_argument(
        "--number",
        type=int,
        default=5000,
        help="number of URLs; with under 320, placeholders cannot be recognised",
    )
    parser.add_argument("--kills", type=int, default=10, help="number of kills")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.mode == "web":
            sys.exit(run_web(Path(name), options.number) > 0)
        sys.exit(run_kills(Path(name), options.number, options.kills) > 0)


if __name__ == "__main__":
    main()
