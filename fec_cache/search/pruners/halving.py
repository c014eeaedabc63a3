"""Successive halving: all points start, and the best of them continue at each rung.

Source: Jamieson & Talwalkar, AISTATS 2016, arXiv:1502.07943.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from fec_cache.errors import BadOption
from fec_cache.search.pruners.base import Pruner, register

DEFAULT_ETA = 3
# No cut before a sixth of the epochs: heads with dropout or small learning rates learn slowly and
# end best. On real faces, cuts after a ninth of the epochs lost the winner on three of three
# sets (1.9 to 3.3 points); without them, it was within one standard error on all five
# (docs/experiments.md, 2026-11-23).
_EARLIEST_SHARE = 6


@register
@dataclass(frozen=True)
class Halving(Pruner):
    """At each rung one in `eta` settings continues, for `eta` times as many epochs."""

    eta: int = DEFAULT_ETA
    name: ClassVar[str] = "halving"

    def __post_init__(self) -> None:
        """Check that a cut removes some settings and leaves some."""
        if not 2 <= self.eta <= 100:
            raise BadOption(f"Halving keeps one in {self.eta}, but it must be one in 2 to 100.")

    @classmethod
    def parse(cls, argument: str) -> "Halving":
        """`halving` or `halving:4`.

        Raises:
            BadOption: the argument is not a whole number from 2 to 100.
        """
        if argument and not argument.isdigit():
            raise BadOption(
                f"prune is 'halving:{argument}', but it must be halving or halving:ETA."
            )
        return cls(int(argument)) if argument else cls()

    def num_rungs(self, num_settings: int, epochs: int) -> int:
        """Number of cuts before the last epoch; 0 if nothing can be cut.

        There is at least one if `eta` settings or more can be cut, however large `eta` is.
        """
        rungs = 0
        most = min(num_settings, epochs, max(_EARLIEST_SHARE, self.eta))
        while self.eta ** (rungs + 1) <= most:
            rungs += 1
        return rungs

    def epochs_at(self, rung: int, num_rungs: int, epochs: int) -> int:
        """Epochs that a point has been trained for in total at rung 0, 1, ..."""
        return max(1, round(epochs / float(self.eta) ** (num_rungs - rung)))

    def num_kept(self, num_settings: int) -> int:
        """One in `eta`, rounded up."""
        return math.ceil(num_settings / self.eta)

    def survivors(self, accuracies: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
        """Settings that continue, in the order given: one in `eta` of them, rounded up.

        Args:
            accuracies: setting -> best validation triplet accuracy so far of each of its seeds;
                NaN if a seed failed, which ranks the setting behind all others.
        """
        order = {name: index for index, name in enumerate(accuracies)}
        means = {
            name: -math.inf if any(map(math.isnan, values)) else sum(values) / len(values)
            for name, values in accuracies.items()
        }
        ranked = sorted(accuracies, key=lambda name: (-means[name], order[name]))
        return tuple(sorted(ranked[: self.num_kept(len(ranked))], key=order.__getitem__))
