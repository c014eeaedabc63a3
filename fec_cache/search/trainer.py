"""Trains points in groups, side by side, on one matrix of features and one split."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fec_cache.pairs.split import Split
from fec_cache.search.space import Point
from fec_cache.training.backends.planning import plan_stacks
from fec_cache.training.backends.process_pool import DoneCallback, JobPool, StackPlan
from fec_cache.training.batched.stack import TrainingJob, stack_key
from fec_cache.training.closed_form import SharedStatistics, fit_closed_form
from fec_cache.training.fit import seconds_per_epoch
from fec_cache.training.history import Epoch, TrainResult

# Under halving a kill loses the whole group in training, so a group that several processes share
# is limited to about this many points.
GROUP_POINTS = 32
ONE_BY_ONE = StackPlan(1, 1, math.nan, "One head at a time.")
EpochCallback = Callable[[int, Epoch], None]


class Training(Protocol):
    """Heads in training, side by side: in processes, in stacks, or in closed form."""

    @property
    def histories(self) -> tuple[tuple[Epoch, ...], ...]:
        """The epochs so far of each head that was kept."""
        ...

    def advance(self, num_epochs: int, on_epoch: EpochCallback | None = None) -> None:
        """Train every kept head for some more epochs."""
        ...

    def complete(
        self, num_epochs: int, on_epoch: EpochCallback | None, on_done: DoneCallback
    ) -> None:
        """Train every kept head to its end and pass on each result as soon as it is known."""
        ...

    def keep(self, indices: Sequence[int]) -> None:
        """Continue with some heads only, by their indices among the kept ones."""
        ...

    def close(self) -> None:
        """Release processes and memory."""
        ...


@dataclass(frozen=True)
class SearchTrainer:
    """Trains points according to a plan; another plan may change the last bit of a figure.

    `features` [N, D] float16 or float32 is the cache's matrix; `group_points` limits a group that
    several processes share.
    """

    features: npt.NDArray[np.floating]
    split: Split
    plan: StackPlan
    device: str = "cpu"
    group_points: int = GROUP_POINTS
    shared: SharedStatistics = field(default_factory=SharedStatistics, compare=False, repr=False)

    def groups(self, points: Sequence[Point]) -> list[tuple[Point, ...]]:
        """Points that are trained together, in an order that depends only on points and plan."""
        by_key: dict[Hashable, list[Point]] = {}
        for point in points:
            by_key.setdefault(self.shape(point), []).append(point)
        side_by_side = max(1, self.plan.width * self.plan.num_processes)
        if self.plan.num_processes == 1:
            return [part for members in by_key.values() for part in _chunks(members, side_by_side)]
        # Processes take time to start and wait for the slowest: a group gives them several rounds.
        size = side_by_side * max(1, self.group_points // side_by_side)
        stepped = [p for members in by_key.values() for p in members if not p.is_closed]
        return [*_chunks([p for p in points if p.is_closed], 1), *_chunks(stepped, size)]

    def begin(self, points: Sequence[Point]) -> Training:
        """The untrained heads of one group, each initialised as if it were alone.

        Raises:
            FecError, RuntimeError: they cannot be trained.
        """
        if points[0].is_closed:
            return ClosedTraining(self, points)
        train, validation = self.split.train, self.split.validation
        jobs = [_job(point) for point in points]
        return JobPool(self.features, train, validation, jobs, self.plan, self.device)

    def shape(self, point: Point) -> Hashable:
        """Points of one shape can be stacked, and take about the same time per epoch."""
        return point.head if point.is_closed else stack_key(_job(point))

    def seconds_per_epoch(self, point: Point) -> float:
        """Approximate time of one epoch of a point alone; NaN for a head in closed form.

        Raises:
            FecError, RuntimeError: it cannot be trained.
        """
        if point.is_closed:
            return math.nan
        train, validation = self.split.train, self.split.validation
        return seconds_per_epoch(
            self.features, train, validation, point.head, point.train, self.device
        )


class ClosedTraining:
    """Heads in closed form, which are solved when the first epoch is asked for."""

    def __init__(self, trainer: SearchTrainer, points: Sequence[Point]) -> None:
        self._trainer = trainer
        self._points = list(points)
        self._results: list[TrainResult] = []

    @property
    def histories(self) -> tuple[tuple[Epoch, ...], ...]:
        """One epoch for each head that is solved."""
        return tuple(result.history for result in self._results)

    def advance(self, num_epochs: int, on_epoch: EpochCallback | None = None) -> None:
        """Solve all heads, once."""
        trainer = self._trainer
        train, validation = trainer.split.train, trainer.split.validation
        for index in range(len(self._results), len(self._points)):
            point = self._points[index]
            result = fit_closed_form(
                trainer.features,
                train,
                validation,
                point.head,
                trainer.device,
                shared=trainer.shared,
            )
            self._results.append(result)
            if on_epoch is not None:
                on_epoch(index, result.best)

    def complete(
        self, num_epochs: int, on_epoch: EpochCallback | None, on_done: DoneCallback
    ) -> None:
        """Solve all heads."""
        self.advance(num_epochs, on_epoch)
        on_done(range(len(self._points)), self._results)

    def keep(self, indices: Sequence[int]) -> None:
        """Continue with some heads only."""
        self._points = [self._points[index] for index in indices]
        self._results = [self._results[index] for index in indices]

    def close(self) -> None:
        """Nothing is held open."""


def plan_for(
    features: npt.NDArray[np.floating], split: Split, points: Sequence[Point], device: str
) -> StackPlan:
    """How many heads to train side by side, from a short calibration on the open points.

    Args:
        features: [N, D], any float dtype.
        split: triplets by row of `features`.
        points: what is to be trained; closed-form points are left out.
        device: where they are trained.

    Raises:
        FecError, RuntimeError: they cannot be trained.
    """
    jobs = [_job(point) for point in points if not point.is_closed]
    if not jobs:
        return ONE_BY_ONE
    return plan_stacks(features, split.train, split.validation, jobs, device)


def _chunks(points: Sequence[Point], size: int) -> list[tuple[Point, ...]]:
    return [tuple(points[start : start + size]) for start in range(0, len(points), size)]


def _job(point: Point) -> TrainingJob:
    return TrainingJob(point.head, point.train)
