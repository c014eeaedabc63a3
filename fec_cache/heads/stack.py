"""Heads of one shape, trained side by side on one resident matrix of features."""

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.config import HeadConfig, TrainConfig
from fec_cache.errors import TrainingDiverged
from fec_cache.heads.history import Epoch, TrainResult
from fec_cache.heads.lane import Lane
from fec_cache.heads.threads import threads_for
from fec_cache.pairs.build import TripletTable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One head to train: its shape and how."""

    head: HeadConfig
    train: TrainConfig


JobCallback = Callable[[int, Epoch], None]


def stack_key(job: Job) -> Hashable:
    """Jobs with equal keys can stand in one stack.

    They share the head's shape, its preparation, loss, optimiser and batch size. Step size, weight
    decay, dropout rate, seed, epochs and patience may differ.
    """
    train = job.train
    return replace(job.head, dropout=0.0), train.loss, train.optimizer, train.batch_size


class Stack:
    """K jobs of one key, each trained as if it were alone.

    Every job has its own initial weights, batch order and dropout masks, all from its seed. A job
    stops at its own `epochs` or `patience`, or when its loss is no number; the others go on.
    """

    def __init__(
        self,
        features: npt.NDArray[np.floating],
        train: TripletTable,
        validation: TripletTable,
        jobs: Sequence[Job],
        device: str = "cpu",
    ) -> None:
        """Put features and triplets on the device and start each head from its seed.

        Args:
            features: [N, D], any float dtype.
            train: triplets to learn from; the preparation is fitted on their faces only.
            validation: triplets that share no face with `train`.
            jobs: K >= 1 jobs of equal `stack_key`.
            device: in torch's words.

        Raises:
            NothingToTrain: a side is empty, or the features are not finite.
        """
        self.device = torch.device(device)
        self.jobs = tuple(jobs)
        self._started = time.perf_counter()
        with torch.random.fork_rng(), threads_for(jobs[0].train.batch_size, self.device):
            self._lanes = [Lane(features, train, validation, job, self.device) for job in jobs]

    @property
    def histories(self) -> tuple[tuple[Epoch, ...], ...]:
        """The epochs of each kept job so far."""
        return tuple(tuple(lane.history) for lane in self._lanes)

    @property
    def is_over(self) -> bool:
        """Whether no kept job has an epoch left to train."""
        return all(lane.is_over for lane in self._lanes)

    def advance(self, num_epochs: int, on_epoch: JobCallback | None = None) -> None:
        """Train every kept job on for some epochs, but not beyond its own last one.

        Args:
            num_epochs: how many at most.
            on_epoch: told the place of the job among the kept ones, and its new epoch.
        """
        batch_size = self.jobs[0].train.batch_size
        with torch.random.fork_rng(), threads_for(batch_size, self.device):
            for place, lane in enumerate(self._lanes):
                lane.resume()
                for _ in range(num_epochs):
                    if lane.is_over:
                        break
                    epoch = lane.advance()
                    if epoch is not None and on_epoch is not None:
                        on_epoch(place, epoch)
                lane.pause()

    def keep(self, places: Sequence[int]) -> None:
        """Go on with some jobs only; what the others held on the device is given back.

        Args:
            places: of the kept jobs, in their new order.
        """
        self.jobs = tuple(self.jobs[place] for place in places)
        self._lanes = [self._lanes[place] for place in places]

    def finish(self) -> list[TrainResult | TrainingDiverged]:
        """The result of each kept job: its best epoch so far, calibrated on validation.

        A job whose loss was no number in its first epoch gives its error instead.
        """
        duration_s = time.perf_counter() - self._started
        return [lane.finish(duration_s) for lane in self._lanes]
