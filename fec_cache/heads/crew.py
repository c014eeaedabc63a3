"""Jobs of any keys, parted into stacks and trained together: what a search hands its points to."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fec_cache.errors import TrainingDiverged
from fec_cache.heads.history import Epoch, TrainResult
from fec_cache.heads.stack import Job, JobCallback, Stack, stack_key
from fec_cache.pairs.build import TripletTable


@dataclass(frozen=True)
class StackPlan:
    """How jobs are shared out: heads in one stack, and processes of one thread each (CPU).

    `seconds_per_epoch` is the expected time of one epoch of one job in such a plan, all processes
    together; `sentence` says in words what was measured and chosen.
    """

    width: int
    num_processes: int
    seconds_per_epoch: float
    sentence: str


class Crew:
    """Trains jobs like a `Stack`, whatever their keys; same interface, jobs in the given order."""

    def __init__(
        self,
        features: npt.NDArray[np.floating],
        train: TripletTable,
        validation: TripletTable,
        jobs: Sequence[Job],
        plan: StackPlan,
        device: str = "cpu",
    ) -> None:
        """Part the jobs into stacks of equal keys, at most `plan.width` jobs each.

        Raises:
            NothingToTrain: a side is empty, or the features are not finite.
        """
        self.jobs = tuple(jobs)
        self._stacks: list[Stack] = []
        self._seats: list[tuple[int, int]] = [(0, 0)] * len(jobs)
        for places in _parted(jobs, plan.width):
            for seat, place in enumerate(places):
                self._seats[place] = (len(self._stacks), seat)
            chosen = [jobs[place] for place in places]
            self._stacks.append(Stack(features, train, validation, chosen, device))

    @property
    def histories(self) -> tuple[tuple[Epoch, ...], ...]:
        """The epochs of each kept job so far."""
        histories = [stack.histories for stack in self._stacks]
        return tuple(histories[stack][seat] for stack, seat in self._seats)

    def advance(self, num_epochs: int, on_epoch: JobCallback | None = None) -> None:
        """Train every kept job on for some epochs, but not beyond its own last one.

        Args:
            num_epochs: how many at most.
            on_epoch: told the place of the job among the kept ones, and its new epoch.
        """
        for number, stack in enumerate(self._stacks):
            places = [place for place, seat in enumerate(self._seats) if seat[0] == number]
            places.sort(key=lambda place: self._seats[place][1])

            def tell(seat: int, epoch: Epoch, places: list[int] = places) -> None:
                """Turn the seat in the stack into the job's place."""
                if on_epoch is not None:
                    on_epoch(places[seat], epoch)

            stack.advance(num_epochs, tell)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with some jobs only; what the others held on the device is given back.

        Args:
            places: of the kept jobs, in their new order.
        """
        self.jobs = tuple(self.jobs[place] for place in places)
        seats = [self._seats[place] for place in places]
        stacks: list[Stack] = []
        self._seats = [(0, 0)] * len(places)
        for number, stack in enumerate(self._stacks):
            chosen = [place for place, seat in enumerate(seats) if seat[0] == number]
            if not chosen:
                continue
            stack.keep([seats[place][1] for place in chosen])
            for seat, place in enumerate(chosen):
                self._seats[place] = (len(stacks), seat)
            stacks.append(stack)
        self._stacks = stacks

    def finish(self) -> list[TrainResult | TrainingDiverged]:
        """The result of each kept job: its best epoch so far, calibrated on validation.

        A job whose loss was no number in its first epoch gives its error instead.
        """
        results = [stack.finish() for stack in self._stacks]
        return [results[stack][seat] for stack, seat in self._seats]

    def close(self) -> None:
        """Let processes and memory go."""
        self._stacks = []


def _parted(jobs: Sequence[Job], width: int) -> list[list[int]]:
    """Places of the jobs of each stack."""
    alike: dict[Hashable, list[int]] = {}
    for place, job in enumerate(jobs):
        alike.setdefault(stack_key(job), []).append(place)
    return [
        places[start : start + width]
        for places in alike.values()
        for start in range(0, len(places), width)
    ]
