"""The Tree-structured Parzen Estimator: later settings are drawn near good ones.

Source: Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011.
"""

from typing import Any, ClassVar

from fec_cache.search.samplers.base import register
from fec_cache.search.samplers.optuna_sampler import OptunaSampler


@register
class TpeSampler(OptunaSampler):
    """Learns from every eight results, which are trained side by side."""

    name: ClassVar[str] = "tpe"
    batch_size: ClassVar[int | None] = 8

    def _new_sampler(self, optuna: Any, seed: int) -> Any:
        # The constant liar spreads the settings of a batch, whose results are not known yet.
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)
