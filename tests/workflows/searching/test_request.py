"""What is searched: checked at once, named by all that changes its points."""

import dataclasses

import pytest

from fec_cache.errors import BadOption
from fec_cache.pairs.config import PairConfig
from fec_cache.search.scope import Scope
from fec_cache.search.space import space_of
from fec_cache.system.reporter import SILENT
from fec_cache.workflows.loading.triplets import load_training
from fec_cache.workflows.searching.request import SearchMaterial, SearchRequest

REQUEST = SearchRequest(space_of({"lr": [1e-3, 1e-2]}))


@pytest.fixture
def material(toy_workspace):
    pairs = PairConfig(validation_share=0.2)
    return SearchMaterial(*load_training(toy_workspace, "toy", pairs, SILENT), pairs)


@pytest.mark.parametrize("options", [{"sampler": "nope"}, {"choose": "nope"}, {"choose": "one-se"}])
def test_bad_options_are_refused_before_anything_is_loaded(options):
    with pytest.raises(BadOption):
        SearchRequest(space_of({"lr": [1e-3]}), **options)


def test_the_name_changes_with_the_points_and_not_with_the_way_they_are_run():
    assert REQUEST.name == dataclasses.replace(REQUEST, timeout_s=9.0, plots=False).name
    others = [
        dataclasses.replace(REQUEST, space=space_of({"lr": [1e-3]})),
        dataclasses.replace(REQUEST, sampler="random", trials=2),
        dataclasses.replace(REQUEST, sampler="random", trials=2, sampler_seed=1),
    ]
    assert len({REQUEST.name, *(other.name for other in others)}) == 4
    scope = Scope("f", "t", "s", "v")
    name = REQUEST.run_name(scope)
    assert name.startswith("grid-")
    assert len(name) == len("grid-") + 8
    assert name != REQUEST.run_name(dataclasses.replace(scope, trainer="w"))


def test_the_scope_names_features_triplets_and_split(material):
    scope = material.scope
    assert scope.features == material.labelled.caches.recipes[0].fingerprint
    assert scope.triplets == material.labelled.digest
    swapped = dataclasses.replace(
        material,
        split=dataclasses.replace(
            material.split, train=material.split.validation, validation=material.split.train
        ),
    )
    assert swapped.scope.differences(scope) == ["validation split"]


def test_a_request_takes_the_widths_of_the_features(material):
    assert REQUEST.on(material).space.blocks == material.labelled.caches.blocks == ()
