"""Seeds of one recipe, measured together: `Seed` and `SeedGroup`."""

import math
from dataclasses import dataclass

from fec_cache.evaluation.figures import Evaluation
from fec_cache.training.history import Epoch


@dataclass(frozen=True)
class Seed:
    """One run of a recipe."""

    name: str
    number: int
    evaluation: Evaluation
    history: tuple[Epoch, ...]

    @property
    def validation(self) -> float:
        """Triplet accuracy of the kept epoch on validation, a share; NaN without a history."""
        return max((e.val_triplet_accuracy for e in self.history), default=math.nan)


@dataclass(frozen=True)
class SeedGroup:
    """At least two seeds on the same test triplets, by number, and the mean of their figures."""

    seeds: tuple[Seed, ...]
    mean: Evaluation

    @property
    def evaluations(self) -> list[Evaluation]:
        """One evaluation per seed."""
        return [seed.evaluation for seed in self.seeds]
