"""Measure `fec download` on this machine: speed against requests, memory, and planning.

    python benchmarks/download.py speed    # small images; the reference is requests in 32 threads
    python benchmarks/download.py memory   # peak memory, 50,000 URLs against 5,000
    python benchmarks/download.py plan     # a CSV of FEC's size; the reference is the first time

Connects to loopback only. `speed` needs `pip install requests`.
"""

import argparse
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peak_memory import peak_until_end_gb

from fec_cache.testing.picture_server.server import PictureServer
from fec_cache.testing.picture_server.triplets import write_csv


def serve(port_path: Path) -> None:
    """Serve until killed, in another process: its CPU time is not the client's."""
    with PictureServer() as server:
        port_path.write_text(str(server.port))
        while True:
            time.sleep(60)
            server.log.clear()
            server.times.clear()


def start_server(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The server's process and its port."""
    port_path = folder / "port"
    process = subprocess.Popen([sys.executable, __file__, "serve", "--out", str(port_path)])
    while not (port_path.is_file() and port_path.read_text()):
        time.sleep(0.05)
    return process, int(port_path.read_text())


def timed(command: list[str]) -> tuple[float, float, float]:
    """Wall-clock seconds, CPU seconds and peak memory in MB of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = peak_until_end_gb(process)
    if process.returncode:
        raise SystemExit(f"failed: {command}")
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, busy, 1000.0 * peak


def fec(folder: Path) -> list[str]:
    """The command line of `fec download`."""
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
REQUESTS_SCRIPT = """
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
    """Images per second, interleaved; the reference is `requests.get` in 32 threads."""
    server, port = start_server(folder)
    try:
        urls = [f"http://127.0.0.1:{port}/ok/{count}.jpg" for count in range(number)]
        (folder / "urls.txt").write_text("\n".join(urls))
        rates: dict[str, list[float]] = {
            "requests": [],
            "requests, session": [],
            "fec download": [],
        }
        cpu: dict[str, list[float]] = {name: [] for name in rates}
        for _ in range(rounds):
            for name in rates:
                out = folder / "out"
                shutil.rmtree(out, ignore_errors=True)
                write_csv(out / "train.csv", urls)
                style = "session" if "session" in name else "plain"
                script = [sys.executable, "-c", REQUESTS_SCRIPT]
                script += [str(folder / "urls.txt"), str(out), style]
                seconds, used, _ = timed(fec(out) if name == "fec download" else script)
                rates[name].append(number / seconds)
                cpu[name].append(1000 * used / number)
                files = sum(1 for path in out.rglob("*.jpg"))
                print(f"  {name}: {number / seconds:.0f}/s, {used:.1f} s of CPU, {files} files")
        for name, values in rates.items():
            rate = statistics.median(values)
            print(
                f"{name:20} {rate:6.0f} images/s (median of {rounds}), "
                f"{rate / statistics.median(rates['requests']):.2f} x requests, "
                f"{statistics.median(cpu[name]):.2f} ms of CPU per image"
            )
    finally:
        server.kill()


def run_memory(folder: Path) -> None:
    """Peak memory of planning and downloading; the reference is the smaller number of URLs."""
    server, port = start_server(folder)
    try:
        peaks = []
        for number in (5_000, 50_000):
            data_dir = folder / str(number)
            urls = [f"http://127.0.0.1:{port}/ok/{count}.jpg" for count in range(number)]
            write_csv(data_dir / "train.csv", urls)
            _, _, planned = timed([sys.executable, "-c", PLAN, str(data_dir)])
            seconds, _, peak = timed(fec(data_dir))
            peaks.append(peak)
            print(
                f"{number} URLs: peak while planning {planned:.0f} MB; downloaded in {seconds:.1f} "
                f"s ({number / seconds:.0f}/s), peak {peak:.0f} MB, {peak / peaks[0]:.2f} x "
                "that of 5,000 URLs"
            )
    finally:
        server.kill()


def run_plan(folder: Path, number: int) -> None:
    """Seconds and memory to parse and plan a CSV; the reference is the first time."""
    rng = random.Random(0)
    faces = []
    for count in range(130_516):
        url = f"https://farm{count % 9}.staticflickr.com/{count % 8000}/{10**10 + count}_" \
              f"{rng.getrandbits(40):010x}_b.jpg"  # fmt: skip
        left, top = rng.uniform(0, 0.5), rng.uniform(0, 0.5)
        box = ",".join(f"{side:.8f}" for side in (left, left + 0.3, top, top + 0.4))
        faces.append(f'"{url}",{box}')
    with (folder / "train.csv").open("w") as file:
        for _ in range(number):
            raters = ",".join(f"{rng.getrandbits(32):08x},{rng.randint(1, 3)}"
                              for _ in range(rng.choice((6, 6, 6, 7))))  # fmt: skip
            three = ",".join(rng.sample(faces, 3))
            file.write(f"{three},TWO_CLASS_TRIPLET,{raters}\n")
    first = 0.0
    for name in ("first time", "unchanged"):
        seconds, used, peak = timed([sys.executable, "-c", PLAN, str(folder)])
        first = first or seconds
        print(
            f"{name}: {number} rows parsed and planned in {seconds:.1f} s ({used:.1f} s of CPU), "
            f"{seconds / first:.2f} x the first time, peak {peak:.0f} MB"
        )
    size = (folder / "train.csv").stat().st_size / 1e6
    print(f"CSV {size:.0f} MB, ledger {(folder / 'download.sqlite').stat().st_size / 1e6:.0f} MB")


def main() -> None:
    """Run one mode."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    # `serve` is what `speed` and `memory` start in another process.
    parser.add_argument("mode", choices=("speed", "memory", "plan", "serve"))
    parser.add_argument("--number", type=int, default=0, help="URLs (speed) or rows (plan)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of speed")
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mode == "serve":
        serve(options.out)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.mode == "speed":
            run_speed(folder, options.number or 5000, options.rounds)
        elif options.mode == "memory":
            run_memory(folder)
        else:
            run_plan(folder, options.number or 449_142)


if __name__ == "__main__":
    main()
