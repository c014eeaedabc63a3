"""Time stage two against the loops that tutorials show, interleaved, on generated features.

    python benchmarks/train.py single  # one head, an epoch, batches of 32 and 512
    python benchmarks/train.py stacked  # K = 1, 8, 32, 128 heads side by side
    python benchmarks/train.py grid --size tiny  # 32 points, with and without halving
    python benchmarks/train.py full --size fec  # embedding head at FEC's size; evaluation

The reference is a Dataset of two rows and a label, DataLoader, Adam and the usual five lines. The
limit counts 6 floating-point operations per weight and pair (the forward and both backward
products) and 28 bytes per weight and step (Adam). The machine's speed is measured by a large matrix
product and by a sum of vectors of the weights' size, on all threads. Ours leaves out the product
that would reach the features, so its share of the limit may exceed 100 %. What would take minutes
(scikit-learn, many heads side by side) runs on a part of the pairs, with its time scaled to all of
them and marked by a star.
"""

import argparse
import math
import multiprocessing
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier
from torch.utils.data import DataLoader, Dataset

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.heads.scoring import similarity_of
from fec_cache.pairs.build import TripletTable, pairs_from_triplets
from fec_cache.pairs.split import Split
from fec_cache.search.ledger import Ledger
from fec_cache.search.pruners.halving import Halving
from fec_cache.search.results import Ranked, rank
from fec_cache.search.run import Search
from fec_cache.search.samplers.base import DEFAULT_SAMPLER, make_sampler
from fec_cache.search.space import Space
from fec_cache.search.trainer import ONE_BY_ONE, SearchTrainer
from fec_cache.search.values import parse_axis
from fec_cache.training.backends.planning import plan_stacks
from fec_cache.training.batched.stack import Stack, TrainingJob
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit

# Faces and triplets for training, faces and triplets for validation.
SIZES = {
    "tiny": (600, 2000, 300, 1000),
    "small": (20_000, 20_000, 1000, 2000),
    "fec": (117_000, 404_000, 13_516, 45_142),
}
EVALUATED = (45_000, 51_060)
HIDDEN = 256
# Up to 8 heads train on all pairs; with more of them, and for scikit-learn, on a part.
_WHOLE_HEADS = 8
_OF_SCIKIT_LEARN = 10
# 32 points: four learning rates, four weight decays, two dropout probabilities.
POINTS = {
    "head": "concat",
    "lr": "1e-4,3e-4,1e-3,3e-3",
    "weight_decay": "0,1e-5,1e-4,1e-3",
    "dropout": "0,0.3",
}


@dataclass(frozen=True)
class Bench:
    """Generated features [N, D] float16, and triplets on two disjoint sets of faces."""

    features: np.ndarray
    train: TripletTable
    validation: TripletTable

    @property
    def num_pairs(self) -> int:
        """Number of training pairs."""
        return 3 * len(self.train)

    def part(self, share: int) -> "Bench":
        """The same with every `share`-th training triplet only."""
        return replace(self, train=self.train.take(np.arange(0, len(self.train), share)))


