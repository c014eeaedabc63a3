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
# A seed's own intervals are never shown, only those of the mean: few draws save the time.
_FEW_DRAWS = 50


@dataclass(frozen=True)
class Baseline:
    """Figures of the original recipe, or of runs that were named in its place, and our lead.

    Attributes:
        runs: their names.
        evaluation: the mean over the runs; its arrays are the first run's.
        comparisons: ours minus theirs by type of triplet, `all` last.
        title: what the runs are, in a few words.
        features: what they read; empty if it is what we read.
        credits: per run, how right it is on each triplet: [T] in [0, 1].
    """

    runs: tuple[str, ...]
    evaluation: Evaluation
    comparisons: Mapping[str, Comparison]
    title: str = NAME
    features: str = ""
    credits: tuple[npt.NDArray[np.float64], ...] = ()

    @property
    def comparison(self) -> Comparison:
        """The comparison on all triplets."""
        return self.comparisons["all"]

    @property
    def name(self) -> str:
        """`original recipe`, with the number of seeds if there are several."""
        num_seeds = len(self.runs)
        return self.title if num_seeds == 1 else f"{self.title}, {counted(num_seeds, 'seed')}"

    @property
    def where(self) -> str:
        """` on efficientnet_lite0:avgpool`; empty if it reads what we read."""
        return f" on {self.features}" if self.features else ""

    def beside(
        self, ours: Sequence[Evaluation], table: TripletTable, units: npt.NDArray[np.int64]
    ) -> "Baseline":
        """The same runs compared with other heads, or with seeds of one recipe.

        Args:
            ours: one evaluation per head or seed.
            table: the T triplets of all evaluations.
            units: [T, 3] int64, the face or person at each place: what intervals resample.
        """
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
                name: plain(dataclasses.asdict(comparison))
                for name, comparison in self.comparisons.items()
            },
        }


@dataclass(frozen=True)
class Rivals:
    """Trained heads to compare with, by the name of their run, and the triplets to measure on."""

    heads: Mapping[str, PairHead]
    labelled: Labelled
    title: str = NAME
    features: str = ""


def measure_baseline(
    rivals: Rivals, ours: Sequence[Evaluation], units: npt.NDArray[np.int64]
) -> Baseline:
    """Measure runs and compare them with a head, or with the seeds of a recipe.

    Args:
        rivals: at least one head.
        ours: one evaluation per seed, on the same T triplets.
        units: [T, 3] int64, the face or person at each place: what intervals resample.
    """
    labelled = rivals.labelled
    theirs = [figures_of(head, labelled) for head in rivals.heads.values()]
    # On real faces one of three seeds hardly learned: 38.0 % against a mean of 45.7 %
    # (docs/experiments.md, 2026-11-22).
    mean = mean_over_seeds(theirs, labelled.table, units)
    credits = tuple(credits_of(theirs, labelled.table))
    baseline = Baseline(tuple(rivals.heads), mean, {}, rivals.title, rivals.features, credits)
    return baseline.beside(ours, labelled.table, units)


def figures_of(head: PairHead, labelled: Labelled) -> Evaluation:
    """One seed's figures, for a mean over seeds; its own intervals come from few draws."""
    return evaluate_head(head, labelled.matrix.features, labelled.table, draws=_FEW_DRAWS)


def recipe_key(config: RunConfig) -> tuple[object, ...]:
    """A key that all seeds of one recipe on the same data share."""
    train = dataclasses.replace(config.train, seed=0)
    return config.recipes, config.head, train, config.pairs, config.data.get("digest")


def recipe_name(names: Sequence[str]) -> str:
    """The common start of several runs' names, or else the first name.

    Example:
        >>> recipe_name(["best-0", "best-1"])
        'best'
    """
    common = names[0]
    while not all(name.startswith(common) for name in names):
        common = common[:-1]
    return common.rstrip("-_. ") or names[0]
