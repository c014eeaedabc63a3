"""`fec report` on several seeds of one recipe, and what it is compared with."""

import json
import re

import pytest

from tests.workspace_fixtures import BACKBONE

QUICK = ("--head", "embedding", "--epochs", "2")


@pytest.fixture
def three(place):
    for seed in ("0", "1", "2"):
        place.ok("train-head", *QUICK, "--seed", seed, "--name", f"small-{seed}")
    return place


def page_of(place, *words):
    place.ok("report", "--out", "page.html", "--force", *words)
    return (place.folder / "page.html").read_text(encoding="utf-8")


def accuracy(place, name):
    found = json.loads(place.ok("evaluate", "--run", name, "--json").stdout)
    return found["triplets"]["all"]["accuracy"]


def test_all_seeds_of_the_recipe_are_shown_together(three):
    three.ok("train-head", *QUICK, "--lr", "1e-2", "--name", "small-other")
    single = [accuracy(three, f"small-{seed}") for seed in range(3)]
    page = page_of(three, "--run", "small-1")
    mean = sum(single) / 3
    assert f"{100 * mean:.1f}" in re.search(r'<p class="verdict">.*?</p>', page, re.DOTALL)[0]
    assert "mean of 3 seeds" in page
    assert page.count('<th scope="row">small-') == 3
    assert "small-other" not in page
    assert "shows one of the seeds: small-1" in page
    assert page == page_of(three, "--run", "small-1,small-0,small-2")


def test_named_runs_only_and_named_rivals(three):
    for seed in ("3", "4"):
        three.ok("train-head", "--epochs", "1", "--seed", seed, "--name", f"rival-{seed}")
    page = page_of(three, "--run", "small-[01]", "--against", "rival-*")
    assert page.count('<th scope="row">small-') == 2
    assert "compared with the rival, 2 seeds</h3>" in page
    compared = json.loads(three.ok("compare", "small-[01]", "rival-*", "--json").stdout)
    overall = compared["triplets"]["all"]
    lead = f"{100 * overall['difference']:+.1f}"
    assert re.search(re.escape(lead) + r"\s±\s" + f"{100 * overall['stderr']:.1f}", page)


def test_other_recipes_are_no_seeds(three):
    three.ok("train-head", *QUICK, "--lr", "1e-2", "--name", "other")
    line = three.misused("report", "--run", "small-0,other")
    assert "small-0 and other differ in more than their seed" in line
    line = three.misused("report", "--run", "small-0", "--against", "other,first")
    assert "other and first differ in more than their seed" in line
    assert "No run in runs matches 'no-*'" in three.fails("report", "--against", "no-*")


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


def test_the_split_is_told_once_however_many_runs_are_compared(three):
    said = three.ok("compare", "small-*", "first").output
    assert said.count("test.csv: ") == 1
