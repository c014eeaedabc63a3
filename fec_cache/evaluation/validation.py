"""Calibration of a head on its validation triplets, which training reports."""

import numpy as np
import numpy.typing as npt

from fec_cache.evaluation.measures.reliability import reliability
from fec_cache.heads.base import PairHead
from fec_cache.heads.scoring import probability_of, similarity_of
from fec_cache.pairs.build import TripletTable, pairs_from_triplets


def calibration_error(
    head: PairHead, features: npt.NDArray[np.floating], table: TripletTable
) -> float:
    """Expected calibration error of P(similar) over the pairs of triplets.

    On validation triplets, to which the calibration was fitted, it is slightly optimistic; an
    evaluation reports it on test triplets.

    Args:
        head: a trained head, on the CPU.
        features: [N, D] of any float dtype.
        table: T triplets.
    """
    # On real faces the error on test people is about 0.05: heads are right in 69 % of the
    # triplets of the validation people and in 61 % of those of the test people, and no curve
    # fitted on the former can know that (docs/experiments.md, 2026-11-23).
    chances = probability_of(head, similarity_of(head, features, table.rows)).reshape(-1)
    return reliability(chances, pairs_from_triplets(table).is_similar).error
