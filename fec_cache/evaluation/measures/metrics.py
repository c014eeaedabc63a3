"""Metrics of triplets and pairs; scikit-learn computes those of pairs.

scikit-learn is imported on first use, because it takes ten times as long to load as NumPy.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# The pair found most similar must be the raters' one. Checking only whether that pair is closer
# than one other has a chance of 1/2 and is not comparable.
CHANCE = 1.0 / 3.0
# Two of a triplet's three pairs are different: always answering "different" is right that often.
PAIR_FLOOR = 2.0 / 3.0


def odd_probabilities(logits: Floats) -> npt.NDArray[np.float64]:
    """Probability of each face to be the odd one, given that exactly one pair is similar.

    With independent calibrated pairs, P(only pair j is similar) is proportional to the odds of
    pair j, so the result is the softmax of the calibrated logits.

    Args:
        logits: [T, 3] float, calibrated logits of P(similar); pair j is the pair without face j.

    Returns:
        [T, 3] float64, rows add up to 1.
    """
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=1, keepdims=True, initial=-1e9)
    odds = np.exp(shifted)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def vote_log_losses(probabilities: Floats, votes: Ints) -> npt.NDArray[np.float64]:
    """Cross-entropy of each triplet's vote shares under predicted probabilities, in nats: [T].

    A uniform guess scores ln 3 = 1.0986. NaN for a triplet without votes.

    Args:
        probabilities: [T, 3] float in [0, 1], probability of each face to be named.
        votes: [T, 3] int64, raters who named each face.
    """
    counts = votes.sum(axis=1)
    # Without the bound, one certain and wrong answer would make the mean infinite.
    log_likelihoods = (votes * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1)
    losses = np.where(counts > 0, -log_likelihoods / np.maximum(counts, 1), np.nan)
    return np.asarray(losses, np.float64)


def vote_agreement(similarity: Floats, votes: Ints) -> npt.NDArray[np.float64]:
    """Share of each triplet's votes for the face that the head names: [T] float64 in [0, 1].

    If the head ties several faces, the mean of their shares counts.

    Args:
        similarity: [T, 3] float, higher is more alike; pair j is the pair without face j.
        votes: [T, 3] int64, raters who named each face.
    """
    best = similarity == similarity.max(axis=1, keepdims=True)
    named = (votes * best).sum(axis=1) / np.maximum(best.sum(axis=1), 1)
    return np.asarray(named / np.maximum(votes.sum(axis=1), 1), np.float64)


def constant_accuracy(odd: Ints) -> float:
    """Best triplet accuracy of always naming the same position; NaN without triplets.

    Args:
        odd: [T] int64 in 0..2, the odd face.
    """
    return float(np.bincount(odd, minlength=3).max() / len(odd)) if len(odd) else float("nan")


def rater_accuracy(votes: Ints) -> float:
    """How often a rater names the odd face that the other raters of the triplet name.

    Each rater is left out in turn and compared with the majority of the others; if the others are
    tied between k faces, naming one of them counts 1/k. Triplets with a single rater are ignored.

    Args:
        votes: [T, 3] int64, raters who named each face.

    Returns:
        Mean over all raters of all triplets, in [0, 1]; NaN if no triplet has two raters.
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


def pair_auc(scores: Floats, is_similar: Bools) -> float:
    """Area under the ROC curve of pair scores [P]; NaN if there is only one kind of pair."""
    from sklearn.metrics import roc_auc_score

    if is_similar.all() or not is_similar.any():
        return float("nan")
    return float(roc_auc_score(is_similar, scores))


def pair_balanced_accuracy(says_similar: Bools, is_similar: Bools) -> float:
    """Mean of the accuracies on similar and on different pairs; a constant answer scores 0.5.

    Args:
        says_similar: [P] bool, the head's answers.
        is_similar: [P] bool.

    Returns:
        A share in [0, 1]; NaN if there is only one kind of pair.
    """
    from sklearn.metrics import balanced_accuracy_score

    if is_similar.all() or not is_similar.any():
        return float("nan")
    return float(balanced_accuracy_score(is_similar, says_similar))


def pair_average_precision(scores: Floats, is_similar: Bools) -> float:
    """Average precision of pair scores [P] for similar pairs; a constant scores their share.

    NaN if there is only one kind of pair.
    """
    from sklearn.metrics import average_precision_score

    if is_similar.all() or not is_similar.any():
        return float("nan")
    return float(average_precision_score(is_similar, scores))


def pair_brier(probability: Floats, is_similar: Bools) -> float:
    """Mean squared error of P(similar) [P]; a constant at the base rate b scores b (1 - b).

    NaN without pairs.
    """
    from sklearn.metrics import brier_score_loss

    if not len(is_similar):
        return float("nan")
    return float(brier_score_loss(is_similar, probability, pos_label=True))
