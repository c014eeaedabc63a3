"""Signs that a figure is not what it seems: said beside it, or refused."""

import numpy as np
import numpy.typing as npt

from fec_cache.errors import BadFeatures
from fec_cache.evaluation.figures import GroupAccuracy
from fec_cache.evaluation.measures.bootstrap import ENOUGH_TRIPLETS
from fec_cache.evaluation.measures.metrics import CHANCE
from fec_cache.system.wording import counted

_MOSTLY = 0.5


def check_finite(features: npt.NDArray[np.floating], rows: npt.NDArray[np.int64]) -> None:
    """Turn down features that are not numbers: a head would count them as wrong in silence.

    Args:
        features: [N, D].
        rows: those that are used, of any shape.

    Raises:
        BadFeatures: some are not finite.
    """
    used = np.unique(rows)
    num_bad = int((~np.isfinite(features[used]).all(axis=1)).sum())
    if num_bad:
        raise BadFeatures(
            f"{num_bad} of {counted(len(used), 'test face')} with features that are not finite, so "
            "nothing can be measured on them. Run: fec cache verify, and extract them again, with "
            "--store-dtype float32 if they overflow float16."
        )


def check_logits(logits: npt.NDArray[np.floating]) -> None:
    """Turn down a head whose answers are not numbers.

    Raises:
        BadFeatures: some are not finite.
    """
    num_bad = int((~np.isfinite(logits).all(axis=1)).sum())
    if num_bad:
        raise BadFeatures(
            f"The head's answers to {num_bad} of {counted(len(logits), 'triplet')} are not finite "
            "numbers: its weights are spoilt or do not fit these features. Train the head again."
        )


def warnings_of(
    overall: GroupAccuracy,
    similarity: npt.NDArray[np.floating],
    probability: npt.NDArray[np.floating],
) -> tuple[str, ...]:
    """What a reader must be told of a head's answers.

    Args:
        overall: figures of all triplets.
        similarity: [T, 3].
        probability: [T, 3], P(similar).
    """
    told = []
    if not overall.num_triplets:
        return ("There is not one triplet to measure on.",)
    if overall.num_triplets < ENOUGH_TRIPLETS:
        told.append(f"{counted(overall.num_triplets, 'triplet')}: too few to judge a head by.")
    is_tied = (similarity == similarity.max(axis=1, keepdims=True)).sum(axis=1) > 1
    if is_tied.mean() > _MOSTLY:
        told.append(
            f"The head gives the same answer to several pairs in {is_tied.mean():.0%} of the "
            "triplets, as one that has learned nothing does; such triplets count as a guess."
        )
    elif np.ptp(probability) < 1e-3:
        told.append("The head says the same P(similar) of every pair: its probability is empty.")
    if overall.high < CHANCE:
        told.append(
            "The head is worse than chance beyond doubt: are similar and different, or the "
            "numbers of the answers, swapped in training or in this test set?"
        )
    return tuple(told)
