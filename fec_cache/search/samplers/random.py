"""Independent random draws from the space."""

from typing import Any, ClassVar

from fec_cache.search.samplers.base import register
from fec_cache.search.samplers.optuna_sampler import OptunaSampler


@register
class RandomSampler(OptunaSampler):
    """Draws each option independently, uniformly over its list or range."""

    name: ClassVar[str] = "random"

    def _new_sampler(self, optuna: Any, seed: int) -> Any:
        return optuna.samplers.RandomSampler(seed=seed)
