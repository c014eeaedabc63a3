"""Check on real faces whether halving keeps the winner of the full grid, same points and seeds.

    python campaigns/halving.py WORK                # after wild_ladder.py WORK --faces FACES.csv

Trains 16 settings of the embedding head on features of a 4 x 4 grid to the end, with two seeds
each, on each of the ladder's sets. Heads train independently, so the recorded epochs show what
halving would have kept: its cuts are replayed on them, and the winner among the survivors is
compared with that of the full grid. Standard errors are over validation triplets. Only validation
figures are compared, as in any search.
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from wild_ladder import EMBEDDING, GRID, ODD, SEEDS, Rung, Workspace

from fec_cache.search.pruners.halving import Halving
from fec_cache.system.cores import usable_cores
from fec_cache.training.backends.process_pool import JobPool, StackPlan
from fec_cache.training.batched.stack import TrainingJob

ETAS = (2, 3, 4)
RATES, DECAYS, DROPOUTS = (1e-4, 3.107e-4, 9.655e-4, 3e-3), (0.0, 0.1), (0.0, 0.5)


def learning_curves(
    workspace: Workspace, number: int, epochs: int, num_seeds: int
) -> dict[str, np.ndarray]:
    """Best validation triplet accuracy so far of each setting: [seeds, epochs]."""
    features, _ = workspace.features(Rung("", GRID, EMBEDDING))
    train, validation, _ = workspace.tables(number)
    jobs, names = [], []
    plain = replace(ODD, batch_size=512, epochs=epochs)
    for dropout in DROPOUTS:
        for lr in RATES:
            for decay in DECAYS:
                names.append(f"dropout {dropout:g}, lr {lr:g}, decay {decay:g}")
                config = replace(plain, lr=lr, weight_decay=decay)
                head = replace(EMBEDDING, dropout=dropout)
                jobs += [TrainingJob(head, replace(config, seed=seed)) for seed in range(num_seeds)]
    pool = JobPool(features, train, validation, jobs, StackPlan(1, usable_cores(), math.nan, ""))
    pool.advance(epochs)
    accuracy = np.array([[e.val_triplet_accuracy for e in history] for history in pool.histories])
    pool.close()
    best = np.maximum.accumulate(accuracy, axis=1).reshape(len(names), num_seeds, epochs)
    return dict(zip(names, best, strict=True))


def halved(curves: dict[str, np.ndarray], halving: Halving) -> tuple[list[str], float]:
    """The settings that halving keeps, and its share of the full grid's epochs."""
    alive, done, spent = list(curves), 0, 0
    epochs = next(iter(curves.values())).shape[1]
    num_rungs = halving.num_rungs(len(curves), epochs)
    for rung in range(num_rungs):
        until = halving.epochs_at(rung, num_rungs, epochs)
        spent, done = spent + len(alive) * (until - done), until
        alive = list(halving.survivors({name: curves[name][:, until - 1] for name in alive}))
    return alive, (spent + len(alive) * (epochs - done)) / (len(curves) * epochs)


def lines(curves: dict[str, np.ndarray], number: int, num_triplets: int) -> list[str]:
    """Rows of the table for one set, one per eta."""
    means = {name: float(best[:, -1].mean()) for name, best in curves.items()}
    ranked = sorted(means, key=lambda name: -means[name])
    top = means[ranked[0]]
    error = math.sqrt(top * (1.0 - top) / num_triplets)
    rows = []
    for eta in ETAS:
        alive, share = halved(curves, Halving(eta))
        own = max(alive, key=lambda name: means[name])
        cells = [
            str(number),
            f"{100 * top:.1f} ± {100 * error:.1f} ({ranked[0]})",
            str(eta),
            f"{100 * means[own]:.1f}",
            str(ranked.index(own) + 1),
            f"{(top - means[own]) / error:.1f}",
            f"{1 / share:.1f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    """Train the grid on every set and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="WORK of wild_ladder.py")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of each head")
    parser.add_argument("--seeds", type=int, default=2, help="seeds per setting")
    parser.add_argument("--sets", type=int, default=len(SEEDS), help="number of sets")
    options = parser.parse_args()
    torch.set_num_threads(1)
    workspace = Workspace(options.work, options.backbone)
    print(
        "| set | best of the full grid | eta | best of halving | rank | errors behind | speedup |"
    )
    print("| --- " * 7 + "|")
    for number in list(SEEDS)[: options.sets]:
        learned = learning_curves(workspace, number, options.epochs, options.seeds)
        num_triplets = len(workspace.tables(number)[1])
        print("\n".join(lines(learned, number, num_triplets)), flush=True)


if __name__ == "__main__":
    main()
