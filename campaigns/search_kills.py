"""Kill a search with SIGKILL many times: does it end with the results of an undisturbed search?

    python campaigns/search_kills.py --kills 20

Three searches on generated features: a full grid, a grid with halving, and a TPE search. Each is
started and killed a random moment after it wrote more files of its ledger, `--kills` times. Then it
runs to its end, and results.csv, which holds no times, is compared byte for byte with that of an
undisturbed search.
"""

import argparse
import csv
import io
import math
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.pairs.split import Split
from fec_cache.search.ledger import Ledger
from fec_cache.search.pruners.halving import Halving
from fec_cache.search.results import results_csv
from fec_cache.search.run import Search
from fec_cache.search.samplers.base import make_sampler
from fec_cache.search.space import Space
from fec_cache.search.trainer import SearchTrainer
from fec_cache.search.values import parse_axis
from fec_cache.testing.planted import planted_set
from fec_cache.training.backends.process_pool import StackPlan

AXES = {
    "head": "concat,symmetric,embedding,scatter",
    "hidden": "8",
    "lr": "1e-4..1e-1:log:8",
    "loss": "bce,triplet",
    "epochs": "4",
    "batch_size": "256",
}
MODES = ("grid", "halving", "tpe")


def generated() -> tuple[npt.NDArray[np.float32], Split]:
    """Features [300, 16] and 1,500 triplets of them, 1,200 for training."""
    features, table = planted_set(num_faces=300, num_triplets=1500, width=16)
    return features, Split(table.take(np.arange(1200)), table.take(np.arange(1200, 1500)), "x", 0)


def search_in(folder: Path, mode: str) -> Search:
    """A search of 49 points, or of 48 points proposed by TPE."""
    features, split = generated()
    axes = {**AXES, "lr": "1e-4..1e-1:log"} if mode == "tpe" else AXES
    space = Space(tuple(parse_axis(name, text) for name, text in axes.items()))
    sampler, trials = ("tpe", 48) if mode == "tpe" else ("grid", None)
    return Search(
        space=space,
        new_sampler=lambda: make_sampler(space, sampler, trials, 0),
        scope="benchmark",
        trainer=SearchTrainer(features, split, StackPlan(2, 1, math.nan, "")),
        ledger=Ledger(folder),
        pruner=Halving(3) if mode == "halving" else None,
    )


def run_in(folder: str, mode: str) -> None:
    """Run a search; the target of a process."""
    search_in(Path(folder), mode).run()


def results(folder: Path) -> bytes:
    """The results.csv of a ledger."""
    return results_csv(tuple(Ledger(folder).outcomes().values()))


def kill_repeatedly(folder: Path, mode: str, num_kills: int, num_files: int) -> int:
    """Kill `num_kills` processes, each after more files; the number that were still running."""
    context, rng, num_killed = multiprocessing.get_context("fork"), random.Random(0), 0
    for number in range(num_kills):
        process = context.Process(target=run_in, args=(str(folder), mode))
        process.start()
        wanted = number * num_files // (num_kills + 1)
        while process.is_alive() and len(list(folder.glob("*/*.json"))) < wanted:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        num_killed += process.exitcode == -signal.SIGKILL
    return num_killed


def main() -> None:
    """Run the three searches; exit with 1 if one differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="number of kills per search")
    num_kills, is_equal = parser.parse_args().kills, True
    torch.set_num_threads(1)  # a fork must not inherit a pool of threads
    for mode in MODES:
        with tempfile.TemporaryDirectory() as name:
            whole, broken = Path(name) / "whole", Path(name) / "broken"
            started = time.perf_counter()
            search_in(whole, mode).run()
            spent = time.perf_counter() - started
            num_files = len(list(whole.glob("*/*.json")))
            num_hits = kill_repeatedly(broken, mode, num_kills, num_files)
            num_before = len(Ledger(broken).outcomes())
            search_in(broken, mode).run()
            csv_bytes = results(broken)
            keys = [row["key"] for row in csv.DictReader(io.StringIO(csv_bytes.decode()))]
            is_same = csv_bytes == results(whole) and len(keys) == len(set(keys))
            is_equal &= is_same
            print(
                f"{mode}: {len(keys)} points, {num_hits} of {num_kills} kills hit a live search, "
                f"{num_before} points known after the last; undisturbed search {spent:.1f} s; "
                f"results.csv {'equal, each point once' if is_same else 'DIFFERS'}",
                flush=True,
            )
    sys.exit(not is_equal)


if __name__ == "__main__":
    main()
