"""Heads of one shape, trained side by side on one resident matrix of features."""

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
from fec_cache.training.batched.job_state import Lane
from fec_cache.training.batched.shared_data import Ground
from fec_cache.training.config import TrainConfig
from fec_cache.training.history import Epoch, TrainResult
from fec_cache.training.threads import memory_named, threads_for


@dataclass(frozen=True)
class Job:
    """One head to train: its shape and how."""

    head: HeadConfig
    train: TrainConfig


_WARM_UP, _TIMED = 5, 40

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
        ground: Ground | None = None,
    ) -> None:
        """Put features and triplets on the device and start each head from its seed.

        Args:
            features: [N, D], any float dtype.
            train: triplets to learn from; the preparation is fitted on their faces only.
            validation: triplets that share no face with `train`.
            jobs: K >= 1 jobs of equal `stack_key`.
            device: in torch's words.
            ground: the same features and triplets, where other stacks have put them already.

        Raises:
            NothingToTrain: a side is empty, or the features are not finite.
            OutOfMemory: features or heads are too many for the device.
        """
        self.device = torch.device(device)
        self.jobs = tuple(jobs)
        self._batch_size = jobs[0].train.batch_size
        started = time.perf_counter()
        with self._at_work():
            ground = ground or Ground(features, train, validation, self.device)
            self._lanes = [Lane(job.head, job.train, ground.width, self.device) for job in jobs]
            for lane in self._lanes:
                self._resident, self._judge = ground.give_preparation(lane.head)
                lane.start(self._resident, train, validation, self._judge)
            self._items = ground.items(jobs[0].train.loss, jobs[0].head)
            self._running = list(self._lanes)
            self._engine = self._new_engine()
        self._setup_s = (time.perf_counter() - started) / len(jobs)

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

        After an interrupt the histories and the best epochs stand, but there is no going on.

        Args:
            num_epochs: how many at most.
            on_epoch: told the place of the job among the kept ones, and its new epoch.

        Raises:
            OutOfMemory: a batch is too large for the device.
        """
        with self._at_work():
            for _ in range(num_epochs):
                self._go_on_with([lane for lane in self._lanes if not lane.is_over])
                if not self._running:
                    break
                self._epoch(on_epoch)

    def seconds_per_epoch(self) -> float:
        """About how long an epoch of all jobs together takes, to plan by.

        A few steps and one validation are measured; the heads move on with them.
        """
        with self._at_work():
            orders = [lane.order(len(self._items)).to(self.device) for lane in self._running]
            self._engine.epoch(orders, _WARM_UP).cpu()
            started = time.perf_counter()
            self._engine.epoch(orders, _TIMED).cpu()
            trained = time.perf_counter()
            self._judge.figures(self._running[0].head.eval())
            judged = (time.perf_counter() - trained) * len(self._running)
        num_steps = -(-len(self._items) // self._batch_size)
        return (trained - started) * num_steps / min(_TIMED, num_steps) + judged

    def keep(self, places: Sequence[int]) -> None:
        """Go on with some jobs only; what the others held on the device is given back.

        Args:
            places: of the kept jobs, in their new order.
        """
        self.jobs = tuple(self.jobs[place] for place in places)
        self._lanes = [self._lanes[place] for place in places]
        with self._at_work():
            self._go_on_with([lane for lane in self._lanes if not lane.is_over])

    def finish(self) -> list[TrainResult | TrainingDiverged]:
        """The result of each kept job: its best epoch so far, calibrated on validation.

        A job whose loss was no number in its first epoch gives its error instead. A result's
        `duration_s` is the job's share of the time.
        """
        with self._at_work():
            return [lane.finish(self._judge, self._setup_s) for lane in self._lanes]

    def _epoch(self, on_epoch: JobCallback | None) -> None:
        started = time.perf_counter()
        orders = [lane.order(len(self._items)).to(self.device) for lane in self._running]
        losses = self._engine.epoch(orders).tolist()
        share = (time.perf_counter() - started) / len(self._running)
        for place, (lane, loss) in enumerate(zip(self._running, losses, strict=True)):
            self._engine.wiring.write_to(lane.head, place)
            epoch = lane.record(loss, self._judge, share)
            if epoch is not None and on_epoch is not None:
                on_epoch(self._lanes.index(lane), epoch)

    def _go_on_with(self, lanes: list[Lane]) -> None:
        if lanes == self._running:
            return
        states = self._engine.state_of([self._running.index(lane) for lane in lanes])
        self._running = lanes
        if lanes:
            self._engine = self._new_engine()
            self._engine.take_up(states)

    def _new_engine(self) -> Engine:
        return Engine(
            [lane.head for lane in self._running],
            [lane.config for lane in self._running],
            [lane.noise for lane in self._running],
            self._items,
            self._resident,
        )

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """The random state and the number of threads come back; lack of memory gets its name."""
        with (
            torch.random.fork_rng(),
            threads_for(self._batch_size, self.device),
            memory_named(self.device),
        ):
            yield
