"""Heads that are worked out instead of trained, and heads that start from there."""

import logging
import math
import time
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fec_cache.errors import BadOption
from fec_cache.heads.base import COMPONENTS, EmbeddingHead, PairHead, ScatterHead, build_head
from fec_cache.heads.calibration import fit_calibration, fit_platt
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.scoring import triplet_logits
from fec_cache.pairs.build import TripletTable
from fec_cache.system.wording import counted
from fec_cache.training.batched.resident import check_features
from fec_cache.training.history import Epoch, EpochCallback, TrainResult
from fec_cache.training.losses import bce_loss
from fec_cache.training.scatter_directions import SHRINKAGES, Scatters, find_scatter, pair_scatters

log = logging.getLogger(__name__)

_SAMPLE = 65536
_LEAST_SCALE = 1e-3


@dataclass
class ScatterBench:
    """What scatter heads of one preparation share, on the same features and triplets.

    Only the last preparation is kept: a grid varies shrinkage and components fastest.
    """

    key: Hashable = None
    preparation: dict[str, Tensor] = field(default_factory=dict)
    prepared: Tensor = field(default_factory=lambda: torch.empty(0))
    scatters: Scatters | None = None


def fit_scatter(
    features: npt.NDArray[np.floating],
    train: TripletTable,
    validation: TripletTable,
    config: HeadConfig,
    device: str = "cpu",
    on_epoch: EpochCallback | None = None,
    bench: ScatterBench | None = None,
) -> TrainResult:
    """Work the scatter head out: shrinkage and components by validation, then the calibration.

    Args:
        features: [N, D], any float dtype, finite.
        train: triplets whose pairs are scattered; the preparation is fitted on their faces only.
        validation: triplets that share no face with `train`.
        config: of a scatter head; what it leaves open is chosen.
        device: in torch's words.
        on_epoch: told once, as if it were the first epoch.
        bench: what earlier heads on the same features and triplets left, and this one leaves.

    Raises:
        NothingToTrain: a side is empty, or features are not finite, or not one varies.
        BadOption: more components are asked for than there are.
    """
    started = time.perf_counter()
    bench = bench or ScatterBench()
    head = build_head(config, features.shape[1]).to(device)
    assert isinstance(head, ScatterHead)
    with torch.inference_mode():
        _lay_out(bench, head, features, train, validation)
        accuracy = _project(head, bench, train, validation)
        projected = nn.functional.normalize(bench.prepared @ head.projection, dim=-1)
    logits = _logits(head.eval(), projected, validation)
    fit_calibration(head, logits.flatten(), _similar(validation).flatten())
    epoch = Epoch(1, _loss(head, projected, train), _loss(head, projected, validation), accuracy, 0)
    epoch = replace(epoch, seconds=time.perf_counter() - started)
    if on_epoch is not None:
        on_epoch(epoch)
    return TrainResult(head.cpu(), (epoch,), epoch, epoch.seconds)


def _lay_out(
    bench: ScatterBench,
    head: ScatterHead,
    features: npt.NDArray[np.floating],
    train: TripletTable,
    validation: TripletTable,
) -> None:
    """All faces before the projection, by the preparation of the training faces; their scatters."""
    key = head.config.preparation_for(head.width), head.config.blocks
    if bench.key != key:
        check_features(features, train, validation)
        matrix = torch.from_numpy(features.astype(np.float32)).to(head.projection.device)
        head.fit_preparation(matrix[torch.from_numpy(np.unique(train.rows)).to(matrix.device)])
        bench.key = None
        bench.prepared = head.preparation(matrix)
        bench.scatters = pair_scatters(bench.prepared, train)
        bench.preparation = head.preparation.state_dict()
        bench.key = key
    head.preparation.load_state_dict(bench.preparation)


