"""Measure what training on vote shares gains over training on majorities, on planted truth.

    python campaigns/vote_labels.py [--worlds 5]

Worlds as in planted_truth.py, with training sets of several sizes. The same heads are trained on
vote shares and on the majority's answer only. Accuracy is on test triplets of other people; gains
are paired over the worlds. The oracle sees the expressions without error.
"""

import argparse
import dataclasses

import numpy as np
import torch
from planted_truth import EXPRESSION, Planted, make_set, make_world

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.scoring import similarity_of
from fec_cache.pairs.build import TripletTable
from fec_cache.pairs.credit import triplet_credit
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit

SIZES = (500, 2000, 8000)
TEST = (100, 4000)
ODD = TrainConfig(
    lr=1e-2, epochs=20, batch_size=256, optimizer="adamw", weight_decay=0.01, loss="odd-one-out"
)
HEADS = {
    "embedding, odd-one-out": HeadConfig("embedding", (), embedding_dim=EXPRESSION + 2),
    "scatter": HeadConfig("scatter"),
}


def majority(table: TripletTable) -> TripletTable:
    """The same triplets, as if all raters had agreed with the majority."""
    number = table.votes.sum(axis=1, keepdims=True)
    votes = np.eye(3, dtype=np.int64)[table.odd] * number
    return dataclasses.replace(table, votes=votes)


def accuracy(head: HeadConfig, train: TripletTable, sets: list[Planted]) -> float:
    """Test accuracy of a head that is trained on triplets of the first set's faces."""
    first, second, test = sets
    features = np.concatenate([first.features, second.features])
    shifted = second.table.rows + len(first.features)
    validation = dataclasses.replace(second.table, rows=shifted)
    trained = fit(features, train, validation, head, ODD).head
    similarity = similarity_of(trained, test.features, test.table.rows)
    return float(triplet_credit(similarity, test.table.odd).mean())


def main() -> None:
    """Train on both kinds of labels in every world and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=5, help="number of random worlds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| triplets | head | votes | majority | votes gain | oracle |")
    print("| --- | --- | --- | --- | --- | --- |")
    for size in SIZES:
        sizes = ((max(60, size // 20), size), (60, 1000), TEST)
        worlds = []
        for seed in range(options.worlds):
            world = make_world(seed)
            worlds.append(
                [
                    make_set(world, people, triplets, np.random.default_rng([seed, number]))
                    for number, (people, triplets) in enumerate(sizes, start=1)
                ]
            )
        tests = [sets[2] for sets in worlds]
        oracle = np.mean([triplet_credit(t.oracle, t.table.odd).mean() for t in tests])
        for name, head in HEADS.items():
            by_votes, by_majority = (
                np.array([accuracy(head, labels(sets[0].table), sets) for sets in worlds])
                for labels in (lambda table: table, majority)
            )
            gains = 100 * (by_votes - by_majority)
            error = gains.std(ddof=1) / np.sqrt(len(gains))
            cells = f"{100 * by_votes.mean():.1f} | {100 * by_majority.mean():.1f}"
            gain = f"{gains.mean():+.1f} ± {error:.1f}"
            print(f"| {size:,} | {name} | {cells} | {gain} | {100 * oracle:.1f} |", flush=True)


if __name__ == "__main__":
    main()
