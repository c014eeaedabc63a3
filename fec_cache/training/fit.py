"""Triplets and cached features -> a trained head. Never sees an image."""

import dataclasses
import time

import numpy as np
import numpy.typing as npt

from fec_cache.errors import FecError
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.build import TripletTable
from fec_cache.training.batched.stack import Stack, TrainingJob
from fec_cache.training.closed_form import fit_closed_form
from fec_cache.training.config import TrainConfig
from fec_cache.training.history import EpochCallback, TrainResult


def fit(
    features: npt.NDArray[np.floating],
    train: TripletTable,
    validation: TripletTable,
    head_config: HeadConfig,
    config: TrainConfig,
    device: str = "cpu",
    on_epoch: EpochCallback | None = None,
) -> TrainResult:
    """Train one head; same seed and same machine give the same bytes.

    The epoch with the best validation triplet accuracy is kept, and calibrated on validation.
    Ctrl-C after the first epoch ends training, and the result is marked `interrupted`.

    Args:
        features: [N, D], any float dtype.
        train: triplets to learn from; the preparation is fitted on their faces only.
        validation: triplets that share no face with `train`.
        head_config: the shape of the head.
        config: how to train it; ignored by closed-form heads.
        device: as torch names it.
        on_epoch: called after each epoch.

    Raises:
        NothingToTrain: a side is empty, or the features are not finite.
        TrainingDiverged: the loss is not finite in the first epoch; later, training only ends.
        OutOfMemory: the device does not have enough memory.
    """
    if head_config.kind.is_closed_form:
        return fit_closed_form(features, train, validation, head_config, device, on_epoch)
    started = time.perf_counter()
    stack = Stack(features, train, validation, [TrainingJob(head_config, config)], device)
    is_interrupted = _is_interrupted(stack, config.epochs, on_epoch)
    (result,) = stack.finish()
    if isinstance(result, FecError):
        raise result
    spent = time.perf_counter() - started
    return dataclasses.replace(result, interrupted=is_interrupted, duration_s=spent)


def _is_interrupted(stack: Stack, num_epochs: int, on_epoch: EpochCallback | None) -> bool:
    """Train; whether Ctrl-C ended it after at least one epoch."""
    try:
        stack.advance(num_epochs, lambda _, epoch: on_epoch(epoch) if on_epoch else None)
    except KeyboardInterrupt:
        if not stack.histories[0]:
            raise
        return True
    return False


def seconds_per_epoch(
    features: npt.NDArray[np.floating],
    train: TripletTable,
    validation: TripletTable,
    head_config: HeadConfig,
    config: TrainConfig,
    device: str = "cpu",
) -> float:
    """About how long one epoch takes, measured over a few batches on a fresh head.

    Args:
        features: [N, D], any float dtype.
        train: triplets to learn from.
        validation: triplets to choose by.
        head_config: kind and size of the head.
        config: how it is trained.
        device: where.
    """
    stack = Stack(features, train, validation, [TrainingJob(head_config, config)], device)
    return stack.seconds_per_epoch()
