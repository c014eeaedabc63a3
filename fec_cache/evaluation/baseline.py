"""The original recipe on the same triplets: what every figure is compared with."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fec_cache.evaluation.compare import Comparison, compare_by_type
from fec_cache.evaluation.figures import Evaluation, plain
from fec_cache.evaluation.report import evaluate_head
from fec_cache.evaluation.seeds import credits_of, mean_over_seeds
from fec_cache.heads.base import PairHead
from fec_cache.pairs.build import TripletTable
from fec_cache.pairs.labelled import Labelled
from fec_cache.runs.config import RunConfig
from fec_cache.system.wording import counted

NAME = "original recipe"
# Each seed's own intervals are not shown: these are enough for its figures.
_FEW_DRAWS = 50


@dataclass(frozen=True)
class Baseline:
    """Figures of the original recipe, or of runs that were named in its place, and our lead.

    `evaluation` has the mean over the runs; its arrays are the first run's. `comparisons` are ours
    less theirs by type of triplet, `all` last. `title` says in a few words what they are,
    `features` what they read where that is not what we read, and `credits` how right each run is on
    each triplet: one array [T] a run.
    """

    runs: tuple[str, ...]
    evaluation: Evaluation
    comparisons: Mapping[str, Comparison]
    title: str = NAME
    features: str = ""
    credits: tuple[npt.NDArray[np.float64], ...] = ()

    @property
    def comparison(self) -> Comparison:
        """On all triplets."""
        return self.comparisons["all"]

    @property
    def name(self) -> str:
        """`original recipe`, with the number of seeds where there are several."""
        num_seeds = len(self.runs)
        return self.title if num_seeds == 1 else f"{self.title}, {counted(num_seeds, 'seed')}"

    @property
    def where(self) -> str:
        """` on efficientnet_lite0:avgpool`; empty where it reads what we read."""
        return f" on {self.features}" if self.features else ""

    def beside(
        self, ours: Sequence[Evaluation], table: TripletTable, units: npt.NDArray[np.int64]
    ) -> "Baseline":
        """The same beside other heads, or seeds of one recipe: one evaluation each."""
        sides = credits_of(ours, table), self.credits
        return dataclasses.replace(self, comparisons=compare_by_type(*sides, table.types, units))

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "runs": list(self.runs),
            "title": self.title,
            "features": self.features,
            **self.evaluation.to_dict(),
            "this_head": plain(dataclasses.asdict(self.comparison)),
            "by_type": {
                name: plain(dataclasses.asdict(found)) for name, found in self.comparisons.items()
            },
        }


@dataclass(frozen=True)
class Rivals:
    """Trained heads by the name of their run, what they are measured on, and their names."""

    heads: Mapping[str, PairHead]
    labelled: Labelled
    title: str = NAME
    features: str = ""


def measure_baseline(
    rivals: Rivals, ours: Sequence[Evaluation], units: npt.NDArray[np.int64]
) -> Baseline:
    """Measure runs beside a head, or beside the seeds of a recipe, on the same triplets.

    Args:
        rivals: of one head at least.
        ours: one evaluation a seed.
        units: [T, 3], what intervals redraw.
    """
    labelled = rivals.labelled
    found = [figures_of(head, labelled) for head in rivals.heads.values()]
    mean = mean_over_seeds(found, labelled.table, units)
    credits = tuple(credits_of(found, labelled.table))
    baseline = Baseline(tuple(rivals.heads), mean, {}, rivals.title, rivals.features, credits)
    return baseline.beside(ours, labelled.table, units)


def figures_of(head: PairHead, labelled: Labelled) -> Evaluation:
    """One seed's figures, for a mean over seeds: its own intervals are from a few draws only."""
    return evaluate_head(head, labelled.matrix.features, labelled.table, draws=_FEW_DRAWS)


def recipe_key(config: RunConfig) -> tuple[object, ...]:
    """What is the same for every seed of one recipe on the same data."""
    train = dataclasses.replace(config.train, seed=0)
    return config.recipes, config.head, train, config.pairs, config.data.get("digest")


def recipe_name(names: Sequence[str]) -> str:
    """What several runs have in common at the start of their names, else the first one's name."""
    common = names[0]
    while not all(name.startswith(common) for name in names):
        common = common[:-1]
    return common.rstrip("-_. ") or names[0]