def generated(size: str, width: int) -> Bench:
    """Faces with eight hidden factors in loud noise; the odd face is mostly the farthest one."""
    num_train, num_triplets, num_validation, num_judged = SIZES[size]
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(num_train + num_validation, 8)).astype(np.float32)
    features = np.empty((len(factors), width), np.float16)
    mixing = rng.normal(size=(8, width)).astype(np.float32)
    for part in np.array_split(np.arange(len(factors)), max(1, len(factors) // 8192)):
        noise = rng.normal(size=(len(part), width)).astype(np.float32)
        features[part] = 0.5 * factors[part] @ mixing + 2.0 * noise
    train = _triplets(rng, factors, 0, num_train, num_triplets)
    validation = _triplets(rng, factors, num_train, num_validation, num_judged)
    return Bench(features, train, validation)


def _triplets(
    rng: np.random.Generator, factors: np.ndarray, first: int, num_faces: int, num_triplets: int
) -> TripletTable:
    rows = rng.integers(first, first + num_faces, (num_triplets, 3))
    x = factors[rows]
    gaps = [((x[:, i] - x[:, j]) ** 2).sum(1) for i, j in ((1, 2), (0, 2), (0, 1))]
    odd = (np.stack(gaps, 1) + rng.normal(size=rows.shape)).argmin(1)
    votes = np.eye(3, dtype=np.int64)[odd] * 6
    return TripletTable(rows, odd, np.zeros_like(odd), votes)


class PairDataset(Dataset):
    """The dataset of a typical tutorial: two rows of the matrix and a label."""

    def __init__(self, bench: Bench) -> None:
        pairs = pairs_from_triplets(bench.train)
        self.features = torch.from_numpy(bench.features.astype(np.float32))
        self.rows, self.labels = pairs.rows, torch.from_numpy(pairs.is_similar).float()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, ...]:
        a, b = self.rows[item]
        return self.features[a], self.features[b], self.labels[item]


def dataloader_loop(bench: Bench, batch_size: int, epochs: int = 1) -> None:
    """The loop of a typical tutorial, on all threads."""
    data = PairDataset(bench)
    head = build_head(HeadConfig(), bench.features.shape[1])
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    criterion = torch.nn.BCEWithLogitsLoss()
    for _ in range(epochs):
        for a, b, label in DataLoader(data, batch_size, shuffle=True):
            optimizer.zero_grad()
            criterion(head(a, b), label).backward()
            optimizer.step()


def scikit_learn(bench: Bench, batch_size: int) -> None:
    """One epoch of MLPClassifier, on pairs concatenated in memory."""
    pairs = pairs_from_triplets(bench.train)
    inputs = bench.features[pairs.rows].reshape(len(pairs.rows), -1).astype(np.float32)
    classifier = MLPClassifier((HIDDEN,), batch_size=batch_size, max_iter=1)
    classifier.out_activation_ = "logistic"
    classifier.partial_fit(inputs, pairs.is_similar, classes=[False, True])


def limit_s(bench: Bench, batch_size: int, num_heads: int = 1) -> float:
    """Least seconds of an epoch by arithmetic and by the optimiser's memory traffic."""
    weights = 2 * bench.features.shape[1] * HIDDEN
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    flops = 2 * 2048**3 / min(_seconds(lambda: torch.mm(a, b)) for _ in range(5))
    x, y, out = (torch.randn(weights) for _ in range(3))
    bandwidth = 12 * weights / min(_seconds(lambda: torch.add(x, y, out=out)) for _ in range(50))
    steps = -(-bench.num_pairs // batch_size)
    once = 6 * weights * bench.num_pairs / flops + 28 * weights * steps / bandwidth
    return num_heads * once


def _seconds(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def medians(jobs: dict[str, Callable[[], float | None]], rounds: int) -> dict[str, float]:
    """Median seconds of each job: once per round, in turn; a job may return its own time."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            own = job()
            times[name].append(time.perf_counter() - started if own is None else own)
    return {name: statistics.median(values) for name, values in times.items()}


def show(title: str, seconds: dict[str, float], limit: float) -> None:
    """Print seconds, ratio to the first line, share of the limit."""
    print(f"{title}; limit {limit:.2f} s")
    reference = next(iter(seconds.values()))
    for name, spent in seconds.items():
        print(f"  {name:<34}{spent:>9.2f} s{reference / spent:>8.2f} x{limit / spent:>8.0%}")


def one_epoch(bench: Bench, jobs: Sequence[TrainingJob], device: str) -> float:
    """Seconds of one epoch of jobs side by side, without the setup."""
    stack = Stack(bench.features, bench.train, bench.validation, jobs, device)
    return _seconds(lambda: stack.advance(1))


def single(bench: Bench, options: argparse.Namespace) -> None:
    """One head of the original recipe."""
    for batch_size in options.batch_sizes:
        job = TrainingJob(HeadConfig(), TrainConfig(batch_size=batch_size))
        jobs: dict[str, Callable[[], float | None]] = {
            "DataLoader loop": lambda b=batch_size: dataloader_loop(bench, b),
            "fec train-head": lambda job=job: one_epoch(bench, [job], options.device),
        }
        seconds = medians(jobs, options.rounds)
        few = bench.part(_OF_SCIKIT_LEARN)
        seconds["scikit-learn MLPClassifier, once *"] = (
            _seconds(lambda b=batch_size, few=few: scikit_learn(few, b))
            * bench.num_pairs
            / few.num_pairs
        )
        title = f"One head, one epoch of {bench.num_pairs:,} pairs, batch {batch_size}"
        show(title, seconds, limit_s(bench, batch_size))


def stacked(bench: Bench, options: argparse.Namespace) -> None:
    """K heads side by side in this process, one epoch each."""
    for batch_size in options.batch_sizes:
        plain = TrainConfig(batch_size=batch_size)
        print(f"K heads, one epoch of {bench.num_pairs:,} pairs each, batch {batch_size}, per head")
        loop = {"": lambda b=batch_size: dataloader_loop(bench, b)}
        reference = medians(loop, options.rounds)[""]
        print(f"  DataLoader loop   {reference:>8.2f} s")
        for num_heads in options.heads:
            jobs = [
                TrainingJob(HeadConfig(), replace(plain, seed=seed)) for seed in range(num_heads)
            ]
            one_in = max(1, num_heads // _WHOLE_HEADS) if options.device == "cpu" else 1
            some = bench.part(one_in)
            spent = one_epoch(some, jobs, options.device) / num_heads
            spent *= bench.num_pairs / some.num_pairs
            share, star = limit_s(bench, batch_size) / spent, "" if one_in == 1 else " *"
            words = f"{spent:>8.2f} s{reference / spent:>8.2f} x{share:>8.0%}{star}"
            print(f"  K = {num_heads:<14}{words}")


def searched(
    bench: Bench, epochs: int, device: str, halving: Halving | None
) -> tuple[tuple[Ranked, ...], str]:
    """A search of 32 points in a new ledger: settings by rank, and the plan's sentence."""
    axes = {**POINTS, "epochs": str(epochs)}
    space = Space(tuple(parse_axis(name, text) for name, text in axes.items()))
    split = Split(bench.train, bench.validation, "faces", 0)
    with tempfile.TemporaryDirectory() as folder:
        search = Search(
            space=space,
            new_sampler=lambda: make_sampler(space, DEFAULT_SAMPLER, None, 0),
            scope="benchmark",
            trainer=SearchTrainer(bench.features, split, ONE_BY_ONE, device),
            ledger=Ledger(Path(folder)),
            pruner=halving,
        )
        jobs = [TrainingJob(point.head, point.train) for point in space.points()]
        plan = plan_stacks(bench.features, bench.train, bench.validation, jobs, device)
        search.trainer = replace(search.trainer, plan=plan)
        search.run()
        return rank(tuple(search.ledger.outcomes().values())), plan.sentence


def grid(bench: Bench, options: argparse.Namespace) -> None:
    """32 points at batch 32 against 32 DataLoader loops (one is run, its time multiplied)."""
    outcomes: dict[str, tuple[tuple[Ranked, ...], str]] = {}

    def run(name: str, halving: Halving | None) -> None:
        """The whole search, including calibration and the start and end of processes."""
        outcomes[name] = searched(bench, options.epochs, options.device, halving)

    jobs: dict[str, Callable[[], float | None]] = {
        "32 DataLoader loops": lambda: (
            32 * _seconds(lambda: dataloader_loop(bench, 32, options.epochs))
        ),
        "all points": lambda: run("all points", None),
        "halving": lambda: run("halving", Halving()),
    }
    seconds = medians(jobs, options.rounds)
    print(outcomes["all points"][1])
    title = f"32 points, batch 32, {options.epochs} epochs of {bench.num_pairs:,} pairs"
    show(title, seconds, options.epochs * limit_s(bench, 32, 32))
    whole, halved = (outcomes[name][0] for name in ("all points", "halving"))
    best = whole[0].val_triplet_accuracy
    (own,) = (entry for entry in whole if entry.settings == halved[0].settings)
    error = math.sqrt(best * (1 - best) / len(bench.validation))
    print(
        f"  winners, both trained to the end: {best:.4f} of all points, "
        f"{own.val_triplet_accuracy:.4f} by halving (rank {whole.index(own) + 1}); one standard "
        f"error is {error:.4f}"
    )


def full(bench: Bench, options: argparse.Namespace) -> None:
    """Time and memory of an embedding head with odd-one-out loss, then time of scoring.

    Runs in a new process that does nothing else, so that its memory is that of the training.
    """
    with tempfile.TemporaryDirectory() as name:
        for part, table in (("train", bench.train), ("validation", bench.validation)):
            np.savez(Path(name) / part, **vars(table))
        np.save(Path(name) / "features", bench.features)
        process = multiprocessing.get_context("spawn").Process(
            target=full_in, args=(Path(name), options.epochs, options.device)
        )
        process.start()
        process.join()


def full_in(folder: Path, epochs: int, device: str) -> None:
    """The process of `full`, on the arrays that `full` wrote to a folder."""
    features = np.load(folder / "features.npy")
    train, validation = (
        TripletTable(**np.load(folder / f"{part}.npz")) for part in ("train", "validation")
    )
    before = _memory_gb("VmRSS")
    config = TrainConfig(loss="odd-one-out", batch_size=1024, epochs=epochs)
    started = time.perf_counter()
    result = fit(features, train, validation, HeadConfig("embedding"), config, device)
    spent = time.perf_counter() - started
    print(
        f"Embedding head {features.shape[1]}-{HIDDEN}-16, odd-one-out, batch 1024, "
        f"{epochs} epochs of {len(train):,} triplets: {spent:.1f} s, validation "
        f"{result.best.val_triplet_accuracy:.3f}; memory beside the features (of "
        f"{features.nbytes / 2**30:.2f} GB) at its peak {_memory_gb('VmHWM') - before:.2f} GB",
        flush=True,
    )
    rng = np.random.default_rng(1)
    num_faces = min(EVALUATED[0], len(features))
    rows = rng.integers(0, num_faces, (EVALUATED[1], 3))
    for kind in ("concat", "symmetric", "embedding"):
        head = build_head(HeadConfig(kind), features.shape[1])
        seconds = [_seconds(lambda h=head: similarity_of(h, features, rows)) for _ in "123"]
        spent = statistics.median(seconds)
        print(f"Evaluation of {len(rows):,} triplets, {num_faces:,} faces, {kind}: {spent:.2f} s")


def _memory_gb(name: str) -> float:
    """Resident memory of this process in GiB: `VmRSS` now, `VmHWM` at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(name + ":"))
    return int(line.split()[1]) / 2**20


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


PARTS = {"single": single, "stacked": stacked, "grid": grid, "full": full}


def main() -> None:
    """Measure one part and print it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=PARTS, help="what to measure")
    parser.add_argument("--size", choices=SIZES, default="small", help="size of the set")
    parser.add_argument("--width", type=int, default=512, help="D, the width of the features")
    parser.add_argument("--batch-sizes", type=_numbers, default=[32, 512], help="comma-separated")
    parser.add_argument("--heads", type=_numbers, default=[1, 8, 32, 128], help="comma-separated")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of grid and full")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {threads} threads, {platform.machine()}, {options.size}")
    PARTS[options.part](generated(options.size, options.width), options)


if __name__ == "__main__":
    main()
