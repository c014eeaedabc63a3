"""Training jobs of any shape, grouped into stacks and trained together."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.errors import TrainingDiverged
from fec_cache.pairs.build import TripletTable
from fec_cache.training.backends.local import Backend, LocalBackend, StackCallback
from fec_cache.training.backends.processes import ProcessBackend, can_fork
from fec_cache.training.batched.shared_data import SharedData
from fec_cache.training.batched.stack import JobCallback, TrainingJob, stack_key
from fec_cache.training.history import Epoch, TrainResult

DoneCallback = Callable[[Sequence[int], Sequence[TrainResult | TrainingDiverged]], None]


@dataclass(frozen=True)
class StackPlan:
    """How to distribute jobs: heads per stack, and processes of one thread each (CPU only).

    `seconds_per_epoch` is the expected time of one epoch of one job in this plan, all processes
    together; `sentence` says what was measured and chosen.
    """

    width: int
    num_processes: int
    seconds_per_epoch: float
    sentence: str


class JobPool:
    """Trains jobs like a `Stack`, but of any keys; the interface is the same.

    After an interrupt training cannot continue: only `histories` and `close` are valid then.
    """

    def __init__(
        self,
        features: npt.NDArray[np.floating],
        train: TripletTable,
        validation: TripletTable,
        jobs: Sequence[TrainingJob],
        plan: StackPlan,
        device: str = "cpu",
    ) -> None:
        """Group the jobs into stacks of equal keys, at most `plan.width` jobs each.

        Raises:
            NothingToTrain: a side is empty, or the features are not finite.
        """
        self.jobs = tuple(jobs)
        groups = _grouped(jobs, plan.width)
        # Where each kept job is trained: the number of its stack, and its index in that stack.
        self._slots = [(0, 0)] * len(jobs)
        for number, members in enumerate(groups):
            for index, job_index in enumerate(members):
                self._slots[job_index] = (number, index)
        self._histories: list[list[Epoch]] = [[] for _ in jobs]
        shared = SharedData(features, train, validation, torch.device(device))
        stacks = [[jobs[index] for index in members] for members in groups]
        num_processes = min(plan.num_processes, len(stacks))
        self._backend: Backend = LocalBackend(shared, stacks)
        if num_processes > 1 and device == "cpu" and can_fork(jobs):
            self._backend = ProcessBackend(shared, stacks, num_processes)

    @property
    def histories(self) -> tuple[tuple[Epoch, ...], ...]:
        """The epochs of each kept job so far."""
        return tuple(tuple(history) for history in self._histories)

    def advance(self, num_epochs: int, on_epoch: JobCallback | None = None) -> None:
        """Train every kept job for some more epochs, but not beyond its own last one.

        Args:
            num_epochs: how many at most.
            on_epoch: called with the index of the job among the kept ones, and its new epoch.

        Raises:
            OutOfMemory: a batch is too large for the device, or a process was ended.
        """
        self._backend.advance(self._numbers(), num_epochs, self._recorder(on_epoch))

    def complete(
        self, num_epochs: int, on_epoch: JobCallback | None, on_done: DoneCallback
    ) -> None:
        """Advance, and pass results on as they come: those of a stack's jobs together.

        Args:
            num_epochs: how many at most.
            on_epoch: as in `advance`.
            on_done: called with indices of kept jobs, and their results as `finish` gives them.

        Raises:
            OutOfMemory: a batch is too large for the device, or a process was ended.
        """

        def on_results(number: int, results: Sequence[TrainResult | TrainingDiverged]) -> None:
            """Translate the stack's number into its jobs' indices."""
            own = [index for index, (owner, _) in enumerate(self._slots) if owner == number]
            on_done(own, [results[self._slots[index][1]] for index in own])

        recorder = self._recorder(on_epoch)
        self._backend.complete(self._numbers(), num_epochs, recorder, on_results)

    def keep(self, indices: Sequence[int]) -> None:
        """Continue with some jobs only and free the device memory of the others.

        Args:
            indices: of the kept jobs, in their new order.
        """
        kept = [self._slots[index] for index in indices]
        for number in self._numbers():
            members = sorted(member for owner, member in kept if owner == number)
            num_members = sum(owner == number for owner, _ in self._slots)
            if len(members) == num_members:
                continue
            self._backend.keep(number, members)
            # The stack numbers its remaining jobs from 0 again.
            kept = [(o, members.index(m)) if o == number else (o, m) for o, m in kept]
        self.jobs = tuple(self.jobs[index] for index in indices)
        self._histories = [self._histories[index] for index in indices]
        self._slots = kept

    def finish(self) -> list[TrainResult | TrainingDiverged]:
        """The result of each kept job: its best epoch so far, calibrated on validation.

        A job whose loss was not finite in its first epoch gives its error instead.
        """
        numbers = self._numbers()
        results = dict(zip(numbers, self._backend.finish(numbers), strict=True))
        return [results[number][index] for number, index in self._slots]

    def close(self) -> None:
        """Free processes and memory."""
        self._backend.close()

    def _recorder(self, on_epoch: JobCallback | None) -> StackCallback:
        """Keeps histories, and translates slots into the jobs' indices."""
        indices = {slot: index for index, slot in enumerate(self._slots)}

        def record(number: int, member: int, epoch: Epoch) -> None:
            """Keep one epoch."""
            index = indices[number, member]
            self._histories[index].append(epoch)
            if on_epoch is not None:
                on_epoch(index, epoch)

        return record

    def _numbers(self) -> list[int]:
        """The stacks that have a kept job."""
        return sorted({number for number, _ in self._slots})


def _grouped(jobs: Sequence[TrainingJob], width: int) -> list[list[int]]:
    """Indices of the jobs of each stack."""
    by_key: dict[Hashable, list[int]] = {}
    for index, job in enumerate(jobs):
        by_key.setdefault(stack_key(job), []).append(index)
    return [
        indices[start : start + width]
        for indices in by_key.values()
        for start in range(0, len(indices), width)
    ]
