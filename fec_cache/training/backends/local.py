"""Where stacks are trained: in this process, or in the forked ones of `processes`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

from fec_cache.errors import TrainingDiverged
from fec_cache.training.batched.shared_data import SharedData
from fec_cache.training.batched.stack import Stack, TrainingJob
from fec_cache.training.history import Epoch, TrainResult

Results = list[TrainResult | TrainingDiverged]
StackCallback = Callable[[int, int, Epoch], None]
ResultsCallback = Callable[[int, Results], None]


class Backend(ABC):
    """Trains stacks, which are identified by their numbers."""

    @abstractmethod
    def advance(self, numbers: Sequence[int], num_epochs: int, on_epoch: StackCallback) -> None:
        """Train stacks further.

        Args:
            numbers: of the stacks.
            num_epochs: how many at most.
            on_epoch: called with the stack's number, the job's index in it, and the epoch.
        """

    @abstractmethod
    def complete(
        self,
        numbers: Sequence[int],
        num_epochs: int,
        on_epoch: StackCallback,
        on_results: ResultsCallback,
    ) -> None:
        """Train stacks to their end and free them; each one's results are passed on at once."""

    @abstractmethod
    def keep(self, number: int, indices: Sequence[int]) -> None:
        """Continue with some jobs of a stack, or with none."""

    @abstractmethod
    def finish(self, numbers: Sequence[int]) -> list[Results]:
        """The results of stacks."""

    @abstractmethod
    def close(self) -> None:
        """Free all stacks."""


class LocalBackend(Backend):
    """Stacks in this process, one after the other."""

    def __init__(self, shared: SharedData, stacks: Sequence[Sequence[TrainingJob]]) -> None:
        self._shared, self._jobs = shared, stacks
        self._stacks: dict[int, Stack] = {}

    def advance(self, numbers: Sequence[int], num_epochs: int, on_epoch: StackCallback) -> None:
        """Train stacks further."""
        for number in numbers:
            self._stack(number).advance(num_epochs, partial(on_epoch, number))

    def complete(
        self,
        numbers: Sequence[int],
        num_epochs: int,
        on_epoch: StackCallback,
        on_results: ResultsCallback,
    ) -> None:
        """Train stacks to their end."""
        for number in numbers:
            self.advance([number], num_epochs, on_epoch)
            on_results(number, self._stacks.pop(number).finish())

    def keep(self, number: int, indices: Sequence[int]) -> None:
        """Continue with some jobs of a stack, or with none."""
        if indices:
            self._stack(number).keep(indices)
        else:
            self._stacks.pop(number, None)

    def finish(self, numbers: Sequence[int]) -> list[Results]:
        """The results of stacks."""
        return [self._stack(number).finish() for number in numbers]

    def seconds_per_epoch(self, number: int) -> float:
        """About how long an epoch of a stack takes; measuring it trains the heads too."""
        return self._stack(number).seconds_per_epoch()

    def close(self) -> None:
        """Free all stacks."""
        self._stacks = {}

    def _stack(self, number: int) -> Stack:
        # Made when first needed: stacks that wait must not take memory.
        if number not in self._stacks:
            self._stacks[number] = stack_on(self._shared, self._jobs[number])
        return self._stacks[number]


def stack_on(shared: SharedData, jobs: Sequence[TrainingJob]) -> Stack:
    """A stack of jobs on features and triplets that are on the device already."""
    return Stack(shared.features, shared.train, shared.validation, jobs, str(shared.device), shared)
