"""Whether probabilities mean what they say: calibration error and its diagram."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Predicted against observed, in bins of about as many answers each.

    `predicted`, `observed` and `counts` have one entry a bin: mean probability, mean outcome and
    number of answers. `error` is the mean distance of the two, weighted by the counts.
    """

    error: float
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    counts: tuple[int, ...]


def reliability(
    probability: npt.NDArray[np.floating],
    outcome: npt.NDArray[np.generic],
    num_bins: int = NUM_BINS,
) -> Reliability:
    """Expected calibration error over bins of equal mass; equal probabilities share a bin.

    Chance alone gives well calibrated answers an error of about sqrt(b / (2 pi P)) times the
    standard deviation of an outcome twice over: 0.01 for 15 bins of 6,600 pairs.

    Args:
        probability: [P] in [0, 1].
        outcome: [P], bool or a share in [0, 1].
        num_bins: at most so many.

    Source: Naeini, Cooper & Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015; bins of equal mass as in Nixon et al., arXiv:1904.01685.
    """
    if not len(probability):
        return Reliability(float("nan"), (), (), ())
    edges = np.quantile(probability, np.linspace(0.0, 1.0, num_bins + 1))
    bins = np.searchsorted(edges[1:-1], probability)
    counts = np.bincount(bins)
    is_used = counts > 0
    counts = counts[is_used]
    predicted = np.bincount(bins, weights=probability)[is_used] / counts
    observed = np.bincount(bins, weights=outcome.astype(np.float64))[is_used] / counts
    error = float((counts * np.abs(predicted - observed)).sum() / counts.sum())
    return Reliability(
        error, tuple(predicted.tolist()), tuple(observed.tolist()), tuple(counts.tolist())
    )
