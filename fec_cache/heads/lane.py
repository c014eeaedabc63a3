"""One job of a stack: its head, its random streams, its history and its best epoch."""

import copy
import logging
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fec_cache.config import TrainConfig
from fec_cache.errors import NothingToTrain, TrainingDiverged
from fec_cache.heads.calibration import fit_calibration
from fec_cache.heads.closed import start_from_scatter
from fec_cache.heads.history import Epoch, TrainResult
from fec_cache.heads.losses import batch_loss, bce_loss, training_columns
from fec_cache.heads.model import PairHead, build_head
from fec_cache.heads.scoring import odd_accuracy, triplet_logits
from fec_cache.pairs.build import TripletTable

if TYPE_CHECKING:
    from fec_cache.heads.stack import Job

log = logging.getLogger(__name__)

SGD_MOMENTUM = 0.9


class Lane:
    """What one job keeps from its first epoch to its last."""

    def __init__(
        self,
        features: npt.NDArray[np.floating],
        train: TripletTable,
        validation: TripletTable,
        job: "Job",
        device: torch.device,
    ) -> None:
        check_features(features, train, validation)
        self.config = job.train
        self.device = device
        torch.manual_seed(job.train.seed)
        matrix = torch.from_numpy(features.astype(np.float32)).to(device)
        self.head = build_head(job.head, matrix.shape[1]).to(device)
        self.head.fit_preparation(matrix[torch.from_numpy(np.unique(train.rows)).to(device)])
        # The preparation has nothing to learn by gradients: it is applied once, not per batch.
        self.prepared = self.head.prepare(matrix)
        self.val_rows = torch.from_numpy(validation.rows).to(device)
        self.val_odd = torch.from_numpy(validation.odd).to(device)
        self.val_similar = self.val_odd[:, None] == torch.arange(3, device=device)
        if job.head.init == "scatter":
            start_from_scatter(self.head, self.prepared, train, validation)
        columns = training_columns(self.config.loss, train, job.head.both_orders)
        self._inputs = tuple(torch.from_numpy(column).to(device) for column in columns)
        self._optimizer = _optimizer(self.head, self.config, device)
        self._shuffler = torch.Generator().manual_seed(self.config.seed)
        self._random_state = torch.get_rng_state()
        self.history: list[Epoch] = []
        self._best_state: dict[str, Tensor] = {}
        self._best: Epoch | None = None
        self._ended = ""
        if job.head.init == "scatter":
            self._keep_start()

    @property
    def is_over(self) -> bool:
        """Whether the job's epochs or its patience are used up, or its loss is no number."""
        done, config = len(self.history), self.config
        is_stale = bool(
            config.patience and self._best and done - self._best.epoch >= config.patience
        )
        return bool(self._ended) or done >= config.epochs or is_stale

    def resume(self) -> None:
        """Take the random state up where the job left it."""
        torch.set_rng_state(self._random_state)

    def pause(self) -> None:
        """Remember the random state for the next epoch."""
        self._random_state = torch.get_rng_state()

    def advance(self) -> Epoch | None:
        """One epoch; None where its loss was no number."""
        epoch = self._epoch(len(self.history) + 1)
        if not (math.isfinite(epoch.train_loss) and math.isfinite(epoch.val_loss)):
            self._ended = (
                f"The loss is no longer a number in epoch {epoch.epoch} with "
                f"{self.config.optimizer}, lr {self.config.lr:g} and weight decay "
                f"{self.config.weight_decay:g}"
            )
            if self._best is not None:
                kept = self._best.epoch
                log.warning("%s; training ends there and epoch %d is kept", self._ended, kept)
            return None
        self.history.append(epoch)
        if self._best is None or epoch.val_triplet_accuracy > self._best.val_triplet_accuracy:
            self._best = epoch
            self._best_state = copy.deepcopy(self.head.state_dict())
        return epoch

    def finish(self, duration_s: float) -> TrainResult | TrainingDiverged:
        """The best epoch's head on the CPU, calibrated; an error where there is no epoch."""
        if self._best is None:
            return TrainingDiverged(f"{self._ended}. Try a smaller --lr.")
        head = copy.deepcopy(self.head)
        head.load_state_dict(self._best_state)
        head.eval()
        logits = triplet_logits(head, self.prepared, self.val_rows)
        fit_calibration(head, logits.flatten(), self.val_similar.flatten())
        return TrainResult(head.cpu(), tuple(self.history), self._best, duration_s)

    def _keep_start(self) -> None:
        """Count the start as epoch 0: training may not get beyond it."""
        self.head.eval()
        logits = triplet_logits(self.head, self.prepared, self.val_rows)
        loss = float(bce_loss(logits.flatten(), self.val_similar.flatten()))
        self._best = Epoch(0, math.nan, loss, odd_accuracy(logits, self.val_odd), 0.0)
        self._best_state = copy.deepcopy(self.head.state_dict())

    def _epoch(self, number: int) -> Epoch:
        started = time.perf_counter()
        self.head.train()
        total = torch.zeros((), device=self.device)
        num_items = 0
        for batch in self._batches():
            self._optimizer.zero_grad(set_to_none=True)
            faces = self.prepared[batch[0]]
            loss = batch_loss(self.config.loss, self.head, faces, batch[1:])
            loss.backward()
            self._optimizer.step()
            total += loss.detach() * len(batch[0])
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


def check_features(
    features: npt.NDArray[np.floating], train: TripletTable, validation: TripletTable
) -> None:
    """Raise `NothingToTrain` where a side is empty or a feature is no finite number."""
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


def _optimizer(head: PairHead, config: TrainConfig, device: torch.device) -> torch.optim.Optimizer:
    parameters = list(head.parameters())
    lr, decay = config.lr, config.weight_decay
    fused = device.type in ("cpu", "cuda")
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr, SGD_MOMENTUM, weight_decay=decay, fused=fused)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr, weight_decay=decay, fused=fused)
    return torch.optim.Adam(parameters, lr, weight_decay=decay, fused=fused)
