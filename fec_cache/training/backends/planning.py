"""How many heads to stack, and whether in processes: decided by a short calibration."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.errors import OutOfMemory
from fec_cache.pairs.build import TripletTable
from fec_cache.system.cores import usable_cores
from fec_cache.system.wording import counted
from fec_cache.training.backends.local import stack_on
from fec_cache.training.backends.process_pool import StackPlan
from fec_cache.training.backends.processes import can_fork, timed_in_processes
from fec_cache.training.batched.shared_data import SharedData
from fec_cache.training.batched.stack import TrainingJob, stack_key

# On two cores 8 heads side by side gained a sixth; beyond that the weights leave the caches and
# stacking loses (docs/performance.md). GPUs want more.
WIDTHS = (8, 32, 128)
# Starting the processes takes about this long.
_WORTH_PROCESSES_S = 1.0


@dataclass(frozen=True)
class _Trial:
    """A way of training, and the seconds an epoch of one job takes in it."""

    width: int
    num_processes: int
    seconds: float

    def in_words(self) -> str:
        """A phrase for the log."""
        if self.num_processes > 1:
            return f"in {counted(self.num_processes, 'process', 'processes')} {self.seconds:.3g} s"
        return f"{self.width} side by side {self.seconds:.3g} s"


def plan_stacks(
    features: npt.NDArray[np.floating],
    train: TripletTable,
    validation: TripletTable,
    jobs: Sequence[TrainingJob],
    device: str = "cpu",
) -> StackPlan:
    """Time some steps of the most frequent key in each way, and choose the fastest.

    Args:
        features: [N, D], any float dtype.
        train: triplets to learn from.
        validation: triplets to validate on.
        jobs: all jobs to train.
        device: as torch names it.

    Raises:
        NothingToTrain: a side is empty, or the features are not finite.
        OutOfMemory: a single head does not fit.
    """
    ((key, _),) = Counter(map(stack_key, jobs)).most_common(1)
    alike = [job for job in jobs if stack_key(job) == key]
    shared = SharedData(features, train, validation, torch.device(device))
    trials = _stacked_trials(shared, alike)
    alone = trials[0]
    epochs = sum(job.train.epochs for job in jobs)
    num_processes = min(usable_cores(), len(jobs))
    worth = alone.seconds * epochs > _WORTH_PROCESSES_S
    # On two cores two processes take 0.049 s per epoch and head, where 8 heads side by side take
    # 0.091 s: one head and its moments fit into a core's caches, eight do not.
    if num_processes > 1 and device == "cpu" and can_fork(jobs) and worth:
        seconds = timed_in_processes(shared, alike[0], num_processes) / num_processes
        trials.append(_Trial(1, num_processes, seconds))
    best = min(trials, key=lambda trial: trial.seconds)
    return StackPlan(best.width, best.num_processes, best.seconds, _sentence(trials, best))


def _stacked_trials(shared: SharedData, alike: Sequence[TrainingJob]) -> list[_Trial]:
    """One head alone, then wider stacks until they get slower or do not fit."""
    trials = [_Trial(1, 1, stack_on(shared, alike[:1]).seconds_per_epoch())]
    for width in WIDTHS:
        if len(alike) < width:
            break
        try:
            seconds = stack_on(shared, alike[:width]).seconds_per_epoch() / width
        except OutOfMemory:
            break
        trials.append(_Trial(width, 1, seconds))
        # Once the weights leave the caches, wider is slower still: 0.80 s per epoch and head for 8,
        # 1.13 s for 32 and 1.63 s for 128 heads on two cores (docs/performance.md).
        if seconds > 1.5 * min(trial.seconds for trial in trials):
            break
    return trials


def _sentence(trials: Sequence[_Trial], best: _Trial) -> str:
    alone = f"one head alone {trials[0].seconds:.3g} s per epoch"
    measured = ", ".join([alone, *(trial.in_words() for trial in trials[1:])])
    if best.num_processes > 1:
        choice = counted(best.num_processes, "process", "processes")
        choice += " of one thread, one head at a time each"
    elif best.width > 1:
        choice = f"{counted(best.width, 'head')} side by side"
    else:
        choice = "one head at a time"
    return f"Calibration, per head: {measured}. Chosen: {choice}."
