"""Confidence intervals on triplets, by resampling faces (or people) instead of triplets.

Triplets share faces, and a face that is hard to judge is hard in each of its triplets. Resampling
triplets would treat them as independent and give intervals that are too narrow: by a tenth or more
with six triplets per face, as in FEC's test set. So faces are resampled, each with all its
triplets; or people, if they are known, because pictures of one person are hard for the same reason.

A triplet belongs to three faces. Resampling faces therefore counts the noise of a single triplet
(the raters' errors) three times, and weighting a triplet by the product of its faces' counts, as
the pigeonhole bootstrap does, seven times (2^3 - 1; Owen & Eckles, "Bootstrapping data arrays of
arbitrary order", Annals of Applied Statistics 6, 2012). Both cover nearly 100 % at a nominal 95 %.
Hence the draws are scaled to the variance that counts each pair of triplets with a common face
exactly once (Aronow, Samii & Assenova, "Cluster-robust variance estimation for dyadic data",
Political Analysis 23, 2015, there for pairs).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

# Intervals from fewer triplets or units than these are falsely narrow.
ENOUGH_TRIPLETS = 30
ENOUGH_UNITS = 10
CONFIDENCE = 0.95
# Bounds the memory of a draw: 50 of 100,000 faces are 40 MB.
_DRAWS_AT_ONCE = 50


@dataclass(frozen=True)
class Interval:
    """A figure with its standard error and 95 % interval.

    `stderr`, `low` and `high` are NaN if there are too few triplets (under 30) or faces (under 10).
    """

    value: float
    stderr: float
    low: float
    high: float

    @property
    def is_too_few(self) -> bool:
        """Whether there is a figure but too little data for an interval."""
        return bool(np.isfinite(self.value) and not np.isfinite(self.low))


class FaceBootstrap:
    """Resamples the faces of T triplets, the same draws for all figures on them.

    Args:
        units: [T, 3] int64, the face (or person) at each position; a person may appear twice.
        draws: number of bootstrap draws.
        seed: the same seed gives the same intervals.
    """

    def __init__(self, units: Ints, draws: int = 1000, seed: int = 0) -> None:
        self.num_triplets = len(units)
        distinct, compact = np.unique(units, return_inverse=True)
        self.num_units = len(distinct)
        ordered = np.sort(compact.reshape(-1, 3), axis=1)
        self._members = _members(ordered)
        self._pairs, self._triples = _pairs_and_triples(ordered, self.num_units)
        self._draws, self._seed = draws, seed
        of_unit = np.bincount(self._members[1], minlength=self.num_units).astype(float)
        pairs = np.bincount(self._pairs[1]).astype(float)
        triples = np.bincount(self._triples[1]).astype(float)
        # Ordered pairs of triplets with a common face, each triplet with itself included; by
        # inclusion and exclusion over one, two and three common faces.
        self._num_related = float((of_unit**2).sum() - (pairs**2).sum() + (triples**2).sum())

    def mean(self, values: Floats, chosen: npt.NDArray[np.bool_] | None = None) -> Interval:
        """Interval of the mean of `values` [T] over the chosen triplets, by default all."""
        mask = np.ones(self.num_triplets, bool) if chosen is None else chosen
        return self.means(values, [mask])[0]

    def means(
        self, values: Floats, groups: Sequence[npt.NDArray[np.bool_]], bounded: bool = True
    ) -> list[Interval]:
        """Intervals of the means over groups of triplets, from the same draws.

        Args:
            values: [T] float, finite.
            groups: masks [T] bool.
            bounded: values are in [0, 1], so intervals are clipped to it.
        """
        means = [float(values[mask].mean()) if mask.any() else float("nan") for mask in groups]
        influences = [
            np.where(mask, values - mean, 0.0) / max(1, int(mask.sum()))
            for mask, mean in zip(groups, means, strict=True)
        ]
        sizes = [int(mask.sum()) for mask in groups]
        return self._intervals(means, influences, sizes, values if bounded else None, groups)

    def macro(self, values: Floats, groups: Sequence[npt.NDArray[np.bool_]]) -> Interval:
        """Interval of the mean over groups of their means; NaN if a group is empty.

        Args:
            values: [T] float in [0, 1]; bounds of another range would not hold.
            groups: masks [T] bool, which may overlap.
        """
        if not all(mask.any() for mask in groups):
            return Interval(*[float("nan")] * 4)
        means = [float(values[mask].mean()) for mask in groups]
        influence = np.zeros(self.num_triplets)
        for mask, mean in zip(groups, means, strict=True):
            influence += np.where(mask, values - mean, 0.0) / (mask.sum() * len(groups))
        # All types weigh the same, so the smallest one limits how sure their mean is.
        least = min(int(mask.sum()) for mask in groups) * len(groups)
        everything = np.any(groups, axis=0)
        return self._intervals([float(np.mean(means))], [influence], [least], values, [everything])[
            0
        ]

    def _intervals(
        self,
        means: Sequence[float],
        influences: Sequence[Doubles],
        sizes: Sequence[int],
        values: Floats | None,
        groups: Sequence[npt.NDArray[np.bool_]],
    ) -> list[Interval]:
        sums = np.stack([self._per_unit(influence) for influence in influences], axis=1)
        spread = np.sqrt((sums**2).sum(axis=0))
        scale = np.array([self._stderr(psi) for psi in influences]) / np.maximum(spread, 1e-300)
        has_enough = max(sizes) >= ENOUGH_TRIPLETS and self.num_units >= ENOUGH_UNITS
        # In six planted cases these intervals covered 94.6 to 97.4 %; those of resampled triplets
        # covered 53.6 to 96.0 % (docs/experiments.md, 2026-11-23).
        draws = self._draw(sums) * scale if has_enough else np.empty((0, len(means)))
        intervals = []
        for number, (mean, size) in enumerate(zip(means, sizes, strict=True)):
            if size < ENOUGH_TRIPLETS or self.num_units < ENOUGH_UNITS:
                intervals.append(Interval(mean, *[float("nan")] * 3))
                continue
            stderr = float(scale[number] * spread[number])
            low, high = _percentiles(mean, draws[:, number])
            if values is not None:
                low, high = max(low, 0.0), min(high, 1.0)
                inside = values[groups[number]]
                # All draws are equal then, and an interval of width zero would claim certainty.
                if (inside == 0.0).all() or (inside == 1.0).all():
                    low, high = _wilson(mean, self._independent(size))
            intervals.append(Interval(mean, stderr, low, high))
        return intervals

    def _independent(self, size: int) -> float:
        """Number of triplets without common faces that would be as informative, at least."""
        return max(1.0, size * self.num_triplets / self._num_related)

    def _per_unit(self, influence: Doubles) -> Doubles:
        triplets, units = self._members
        sums = np.bincount(units, weights=influence[triplets], minlength=self.num_units)
        return np.asarray(sums, np.float64)

    def _stderr(self, influence: Doubles) -> float:
        """Standard error of a figure from the influence of each triplet, [T] with sum 0."""
        from scipy.stats import norm
        from scipy.stats import t as student

        related = (self._per_unit(influence) ** 2).sum()
        for triplets, codes in (self._pairs, self._triples):
            part = (np.bincount(codes, weights=influence[triplets]) ** 2).sum()
            related += part if codes is self._triples[1] else -part
        independent = (influence**2).sum()
        # The mean was estimated from the same triplets, which reduces their spread around it.
        kept = 1.0 - self._num_related / max(1, self.num_triplets) ** 2
        # By chance the estimate can be below that of independent triplets, or even negative.
        variance = max(related / max(kept, 0.1), independent)
        # U faces give at most U / 3 triplets without a common face: so few degrees of freedom.
        few = student.ppf(0.975, max(1.0, self.num_units / 3 - 1)) / norm.ppf(0.975)
        return float(np.sqrt(variance) * few)

    def _draw(self, sums: Doubles) -> Doubles:
        """Sums over resampled units, centred: [draws, K] from sums [U, K]."""
        rng = np.random.default_rng(self._seed)
        batches = []
        for start in range(0, self._draws, _DRAWS_AT_ONCE):
            size = (min(_DRAWS_AT_ONCE, self._draws - start), self.num_units)
            chosen = rng.integers(0, self.num_units, size)
            # Column by column: all at once would take K times the memory of the draws.
            batches.append(np.stack([column[chosen].sum(axis=1) for column in sums.T], axis=1))
        return np.asarray(np.concatenate(batches) - sums.sum(axis=0), np.float64)


def _members(ordered: Ints) -> tuple[Ints, Ints]:
    """Triplet and unit of each membership; a unit counts once per triplet."""
    is_new = np.ones(ordered.shape, bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    triplets, _ = np.nonzero(is_new)
    return triplets, ordered[is_new]


def _pairs_and_triples(
    ordered: Ints, num_units: int
) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
    """Memberships of triplets in distinct pairs of units, and in distinct sets of three units."""
    low, middle, high = ordered.T
    # A person may occur twice in a triplet, which then has fewer distinct pairs.
    first, second = low != middle, middle != high
    both = first & second
    triplets = [np.flatnonzero(mask) for mask in (first, second, both)]
    codes = np.concatenate(
        [
            low[triplets[0]] * num_units + middle[triplets[0]],
            middle[triplets[1]] * num_units + high[triplets[1]],
            low[triplets[2]] * num_units + high[triplets[2]],
        ]
    )
    pairs = (np.concatenate(triplets), np.unique(codes, return_inverse=True)[1].reshape(-1))
    of_pair = np.unique(low[both] * num_units + middle[both], return_inverse=True)[1].reshape(-1)
    triple = np.unique(of_pair * num_units + high[both], return_inverse=True)[1].reshape(-1)
    return pairs, (triplets[2], triple)


def _percentiles(value: float, draws: Doubles) -> tuple[float, float]:
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return value + float(low), value + float(high)


def _wilson(share: float, num: float) -> tuple[float, float]:
    """Interval of a share of exactly 0 or 1, for which all draws are the same.

    Source: Wilson, "Probable inference", Journal of the American Statistical Association 22, 1927.
    """
    from scipy.stats import norm

    square = float(norm.ppf(0.5 + CONFIDENCE / 2.0)) ** 2
    edge = square / (num + square)
    return (0.0, edge) if share < 0.5 else (1.0 - edge, 1.0)
