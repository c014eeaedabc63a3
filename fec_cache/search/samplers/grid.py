"""The full grid, or a random part of it."""

import random
from collections.abc import Mapping
from typing import ClassVar

from fec_cache.search.samplers.base import Sampler, register
from fec_cache.search.space import Point, Space


# Not Optuna's GridSampler, which runs points twice when there are several workers (decision 7).
@register
class GridSampler(Sampler):
    """Every setting of a grid, or `trials` of them drawn by `seed`."""

    name: ClassVar[str] = "grid"
    covers_grid: ClassVar[bool] = True

    def __init__(self, space: Space, trials: int | None = None, seed: int = 0) -> None:
        settings = space.settings()
        if trials is not None and trials < len(settings):
            chosen = sorted(random.Random(seed).sample(range(len(settings)), trials))
            settings = tuple(settings[index] for index in chosen)
        self.num_settings = len(settings)
        self._remaining = settings

    def ask(self) -> tuple[Point, ...]:
        """All settings at once, then none."""
        asked, self._remaining = self._remaining, ()
        return asked

    def tell(self, accuracies: Mapping[str, float | None]) -> None:
        """A grid does not depend on results."""
