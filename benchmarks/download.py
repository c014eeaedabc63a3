"""Measure `fec download` against a server on this machine that behaves as the web does.

    python benchmarks/download.py web      # 5,000 URLs of every behaviour; the states they end in
    python benchmarks/download.py kills    # the same set, killed ten times at random moments
    python benchmarks/download.py speed    # small images, side by side with requests and threads
    python benchmarks/download.py memory   # peak memory, 5,000 and 50,000 URLs
    python benchmarks/download.py plan     # a CSV of FEC's size parsed and planned

Nothing but loopback is connected to. `speed` needs `pip install requests`.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from peak_memory import peak_until_end_gb

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.cli.commands import download_worker  # noqa: E402
from tests.datasets.download.picture_server import (  # noqa: E402 - the tests' server, from the checkout
    EXPECTED,
    PictureServer,
    write_csv,
)

SLOW = {"drip": 30, "silent": 30, "endless": 30, "twins": 3, "limited": 20, "busy": 20}
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}


def mixed_urls(server: PictureServer, number: int) -> dict[str, str]:
    """URLs of every behaviour and the kind each is to end with; half of them are pictures."""
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
    """What a ledger says of each URL: the kind of its failure, or nothing for ok."""
    with sqlite3.connect(folder / "download.sqlite") as connection:
        rows = connection.execute("SELECT url, state, kind, sha256 FROM urls").fetchall()
    return {url: kind or ("" if state == "ok" else state) for url, state, kind, _ in rows}


def contents(folder: Path) -> dict[str, str]:
    """Sha256 of each URL that is ok."""
    with sqlite3.connect(folder / "download.sqlite") as connection:
        return dict(connection.execute("SELECT url, sha256 FROM urls WHERE state = 'ok'"))


def run_web(folder: Path, number: int) -> None:
    with PictureServer() as server:
        kinds = mixed_urls(server, number)
        write_csv(folder / "train.csv", kinds)
        started = time.perf_counter()
        download_worker.run(folder)
        seconds = time.perf_counter() - started
        found = states(folder)
    wrong = {url: (kind, kinds[url]) for url, kind in found.items() if kind != kinds[url]}
    print(f"{len(found)} URLs, {len(server.log)} requests, {seconds:.1f} s, {len(wrong)} wrong")
    table = Counter((behaviour_of(url), kind or "ok") for url, kind in found.items())
    for (behaviour, kind), count in sorted(table.items()):
        print(f"  {behaviour:12} {kind:15} {count}")
    for url, (kind, wanted) in list(wrong.items())[:5]:
        print("WRONG", url, kind, "instead of", wanted)


def behaviour_of(url: str) -> str:
    host, _, path = url.partition("://")[2].partition("/")
    if host.startswith("six."):
        return "IPv6"
    return "no such host" if ".nowhere." in host else path.partition("/")[0]


def run_kills(folder: Path, number: int, num_kills: int) -> None:
    chance = random.Random(int(time.time()))
    with PictureServer() as server:
        kinds = mixed_urls(server, number)
        whole, broken = folder / "whole", folder / "broken"
        for place in (whole, broken):
            write_csv(place / "train.csv", kinds)
        started = time.perf_counter()
        worker(whole).wait()
        seconds = time.perf_counter() - started
        server.log.clear()
        served: list[tuple[int, set[str]]] = []
        for count in range(num_kills):
            process = worker(broken)
            time.sleep(chance.uniform(1.0, 1.5 + seconds / 6))
            process.send_signal(signal.SIGKILL)
            process.wait()
            ok = {url for url, kind in states(broken).items() if kind == ""}
            time.sleep(0.3)  # what was on its way when the kill came
            served.append((len(server.log), {path_of(url) for url in ok}))
            print(f"  kill {count + 1}: {len(ok)} ok so far, {len(server.log)} requests")
        worker(broken).wait()
        repeated = sum(
            target in paths for mark, paths in served for target in set(server.log[mark:])
        )
        same = states(whole) == states(broken), contents(whole) == contents(broken)
    print(f"{num_kills} kills, unbroken run {seconds:.1f} s; states equal: {same[0]}, contents "
          f"equal: {same[1]}; requests for a URL that was ok: {repeated}")  # fmt: skip


def path_of(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2]


def worker(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.cli.commands.download_worker", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT)


def serve(port_path: Path) -> None:
    """A server in a process of its own, as the web is."""
    with PictureServer() as server:
        port_path.write_text(str(server.port))
        while True:
            time.sleep(60)
            server.log.clear()
            server.times.clear()


def start_server(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    port_path = folder / "port"
    process = subprocess.Popen([sys.executable, __file__, "serve", "--out", str(port_path)])
    while not (port_path.is_file() and port_path.read_text()):
        time.sleep(0.05)
    return process, int(port_path.read_text())


def timed(command: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = peak_until_end_gb(process)
    if process.returncode:
        raise SystemExit(f"failed: {command}")
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, busy, 1000.0 * peak


def fec(folder: Path) -> list[str]:
    code = "from fec_cache.cli.main import main; main()"
    return [
        sys.executable, "-c", code, "download", "--data", str(folder), "--allow-private",
        "--per-host", "32", "--concurrency", "32", "--json",
    ]  # fmt: skip


PLAN = (
    "import sys; from pathlib import Path;"
    "from fec_cache.datasets.download.ledger import DownloadLedger;"
    "from fec_cache.datasets.download.plan import enter_source, urls_in_state;"
    "folder = Path(sys.argv[1]); ledger = DownloadLedger(folder);"
    "source = enter_source(ledger, 'train', folder / 'train.csv');"
    "assert next(urls_in_state(ledger, [source], 'pending')); ledger.close()"
)
USUAL_SCRIPT = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
import requests
urls = open(sys.argv[1]).read().split()
keep = sys.argv[3] == "session"
get = requests.Session().get if keep else requests.get
def fetch(pair):
    number, url = pair
    try:
        answer = get(url, timeout=10)
        if answer.status_code == 200:
            with open(os.path.join(sys.argv[2], f"{number}.jpg"), "wb") as file:
                file.write(answer.content)
    except Exception:
        pass
with ThreadPoolExecutor(32) as pool:
    list(pool.map(fetch, enumerate(urls)))
"""


