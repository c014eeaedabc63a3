"""Jobs of any keys, parted into stacks and trained together: what a search hands its points to."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.errors import TrainingDiverged
from fec_cache.pairs.build import TripletTable
from fec_cache.training.backends.local import Host, LocalHost, StackCallback
from fec_cache.training.backends.processes import ProcessHost, can_fork
from fec_cache.training.batched.shared_data import Ground
from fec_cache.training.batched.stack import Job, JobCallback, stack_key
from fec_cache.training.history import Epoch, TrainResult

DoneCallback = Callable[[Sequence[int], Sequence[TrainResult | TrainingDiverged]], None]


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
    """Trains jobs like a `Stack`, whatever their keys; same interface, jobs in the given order.

    After an interrupt there is no going on: only `histories` and `close` make sense then.
    """

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
        parts = _parted(jobs, plan.width)
        self._seats = [(0, 0)] * len(jobs)
        for number, places in enumerate(parts):
            for seat, place in enumerate(places):
                self._seats[place] = (number, seat)
        self._histories: list[list[Epoch]] = [[] for _ in jobs]
        ground = Ground(features, train, validation, torch.device(device))
        stacks = [[jobs[place] for place in places] for places in parts]
        num_processes = min(plan.num_processes, len(stacks))
        self._host: Host = LocalHost(ground, stacks)
        if num_processes > 1 and device == "cpu" and can_fork():
            self._host = ProcessHost(ground, stacks, num_processes)

    @property
    def histories(self) -> tuple[tuple[Epoch, ...], ...]:
        """The epochs of each kept job so far."""
        return tuple(tuple(history) for history in self._histories)

    def advance(self, num_epochs: int, on_epoch: JobCallback | None = None) -> None:
        """Train every kept job on for some epochs, but not beyond its own last one.

        Args:
            num_epochs: how many at most.
            on_epoch: told the place of the job among the kept ones, and its new epoch.

        Raises:
            OutOfMemory: a batch is too large for the device, or a process was ended.
        """
        self._host.advance(self._numbers(), num_epochs, self._teller(on_epoch))

    def complete(
        self, num_epochs: int, on_epoch: JobCallback | None, on_done: DoneCallback
    ) -> None:
        """Advance, and give results as they come: those of a stack's jobs together.

        Args:
            num_epochs: how many at most.
            on_epoch: as in `advance`.
            on_done: told the places of jobs among the kept ones, and their results as by `finish`.

        Raises:
            OutOfMemory: a batch is too large for the device, or a process was ended.
        """

        def done(number: int, results: Sequence[TrainResult | TrainingDiverged]) -> None:
            """Turn the stack's number into its jobs' places."""
            own = [place for place, (owner, _) in enumerate(self._seats) if owner == number]
            on_done(own, [results[self._seats[place][1]] for place in own])

        self._host.complete(self._numbers(), num_epochs, self._teller(on_epoch), done)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with some jobs only; what the others held on the device is given back.

        Args:
            places: of the kept jobs, in their new order.
        """
        kept = [self._seats[place] for place in places]
        for number in self._numbers():
            seats = sorted(seat for owner, seat in kept if owner == number)
            num_seats = sum(owner == number for owner, _ in self._seats)
            if len(seats) == num_seats:
                continue
            self._host.keep(number, seats)
            # The seats that are left move up.
            kept = [(o, seats.index(s)) if o == number else (o, s) for o, s in kept]
        self.jobs = tuple(self.jobs[place] for place in places)
        self._histories = [self._histories[place] for place in places]
        self._seats = kept

    def finish(self) -> list[TrainResult | TrainingDiverged]:
        """The result of each kept job: its best epoch so far, calibrated on validation.

        A job whose loss was no number in its first epoch gives its error instead.
        """
        numbers = self._numbers()
        results = dict(zip(numbers, self._host.finish(numbers), strict=True))
        return [results[number][seat] for number, seat in self._seats]

    def close(self) -> None:
        """Let processes and memory go."""
        self._host.close()

    def _teller(self, on_epoch: JobCallback | None) -> StackCallback:
        """Keeps histories, and turns seats in stacks into the jobs' places."""
        places = {seat: place for place, seat in enumerate(self._seats)}

        def tell(number: int, seat: int, epoch: Epoch) -> None:
            """Hear of one epoch."""
            place = places[number, seat]
            self._histories[place].append(epoch)
            if on_epoch is not None:
                on_epoch(place, epoch)

        return tell

    def _numbers(self) -> list[int]:
        """The stacks that have a kept job."""
        return sorted({number for number, _ in self._seats})


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
