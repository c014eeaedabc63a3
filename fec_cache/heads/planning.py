"""How many heads to stack, and whether in processes: decided by a short calibration."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fec_cache.heads.crew import StackPlan
from fec_cache.heads.stack import Job
from fec_cache.heads.train import seconds_per_epoch
from fec_cache.pairs.build import TripletTable


def plan_stacks(
    features: npt.NDArray[np.floating],
    train: TripletTable,
    validation: TripletTable,
    jobs: Sequence[Job],
    device: str = "cpu",
) -> StackPlan:
    """Measure a few batches of the first job's key and choose the fastest way.

    Args:
        features: [N, D], any float dtype.
        train: triplets to learn from.
        validation: triplets to judge by.
        jobs: what is to be trained; the most frequent key is measured.
        device: in torch's words.

    Raises:
        NothingToTrain: a side is empty, or the features are not finite.
    """
    job = jobs[0]
    seconds = seconds_per_epoch(features, train, validation, job.head, job.train, device)
    return StackPlan(1, 1, seconds, f"One head at a time, {seconds:.1f} s an epoch.")
