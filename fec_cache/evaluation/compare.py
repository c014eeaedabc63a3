"""Compares two heads on the same triplets: the difference, its interval and p-value."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fec_cache.evaluation.figures import type_masks
from fec_cache.evaluation.measures.bootstrap import FaceBootstrap, Interval
from fec_cache.system.wording import counted

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Comparison:
    """Triplet accuracies of heads A and B and their difference, as shares.

    `difference` is A - B; `stderr` its standard error over faces and, with several seeds, over
    seeds; `p_value` two-sided for no difference. `only_a` and `only_b` are the numbers of triplets
    that only one of them answers correctly (means over seeds), and `mcnemar_p` is the exact McNemar
    test on them for two single heads: it treats triplets as independent, so its p-values are
    somewhat too small. NaN if there is too little data.
    """

    num_triplets: int
    num_seeds: tuple[int, int]
    accuracy_a: float
    accuracy_b: float
    difference: float
    stderr: float
    low: float
    high: float
    p_value: float
    only_a: float
    only_b: float
    mcnemar_p: float

    def in_words(self) -> str:
        """As a sentence: `better by 1.3 +- 0.6 points, p = 0.02`."""
        points = 100.0 * abs(self.difference)
        side = "better" if self.difference > 0 else "worse"
        if self.difference == 0.0:
            return f"no difference on {counted(self.num_triplets, 'triplet')}"
        if np.isnan(self.stderr):
            return f"{side} by {points:.1f} points, on too few triplets or faces to judge"
        p_text = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.2g}"
        return f"{side} by {points:.1f} +- {100 * self.stderr:.1f} points, {p_text}"


def compare_credits(
    credits_a: Sequence[Floats], credits_b: Sequence[Floats], bootstrap: FaceBootstrap
) -> Comparison:
    """Compare two heads, or two settings with several seeds each, triplet by triplet.

    Differences are taken within each triplet, so that the difficulty of a triplet cancels out.
    Seeds add the variance of their mean, with Welch-Satterthwaite degrees of freedom.

    Args:
        credits_a: one array [T] float in [0, 1] per seed, as `triplet_credit` gives.
        credits_b: likewise; the number of seeds may differ.
        bootstrap: over the faces of the same T triplets.
    """
    a, b = np.stack(credits_a), np.stack(credits_b)
    # On real faces the interval of one head is 17.5 points wide, that of a difference 8.5
    # (docs/experiments.md, 2026-11-23).
    gap = a.mean(axis=0) - b.mean(axis=0)
    # A difference can be anywhere in [-1, 1], so the bounds of a share do not apply.
    faces = bootstrap.means(gap, [np.ones(len(gap), bool)], bounded=False)[0]
    interval, freedom = add_seeds(faces, [part.mean(axis=1) for part in (a, b)])
    return Comparison(
        num_triplets=len(gap),
        num_seeds=(len(a), len(b)),
        accuracy_a=float(a.mean()),
        accuracy_b=float(b.mean()),
        difference=interval.value,
        stderr=interval.stderr,
        low=interval.low,
        high=interval.high,
        p_value=_two_sided(interval.value, interval.stderr, freedom),
        only_a=float(np.maximum(gap, 0).sum()),
        only_b=float(np.maximum(-gap, 0).sum()),
        mcnemar_p=mcnemar(a[0], b[0]) if len(a) == len(b) == 1 else float("nan"),
    )


def compare_by_type(
    credits_a: Sequence[Floats],
    credits_b: Sequence[Floats],
    types: npt.NDArray[np.int64],
    units: npt.NDArray[np.int64],
) -> dict[str, Comparison]:
    """The comparison for each type of triplet that occurs, and for `all`, which is last.

    Args:
        credits_a: one array [T] float in [0, 1] per seed.
        credits_b: likewise.
        types: [T] int64, 0 one-class, 1 two-class, 2 three-class.
        units: [T, 3] int64, the face or person at each position.
    """
    return {
        name: compare_credits(
            [credit[mask] for credit in credits_a],
            [credit[mask] for credit in credits_b],
            FaceBootstrap(units[mask]),
        )
        for name, mask in type_masks(types).items()
        if mask.any()
    }


def add_seeds(faces: Interval, figures: Sequence[Floats]) -> tuple[Interval, float]:
    """Widen an interval over faces by the variance over seeds; also its degrees of freedom.

    The mean over a few seeds varies with the seeds too, so its variance is added. Degrees of
    freedom are Welch-Satterthwaite's, with infinitely many for faces.

    Args:
        faces: interval of the mean over seeds, or of the difference of two such means.
        figures: for each of these means, the figure of each seed, [S] float; a single seed adds
            nothing.
    """
    from scipy.stats import t as student

    seeds = [_variance_of_mean(part) for part in figures]
    stderr = float(np.sqrt(faces.stderr**2 + sum(seeds)))
    freedom = _degrees_of_freedom(faces.stderr**2, seeds, [len(part) for part in figures])
    # Without seeds the percentile interval stays, which may be asymmetric.
    if not any(seeds):
        return faces, freedom
    half = float(student.ppf(0.975, freedom)) * stderr
    return Interval(faces.value, stderr, faces.value - half, faces.value + half), freedom


def mcnemar(credit_a: Floats, credit_b: Floats) -> float:
    """Two-sided exact McNemar test; triplets with a tied answer are ignored.

    Args:
        credit_a: [T] float, 1 if A is right, 0 if it is wrong, between them if it is tied.
        credit_b: [T], likewise.

    Source: McNemar, "Note on the sampling error of the difference between correlated
    proportions", Psychometrika 12, 1947.
    """
    from scipy.stats import binomtest

    only_a = int(((credit_a == 1) & (credit_b == 0)).sum())
    only_b = int(((credit_a == 0) & (credit_b == 1)).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def _variance_of_mean(accuracies: Floats) -> float:
    return float(accuracies.var(ddof=1) / len(accuracies)) if len(accuracies) > 1 else 0.0


def _degrees_of_freedom(faces: float, seeds: Sequence[float], nums: Sequence[int]) -> float:
    parts = sum(v**2 / (n - 1) for v, n in zip(seeds, nums, strict=True) if n > 1)
    return float((faces + sum(seeds)) ** 2 / parts) if parts > 0 else float("inf")


def _two_sided(difference: float, stderr: float, freedom: float) -> float:
    from scipy.stats import norm
    from scipy.stats import t as student

    if np.isnan(stderr):
        return float("nan")
    if stderr == 0.0:
        return 1.0 if difference == 0.0 else 0.0
    distribution = norm if np.isinf(freedom) else student(freedom)
    return float(2.0 * distribution.sf(abs(difference) / stderr))
