"""Points -> groups that are trained side by side, on one matrix of features and one split."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fec_cache.errors import TrainingDiverged
from fec_cache.heads.crew import Crew, StackPlan
from fec_cache.heads.history import Epoch, TrainResult
from fec_cache.heads.planning import plan_stacks
from fec_cache.heads.stack import Job, stack_key
from fec_cache.heads.train import seconds_per_epoch
from fec_cache.pairs.split import Split
from fec_cache.search.space import Point

# A kill loses the group in hand, so a group of processes has about so many points and no more.
GROUP_POINTS = 32
EpochCallback = Callable[[int, Epoch], None]


class Training(Protocol):
    """Heads in training, side by side; see `heads.crew.Crew`."""

    @property
    def histories(self) -> tuple[tuple[Epoch, ...], ...]:
        """The epochs of each kept head so far."""
        ...

    def advance(self, num_epochs: int, on_epoch: EpochCallback | None = None) -> None:
        """Train every kept head for some more epochs."""
        ...

    def keep(self, places: Sequence[int]) -> None:
        """Go on with some heads only."""
        ...

    def finish(self) -> list[TrainResult | TrainingDiverged]:
        """The result of each kept head."""
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
        return _parted([point for members in by_key.values() for point in members], size)

    def begin(self, points: Sequence[Point]) -> Training:
        """Heads of one group, each as if it were alone, not trained yet.

        Raises:
            FecError, RuntimeError: they cannot be trained.
        """
        train, validation = self.split.train, self.split.validation
        jobs = [_job(point) for point in points]
        return Crew(self.features, train, validation, jobs, self.plan, self.device)

    def shape(self, point: Point) -> Hashable:
        """Points of one shape can stand in one stack, and take about as long an epoch."""
        return stack_key(_job(point))

    def seconds_per_epoch(self, point: Point) -> float:
        """About how long an epoch of one point takes when it is trained alone.

        Raises:
            FecError, RuntimeError: it cannot be trained.
        """
        train, validation = self.split.train, self.split.validation
        return seconds_per_epoch(
            self.features, train, validation, point.head, point.train, self.device
        )


def plan_for(
    features: npt.NDArray[np.floating], split: Split, points: Sequence[Point], device: str
) -> StackPlan:
    """How many heads to train side by side: a short calibration on the first open points.

    Raises:
        FecError, RuntimeError: they cannot be trained.
    """
    jobs = [_job(point) for point in points]
    return plan_stacks(features, split.train, split.validation, jobs, device)


def _parted(points: Sequence[Point], size: int) -> list[tuple[Point, ...]]:
    return [tuple(points[start : start + size]) for start in range(0, len(points), size)]


def _job(point: Point) -> Job:
    return Job(point.head, point.train)
