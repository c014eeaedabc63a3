"""What is said of a head before any test: how well its probabilities are calibrated."""

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

    On validation triplets, by which the calibration was chosen, it is a little too good; evaluation
    says it of test triplets.

    Args:
        head: on the CPU.
        features: [N, D], any float dtype.
        table: T triplets.
    """
    chances = probability_of(head, similarity_of(head, features, table.rows)).reshape(-1)
    return reliability(chances, pairs_from_triplets(table).is_similar).error
