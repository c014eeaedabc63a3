"""Checks of an evaluation: inputs that are refused, and warnings beside the figures."""

import numpy as np
import numpy.typing as npt

from fec_cache.errors import BadFeatures
from fec_cache.evaluation.figures import GroupAccuracy
from fec_cache.evaluation.measures.bootstrap import ENOUGH_TRIPLETS
from fec_cache.evaluation.measures.metrics import CHANCE
from fec_cache.system.wording import counted

_MOST_TRIPLETS = 0.5


def check_finite(features: npt.NDArray[np.floating], rows: npt.NDArray[np.int64]) -> None:
    """Raise BadFeatures if any used feature is not finite.

    Without the check such faces would count as wrong answers of the head.

    Args:
        features: [N, D] float.
        rows: the rows that are used, int64 of any shape.

    Raises:
        BadFeatures: some are not finite.
    """
    used = np.unique(rows)
    num_bad = int((~np.isfinite(features[used]).all(axis=1)).sum())
    if num_bad:
        raise BadFeatures(
            f"{num_bad} of {counted(len(used), 'test face')} have features that are not finite, so "
            "the head cannot be measured on them. Run fec cache verify, then extract them again, "
            "with --store-dtype float32 if they overflow float16."
        )


def check_logits(logits: npt.NDArray[np.floating]) -> None:
    """Raise BadFeatures if any of a head's logits [T, 3] is not finite.

    Raises:
        BadFeatures: some are not finite.
    """
    num_bad = int((~np.isfinite(logits).all(axis=1)).sum())
    if num_bad:
        raise BadFeatures(
            f"The head's answers to {num_bad} of {counted(len(logits), 'triplet')} are not finite: "
            "its weights are damaged or do not fit these features. Train the head again."
        )


def warnings_of(
    overall: GroupAccuracy,
    similarity: npt.NDArray[np.floating],
    probability: npt.NDArray[np.floating],
) -> tuple[str, ...]:
    """Warnings about a head's answers: too few, constant, or worse than chance.

    Args:
        overall: figures of all triplets.
        similarity: [T, 3] float, logits.
        probability: [T, 3] float in [0, 1], P(similar).
    """
    warnings = []
    if not overall.num_triplets:
        return ("There are no triplets to measure on.",)
    if overall.num_triplets < ENOUGH_TRIPLETS:
        warnings.append(f"{counted(overall.num_triplets, 'triplet')}: too few to judge a head.")
    is_tied = (similarity == similarity.max(axis=1, keepdims=True)).sum(axis=1) > 1
    if is_tied.mean() > _MOST_TRIPLETS:
        warnings.append(
            f"The head gives the same answer to several pairs in {is_tied.mean():.0%} of the "
            "triplets, like an untrained head; such triplets count as a guess."
        )
    elif np.ptp(probability) < 1e-3:
        warnings.append(
            "The head gives the same P(similar) for every pair, so its probability is meaningless."
        )
    if overall.high < CHANCE:
        warnings.append(
            "The head is significantly worse than chance. Check whether similar and different, or "
            "the positions of the odd face, are swapped in training or in this test set."
        )
    return tuple(warnings)
