"""The original recipe, or named runs, beside a head."""

import json

import pytest

from tests.workflows.commands import QUICK, page_of
from tests.workspace_fixtures import BACKBONE


def test_the_original_recipe_stands_beside_another_head(place):
    for seed in ("0", "1"):
        place.ok("train-head", "--seed", seed, "--name", f"plain-{seed}")
    place.ok("train-head", "--head", "embedding", "--epochs", "2", "--name", "other")
    found = json.loads(place.ok("evaluate", "--run", "other", "--json").stdout)
    assert found["baseline"]["runs"] == ["plain-0", "plain-1"]
    plain = [
        json.loads(place.ok("evaluate", "--run", f"plain-{seed}", "--json").stdout)
        for seed in ("0", "1")
    ]
    mean = sum(one["triplets"]["all"]["accuracy"] for one in plain) / 2
    assert found["baseline"]["triplets"]["all"]["accuracy"] == pytest.approx(mean)
    difference = found["triplets"]["all"]["accuracy"] - mean
    assert found["baseline"]["this_head"]["difference"] == pytest.approx(difference)
    assert plain[0]["baseline"] is None
    text = place.ok("evaluate", "--run", "other").output
    assert "Compared with the original recipe, 2 seeds:" in text
    compared = json.loads(place.ok("compare", "other", "plain-*", "--json").stdout)
    overall = compared["triplets"]["all"]
    assert overall["difference"] == pytest.approx(difference)
    assert overall["stderr"] == pytest.approx(found["baseline"]["this_head"]["stderr"])
    assert compared["b"] == ["plain-0", "plain-1"]
    assert place.ok("compare", "other", "plain-0,plain-1").output.count("plain-1") == 1


def test_the_original_recipe_on_the_pool_is_the_measure_of_heads_on_other_layers(place):
    place.ok("train-head", "--name", "plain")
    words = ("extract", "--backbone", BACKBONE, "--weights", "random:0", "--layer", "layer2")
    place.ok(*words, "--device", "cpu")
    features = ("--features", f"{BACKBONE}:layer2")
    place.ok("train-head", *QUICK, *features, "--name", "deep")
    found = json.loads(place.ok("evaluate", "--run", "deep", "--json").stdout)
    assert found["baseline"]["runs"] == ["plain"]
    assert found["baseline"]["features"].startswith(f"{BACKBONE}:avgpool")
    compared = json.loads(place.ok("compare", "deep", "plain", "--json").stdout)
    wanted = compared["triplets"]["all"]["difference"]
    assert found["baseline"]["this_head"]["difference"] == pytest.approx(wanted)
    assert f"on {BACKBONE}:avgpool" in page_of(place, "--run", "deep")
    assert f"Compared with the original recipe on {BACKBONE}:avgpool" in (
        (place.folder / "runs" / "deep" / "model_card.md").read_text()
    )
    # The original recipe on the head's own features goes first.
    place.ok("train-head", *features, "--name", "plain-deep")
    found = json.loads(place.ok("evaluate", "--run", "deep", "--json").stdout)
    assert found["baseline"]["runs"] == ["plain-deep"]
    assert found["baseline"]["features"] == ""
