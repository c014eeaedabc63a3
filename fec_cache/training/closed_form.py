"""Heads that are solved instead of trained by steps."""

import time
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fec_cache.heads.base import ClosedFormHead, PairHead
from fec_cache.heads.calibration import fit_calibration
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.heads.scoring import sample_triplets, similar_pairs, table_logits
from fec_cache.pairs.build import TripletTable
from fec_cache.training.batched.resident import check_features
from fec_cache.training.history import Epoch, EpochCallback, TrainResult
from fec_cache.training.losses import bce_loss


@dataclass
class SharedStatistics:
    """What closed-form heads of one kind and preparation share, on the same features and triplets.

    Only the last preparation is kept: in a grid it varies more slowly than the heads' own options.
    """

    key: Hashable = None
    preparation: dict[str, Tensor] = field(default_factory=dict)
    prepared: Tensor = field(default_factory=lambda: torch.empty(0))
    statistics: object = None


def fit_closed_form(
    features: npt.NDArray[np.floating],
    train: TripletTable,
    validation: TripletTable,
    config: HeadConfig,
    device: str = "cpu",
    on_epoch: EpochCallback | None = None,
    shared: SharedStatistics | None = None,
) -> TrainResult:
    """Solve a head, with its open options chosen by validation, then calibrate it.

    Args:
        features: [N, D], any float dtype, finite.
        train: triplets to learn from; the preparation is fitted on their faces only.
        validation: triplets that share no face with `train`.
        config: of a closed-form head.
        device: as torch names it.
        on_epoch: called once, as for a first epoch.
        shared: what earlier heads on the same features and triplets left; updated by this one.

    Raises:
        NothingToTrain: a side is empty, or features are not finite, or none varies.
        BadOption: an option does not fit the features.
    """
    started = time.perf_counter()
    shared = shared or SharedStatistics()
    head = build_head(config, features.shape[1]).to(device)
    assert isinstance(head, ClosedFormHead)
    with torch.inference_mode():
        _prepare(shared, head, features, train, validation)
        accuracy = head.solve(shared.prepared, shared.statistics, train, validation)
        projected = head.project(shared.prepared)
    logits = table_logits(head.eval(), projected, validation)
    fit_calibration(head, logits.flatten(), similar_pairs(validation).flatten())
    epoch = Epoch(1, _loss(head, projected, train), _loss(head, projected, validation), accuracy, 0)
    epoch = replace(epoch, seconds=time.perf_counter() - started)
    if on_epoch is not None:
        on_epoch(epoch)
    return TrainResult(head.cpu(), (epoch,), epoch, epoch.seconds)


def _prepare(
    shared: SharedStatistics,
    head: ClosedFormHead,
    features: npt.NDArray[np.floating],
    train: TripletTable,
    validation: TripletTable,
) -> None:
    """Fit the preparation and compute the statistics, unless an earlier head left them."""
    config = head.config
    key = config.head, config.preparation_for(head.width), config.blocks
    # Heads of one search that differ only in their own options sum the pairs once.
    if shared.key != key:
        check_features(features, train, validation)
        matrix = torch.from_numpy(features.astype(np.float32)).to(head.calibration.device)
        head.fit_preparation(matrix[torch.from_numpy(np.unique(train.rows)).to(matrix.device)])
        # An interrupt between these lines must not leave the key of another preparation's numbers.
        shared.key = None
        shared.prepared = head.preparation(matrix)
        shared.statistics = head.statistics(shared.prepared, train)
        shared.preparation = head.preparation.state_dict()
        shared.key = key
    head.preparation.load_state_dict(shared.preparation)


def _loss(head: PairHead, prepared: Tensor, table: TripletTable) -> float:
    """BCE of the calibrated logits of a set's triplets, or of a large sample of them."""
    sample = sample_triplets(table)
    logits = table_logits(head, prepared, sample)
    return float(bce_loss(head.log_odds(logits).flatten(), similar_pairs(sample).flatten()))
