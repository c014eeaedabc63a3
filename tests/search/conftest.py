"""Searches on a small planted set, trained by the real trainer."""

import math

import pytest

from fec_cache.errors import TrainingDiverged
from fec_cache.pairs.split import Split
from fec_cache.search.ledger import Ledger
from fec_cache.search.run import Search
from fec_cache.search.samplers.base import make_sampler
from fec_cache.search.space import space_of
from fec_cache.search.trainer import SearchTrainer
from fec_cache.testing.planted import planted_split
from fec_cache.training.backends.process_pool import StackPlan

VALUES = {
    "head": ["concat", "embedding"],
    "hidden": [(8,)],
    "lr": [1e-3, 1e-2],
    "epochs": [1],
    "batch_size": [512],
}
LONG = {**VALUES, "lr": [1e-3, 3e-3, 1e-2], "epochs": [6]}


def search_in(
    folder, space=None, scope="s", sampler="grid", trials=None, width=2, trainer=None, **options
):
    """A search in a folder; `options` are fields of `Search`."""
    features, train, validation = planted_split()
    split = Split(train, validation, "components", 0)
    space = space or space_of(VALUES)
    return Search(
        space=space,
        new_sampler=lambda: make_sampler(space, sampler, trials, 0),
        scope=scope,
        trainer=trainer or SearchTrainer(features, split, StackPlan(width, 1, math.nan, "")),
        ledger=Ledger(folder),
        **options,
    )


def outcomes_of(search):
    """What the ledger knows without times, in the order of the keys."""
    import dataclasses

    known = search.ledger.outcomes()
    return [dataclasses.replace(known[key], duration_s=0.0) for key in sorted(known)]


class NoTraining:
    """A trainer that must not be asked to train."""

    def __init__(self, trainer):
        self._trainer = trainer

    def __getattr__(self, name):
        return getattr(self._trainer, name)

    def begin(self, points):
        pytest.fail(f"{len(points)} points were trained again")


def run_in(folder, *args, **options):
    search = search_in(folder, *args, **options)
    assert search.run() == 0
    return search


class Failing(SearchTrainer):
    """Heads of one kind do not fit into memory, or groups of more than one point do not."""

    kind, most = "embedding", 100

    def begin(self, points):
        if any(p.head.head == self.kind for p in points) or len(points) > self.most:
            raise RuntimeError("out of memory\nlong tail")
        return super().begin(points)

    def seconds_per_epoch(self, point):
        if point.head.head == self.kind:
            raise TrainingDiverged("no number")
        return super().seconds_per_epoch(point)


def failing(folder, kind="embedding", most=100):
    trainer = search_in(folder).trainer
    made = Failing(trainer.features, trainer.split, trainer.plan)
    object.__setattr__(made, "kind", kind)
    object.__setattr__(made, "most", most)
    return made
