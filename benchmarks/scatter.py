"""Time the scatter head with its full grid at FEC's size, against an epoch of gradient descent.

    python benchmarks/scatter.py            130,516 faces, 449,142 triplets, 512 features
    python benchmarks/scatter.py --width 4096 --faces 20000

The reference is one epoch of an embedding head (odd-one-out loss, batches of 1024) on the same
triplets. A tenth as many triplets, on a tenth as many other faces, serve as the validation set.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.build import TripletTable
from fec_cache.training.closed_form import fit_closed_form
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit

FEC_FACES, FEC_TRIPLETS = 130_516, 449_142


def triplets(num: int, first: int, last: int, rng: np.random.Generator) -> TripletTable:
    """Random triplets with six votes each, of faces in rows `first` to `last` (excluded)."""
    rows = first + rng.integers(0, last - first - 2, (num, 3)) + np.arange(3)
    votes = rng.multinomial(6, [0.15, 0.25, 0.6], num).astype(np.int64)
    return TripletTable(rows, votes.argmax(axis=1), rng.integers(0, 3, num), votes)


def main() -> None:
    """Generate the set, time both in turn, print."""
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
    epoch = TrainConfig(epochs=1, batch_size=1024, loss="odd-one-out")
    jobs = {
        "one epoch": lambda: fit(stored, train, validation, HeadConfig("embedding"), epoch),
        "scatter": lambda: fit_closed_form(stored, train, validation, HeadConfig("scatter")),
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(options.rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - started)
    print(
        f"{options.faces} faces, {options.triplets} triplets, {options.width} features, "
        f"{torch.get_num_threads()} threads"
    )
    reference = statistics.median(seconds["one epoch"])
    for name, rounds in seconds.items():
        median = statistics.median(rounds)
        print(
            f"  {name:<12}{median:7.1f} s, {median / reference:5.2f} x one epoch "
            f"(rounds {', '.join(f'{second:.1f}' for second in rounds)})"
        )


if __name__ == "__main__":
    main()
