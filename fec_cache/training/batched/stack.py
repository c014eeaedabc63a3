"""Heads of one shape, trained side by side on one matrix of features."""

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.errors import TrainingDiverged
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.build import TripletTable
from fec_cache.training.batched.engine import Engine
from fec_cache.training.batched.job_state import JobState
from fec_cache.training.batched.shared_data import SharedData
from fec_cache.training.config import TrainConfig
from fec_cache.training.history import Epoch, TrainResult
from fec_cache.training.threads import memory_named, threads_for


@dataclass(frozen=True)
class TrainingJob:
    """One head to train: its shape, and how to train it."""

    head: HeadConfig
    train: TrainConfig


# Steps to measure by: the first few allocate memory and are not timed.
_WARM_UP, _TIMED = 5, 40

JobCallback = Callable[[int, Epoch], None]


def stack_key(job: TrainingJob) -> Hashable:
    """Jobs with equal keys can be trained in one stack.

    They share the head's shape, preparation, loss, optimiser and batch size. Learning rate, weight
    decay, dropout rate, seed, epochs and patience may differ.
    """
    train = job.train
    return replace(job.head, dropout=0.0), train.loss, train.optimizer, train.batch_size


class Stack:
    """K jobs of one key, each trained as if it were alone.

    Every job has its own initial weights, batch order and dropout masks, all from its seed. A job
    stops at its own `epochs` or `patience`, or when its loss is not finite; the others continue.
    """

    def __init__(
        self,
        features: npt.NDArray[np.floating],
        train: TripletTable,
        validation: TripletTable,
        jobs: Sequence[TrainingJob],
        device: str = "cpu",
        shared: SharedData | None = None,
    ) -> None:
        """Put features and triplets on the device and start each head from its seed.

        Args:
            features: [N, D], any float dtype.
            train: triplets to learn from; the preparation is fitted on their faces only.
            validation: triplets that share no face with `train`.
            jobs: K >= 1 jobs of equal `stack_key`.
            device: as torch names it.
            shared: the same features and triplets, if other stacks have put them on the device.

        Raises:
            NothingToTrain: a side is empty, or the features are not finite.
            OutOfMemory: features or heads do not fit on the device.
        """
        self.device = torch.device(device)
        self.jobs = tuple(jobs)
        self._batch_size = jobs[0].train.batch_size
        started = time.perf_counter()
        with self._training_settings():
            shared = shared or SharedData(features, train, validation, self.device)
            self._states = [
                JobState(job.head, job.train, shared.width, self.device) for job in jobs
            ]
            for state in self._states:
                self._resident, self._validation_set = shared.give_preparation(state.head)
                state.start(self._resident, train, validation, self._validation_set)
            self._items = shared.items(jobs[0].train.loss, jobs[0].head)
            self._running = list(self._states)
            self._engine = self._new_engine()
        self._setup_s = (time.perf_counter() - started) / len(jobs)

    @property
    def histories(self) -> tuple[tuple[Epoch, ...], ...]:
        """The epochs of each kept job so far."""
        return tuple(tuple(state.history) for state in self._states)

    @property
    def is_over(self) -> bool:
        """Whether no kept job has an epoch left to train."""
        return all(state.is_over for state in self._states)

    def advance(self, num_epochs: int, on_epoch: JobCallback | None = None) -> None:
        """Train every kept job for some more epochs, but not beyond its own last one.

        After an interrupt the histories and best epochs are valid, but training cannot continue.

        Args:
            num_epochs: how many at most.
            on_epoch: called with the index of the job among the kept ones, and its new epoch.

        Raises:
            OutOfMemory: a batch is too large for the device.
        """
        with self._training_settings():
            for _ in range(num_epochs):
                self._continue_with([state for state in self._states if not state.is_over])
                if not self._running:
                    break
                self._epoch(on_epoch)

    def seconds_per_epoch(self) -> float:
        """About how long an epoch of all jobs together takes.

        A few steps and one validation are measured; they train the heads too.
        """
        with self._training_settings():
            orders = [state.order(len(self._items)).to(self.device) for state in self._running]
            self._engine.epoch(orders, _WARM_UP).cpu()
            started = time.perf_counter()
            self._engine.epoch(orders, _TIMED).cpu()
            trained = time.perf_counter()
            self._validation_set.figures(self._running[0].head.eval())
            judged = (time.perf_counter() - trained) * len(self._running)
        num_steps = -(-len(self._items) // self._batch_size)
        return (trained - started) * num_steps / min(_TIMED, num_steps) + judged

    def keep(self, indices: Sequence[int]) -> None:
        """Continue with some jobs only and free the device memory of the others.

        Args:
            indices: of the kept jobs, in their new order.
        """
        self.jobs = tuple(self.jobs[index] for index in indices)
        self._states = [self._states[index] for index in indices]
        with self._training_settings():
            self._continue_with([state for state in self._states if not state.is_over])

    def finish(self) -> list[TrainResult | TrainingDiverged]:
        """The result of each kept job: its best epoch so far, calibrated on validation.

        A job whose loss was not finite in its first epoch gives its error instead. A result's
        `duration_s` is the job's share of the time.
        """
        with self._training_settings():
            return [state.finish(self._validation_set, self._setup_s) for state in self._states]

    def _epoch(self, on_epoch: JobCallback | None) -> None:
        started = time.perf_counter()
        orders = [state.order(len(self._items)).to(self.device) for state in self._running]
        losses = self._engine.epoch(orders).tolist()
        share = (time.perf_counter() - started) / len(self._running)
        for index, (state, loss) in enumerate(zip(self._running, losses, strict=True)):
            self._engine.stacked.write_to(state.head, index)
            epoch = state.record(loss, self._validation_set, share)
            if epoch is not None and on_epoch is not None:
                on_epoch(self._states.index(state), epoch)

    def _continue_with(self, states: list[JobState]) -> None:
        if states == self._running:
            return
        optimiser_state = self._engine.state_of([self._running.index(state) for state in states])
        self._running = states
        if states:
            self._engine = self._new_engine()
            self._engine.restore(optimiser_state)

    def _new_engine(self) -> Engine:
        return Engine(
            [state.head for state in self._running],
            [state.config for state in self._running],
            [state.noise for state in self._running],
            self._items,
            self._resident,
        )

    @contextmanager
    def _training_settings(self) -> Iterator[None]:
        """Restore the random state and the number of threads; name a lack of memory."""
        with (
            torch.random.fork_rng(),
            threads_for(self._batch_size, self.device),
            memory_named(self.device),
        ):
            yield
