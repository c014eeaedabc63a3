"""Where stacks live: here, in this process; `processes` has those of one thread each."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

from fec_cache.errors import TrainingDiverged
from fec_cache.training.batched.shared_data import Ground
from fec_cache.training.batched.stack import Job, Stack
from fec_cache.training.history import Epoch, TrainResult

Results = list[TrainResult | TrainingDiverged]
StackCallback = Callable[[int, int, Epoch], None]
ResultsCallback = Callable[[int, Results], None]


class Host(ABC):
    """Holds stacks, known by their numbers."""

    @abstractmethod
    def advance(self, numbers: Sequence[int], num_epochs: int, tell: StackCallback) -> None:
        """Train stacks on; `tell` hears the stack's number, the seat in it, and the epoch."""

    @abstractmethod
    def complete(
        self, numbers: Sequence[int], num_epochs: int, tell: StackCallback, done: ResultsCallback
    ) -> None:
        """Train stacks on to their end and let them go; `done` gets the results of each at once."""

    @abstractmethod
    def keep(self, number: int, seats: Sequence[int]) -> None:
        """Go on with some seats of a stack, or with none."""

    @abstractmethod
    def finish(self, numbers: Sequence[int]) -> list[Results]:
        """The results of stacks."""

    @abstractmethod
    def close(self) -> None:
        """Let all stacks go."""


class LocalHost(Host):
    """Stacks in this process, one after the other."""

    def __init__(self, ground: Ground, stacks: Sequence[Sequence[Job]]) -> None:
        self._ground, self._jobs = ground, stacks
        self._stacks: dict[int, Stack] = {}

    def advance(self, numbers: Sequence[int], num_epochs: int, tell: StackCallback) -> None:
        """Train stacks on."""
        for number in numbers:
            self._stack(number).advance(num_epochs, partial(tell, number))

    def complete(
        self, numbers: Sequence[int], num_epochs: int, tell: StackCallback, done: ResultsCallback
    ) -> None:
        """Train stacks on to their end."""
        for number in numbers:
            self.advance([number], num_epochs, tell)
            done(number, self._stacks.pop(number).finish())

    def keep(self, number: int, seats: Sequence[int]) -> None:
        """Go on with some seats of a stack, or with none."""
        if seats:
            self._stack(number).keep(seats)
        else:
            self._stacks.pop(number, None)

    def finish(self, numbers: Sequence[int]) -> list[Results]:
        """The results of stacks."""
        return [self._stack(number).finish() for number in numbers]

    def seconds_per_epoch(self, number: int) -> float:
        """About how long an epoch of a stack takes; its heads move on."""
        return self._stack(number).seconds_per_epoch()

    def close(self) -> None:
        """Let all stacks go."""
        self._stacks = {}

    def _stack(self, number: int) -> Stack:
        """Made when it is first needed: stacks that wait hold no memory."""
        if number not in self._stacks:
            ground, jobs = self._ground, self._jobs[number]
            self._stacks[number] = Stack(
                ground.features, ground.train, ground.validation, jobs, str(ground.device), ground
            )
        return self._stacks[number]
