"""Calibration of probabilities: the expected calibration error and its diagram."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Predicted and observed shares, in bins of about equally many answers.

    `predicted`, `observed` and `counts` have one entry per bin: mean probability, mean outcome and
    number of answers. `error` is the mean distance of the first two, weighted by the counts.
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

    Perfectly calibrated answers have an error above 0 by chance: about 2 sqrt(b / (2 pi P)) times
    the standard deviation of an outcome, with b bins; 0.015 for 15 bins of 6,600 pairs.

    Args:
        probability: [P] float in [0, 1].
        outcome: [P], bool or a share in [0, 1].
        num_bins: maximum number of bins.

    Returns:
        Empty bins are left out; the error is NaN without answers.

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
