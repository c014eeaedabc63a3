"""Simulated raters: which face each of them calls the odd one out in a synthetic triplet.

A rater perceives the three distances between the faces' action units, each with its own error,
takes the pair with the smallest perceived distance as the similar one, and names the third face:

    seen_jk = |a_j - a_k| + noise * sloppiness_r * e,    e ~ N(0, 1) for each rater and pair

This is L. L. Thurstone's law of comparative judgment, case V (independent normal errors of
equal size; Psychological Review 34, 1927), applied to distances instead of single stimuli,
with an extra factor per rater because raters differ in care. `noise` is found by bisection
so that the average rater agrees with the majority as often as FEC's raters do: 86.2 %
(Vemulapalli & Agarwala, CVPR 2019, arXiv:1811.11283).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEC_AGREEMENT = 0.862
"""How often FEC's average rater agrees with the majority."""

MAX_RATERS = 8
"""Maximum number of raters per row; most rows have six."""

# Number of raters and share of the rows that have as many: FEC's rows have six, some have more.
_NUM_RATERS = ((6, 0.88), (7, 0.08), (8, 0.04))
_POOL_SIZE = 40
_SLOPPINESS_SPREAD = 0.25


@dataclass(frozen=True)
class Judgements:
    """All answers to T triplets.

    Attributes:
        raters: [T, 8] int64, number of the rater, 0..39; -1 where a row has fewer raters.
        answers: [T, 8] int64, the odd face 1, 2 or 3; 0 where a row has fewer raters.
        noise: the calibrated error of an average rater, in action-unit distance.
        agreement: see `average_agreement`.
        num_ties: rows whose most frequent answer is not unique.
    """

    raters: NDArray[np.int64]
    answers: NDArray[np.int64]
    noise: float
    agreement: float
    num_ties: int


def pair_distances(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances of the three pairs, each in the column of the face it leaves out.

    Args:
        points: [T, 3, D] float64, the action units of each triplet's faces.

    Returns:
        [T, 3] float64, 0 or more: column 0 is the distance of faces 2 and 3, and so on.
    """
    first, second, third = points[:, 0], points[:, 1], points[:, 2]
    gaps = np.stack([second - third, first - third, first - second], axis=1)
    return np.asarray(np.linalg.norm(gaps, axis=2), dtype=np.float64)


def count_votes(answers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Votes for each face [T, 3] int64, from answers [T, R] int64; answer 0 does not count."""
    return np.stack([(answers == face).sum(axis=1) for face in (1, 2, 3)], axis=1)


def tied_rows(answers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a row has more than one most frequent answer, [T] bool."""
    votes = count_votes(answers)
    return np.asarray((votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1)


def average_agreement(answers: NDArray[np.int64]) -> float:
    """Share of answers [T, R] int64 that agree with the majority of their row, in [0, 1].

    Tied rows and answers of 0 do not count; NaN if all rows are tied.
    """
    votes = count_votes(answers)[~tied_rows(answers)]
    return float(votes.max(axis=1).sum() / votes.sum()) if len(votes) else float("nan")


def judge(
    points: NDArray[np.float64], rng: np.random.Generator, target: float = FEC_AGREEMENT
) -> Judgements:
    """Answers of a calibrated panel of raters to every triplet.

    Args:
        points: [T, 3, D] float64, the action units of each triplet's faces.
        rng: draws the raters of each triplet and every error.
        target: the agreement to calibrate to, above chance level (about 0.5) and below 1.

    Returns:
        The answers. Their agreement is as close to `target` as T triplets allow.
    """
    num_triplets = len(points)
    raters = _assign_raters(num_triplets, rng)
    sloppiness = np.exp(rng.normal(0.0, _SLOPPINESS_SPREAD, _POOL_SIZE))
    errors = rng.normal(size=(num_triplets, MAX_RATERS, 3)) * sloppiness[raters][..., None]
    distances = pair_distances(points)[:, None, :]

    def answer(noise: float) -> NDArray[np.int64]:
        """All answers at one level of noise, [T, 8] int64."""
        seen = distances + noise * errors
        return np.where(raters >= 0, seen.argmin(axis=2) + 1, 0)

    noise = _calibrate(lambda level: average_agreement(answer(level)), target)
    answers = answer(noise)
    ties = int(tied_rows(answers).sum())
    return Judgements(raters, answers, noise, average_agreement(answers), ties)


def _assign_raters(num_triplets: int, rng: np.random.Generator) -> NDArray[np.int64]:
    sizes, shares = zip(*_NUM_RATERS, strict=True)
    num_raters = rng.choice(sizes, size=num_triplets, p=shares)
    pool = np.tile(np.arange(_POOL_SIZE, dtype=np.int64), (num_triplets, 1))
    raters = rng.permuted(pool, axis=1)[:, :MAX_RATERS]
    return np.where(np.arange(MAX_RATERS) < num_raters[:, None], raters, -1)


def _calibrate(agreement: Callable[[float], float], target: float) -> float:
    # Each step rescales the same errors instead of drawing new ones, so agreement falls almost
    # smoothly with the noise. A range of 1e5, halved 24 times on a log scale, is exact to 7e-7.
    low, high = 1e-4, 10.0
    for _ in range(24):
        middle = float(np.sqrt(low * high))
        if agreement(middle) > target:
            low = middle
        else:
            high = middle
    return low
