"""One job of a stack: its head, its random streams, its history and its best epoch."""

import copy
import logging
import math
import time

import torch
from torch import Tensor

from fec_cache.errors import TrainingDiverged
from fec_cache.heads.base import PairHead
from fec_cache.heads.calibration import fit_calibration
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.heads.scoring import triplet_accuracy, triplet_logits
from fec_cache.pairs.build import TripletTable
from fec_cache.training.batched.resident import Resident
from fec_cache.training.config import TrainConfig
from fec_cache.training.history import Epoch, TrainResult
from fec_cache.training.losses import bce_loss

log = logging.getLogger(__name__)


class ValidationSet:
    """Validation triplets on the device, with the prepared features of their faces only."""

    def __init__(self, validation: TripletTable, resident: Resident) -> None:
        device = resident.device
        rows = torch.from_numpy(validation.rows).to(device)
        faces, positions = torch.unique(rows, return_inverse=True)
        self._prepared, self._rows = resident.take(faces), positions.view(-1, 3)
        self._odd = torch.from_numpy(validation.odd).to(device)
        self.similar = self._odd[:, None] == torch.arange(3, device=device)

    def logits(self, head: PairHead) -> Tensor:
        """Logits [T, 3] of a head in evaluation mode."""
        return triplet_logits(head, self._prepared, self._rows)

    def figures(self, head: PairHead) -> tuple[float, float]:
        """BCE of all pairs, and triplet accuracy."""
        logits = self.logits(head)
        loss = float(bce_loss(logits.flatten(), self.similar.flatten()))
        return loss, triplet_accuracy(logits, self._odd)


class JobState:
    """What one job keeps from its first epoch to its last, however its steps are computed.

    `noise` gives its dropout masks. It continues from torch's random state after the initial
    weights were drawn, as in a plain training loop.
    """

    def __init__(
        self, head_config: HeadConfig, config: TrainConfig, width: int, device: torch.device
    ) -> None:
        """Draw the initial weights for features of `width` numbers from the job's seed."""
        self.config = config
        torch.manual_seed(config.seed)
        self.head = build_head(head_config, width).to(device)
        self.noise = torch.Generator(device)
        if device.type == "cpu":
            self.noise.set_state(torch.get_rng_state())
        else:
            self.noise.manual_seed(config.seed)
        # On the CPU whatever the device, so that a seed gives the same order of batches everywhere.
        self._shuffler = torch.Generator().manual_seed(config.seed)
        self.history: list[Epoch] = []
        self._best: Epoch | None = None
        self._best_state: dict[str, Tensor] = {}
        self._ended = ""

    def start(
        self,
        resident: Resident,
        train: TripletTable,
        validation: TripletTable,
        validation_set: ValidationSet,
    ) -> None:
        """Move the head to its start, once the preparation is fitted.

        A start that is not random counts as epoch 0, since training may not improve on it.
        """
        if not self.head.config.has_random_start:
            self.head.start(resident.all(), train, validation)
            self.head.eval()
            loss, accuracy = validation_set.figures(self.head)
            self._best = Epoch(0, math.nan, loss, accuracy, 0.0)
            self._best_state = copy.deepcopy(self.head.state_dict())

    @property
    def is_over(self) -> bool:
        """Whether the job's epochs or its patience are used up, or its loss is not finite."""
        done, config = len(self.history), self.config
        best_epoch = self._best.epoch if self._best else done
        is_stale = bool(config.patience) and done - best_epoch >= config.patience
        return bool(self._ended) or done >= config.epochs or is_stale

    def order(self, num_items: int) -> Tensor:
        """The next epoch's order of items: [num_items] int64."""
        return torch.randperm(num_items, generator=self._shuffler)

    def record(
        self, train_loss: float, validation_set: ValidationSet, seconds: float
    ) -> Epoch | None:
        """Validate the head after an epoch; None if its loss is not finite.

        Args:
            train_loss: mean over the epoch.
            validation_set: what to validate on.
            seconds: duration of the epoch's steps.
        """
        started = time.perf_counter()
        self.head.eval()
        val_loss, accuracy = validation_set.figures(self.head)
        seconds += time.perf_counter() - started
        epoch = Epoch(len(self.history) + 1, train_loss, val_loss, accuracy, seconds)
        if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
            self._end(epoch.epoch)
            return None
        self.history.append(epoch)
        if self._best is None or accuracy > self._best.val_triplet_accuracy:
            # The weights first: an interrupt between the two lines must not leave an epoch
            # without its weights.
            self._best_state = copy.deepcopy(self.head.state_dict())
            self._best = epoch
        return epoch

    def finish(
        self, validation_set: ValidationSet, setup_s: float
    ) -> TrainResult | TrainingDiverged:
        """The best epoch's head on the CPU, calibrated; an error if no epoch was finite."""
        if self._best is None:
            return TrainingDiverged(f"{self._ended or 'No epoch was trained'}. Try a smaller --lr.")
        head = copy.deepcopy(self.head)
        head.load_state_dict(self._best_state)
        head.eval()
        fit_calibration(
            head, validation_set.logits(head).flatten(), validation_set.similar.flatten()
        )
        duration_s = setup_s + sum(epoch.seconds for epoch in self.history)
        return TrainResult(head.cpu(), tuple(self.history), self._best, duration_s)

    def _end(self, number: int) -> None:
        config = self.config
        self._ended = (
            f"The loss is no longer finite in epoch {number} with {config.optimizer}, lr "
            f"{config.lr:g} and weight decay {config.weight_decay:g}"
        )
        if self._best is not None:
            kept = self._best.epoch
            log.warning("%s; training ends there and epoch %d is kept", self._ended, kept)
