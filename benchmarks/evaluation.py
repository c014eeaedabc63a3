"""Measure time and memory of a full evaluation at FEC's size, against scoring alone.

    python benchmarks/evaluation.py [--triplets 51060] [--faces 25427] [--width 512]

Each head is measured in a separate process: 51,060 triplets with six votes each, 1,000 bootstrap
draws over faces, all measures of `fec evaluate`. The reference is `similarity_of`, which only
scores the same triplets. Features are random and heads untrained, because neither time nor memory
depends on their values. Peak memory is that of the process, including libraries and the matrix.
"""

import argparse
import multiprocessing
import time

import numpy as np
import torch
from peak_memory import peak_gb

from fec_cache.evaluation.report import evaluate_head
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.kinds import head_names, kind_of
from fec_cache.heads.registry import build_head
from fec_cache.heads.scoring import similarity_of
from fec_cache.pairs.build import TripletTable

DRAWS = 1000


def measure(name: str, num_triplets: int, num_faces: int, width: int) -> tuple[float, ...]:
    """Seconds of wall-clock and CPU time, CPU seconds of scoring alone, peak memory in GB."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(num_faces, width)).astype(np.float16)
    rows = rng.integers(0, num_faces, (num_triplets, 3))
    odd = rng.integers(0, 3, num_triplets)
    votes = np.eye(3, dtype=np.int64)[odd] * 4 + 1
    table = TripletTable(rows, odd, rng.integers(0, 3, num_triplets), votes)
    head = build_head(HeadConfig(name), width)
    if kind_of(name).is_closed_form:
        head.projection.normal_()
    head.fit_preparation(torch.from_numpy(features).float())
    wall, processor = time.perf_counter(), time.process_time()
    evaluate_head(head, features, table, draws=DRAWS)
    spent = time.perf_counter() - wall, time.process_time() - processor
    peak = peak_gb()
    processor = time.process_time()
    similarity_of(head, features, rows)
    return *spent, time.process_time() - processor, peak


def main() -> None:
    """Print one line per head."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triplets", type=int, default=51_060)
    parser.add_argument("--faces", type=int, default=25_427)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--heads", default=",".join(head_names()), help="comma-separated list")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for name in options.heads.split(","):
        with context.Pool(1) as pool:
            words = (name, options.triplets, options.faces, options.width)
            wall, processor, scoring, memory = pool.apply(measure, words)
        print(
            f"{name:10s} {wall:5.1f} s, {processor:5.1f} s of CPU time, "
            f"{processor / scoring:.1f} x scoring alone, peak {memory:.2f} GB",
            flush=True,
        )


if __name__ == "__main__":
    main()
