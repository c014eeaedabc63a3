"""Triplets and cached features -> a trained head. Never sees an image."""

import copy
import logging
import math
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fec_cache.config import HeadConfig, TrainConfig
from fec_cache.errors import NothingToTrain, TrainingDiverged
from fec_cache.heads.calibration import fit_calibration
from fec_cache.heads.history import Epoch, EpochCallback, TrainResult
from fec_cache.heads.losses import batch_loss, bce_loss, training_columns
from fec_cache.heads.model import PairHead, build_head
from fec_cache.heads.scoring import odd_accuracy, triplet_logits
from fec_cache.heads.threads import threads_for
from fec_cache.pairs.build import TripletTable

__all__ = ["Epoch", "EpochCallback", "TrainResult", "fit", "seconds_per_epoch"]

log = logging.getLogger(__name__)

SGD_MOMENTUM = 0.9
_WARM_UP = 5
_TIMED = 40


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

    The epoch best in validation triplet accuracy is kept, its probabilities calibrated there.

    Args:
        features: [N, D], any float dtype.
        train: triplets to learn from; the preparation is fitted on their faces only.
        validation: triplets that share no face with `train`.
        head_config: which head.
        config: how to train it.
        device: in torch's words.
        on_epoch: told after each epoch.

    Raises:
        NothingToTrain: a side is empty, or the features are not finite.
        TrainingDiverged: the loss is no number in the first epoch; later, training just ends.
    """
    _check(features, train, validation)
    started = time.perf_counter()
    with torch.random.fork_rng(), threads_for(config.batch_size, torch.device(device)):
        torch.manual_seed(config.seed)
        trainer = _Trainer(features, train, validation, head_config, config, device)
        history, best_state = trainer.run(on_epoch)
    best = max(history, key=lambda epoch: epoch.val_triplet_accuracy)
    head = trainer.head
    head.load_state_dict(best_state)
    head.eval()
    logits = triplet_logits(head, trainer.prepared, trainer.val_rows)
    fit_calibration(head, logits.flatten(), trainer.val_similar.flatten())
    head.cpu()
    return TrainResult(head, tuple(history), best, time.perf_counter() - started)


def seconds_per_epoch(
    features: npt.NDArray[np.floating],
    train: TripletTable,
    validation: TripletTable,
    head_config: HeadConfig,
    config: TrainConfig,
    device: str = "cpu",
) -> float:
    """About how long one epoch will take, from a few batches on a fresh head."""
    with torch.random.fork_rng(), threads_for(config.batch_size, torch.device(device)):
        trainer = _Trainer(features, train, validation, head_config, config, device)
        return trainer.time_epoch()


class _Trainer:
    """Everything that stays on the device from the first epoch to the last."""

    def __init__(
        self,
        features: npt.NDArray[np.floating],
        train: TripletTable,
        validation: TripletTable,
        head_config: HeadConfig,
        config: TrainConfig,
        device: str,
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        matrix = torch.from_numpy(features.astype(np.float32)).to(self.device)
        self.head = build_head(head_config, matrix.shape[1]).to(self.device)
        self.head.fit_preparation(matrix[torch.from_numpy(np.unique(train.rows)).to(self.device)])
        # The preparation has nothing to learn by gradients: it is applied once, not per batch.
        self.prepared = self.head.prepare(matrix)
        self.val_rows = torch.from_numpy(validation.rows).to(self.device)
        self.val_odd = torch.from_numpy(validation.odd).to(self.device)
        self.val_similar = self.val_odd[:, None] == torch.arange(3, device=self.device)
        columns = training_columns(config.loss, train)
        self._inputs = tuple(torch.from_numpy(column).to(self.device) for column in columns)
        self._optimizer = _optimizer(self.head, config, self.device)
        self._shuffler = torch.Generator().manual_seed(config.seed)

    def run(self, on_epoch: EpochCallback | None) -> tuple[list[Epoch], dict[str, Tensor]]:
        """All epochs; the history and the best epoch's weights."""
        history: list[Epoch] = []
        best_accuracy, best_epoch = -1.0, 0
        best_state: dict[str, Tensor] = {}
        for number in range(1, self.config.epochs + 1):
            epoch = self._epoch(number)
            if not (math.isfinite(epoch.train_loss) and math.isfinite(epoch.val_loss)):
                self._report_divergence(number, best_epoch)
                break
            history.append(epoch)
            if on_epoch is not None:
                on_epoch(epoch)
            if epoch.val_triplet_accuracy > best_accuracy:
                best_accuracy, best_epoch = epoch.val_triplet_accuracy, number
                best_state = copy.deepcopy(self.head.state_dict())
            if self.config.patience and number - best_epoch >= self.config.patience:
                break
        return history, best_state

    def _report_divergence(self, number: int, best_epoch: int) -> None:
        problem = (
            f"The loss is no longer a number in epoch {number} with {self.config.optimizer}, lr "
            f"{self.config.lr:g} and weight decay {self.config.weight_decay:g}"
        )
        if not best_epoch:
            raise TrainingDiverged(f"{problem}. Try a smaller --lr.")
        log.warning("%s; training ends there and epoch %d is kept", problem, best_epoch)

    def time_epoch(self) -> float:
        """Seconds of one epoch, extrapolated; the first batches warm up and do not count."""
        num_batches = -(-len(self._inputs[0]) // self.config.batch_size)
        started, counted = time.perf_counter(), 0
        for number, batch in enumerate(self._batches()):
            if number == _WARM_UP:
                started, counted = time.perf_counter(), 0
            if number == _WARM_UP + _TIMED:
                break
            self._step(batch)
            counted += 1
        return (time.perf_counter() - started) / max(1, counted) * num_batches

    def _step(self, batch: tuple[Tensor, ...]) -> Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(batch)
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def _epoch(self, number: int) -> Epoch:
        started = time.perf_counter()
        self.head.train()
        total = torch.zeros((), device=self.device)
        num_items = 0
        for batch in self._batches():
            total += self._step(batch) * len(batch[0])
            num_items += len(batch[0])
        self.head.eval()
        logits = triplet_logits(self.head, self.prepared, self.val_rows)
        return Epoch(
            epoch=number,
            train_loss=float(total) / num_items,
            val_loss=float(bce_loss(logits.flatten(), self.val_similar.flatten())),
            val_triplet_accuracy=odd_accuracy(logits, self.val_odd),
            seconds=time.perf_counter() - started,
        )

    def _batches(self) -> Iterator[tuple[Tensor, ...]]:
        num_items = len(self._inputs[0])
        order = torch.randperm(num_items, generator=self._shuffler).to(self.device)
        for chosen in order.split(self.config.batch_size):
            yield tuple(column[chosen] for column in self._inputs)

    def _loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        return batch_loss(self.config.loss, self.head, self.prepared[batch[0]], batch[1:])


def _optimizer(head: PairHead, config: TrainConfig, device: torch.device) -> torch.optim.Optimizer:
    parameters = list(head.parameters())
    lr, decay = config.lr, config.weight_decay
    fused = device.type in ("cpu", "cuda")
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr, SGD_MOMENTUM, weight_decay=decay, fused=fused)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr, weight_decay=decay, fused=fused)
    return torch.optim.Adam(parameters, lr, weight_decay=decay, fused=fused)


def _check(
    features: npt.NDArray[np.floating], train: TripletTable, validation: TripletTable
) -> None:
    if not len(train) or not len(validation):
        raise NothingToTrain(
            f"{len(train)} training and {len(validation)} validation triplets: both must be there."
        )
    if not np.isfinite(features).all():
        bad = int((~np.isfinite(features).all(axis=1)).sum())
        raise NothingToTrain(
            f"{bad} of {len(features)} features are not finite. Extract them again, "
            "with --store-dtype float32 if they overflow float16."
        )
