"""Points -> groups that are trained side by side, on one matrix of features and one split."""

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

# Halving loses the group in hand to a kill, so one of processes has about so many points.
GROUP_POINTS = 32
ONE_BY_ONE = StackPlan(1, 1, math.nan, "One head at a time.")
EpochCallback = Callable[[int, Epoch], None]


class Training(Protocol):
    """Heads in training, side by side; see `training.backends.process_pool.JobPool`."""

    @property
    def histories(self) -> tuple[tuple[Epoch, ...], ...]:
        """The epochs of each kept head so far."""
        ...

    def advance(self, num_epochs: int, on_epoch: EpochCallback | None = None) -> None:
        """Train every kept head for some more epochs."""
        ...

    def complete(
        self, num_epochs: int, on_epoch: EpochCallback | None, on_done: DoneCallback
    ) -> None:
        """Train every kept head to its end; its result is given as soon as it is there."""
        ...

    def keep(self, places: Sequence[int]) -> None:
        """Go on with some heads only."""
        ...

    def close(self) -> None:
        """Let processes and memory go."""
        ...


@dataclass(frozen=True)
class Engine:
    """Trains points as a plan says; another plan may change the last bit of a figure."""

    features: npt.NDArray[np.floating]
    split: Split
    plan: StackPlan
    device: str = "cpu"
    group_points: int = GROUP_POINTS
    shared: SharedStatistics = field(default_factory=SharedStatistics, compare=False, repr=False)

    def groups(self, points: Sequence[Point]) -> list[tuple[Point, ...]]:
        """Points that are trained together, in an order that depends on points and plan only."""
        by_key: dict[Hashable, list[Point]] = {}
        for point in points:
            by_key.setdefault(self.shape(point), []).append(point)
        side_by_side = max(1, self.plan.width * self.plan.num_processes)
        if self.plan.num_processes == 1:
            return [part for members in by_key.values() for part in _parted(members, side_by_side)]
        # Processes take a while to begin and wait for the slowest: they get several rounds.
        size = side_by_side * max(1, self.group_points // side_by_side)
        stepped = [p for members in by_key.values() for p in members if not p.is_closed]
        return [*_parted([p for p in points if p.is_closed], 1), *_parted(stepped, size)]

    def begin(self, points: Sequence[Point]) -> Training:
        """Heads of one group, each as if it were alone, not trained yet.

        Raises:
            FecError, RuntimeError: they cannot be trained.
        """
        if points[0].is_closed:
            return ClosedTraining(self, points)
        train, validation = self.split.train, self.split.validation
        jobs = [_job(point) for point in points]
        return JobPool(self.features, train, validation, jobs, self.plan, self.device)

    def shape(self, point: Point) -> Hashable:
        """Points of one shape can stand in one stack, and take about as long an epoch."""
        return point.head if point.is_closed else stack_key(_job(point))

    def seconds_per_epoch(self, point: Point) -> float:
        """About how long an epoch of one point takes alone; NaN for what has no epochs.

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
    """Heads that are worked out at once when the first epoch is asked for."""

    def __init__(self, engine: Engine, points: Sequence[Point]) -> None:
        self._engine = engine
        self._points = list(points)
        self._results: list[TrainResult] = []

    @property
    def histories(self) -> tuple[tuple[Epoch, ...], ...]:
        """One epoch a head, as soon as it is there."""
        return tuple(result.history for result in self._results)

    def advance(self, num_epochs: int, on_epoch: EpochCallback | None = None) -> None:
        """Work all heads out, once."""
        engine = self._engine
        train, validation = engine.split.train, engine.split.validation
        for place in range(len(self._results), len(self._points)):
            point = self._points[place]
            result = fit_closed_form(
                engine.features, train, validation, point.head, engine.device, shared=engine.shared
            )
            self._results.append(result)
            if on_epoch is not None:
                on_epoch(place, result.best)

    def complete(
        self, num_epochs: int, on_epoch: EpochCallback | None, on_done: DoneCallback
    ) -> None:
        """Work all heads out."""
        self.advance(num_epochs, on_epoch)
        on_done(range(len(self._points)), self._results)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with some heads only."""
        self._points = [self._points[place] for place in places]
        self._results = [self._results[place] for place in places]

    def close(self) -> None:
        """Nothing is held."""


def plan_for(
    features: npt.NDArray[np.floating], split: Split, points: Sequence[Point], device: str
) -> StackPlan:
    """How many heads to train side by side: a short calibration on the open points.

    Raises:
        FecError, RuntimeError: they cannot be trained.
    """
    jobs = [_job(point) for point in points if not point.is_closed]
    if not jobs:
        return ONE_BY_ONE
    return plan_stacks(features, split.train, split.validation, jobs, device)


def _parted(points: Sequence[Point], size: int) -> list[tuple[Point, ...]]:
    return [tuple(points[start : start + size]) for start in range(0, len(points), size)]


def _job(point: Point) -> TrainingJob:
    return TrainingJob(point.head, point.train)
