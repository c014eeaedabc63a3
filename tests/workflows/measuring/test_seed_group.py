"""`fec report` on several seeds of one recipe, and what it is compared with."""

import json
import re

from tests.workflows.commands import QUICK, page_of


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
