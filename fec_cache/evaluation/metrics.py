"""Figures as pure functions on arrays; scikit-learn gives the pair figures."""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CHANCE = 1.0 / 3.0
PAIR_FLOOR = 2.0 / 3.0
_DRAWS_AT_ONCE = 50


def triplet_credit(similarity: Floats, odd: Ints) -> npt.NDArray[np.float64]:
    """How right each triplet is: 1, 0, or 1/k where k pairs are equally the most similar.

    Args:
        similarity: [T, 3], higher is more alike; pair j is the pair without face j.
        odd: [T], the odd face by the raters' majority, and so the similar pair.

    Returns:
        [T] float64 in [0, 1]; its mean is the triplet accuracy, chance 1/3. A head that always
        answers the same scores exactly chance, whatever the order of the faces.

    Source: Vemulapalli & Agarwala, CVPR 2019, arXiv:1811.11283, section 5.
    """
    best = similarity == similarity.max(axis=1, keepdims=True)
    hit = np.take_along_axis(best, odd[:, None], axis=1)[:, 0]
    return np.asarray(hit / np.maximum(best.sum(axis=1), 1), np.float64)


def bootstrap_interval(
    credit: Floats, draws: int = 1000, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `credit` [T], redrawing triplets.

    Triplets that share faces are not independent, so on sets where each face stands in many
    triplets the interval is somewhat too narrow.

    Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    if not len(credit):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means: list[npt.NDArray[np.float64]] = []
    for start in range(0, draws, _DRAWS_AT_ONCE):
        size = (min(_DRAWS_AT_ONCE, draws - start), len(credit))
        means.append(credit[rng.integers(0, len(credit), size)].mean(axis=1))
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(np.concatenate(means), [tail, 1.0 - tail])
    return float(low), float(high)


def rater_accuracy(votes: Ints) -> float:
    """How often a rater names the odd face that the other raters of the triplet name.

    Each rater is left out in turn and judged by the majority of the others; where the others are
    tied between k faces, naming one of them counts 1/k. Triplets with a single rater say nothing.

    Args:
        votes: [T, 3], how many raters named each face.

    Returns:
        Mean over all raters of all triplets, in [0, 1]; NaN where no triplet has two raters.
    """
    votes = votes[votes.sum(axis=1) >= 2]
    if not len(votes):
        return float("nan")
    credit = 0.0
    for face in range(3):
        others = votes - np.eye(3, dtype=np.int64)[face]
        has_voted = votes[:, face] > 0
        top = others == others.max(axis=1, keepdims=True)
        credit += float((votes[:, face] * has_voted * top[:, face] / top.sum(axis=1)).sum())
    return credit / float(votes.sum())


def majority_agreement(votes: Ints) -> float:
    """Share of all answers that agree with their triplet's majority, the rater's own included.

    Args:
        votes: [T, 3], triplets without a tie.
    """
    total = votes.sum()
    return float(votes.max(axis=1).sum() / total) if total else float("nan")


def pair_auc(scores: Floats, is_similar: Bools) -> float:
    """Area under the ROC curve of pair scores [P]; NaN where only one kind of pair is there."""
    if is_similar.all() or not is_similar.any():
        return float("nan")
    return float(roc_auc_score(is_similar, scores))


def pair_balanced_accuracy(says_similar: Bools, is_similar: Bools) -> float:
    """Mean of the accuracies on similar and on different pairs; a constant answer scores 0.5."""
    if is_similar.all() or not is_similar.any():
        return float("nan")
    return float(balanced_accuracy_score(is_similar, says_similar))
