"""Successive halving: all points begin, the better part of them goes on at each rung.

No cut is made before a sixth of the epochs. Heads with dropout or small steps learn slowly and end
best: on real faces, cuts after a ninth of the epochs lost the winner and two points with it, and
cuts after a third lost nothing (docs/experiments.md).

Source: Jamieson & Talwalkar, AISTATS 2016, arXiv:1502.07943.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fec_cache.errors import BadOption

DEFAULT_ETA = 3
_EARLIEST = 6


@dataclass(frozen=True)
class Halving:
    """At each rung one in `eta` settings goes on, for `eta` times as many epochs."""

    eta: int = DEFAULT_ETA

    def __post_init__(self) -> None:
        """Check that something is pruned and something is left."""
        if not 2 <= self.eta <= 100:
            raise BadOption(f"Halving keeps one in {self.eta}, but it must be one in 2 to 100.")

    def num_rungs(self, num_settings: int, epochs: int) -> int:
        """How many cuts there are before the last epochs: none where nothing can be cut.

        One at least where something can, whatever `eta` says of its place.
        """
        rungs = 0
        most = min(num_settings, epochs, max(_EARLIEST, self.eta))
        while self.eta ** (rungs + 1) <= most:
            rungs += 1
        return rungs

    def epochs_at(self, rung: int, num_rungs: int, epochs: int) -> int:
        """Epochs in all that a point has been trained when rung 0, 1, ... cuts."""
        return max(1, round(epochs / float(self.eta) ** (num_rungs - rung)))

    def survivors(self, accuracies: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
        """Settings that go on, in the order given: one in `eta` of them, rounded up.

        Args:
            accuracies: setting -> best validation triplet accuracy so far of each of its seeds;
                NaN where a seed has failed, which puts the setting behind all others.
        """
        order = {name: place for place, name in enumerate(accuracies)}
        means = {
            name: -math.inf if any(map(math.isnan, values)) else sum(values) / len(values)
            for name, values in accuracies.items()
        }
        ranked = sorted(accuracies, key=lambda name: (-means[name], order[name]))
        kept = ranked[: math.ceil(len(ranked) / self.eta)]
        return tuple(sorted(kept, key=order.__getitem__))


def parse_halving(text: str) -> Halving:
    """`halving` or `halving:4`.

    Raises:
        BadOption: it is neither.
    """
    word, _, eta = text.partition(":")
    if word != "halving" or (eta and not eta.isdigit()):
        raise BadOption(f"prune is {text!r}, but it must be halving or halving:ETA.")
    return Halving(int(eta)) if eta else Halving()
