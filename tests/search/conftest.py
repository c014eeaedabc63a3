"""Searches on a small planted set, trained by the real engine."""

import math

import pytest

from fec_cache.pairs.split import Split
from fec_cache.search.ledger import Ledger
from fec_cache.search.run import Search
from fec_cache.search.samplers.proposals import make_proposer
from fec_cache.search.space import space_of
from fec_cache.search.trainer import Engine
from fec_cache.testing.planted import planted_split
from fec_cache.training.backends.process_pool import StackPlan

VALUES = {
    "head": ["concat", "embedding"],
    "hidden": [(8,)],
    "lr": [1e-3, 1e-2],
    "epochs": [1],
    "batch_size": [512],
}


def search_in(
    folder, space=None, scope="s", sampler="grid", trials=None, width=2, engine=None, **options
):
    """A search in a folder; `options` are fields of `Search`."""
    features, train, validation = planted_split()
    split = Split(train, validation, "components", 0)
    space = space or space_of(VALUES)
    return Search(
        space=space,
        propose=lambda: make_proposer(space, sampler, trials, 0),
        scope=scope,
        engine=engine or Engine(features, split, StackPlan(width, 1, math.nan, "")),
        ledger=Ledger(folder),
        **options,
    )


def outcomes_of(search):
    """What the ledger knows without times, in the order of the keys."""
    import dataclasses

    known = search.ledger.outcomes()
    return [dataclasses.replace(known[key], duration_s=0.0) for key in sorted(known)]


class NoTraining:
    """An engine that must not be asked to train."""

    def __init__(self, engine):
        self._engine = engine

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def begin(self, points):
        pytest.fail(f"{len(points)} points were trained again")
