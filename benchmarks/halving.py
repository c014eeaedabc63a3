"""Does halving find the whole grid's winner on real faces, on the same points and seeds?

    python benchmarks/halving.py WORK                # after wild_ladder.py WORK --faces FACES.csv

Searches each of the ladder's five sets twice, once whole and once with halving: 16 settings of the
embedding head on a 4 x 4 grid of features, three seeds each. Halving's winner is looked up in the
whole grid, where it was trained to the end as well, and held against the best one's figure and its
standard error over the seeds. Only validation figures are compared, as in any search.
"""

import argparse
import dataclasses
import math
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from wild_ladder import EMBEDDING, GRID, SEEDS, Rung, Workspace

from fec_cache.heads.crew import StackPlan
from fec_cache.heads.planning import num_processors
from fec_cache.pairs.split import Split
from fec_cache.search.engine import Engine
from fec_cache.search.halving import Halving
from fec_cache.search.ledger import Ledger
from fec_cache.search.proposals import GRID as WHOLE
from fec_cache.search.proposals import make_proposer
from fec_cache.search.results import Ranked, rank
from fec_cache.search.run import Search
from fec_cache.search.space import Space
from fec_cache.search.values import parse_axis

AXES = {
    "head": "embedding",
    "hidden": "128",
    "dropout": "0,0.5",
    "lr": "1e-4..3e-3:log:4",
    "weight_decay": "0,0.1",
    "loss": "odd-one-out",
    "optimizer": "adamw",
    "batch_size": "512",
    "epochs": "9",
}


@dataclasses.dataclass(frozen=True)
class Found:
    """A search's settings by rank, and how long it took in all."""

    ranked: tuple[Ranked, ...]
    seconds: float

    def same(self, entry: Ranked) -> Ranked:
        """The setting of another search's entry in this one."""
        (found,) = (own for own in self.ranked if own.settings == entry.settings)
        return found


def searched(features: np.ndarray, split: Split, num_seeds: int, halving: Halving | None) -> Found:
    """One search from nothing, in a process of one thread for each processor."""
    axes = tuple(parse_axis(name, text) for name, text in AXES.items())
    space = Space(axes, tuple(range(num_seeds)))
    with tempfile.TemporaryDirectory() as folder:
        search = Search(
            space=space,
            propose=lambda: make_proposer(space, WHOLE, None, 0),
            scope="halving",
            engine=Engine(features, split, StackPlan(1, num_processors(), math.nan, "")),
            ledger=Ledger(Path(folder)),
            halving=halving,
        )
        started = time.perf_counter()
        search.run()
        outcomes = tuple(search.ledger.outcomes().values())
        return Found(rank(outcomes), time.perf_counter() - started)


def compared(whole: Found, halved: Found) -> tuple[str, float]:
    """A line of the table, and how many standard errors halving's winner is behind."""
    best = whole.ranked[0]
    own = whole.same(halved.ranked[0])
    gap = best.val_triplet_accuracy - own.val_triplet_accuracy
    place = whole.ranked.index(own) + 1
    cells = [
        f"{100 * best.val_triplet_accuracy:.2f} ± {100 * best.stderr:.2f}",
        f"{100 * own.val_triplet_accuracy:.2f} ± {100 * own.stderr:.2f}",
        str(place),
        f"{100 * gap:.2f}",
        f"{whole.seconds:.0f} s",
        f"{halved.seconds:.0f} s",
        f"{whole.seconds / halved.seconds:.1f}",
    ]
    return " | ".join(cells), gap / best.stderr if best.stderr else math.inf * gap if gap else 0.0


def main() -> None:
    """Search every set twice and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", type=int, default=len(SEEDS))
    options = parser.parse_args()
    workspace = Workspace(options.work, options.backbone)
    torch.set_num_threads(1)
    features, _ = workspace.features(Rung("", GRID, EMBEDDING))
    print("| set | whole | halving | rank | behind | whole takes | halving takes | times |")
    print("| --- " * 8 + "|")
    gaps = []
    for number in list(SEEDS)[: options.sets]:
        train, validation, _ = workspace.tables(number)
        split = Split(train, validation, "people", 0)
        whole, halved = (
            searched(features, split, options.seeds, halving) for halving in (None, Halving())
        )
        line, gap = compared(whole, halved)
        gaps.append(gap)
        print(f"| {number} | {line} |", flush=True)
    near = sum(gap <= 1.0 for gap in gaps)
    print(f"within one standard error on {near} of {len(gaps)} sets; ", end="")
    print(f"median {statistics.median(gaps):.2f} standard errors behind")


if __name__ == "__main__":
    main()
