"""Seconds of the scatter head with its whole grid on a generated set of FEC's size.

    python benchmarks/scatter.py            130,516 faces, 449,142 triplets, 512 features
    python benchmarks/scatter.py --width 4096 --faces 20000

Beside the training triplets a tenth as many are made for validation, on a tenth as many faces.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.build import TripletTable
from fec_cache.training.closed_form import fit_closed_form

FEC_FACES, FEC_TRIPLETS = 130_516, 449_142


def triplets(num: int, first: int, last: int, rng: np.random.Generator) -> TripletTable:
    """Random triplets of faces with row numbers from `first` to `last`, six raters each."""
    rows = first + rng.integers(0, last - first - 2, (num, 3)) + np.arange(3)
    votes = rng.multinomial(6, [0.15, 0.25, 0.6], num).astype(np.int64)
    return TripletTable(rows, votes.argmax(axis=1), rng.integers(0, 3, num), votes)


def main() -> None:
    """Generate, fit some rounds, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=FEC_FACES)
    parser.add_argument("--triplets", type=int, default=FEC_TRIPLETS)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    others = options.faces // 10
    features = rng.standard_normal((options.faces + others, options.width), np.float32)
    train = triplets(options.triplets, 0, options.faces, rng)
    validation = triplets(options.triplets // 10, options.faces, len(features), rng)
    stored = features.astype(np.float16)
    seconds = []
    for _ in range(options.rounds):
        started = time.perf_counter()
        fit_closed_form(stored, train, validation, HeadConfig("scatter"))
        seconds.append(time.perf_counter() - started)
    print(
        f"{options.faces} faces, {options.triplets} triplets, {options.width} features, "
        f"{torch.get_num_threads()} threads: {statistics.median(seconds):.1f} s "
        f"(rounds {', '.join(f'{second:.1f}' for second in seconds)})"
    )


if __name__ == "__main__":
    main()