def run_speed(folder: Path, number: int, rounds: int) -> None:
    server, port = start_server(folder)
    try:
        urls = [f"http://127.0.0.1:{port}/ok/{count}.jpg" for count in range(number)]
        (folder / "urls.txt").write_text("\n".join(urls))
        rates: dict[str, list[float]] = {
            "fec download": [],
            "requests": [],
            "requests, session": [],
        }
        cpu: dict[str, list[float]] = {name: [] for name in rates}
        for _ in range(rounds):
            for name in rates:
                place = folder / "place"
                shutil.rmtree(place, ignore_errors=True)
                write_csv(place / "train.csv", urls)
                style = "session" if "session" in name else "plain"
                usual = [sys.executable, "-c", USUAL_SCRIPT, str(folder / "urls.txt"), str(place),
                         style]  # fmt: skip
                seconds, used, _ = timed(fec(place) if name == "fec download" else usual)
                rates[name].append(number / seconds)
                cpu[name].append(1000 * used / number)
                files = sum(1 for path in place.rglob("*.jpg"))
                print(f"  {name}: {number / seconds:.0f}/s, {used:.1f} s of CPU, {files} files")
        for name, values in rates.items():
            print(f"{name:20} {statistics.median(values):6.0f} images/s (median of {rounds}), "
                  f"{statistics.median(cpu[name]):.2f} ms of CPU each")  # fmt: skip
    finally:
        server.kill()


def run_memory(folder: Path) -> None:
    server, port = start_server(folder)
    try:
        for number in (5_000, 50_000):
            place = folder / str(number)
            urls = [f"http://127.0.0.1:{port}/ok/{count}.jpg" for count in range(number)]
            write_csv(place / "train.csv", urls)
            _, _, planned = timed([sys.executable, "-c", PLAN, str(place)])
            seconds, _, peak = timed(fec(place))
            print(
                f"{number} URLs: planned with a peak of {planned:.0f} MB, downloaded in "
                f"{seconds:.1f} s ({number / seconds:.0f}/s) with a peak of {peak:.0f} MB"
            )
    finally:
        server.kill()


def run_plan(folder: Path, number: int) -> None:
    chance = random.Random(0)
    faces = []
    for count in range(130_516):
        url = f"https://farm{count % 9}.staticflickr.com/{count % 8000}/{10**10 + count}_" \
              f"{chance.getrandbits(40):010x}_b.jpg"  # fmt: skip
        left, top = chance.uniform(0, 0.5), chance.uniform(0, 0.5)
        box = ",".join(f"{side:.8f}" for side in (left, left + 0.3, top, top + 0.4))
        faces.append(f'"{url}",{box}')
    with (folder / "train.csv").open("w") as file:
        for _ in range(number):
            raters = ",".join(f"{chance.getrandbits(32):08x},{chance.randint(1, 3)}"
                              for _ in range(chance.choice((6, 6, 6, 7))))  # fmt: skip
            three = ",".join(chance.sample(faces, 3))
            file.write(f"{three},TWO_CLASS_TRIPLET,{raters}\n")
    for name in ("first", "again, unchanged"):
        seconds, used, peak = timed([sys.executable, "-c", PLAN, str(folder)])
        print(f"{name}: {number} rows parsed and planned in {seconds:.1f} s ({used:.1f} s of CPU), "
              f"peak {peak:.0f} MB")  # fmt: skip
    size = (folder / "train.csv").stat().st_size / 1e6
    print(f"CSV {size:.0f} MB, ledger {(folder / 'download.sqlite').stat().st_size / 1e6:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("web", "kills", "speed", "memory", "plan", "serve"))
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.mode == "serve":
        serve(options.out)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.mode == "web":
            run_web(folder, options.number or 5000)
        elif options.mode == "kills":
            run_kills(folder, options.number or 5000, options.kills)
        elif options.mode == "speed":
            run_speed(folder, options.number or 5000, options.rounds)
        elif options.mode == "memory":
            run_memory(folder)
        else:
            run_plan(folder, options.number or 449_142)


if __name__ == "__main__":
    main()
