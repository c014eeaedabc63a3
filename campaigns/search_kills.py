"""Kill -9 a search again and again: is its results.csv that of a search nobody touched?

    python campaigns/search_kills.py --kills 20

Three searches on generated features: a whole grid, a grid with halving, and a TPE search. Each is
begun, killed at a random moment a little after one more file of its ledger was written, and begun
again, so many times. Then it runs to its end, and results.csv, which holds no times, is compared
byte for byte with that of an unbroken search.
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
import torch

from fec_cache.pairs.build import TripletTable
from fec_cache.pairs.split import Split
from fec_cache.search.ledger import Ledger
from fec_cache.search.pruners.halving import Halving
from fec_cache.search.results import results_csv
from fec_cache.search.run import Search
from fec_cache.search.samplers.proposals import make_proposer
from fec_cache.search.space import Space
from fec_cache.search.trainer import Engine
from fec_cache.search.values import parse_axis
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


def planted(num_faces: int = 300, num_triplets: int = 1500, width: int = 16) -> tuple:
    """Features with one telling number in them, and triplets that follow from it."""
    rng = np.random.default_rng(0)
    factor = rng.uniform(-1, 1, num_faces)
    features = rng.normal(0, 1, (num_faces, width)).astype(np.float32)
    features[:, 0] = 3 * factor
    rows = np.array([rng.choice(num_faces, 3, replace=False) for _ in range(num_triplets)])
    x = factor[rows]
    gaps = np.abs(np.stack([x[:, 1] - x[:, 2], x[:, 0] - x[:, 2], x[:, 0] - x[:, 1]], 1))
    odd = gaps.argmin(1)
    types = np.zeros(num_triplets, np.int64)
    table = TripletTable(rows.astype(np.int64), odd, types, np.eye(3, dtype=np.int64)[odd] * 6)
    return features, Split(table.take(np.arange(1200)), table.take(np.arange(1200, 1500)), "x", 0)


def search_in(folder: Path, mode: str) -> Search:
    """A search of 49 points, or of 48 drawn ones."""
    features, split = planted()
    axes = {**AXES, "lr": "1e-4..1e-1:log"} if mode == "tpe" else AXES
    space = Space(tuple(parse_axis(name, text) for name, text in axes.items()))
    sampler, trials = ("tpe", 48) if mode == "tpe" else ("grid", None)
    return Search(
        space=space,
        propose=lambda: make_proposer(space, sampler, trials, 0),
        scope="benchmark",
        engine=Engine(features, split, StackPlan(2, 1, math.nan, "")),
        ledger=Ledger(folder),
        halving=Halving(3) if mode == "halving" else None,
    )


def run_in(folder: str, mode: str) -> None:
    """The search's process."""
    search_in(Path(folder), mode).run()


def results(folder: Path) -> bytes:
    return results_csv(tuple(Ledger(folder).outcomes().values()))


def kill_on_the_way(folder: Path, mode: str, num_kills: int, num_files: int) -> int:
    """Kill so many processes, each after the next share of the files; how many were at work."""
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    num_kills, is_equal = parser.parse_args().kills, True
    torch.set_num_threads(1)  # processes are forked from here
    for mode in MODES:
        with tempfile.TemporaryDirectory() as name:
            whole, broken = Path(name) / "whole", Path(name) / "broken"
            started = time.perf_counter()
            search_in(whole, mode).run()
            spent = time.perf_counter() - started
            num_files = len(list(whole.glob("*/*.json")))
            num_killed = kill_on_the_way(broken, mode, num_kills, num_files)
            num_before = len(Ledger(broken).outcomes())
            search_in(broken, mode).run()
            found = results(broken)
            keys = [row["key"] for row in csv.DictReader(io.StringIO(found.decode()))]
            is_same = found == results(whole) and len(keys) == len(set(keys))
            is_equal &= is_same
            print(
                f"{mode}: {len(keys)} points, {num_killed} of {num_kills} kills hit it at work, "
                f"{num_before} points known after the last; unbroken {spent:.1f} s; results.csv "
                f"{'equal, each point once' if is_same else 'DIFFERS'}",
                flush=True,
            )
    sys.exit(not is_equal)


if __name__ == "__main__":
    main()