def _project(
    head: ScatterHead, bench: ScatterBench, train: TripletTable, validation: TripletTable
) -> float:
    """Fill in the best projection; its validation triplet accuracy."""
    config = head.config
    shrinkages = SHRINKAGES if config.shrinkage is None else (config.shrinkage,)
    components = COMPONENTS if config.components is None else (config.components,)
    data = bench.prepared, train, validation
    found = find_scatter(*data, shrinkages, components, bench.scatters)
    count = found.projection.shape[1]
    log.info("scatter: shrinkage %g, %d directions", found.shrinkage, count)
    head.projection[:, :count].copy_(found.projection)
    return found.val_triplet_accuracy


def start_from_scatter(
    head: PairHead, prepared: Tensor, train: TripletTable, validation: TripletTable
) -> None:
    """Give an embedding head the scatter head's answers to begin with.

    Its first `embedding_dim` directions become the projection. Hidden layers let it through
    unchanged: of each, the first units hold the projection's positive and negative parts, whose
    difference the last layer takes; the other units start at random with no say in the output.

    Args:
        head: an embedding head with its own initial weights, preparation fitted.
        prepared: [N, K] float32, all faces by `head.prepare`.
        train: triplets whose pairs are scattered.
        validation: triplets to choose the shrinkage by.

    Raises:
        BadOption: the embedding is wider than the prepared features.
    """
    assert isinstance(head, EmbeddingHead)
    size = head.config.embedding_dim
    if size > prepared.shape[1]:
        raise BadOption(
            f"embedding dim is {size}, but prepared features have only "
            f"{counted(prepared.shape[1], 'number')}. Ask for {prepared.shape[1]} or fewer."
        )
    shrinkage = head.config.shrinkage
    shrinkages = SHRINKAGES if shrinkage is None else (shrinkage,)
    with torch.no_grad():
        found = find_scatter(prepared, train, validation, shrinkages, (size,))
        _write_linear(head, found.projection.T)
        is_training = head.training
        few = _sample(train)
        logits = _logits(head.eval(), prepared, few)
        cosines = 1.0 - head.distance(logits) / 2.0
        head.train(is_training)
        # A calibrated cosine as a logit: slope * cosine + offset = scale * (threshold - distance).
        slope, offset = fit_platt(cosines.flatten(), _similar(few).flatten())
        scale = max(slope / 2.0, _LEAST_SCALE)
        head.log_scale.fill_(math.log(scale))
        head.threshold.fill_(2.0 + offset / scale)


def _write_linear(head: EmbeddingHead, projection: Tensor) -> None:
    """Let the layers answer `projection @ x`: [E, K]."""
    *hidden, last = [layer for layer in head.layers if isinstance(layer, nn.Linear)]
    last.bias.zero_()
    if not hidden:
        last.weight.copy_(projection)
        return
    size = len(projection)
    both_signs = torch.cat([projection, -projection])
    identity = torch.eye(2 * size, device=projection.device)
    for number, layer in enumerate(hidden):
        layer.bias[: 2 * size] = 0.0
        if number:
            layer.weight[: 2 * size] = 0.0
            layer.weight[: 2 * size, : 2 * size] = identity
        else:
            layer.weight[: 2 * size] = both_signs
    last.weight.zero_()
    last.weight[:, : 2 * size] = torch.cat([identity[:size, :size], -identity[:size, :size]], dim=1)


def _logits(head: PairHead, prepared: Tensor, table: TripletTable) -> Tensor:
    return triplet_logits(head, prepared, torch.from_numpy(table.rows).to(prepared.device)).cpu()


def _loss(head: PairHead, prepared: Tensor, table: TripletTable) -> float:
    """BCE of the calibrated logits of a set's triplets, or of enough of them."""
    few = _sample(table)
    logits = _logits(head, prepared, few)
    return float(bce_loss(head.log_odds(logits).flatten(), _similar(few).flatten()))


def _similar(table: TripletTable) -> Tensor:
    """Which pairs are similar: [T, 3] bool."""
    return torch.from_numpy(table.odd)[:, None] == torch.arange(3)


def _sample(table: TripletTable) -> TripletTable:
    """Enough triplets, evenly thinned, to know a loss by."""
    return table.take(np.arange(0, len(table), -(-len(table) // _SAMPLE)))
